package inttest_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"
)

// everyType has a column of each type that a table can hold, in the words of
// docs/engines.md.
var everyType = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "bool", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	{Name: "int8", Type: arrow.PrimitiveTypes.Int8, Nullable: true},
	{Name: "int16", Type: arrow.PrimitiveTypes.Int16, Nullable: true},
	{Name: "int32", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
	{Name: "float32", Type: arrow.PrimitiveTypes.Float32, Nullable: true},
	{Name: "float64", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "string", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "binary", Type: arrow.BinaryTypes.Binary, Nullable: true},
	{Name: "date32", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
	{Name: "timestamp", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
	{Name: "decimal128", Type: &arrow.Decimal128Type{Precision: 12, Scale: 2}, Nullable: true},
	{Name: "list", Type: arrow.ListOf(arrow.PrimitiveTypes.Float32), Nullable: true},
	{Name: "struct", Type: arrow.StructOf(
		arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		arrow.Field{Name: "y", Type: arrow.BinaryTypes.String, Nullable: true},
	), Nullable: true},
	{Name: "map", Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64), Nullable: true},
}, nil)

// evolved has one more column than everyType.
var evolved = arrow.NewSchema(append(everyType.Fields(), arrow.Field{Name: "note", Type: arrow.BinaryTypes.String, Nullable: true}), nil)

// widened has a column of everyType widened.
var widened = func() *arrow.Schema {
	fields := slices.Clone(evolved.Fields())
	fields[2].Type = arrow.PrimitiveTypes.Int32
	return arrow.NewSchema(fields, nil)
}()

// idRows are the ids of a version's rows. A row follows from its id; the note of
// the ids that had one when they were written is "new".
type idRows struct {
	schema *arrow.Schema
	ids    []int
	noted  func(id int) bool // nil for none.
}

func ids(from, to int) []int {
	out := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

func (r idRows) record() arrow.Record {
	if len(r.schema.Fields()) < len(everyType.Fields()) {
		all := idRows{everyType, r.ids, nil}.record()
		defer all.Release()
		var columns []arrow.Array
		for _, f := range r.schema.Fields() {
			columns = append(columns, all.Column(everyType.FieldIndices(f.Name)[0]))
		}
		return array.NewRecord(r.schema, columns, all.NumRows())
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, r.schema)
	defer b.Release()
	for _, id := range r.ids {
		everyRow(b, id)
		if len(r.schema.Fields()) == len(everyType.Fields()) {
			continue
		}
		if note := b.Field(len(everyType.Fields())).(*array.StringBuilder); r.noted != nil && r.noted(id) {
			note.Append("new")
		} else {
			note.AppendNull()
		}
	}
	return b.NewRecord()
}

// everyRow fills one row. Every 7th is null but for its id.
func everyRow(b *array.RecordBuilder, id int) {
	b.Field(0).(*array.Int64Builder).Append(int64(id))
	if id%7 == 3 {
		for i := 1; i < len(everyType.Fields()); i++ {
			b.Field(i).AppendNull()
		}
		return
	}
	b.Field(1).(*array.BooleanBuilder).Append(id%2 == 0)
	switch small := b.Field(2).(type) {
	case *array.Int8Builder:
		small.Append(int8(id))
	case *array.Int32Builder: // Widened.
		small.Append(int32(int8(id)))
	}
	b.Field(3).(*array.Int16Builder).Append(int16(-id))
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
	b.Field(10).(*array.TimestampBuilder).Append(arrow.Timestamp(int64(id)*1_000_003 - 5_000_000_001))
	b.Field(11).(*array.Decimal128Builder).Append(decimal128.FromI64(int64(id)*101 - 7000))
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

// reader reads one record of the rows.
func (r idRows) reader(t testing.TB) array.RecordReader {
	rec := r.record()
	defer rec.Release()
	rr, err := array.NewRecordReader(r.schema, []arrow.Record{rec})
	require.NoError(t, err)
	t.Cleanup(rr.Release)
	return rr
}

// write writes the rows as an Arrow IPC file.
func (r idRows) write(t testing.TB, name string) string { return write(t, name, r) }

// write writes parts of one schema as the batches of an Arrow IPC file.
func write(t testing.TB, name string, parts ...idRows) string {
	recs := make([]arrow.Record, len(parts))
	for i, part := range parts {
		recs[i] = part.record()
		defer recs[i].Release()
	}
	return writeRecords(t, name, recs)
}

// writeRecords writes records as an Arrow IPC file.
func writeRecords(t testing.TB, name string, recs []arrow.Record) string {
	path := filepath.Join(t.TempDir(), strings.ReplaceAll(name, "/", "_")+".arrow")
	f, err := os.Create(path)
	require.NoError(t, err)
	w, err := ipc.NewFileWriter(f, ipc.WithSchema(recs[0].Schema()))
	require.NoError(t, err)
	for _, rec := range recs {
		require.NoError(t, w.Write(rec))
	}
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
	return path
}
