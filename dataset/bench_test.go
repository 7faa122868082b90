package dataset_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
)

// benchSchema is the shape of a feature table: ids, a time, numbers with nulls,
// repeated and unique text.
var benchSchema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "at", Type: arrow.FixedWidthTypes.Timestamp_us},
	{Name: "amount", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "score", Type: arrow.PrimitiveTypes.Float32, Nullable: true},
	{Name: "age", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
	{Name: "city", Type: arrow.BinaryTypes.String},
	{Name: "name", Type: arrow.BinaryTypes.String},
	{Name: "active", Type: arrow.FixedWidthTypes.Boolean},
}, nil)

const benchRows = 1 << 20

// benchRecords are benchRows rows and the bytes they take in Arrow.
func benchRecords(b *testing.B) ([]arrow.Record, int64) {
	r := rand.New(rand.NewPCG(1, 2))
	var recs []arrow.Record
	var size int64
	for from := 0; from < benchRows; from += 1 << 16 {
		rb := array.NewRecordBuilder(memory.DefaultAllocator, benchSchema)
		for i := range 1 << 16 {
			rb.Field(0).(*array.Int64Builder).Append(int64(from + i))
			rb.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(1_700_000_000_000_000 + int64(from+i)*1000 + r.Int64N(1000)))
			if r.IntN(5) == 0 {
				rb.Field(2).AppendNull()
				rb.Field(3).AppendNull()
			} else {
				rb.Field(2).(*array.Float64Builder).Append(r.NormFloat64() * 100)
				rb.Field(3).(*array.Float32Builder).Append(r.Float32())
			}
			rb.Field(4).(*array.Int32Builder).Append(18 + r.Int32N(80))
			rb.Field(5).(*array.StringBuilder).Append(fmt.Sprintf("city-%d", r.IntN(50)))
			rb.Field(6).(*array.StringBuilder).Append(fmt.Sprintf("customer-%d", r.IntN(1e9)))
			rb.Field(7).(*array.BooleanBuilder).Append(i%3 == 0)
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
	return recs, size
}

func BenchmarkAppend(b *testing.B) {
	recs, size := benchRecords(b)
	for name, store := range map[string]func() blob.Store{
		"mem":    func() blob.Store { return &blob.Mem{} },
		"folder": func() blob.Store { return folder(b, b.TempDir()) },
	} {
		b.Run(name, func(b *testing.B) {
			s := store()
			b.SetBytes(size)
			for i := 0; b.Loop(); i++ {
				d := create(b, s, fmt.Sprintf("bench%d", i), benchSchema)
				rr, err := array.NewRecordReader(benchSchema, recs)
				require.NoError(b, err)
				_, err = d.Append(context.Background(), rr, nil)
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	recs, size := benchRecords(b)
	d := create(b, folder(b, b.TempDir()), "bench", benchSchema)
	rr, err := array.NewRecordReader(benchSchema, recs)
	require.NoError(b, err)
	v, err := d.Append(context.Background(), rr, nil)
	require.NoError(b, err)
	for name, opts := range map[string]*dataset.ReadOptions{"all": nil, "3 numbers": {Columns: []string{"id", "amount", "age"}}} {
		b.Run(name, func(b *testing.B) {
			if opts == nil {
				b.SetBytes(size)
			}
			for b.Loop() {
				rr, err := v.Read(context.Background(), opts)
				require.NoError(b, err)
				rows := int64(0)
				for rr.Next() {
					rows += rr.Record().NumRows()
				}
				require.NoError(b, rr.Err())
				require.EqualValues(b, benchRows, rows)
				rr.Release()
			}
			b.ReportMetric(float64(benchRows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}

// BenchmarkCommit is the cost of a version that holds next to nothing.
func BenchmarkCommit(b *testing.B) {
	d := create(b, folder(b, b.TempDir()), "bench", small)
	for i := int64(0); b.Loop(); i++ {
		_, err := d.Append(context.Background(), numbers(b, i), nil)
		require.NoError(b, err)
	}
}

// BenchmarkOpen is the cost of the newest version in a process that knows nothing
// yet, behind as many commits of one row each.
func BenchmarkOpen(b *testing.B) {
	for _, commits := range []int64{100, 1000} {
		b.Run(fmt.Sprint(commits), func(b *testing.B) {
			store := folder(b, b.TempDir())
			d := create(b, store, "bench", small)
			for i := range commits {
				_, err := d.Append(context.Background(), numbers(b, i), nil)
				require.NoError(b, err)
			}
			b.ReportAllocs()
			for b.Loop() {
				d, err := dataset.New(store, nil).Open(context.Background(), "bench")
				require.NoError(b, err)
				v, err := d.Latest(context.Background())
				require.NoError(b, err)
				require.Equal(b, commits, v.Number)
			}
		})
	}
}
