package dataset_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/filter"
)

// wideSchema is the table of the reference: eight columns, none with nulls.
var wideSchema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "at", Type: arrow.FixedWidthTypes.Timestamp_us},
	{Name: "amount", Type: arrow.PrimitiveTypes.Float64},
	{Name: "score", Type: arrow.PrimitiveTypes.Float64},
	{Name: "ratio", Type: arrow.PrimitiveTypes.Float32},
	{Name: "age", Type: arrow.PrimitiveTypes.Int32},
	{Name: "city", Type: arrow.BinaryTypes.String},
	{Name: "name", Type: arrow.BinaryTypes.String},
}, nil)

const wideRows = 1 << 21

// wideRecords are wideRows rows and the bytes they take in Arrow.
func wideRecords(nulls bool) ([]arrow.Record, int64, *arrow.Schema) {
	schema := wideSchema
	if nulls {
		fields := wideSchema.Fields()
		for i := 2; i < len(fields); i++ {
			fields[i].Nullable = true
		}
		schema = arrow.NewSchema(fields, nil)
	}
	r := rand.New(rand.NewPCG(1, 2))
	var recs []arrow.Record
	var size int64
	for from := 0; from < wideRows; from += 1 << 16 {
		rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for i := range 1 << 16 {
			rb.Field(0).(*array.Int64Builder).Append(int64(from + i))
			rb.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(1_700_000_000_000_000 + int64(from+i)*1000 + r.Int64N(1000)))
			if nulls && r.IntN(5) == 0 {
				for k := 2; k < 8; k++ {
					rb.Field(k).AppendNull()
				}
				continue
			}
			rb.Field(2).(*array.Float64Builder).Append(float64(r.IntN(1_000_000)) / 100)
			rb.Field(3).(*array.Float64Builder).Append(r.NormFloat64())
			rb.Field(4).(*array.Float32Builder).Append(r.Float32())
			rb.Field(5).(*array.Int32Builder).Append(18 + r.Int32N(80))
			rb.Field(6).(*array.StringBuilder).Append(fmt.Sprintf("city-%d", r.IntN(1000)))
			rb.Field(7).(*array.StringBuilder).Append(fmt.Sprintf("user-%d", r.IntN(1e9)))
		}
		rec := rb.NewRecord()
		for _, col := range rec.Columns() {
			for _, buf := range col.Data().Buffers() {
				if buf != nil {
					size += int64(buf.Len())
				}
			}
		}
		recs = append(recs, rec)
	}
	return recs, size, schema
}

// BenchmarkLayer measures writing and reading in bytes of Arrow. Run it with
// GOMAXPROCS=1 for the figures of one core.
func BenchmarkLayer(b *testing.B) {
	ctx := context.Background()
	for _, nulls := range []bool{false, true} {
		recs, size, schema := wideRecords(nulls)
		name := map[bool]string{false: "plain", true: "nulls"}[nulls]
		s := &blob.Mem{}
		write := func() *dataset.Version {
			s = &blob.Mem{}
			d := create(b, s, "bench", schema)
			rr, err := array.NewRecordReader(schema, recs)
			require.NoError(b, err)
			v, err := d.Append(ctx, rr, nil)
			require.NoError(b, err)
			return v
		}
		b.Run(name+"/write", func(b *testing.B) {
			b.SetBytes(size)
			var v *dataset.Version
			before := cpuTime()
			for b.Loop() {
				v = write()
			}
			perCore(b, size, before)
			var stored int64
			for _, f := range v.Files {
				stored += f.Size
			}
			b.ReportMetric(float64(stored)/float64(size), "stored/arrow")
		})
		v := write()
		for _, c := range []struct {
			name string
			opts *dataset.ReadOptions
		}{
			{"read", nil},
			{"three", &dataset.ReadOptions{Columns: []string{"id", "amount", "age"}}},
			{"few", &dataset.ReadOptions{Where: filter.Gt("score", 2.5)}},
			{"range", &dataset.ReadOptions{Where: filter.Between("id", 1_000_000, 1_010_000)}},
			{"text", &dataset.ReadOptions{Where: filter.Eq("city", "city-7")}},
		} {
			b.Run(name+"/"+c.name, func(b *testing.B) {
				if c.opts == nil {
					b.SetBytes(size)
				}
				rows := int64(0)
				before := cpuTime()
				for b.Loop() {
					rows = 0
					rr, err := v.Read(ctx, c.opts)
					require.NoError(b, err)
					for rr.Next() {
						rows += rr.Record().NumRows()
					}
					require.NoError(b, rr.Err())
					rr.Release()
				}
				perCore(b, size, before)
				b.ReportMetric(float64(wideRows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
				b.ReportMetric(float64(rows), "rows")
			})
		}
	}
}

// perCore reports bytes of Arrow a second of one core, which a busy machine does
// not change much.
func perCore(b *testing.B, size int64, before time.Duration) {
	if used := cpuTime() - before; used > 0 {
		b.ReportMetric(float64(size)*float64(b.N)/used.Seconds()/1e6, "MB/cpu-s")
	}
}
