package loader_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/loader"
)

var gathered = []arrow.DataType{
	arrow.FixedWidthTypes.Boolean,
	arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64,
	arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64,
	arrow.BinaryTypes.String, arrow.BinaryTypes.Binary,
	arrow.FixedWidthTypes.Date32, &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"},
	&arrow.Decimal128Type{Precision: 20, Scale: 3},
	&arrow.FixedSizeBinaryType{ByteWidth: 5},
	arrow.ListOf(arrow.BinaryTypes.String),
	arrow.ListOf(arrow.ListOf(arrow.PrimitiveTypes.Int32)),
	arrow.FixedSizeListOf(3, arrow.PrimitiveTypes.Float32),
	arrow.FixedSizeListOf(2, arrow.FixedWidthTypes.Boolean),
	arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64),
	arrow.StructOf(
		arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		arrow.Field{Name: "b", Type: arrow.ListOf(arrow.FixedWidthTypes.Boolean), Nullable: true},
	),
}

// fill appends a random value.
func fill(b array.Builder, r *rand.Rand, nulls bool) {
	if nulls && r.IntN(4) == 0 {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(r.IntN(2) == 0)
	case *array.Int8Builder:
		b.Append(int8(r.Int()))
	case *array.Int16Builder:
		b.Append(int16(r.Int()))
	case *array.Int32Builder:
		b.Append(int32(r.Int()))
	case *array.Int64Builder:
		b.Append(r.Int64())
	case *array.Float32Builder:
		b.Append(r.Float32())
	case *array.Float64Builder:
		b.Append(r.Float64())
	case *array.StringBuilder:
		b.Append(fmt.Sprintf("%.*x", r.IntN(20), r.Uint64()))
	case *array.BinaryBuilder:
		b.Append([]byte(fmt.Sprint(r.Uint32())))
	case *array.Date32Builder:
		b.Append(arrow.Date32(r.Int32()))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(r.Int64()))
	case *array.Decimal128Builder:
		b.Append(decimal128.New(r.Int64N(1000), r.Uint64()))
	case *array.FixedSizeBinaryBuilder:
		b.Append([]byte(fmt.Sprintf("%05d", r.IntN(100000))))
	case *array.MapBuilder:
		b.Append(true)
		for range r.IntN(3) {
			fill(b.KeyBuilder(), r, false)
			fill(b.ItemBuilder(), r, nulls)
		}
	case *array.ListBuilder:
		b.Append(true)
		for range r.IntN(4) {
			fill(b.ValueBuilder(), r, nulls)
		}
	case *array.FixedSizeListBuilder:
		b.Append(true)
		for range b.Type().(*arrow.FixedSizeListType).Len() {
			fill(b.ValueBuilder(), r, nulls)
		}
	case *array.StructBuilder:
		b.Append(true)
		for i := range b.NumField() {
			fill(b.FieldBuilder(i), r, nulls)
		}
	default:
		panic(fmt.Sprintf("%T", b))
	}
}

// The rows that are gathered are compared with slices that Arrow itself
// concatenates.
func TestGatherIsConcatenationOfRows(t *testing.T) {
	t.Parallel()
	for i, dt := range gathered {
		t.Run(dt.String(), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, uint64(i)))
			mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
			defer mem.AssertSize(t, 0)
			require.True(t, loader.Gatherable(dt))
			for round := range 20 {
				var chunks []arrow.Array
				for c := range 1 + r.IntN(3) {
					b := array.NewBuilder(mem, dt)
					n := 1 + r.IntN(60)
					for range n {
						fill(b, r, (round+c)%2 == 0)
					}
					whole := b.NewArray()
					b.Release()
					from := r.IntN(n)
					chunks = append(chunks, array.NewSlice(whole, int64(from), int64(from+1+r.IntN(n-from))))
					whole.Release()
				}
				var rows [][2]int
				var parts []arrow.Array
				for len(rows) == 0 || r.IntN(8) > 0 {
					c := r.IntN(len(chunks))
					from := r.IntN(chunks[c].Len())
					to := from + 1
					if r.IntN(2) == 0 {
						to += r.IntN(chunks[c].Len() - from)
					}
					for row := from; row < to; row++ {
						rows = append(rows, [2]int{c, row})
					}
					parts = append(parts, array.NewSlice(chunks[c], int64(from), int64(to)))
				}
				want, err := array.Concatenate(parts, mem)
				require.NoError(t, err)
				got, err := loader.Gather(mem, chunks, rows)
				require.NoError(t, err)
				require.Truef(t, array.Equal(want, got), "want %v\nhave %v", want, got)
				require.Equal(t, want.NullN(), got.NullN())
				single, err := loader.GatherRows(mem, chunks, rows)
				require.NoError(t, err)
				require.Truef(t, array.Equal(want, single), "want %v\nhave %v", want, single)
				require.Equal(t, want.NullN(), single.NullN())
				for _, a := range append(append(parts, chunks...), want, got, single) {
					a.Release()
				}
			}
		})
	}
}

func TestTypesThatCannotBeGathered(t *testing.T) {
	t.Parallel()
	for _, dt := range []arrow.DataType{
		&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String},
		arrow.ListOf(arrow.BinaryTypes.LargeString), arrow.Null,
		arrow.StructOf(arrow.Field{Name: "a", Type: arrow.BinaryTypes.LargeBinary}),
	} {
		require.False(t, loader.Gatherable(dt), dt.String())
	}
}
