package dataset_test

import (
	"context"
	"math"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
)

// Few different values, so that a dictionary would be chosen: one that is keyed
// by value must not make one NaN of all, or one zero of two.
func TestFloatsComeBackBitByBit(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	schema := arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Float64}, {Name: "y", Type: arrow.PrimitiveTypes.Float32}}, nil)
	bits := []uint64{0, 1 << 63, 0x7ff8000000000001, 0x7ff8000000000002, 0xfff8dead00000000, 0x7ff4000000000001, 0x7ff0000000000000, 1, 0x3ff0000000000000}
	bits32 := []uint32{0, 1 << 31, 0x7fc00001, 0x7fc00002, 0xffc0dead, 0x7fa00001, 0x7f800000, 1, 0x3f800000}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	const rows = 9000
	for i := range rows {
		// Mostly one value, the rest at the end, where no sample decides.
		k := len(bits) - 1
		if i > rows-200 || i < 40 {
			k = i % len(bits)
		}
		b.Field(0).(*array.Float64Builder).Append(math.Float64frombits(bits[k]))
		b.Field(1).(*array.Float32Builder).Append(math.Float32frombits(bits32[k]))
	}
	rec := b.NewRecord()
	v, err := create(t, &blob.Mem{}, "x", schema).Append(ctx, reader(t, rec), nil)
	require.NoError(t, err)
	rr, err := v.Read(ctx, nil)
	require.NoError(t, err)
	defer rr.Release()
	row := 0
	for rr.Next() {
		for i, got := range rr.Record().Column(0).(*array.Float64).Float64Values() {
			require.Equal(t, math.Float64bits(rec.Column(0).(*array.Float64).Value(row+i)), math.Float64bits(got), row+i)
		}
		for i, got := range rr.Record().Column(1).(*array.Float32).Float32Values() {
			require.Equal(t, math.Float32bits(rec.Column(1).(*array.Float32).Value(row+i)), math.Float32bits(got), row+i)
		}
		row += int(rr.Record().NumRows())
	}
	require.NoError(t, rr.Err())
	require.Equal(t, rows, row)
}
