package dataset_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
)

// everyType has a column of each type that a table can hold.
var everyType = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "bool", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	{Name: "i8", Type: arrow.PrimitiveTypes.Int8, Nullable: true},
	{Name: "i16", Type: arrow.PrimitiveTypes.Int16, Nullable: true},
	{Name: "i32", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
	{Name: "f32", Type: arrow.PrimitiveTypes.Float32, Nullable: true},
	{Name: "f64", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "text", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "bytes", Type: arrow.BinaryTypes.Binary, Nullable: true},
	{Name: "day", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
	{Name: "at", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
	{Name: "money", Type: &arrow.Decimal128Type{Precision: 12, Scale: 2}, Nullable: true},
	{Name: "vector", Type: arrow.ListOf(arrow.PrimitiveTypes.Float32), Nullable: true},
	{Name: "pair", Type: arrow.StructOf(
		arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		arrow.Field{Name: "y", Type: arrow.BinaryTypes.String, Nullable: true},
	), Nullable: true},
	{Name: "props", Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64), Nullable: true},
}, nil)

// everyRow fills one row of everyType. Every 7th row is null but for its id.
func everyRow(b *array.RecordBuilder, id int) {
	b.Field(0).(*array.Int64Builder).Append(int64(id))
	if id%7 == 3 {
		for i := 1; i < len(everyType.Fields()); i++ {
			b.Field(i).AppendNull()
		}
		return
	}
	b.Field(1).(*array.BooleanBuilder).Append(id%2 == 0)
	b.Field(2).(*array.Int8Builder).Append(int8(id))
	b.Field(3).(*array.Int16Builder).Append(int16(id))
	b.Field(4).(*array.Int32Builder).Append(int32(id * 3))
	b.Field(5).(*array.Float32Builder).Append(float32(id) / 10)
	f := float64(id) / 10
	switch id % 100 {
	case 11:
		f = math.NaN()
	case 12:
		f = math.Inf(-1)
	case 13:
		f = math.Copysign(0, -1)
	}
	b.Field(6).(*array.Float64Builder).Append(f)
	b.Field(7).(*array.StringBuilder).Append(fmt.Sprintf("größe-%d", id%9))
	b.Field(8).(*array.BinaryBuilder).Append([]byte{0xff, byte(id)})
	b.Field(9).(*array.Date32Builder).Append(arrow.Date32(id - 500))
	b.Field(10).(*array.TimestampBuilder).Append(arrow.Timestamp(int64(id) * 1_000_003))
	b.Field(11).(*array.Decimal128Builder).Append(decimal128.FromI64(int64(id) * 101))
	list := b.Field(12).(*array.ListBuilder)
	list.Append(true)
	for k := range id % 4 {
		list.ValueBuilder().(*array.Float32Builder).Append(float32(k))
	}
	pair := b.Field(13).(*array.StructBuilder)
	pair.Append(true)
	pair.FieldBuilder(0).(*array.Int32Builder).Append(int32(id))
	pair.FieldBuilder(1).(*array.StringBuilder).Append("y")
	props := b.Field(14).(*array.MapBuilder)
	props.Append(true)
	props.KeyBuilder().(*array.StringBuilder).Append("k")
	props.ItemBuilder().(*array.Int64Builder).Append(int64(id))
}

// everyRecord holds the rows [from, to).
func everyRecord(t testing.TB, mem memory.Allocator, from, to int) arrow.Record {
	b := array.NewRecordBuilder(mem, everyType)
	defer b.Release()
	for id := from; id < to; id++ {
		everyRow(b, id)
	}
	rec := b.NewRecord()
	t.Cleanup(rec.Release)
	return rec
}

// reader reads the given records of one schema.
func reader(t testing.TB, recs ...arrow.Record) array.RecordReader {
	rr, err := array.NewRecordReader(recs[0].Schema(), recs)
	require.NoError(t, err)
	t.Cleanup(rr.Release)
	return rr
}

// small is a table of one column of numbers.
var small = arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)

func numbers(t testing.TB, values ...int64) array.RecordReader {
	b := array.NewRecordBuilder(memory.DefaultAllocator, small)
	b.Field(0).(*array.Int64Builder).AppendValues(values, nil)
	return reader(t, b.NewRecord())
}

func readNumbers(t testing.TB, v *dataset.Version) []int64 {
	rr, err := v.Read(context.Background(), nil)
	require.NoError(t, err)
	defer rr.Release()
	var out []int64
	for rr.Next() {
		out = append(out, rr.Record().Column(0).(*array.Int64).Int64Values()...)
	}
	require.NoError(t, rr.Err())
	return out
}

// stores are the stores that every behaviour must hold on.
func stores(t *testing.T, f func(t *testing.T, s blob.Store)) {
	t.Run("mem", func(t *testing.T) {
		t.Parallel()
		f(t, &blob.Mem{})
	})
	t.Run("folder", func(t *testing.T) {
		t.Parallel()
		f(t, folder(t, t.TempDir()))
	})
}

func folder(t testing.TB, dir string) blob.Store {
	s, err := dirblob.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func create(t testing.TB, s blob.Store, name string, schema *arrow.Schema) *dataset.Dataset {
	d, err := dataset.New(s, nil).Create(context.Background(), name, schema, nil)
	require.NoError(t, err)
	return d
}
