package main

import (
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

const batchRows = 1 << 16

// shape is one of the tables that everybody writes and reads.
type shape struct {
	name   string
	scale  float64 // Its rows as a share of the flag -rows.
	schema *arrow.Schema
	row    func(b *array.RecordBuilder, r *rand.Rand, id int)
}

func field(name string, t arrow.DataType, nullable bool) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: nullable}
}

// shapes are a table of features without nulls, the same with a fifth of them
// null, mostly text, and mostly vectors.
func shapes() []shape {
	features := func(nulls int) func(b *array.RecordBuilder, r *rand.Rand, id int) {
		null := func(r *rand.Rand) bool { return nulls > 0 && r.IntN(100) < nulls }
		return func(b *array.RecordBuilder, r *rand.Rand, id int) {
			b.Field(0).(*array.Int64Builder).Append(int64(id))
			b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(1_700_000_000_000_000 + int64(id)*1000 + r.Int64N(1000)))
			for i, put := range []func(){
				func() { b.Field(2).(*array.Float64Builder).Append(r.NormFloat64() * 100) },
				func() { b.Field(3).(*array.Float64Builder).Append(float64(r.IntN(10_000)) / 100) },
				func() { b.Field(4).(*array.Float32Builder).Append(r.Float32()) },
				func() { b.Field(5).(*array.Int32Builder).Append(18 + r.Int32N(80)) },
				func() { b.Field(6).(*array.StringBuilder).Append(fmt.Sprintf("city-%d", r.IntN(50))) },
				func() { b.Field(7).(*array.StringBuilder).Append(fmt.Sprintf("customer-%d", r.IntN(1e9))) },
				func() { b.Field(8).(*array.BooleanBuilder).Append(id%3 == 0) },
			} {
				if null(r) {
					b.Field(2 + i).AppendNull()
				} else {
					put()
				}
			}
		}
	}
	schema := func(nullable bool) *arrow.Schema {
		return arrow.NewSchema([]arrow.Field{
			field("id", arrow.PrimitiveTypes.Int64, false),
			field("at", arrow.FixedWidthTypes.Timestamp_us, false),
			field("amount", arrow.PrimitiveTypes.Float64, nullable),
			field("price", arrow.PrimitiveTypes.Float64, nullable),
			field("score", arrow.PrimitiveTypes.Float32, nullable),
			field("age", arrow.PrimitiveTypes.Int32, nullable),
			field("city", arrow.BinaryTypes.String, nullable),
			field("name", arrow.BinaryTypes.String, nullable),
			field("active", arrow.FixedWidthTypes.Boolean, nullable),
		}, nil)
	}
	words := []string{"late", "refund", "charge", "account", "the", "of", "please", "again", "cancel", "thanks", "order", "number", "why", "still"}
	text := func(b *array.RecordBuilder, r *rand.Rand, id int) {
		b.Field(0).(*array.Int64Builder).Append(int64(id))
		line := make([]byte, 0, 256)
		for range 8 + r.IntN(24) {
			line = append(append(line, words[r.IntN(len(words))]...), ' ')
		}
		b.Field(1).(*array.StringBuilder).Append(string(line))
		b.Field(2).(*array.StringBuilder).Append(fmt.Sprintf("user-%d@example.com", r.IntN(100_000)))
		b.Field(3).(*array.StringBuilder).Append(fmt.Sprintf("%016x", r.Uint64()))
	}
	vector := func(b *array.RecordBuilder, r *rand.Rand, id int) {
		b.Field(0).(*array.Int64Builder).Append(int64(id))
		list := b.Field(1).(*array.ListBuilder)
		list.Append(true)
		for range 128 {
			list.ValueBuilder().(*array.Float32Builder).Append(float32(r.NormFloat64()))
		}
	}
	id := field("id", arrow.PrimitiveTypes.Int64, false)
	return []shape{
		{"features", 1, schema(false), features(0)},
		{"nullable", 1, schema(true), features(20)},
		{"text", 0.25, arrow.NewSchema([]arrow.Field{id, field("text", arrow.BinaryTypes.String, true), field("user", arrow.BinaryTypes.String, true), field("key", arrow.BinaryTypes.String, true)}, nil), text},
		{"vectors", 0.1, arrow.NewSchema([]arrow.Field{id, field("vector", arrow.ListOf(arrow.PrimitiveTypes.Float32), true)}, nil), vector},
	}
}

// generate writes rows of the shape as an Arrow IPC file and returns the bytes
// that they take in memory.
func (s shape) generate(path string, rows int) (size int64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	w, err := ipc.NewFileWriter(f, ipc.WithSchema(s.schema))
	if err != nil {
		return 0, err
	}
	r := rand.New(rand.NewPCG(1, 2))
	b := array.NewRecordBuilder(memory.DefaultAllocator, s.schema)
	defer b.Release()
	for from := 0; from < rows; from += batchRows {
		for id := from; id < min(rows, from+batchRows); id++ {
			s.row(b, r, id)
		}
		rec := b.NewRecord()
		for _, c := range rec.Columns() {
			size += arrayBytes(c.Data())
		}
		err := w.Write(rec)
		rec.Release()
		if err != nil {
			return 0, err
		}
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	return size, f.Close()
}

func arrayBytes(d arrow.ArrayData) (size int64) {
	for _, b := range d.Buffers() {
		if b != nil {
			size += int64(b.Len())
		}
	}
	for _, c := range d.Children() {
		size += arrayBytes(c)
	}
	return size
}

// load reads an Arrow IPC file into memory.
func load(path string) (schema *arrow.Schema, recs []arrow.Record, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	r, err := ipc.NewFileReader(f)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	for i := range r.NumRecords() {
		rec, err := r.Record(i)
		if err != nil {
			return nil, nil, err
		}
		rec.Retain()
		recs = append(recs, rec)
	}
	return r.Schema(), recs, nil
}
