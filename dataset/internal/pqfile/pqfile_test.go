package pqfile_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
)

var schema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "day", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
	{Name: "x", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "city", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "name", Type: arrow.BinaryTypes.String},
	{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
	{Name: "on", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
}, nil)

func batch(t testing.TB, rows int) arrow.RecordBatch {
	r := rand.New(rand.NewPCG(3, 4))
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range rows {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		if i%11 == 5 {
			for _, k := range []int{1, 2, 3, 5, 6} {
				b.Field(k).AppendNull()
			}
		} else {
			b.Field(1).(*array.Date32Builder).Append(arrow.Date32(i / 100))
			b.Field(2).(*array.Float64Builder).Append(r.NormFloat64())
			b.Field(3).(*array.StringBuilder).Append(fmt.Sprintf("city-%d", i%7))
			l := b.Field(5).(*array.ListBuilder)
			l.Append(true)
			for k := range i % 3 {
				l.ValueBuilder().(*array.StringBuilder).Append(strings.Repeat("t", k))
			}
			b.Field(6).(*array.BooleanBuilder).Append(i%2 == 0)
		}
		b.Field(4).(*array.StringBuilder).Append(fmt.Sprintf("%x", r.Uint64())[:1+r.IntN(8)])
	}
	rec := b.NewRecordBatch()
	t.Cleanup(rec.Release)
	return rec
}

// write cuts the batches into chunks and writes one file of them.
func write(t testing.TB, maxRows, maxBytes int64, mem memory.Allocator, batches ...arrow.RecordBatch) (data []byte, groups []int64) {
	var w *pqfile.Writer
	emit := func(rec arrow.RecordBatch) error {
		groups = append(groups, rec.NumRows())
		if w == nil {
			var err error
			if w, err = pqfile.NewWriter(schema, pqfile.WriteOptions{}); err != nil {
				return err
			}
		}
		return w.Write(rec, nil, nil)
	}
	c := pqfile.NewChunker(schema, maxRows, maxBytes, mem)
	for _, b := range batches {
		require.NoError(t, c.Add(b, emit))
	}
	require.NoError(t, c.Flush(emit))
	enc, err := w.Close()
	require.NoError(t, err)
	require.Equal(t, groups, enc.Groups)
	return enc.Body, groups
}

func TestBytesDependOnRowsAlone(t *testing.T) {
	t.Parallel()
	whole := batch(t, 3000)
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	for _, limits := range [][2]int64{{700, 1 << 30}, {1 << 20, 20_000}, {1, 1 << 30}, {1 << 20, 1 << 30}} {
		if limits[0] == 1 {
			whole = whole.NewSlice(0, 50)
		}
		data, groups := write(t, limits[0], limits[1], mem, whole)
		want := sha256.Sum256(data)
		var sum int64
		for _, g := range groups {
			require.LessOrEqual(t, g, limits[0])
			sum += g
		}
		require.Equal(t, whole.NumRows(), sum)
		r := rand.New(rand.NewPCG(uint64(limits[0]), uint64(limits[1])))
		for range 5 {
			var parts []arrow.RecordBatch
			for from := int64(0); from < whole.NumRows(); {
				to := min(from+1+r.Int64N(900), whole.NumRows())
				parts = append(parts, whole.NewSlice(from, to))
				from = to
			}
			data, again := write(t, limits[0], limits[1], mem, parts...)
			require.Equal(t, groups, again)
			require.Equal(t, want, sha256.Sum256(data))
			for _, p := range parts {
				p.Release()
			}
		}
	}
	mem.AssertSize(t, 0)
}

func TestEncodingsSuitTheColumns(t *testing.T) {
	t.Parallel()
	data, _ := write(t, 1<<20, 1<<30, memory.DefaultAllocator, batch(t, 20_000))
	pf, err := file.NewParquetReader(bytes.NewReader(data))
	require.NoError(t, err)
	encodings := map[string][]parquet.Encoding{}
	for i := range pf.MetaData().Schema.NumColumns() {
		c, err := pf.MetaData().RowGroup(0).ColumnChunk(i)
		require.NoError(t, err)
		encodings[c.PathInSchema().String()] = c.Encodings()
	}
	require.Contains(t, encodings["id"], parquet.Encodings.DeltaBinaryPacked)
	require.Contains(t, encodings["day"], parquet.Encodings.DeltaBinaryPacked)
	require.Contains(t, encodings["city"], parquet.Encodings.RLEDict)
	require.NotContains(t, encodings["name"], parquet.Encodings.RLEDict)
	require.NotContains(t, encodings["x"], parquet.Encodings.RLEDict)
	require.Equal(t, "Millwright dataset format 1", pf.MetaData().GetCreatedBy())
}

func TestReadBack(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	want := batch(t, 1000)
	data, _ := write(t, 300, 1<<30, memory.DefaultAllocator, want)
	for _, trusted := range []bool{false, true} {
		mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
		r, err := pqfile.NewReader(ctx, bytes.NewReader(data), pqfile.ReadOptions{BatchRows: 128, Trusted: trusted, Mem: mem})
		require.NoError(t, err)
		require.EqualValues(t, 1000, r.NumRows())
		row := int64(0)
		for {
			rec, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			part := want.NewSlice(row, row+rec.NumRows())
			for i := range rec.Columns() {
				require.True(t, array.Equal(part.Column(i), rec.Column(i)), rec.ColumnName(i))
			}
			part.Release()
			row += rec.NumRows()
		}
		require.EqualValues(t, 1000, row)
		r.Close()
		_, err = r.Next()
		require.ErrorIs(t, err, io.EOF)
		mem.AssertSize(t, 0)

		r, err = pqfile.NewReader(ctx, bytes.NewReader(data), pqfile.ReadOptions{Columns: []string{"tags", "id"}, BatchRows: 128, Trusted: trusted, Mem: mem})
		require.NoError(t, err)
		require.Equal(t, 2, r.Schema().NumFields())
		r.Close()
		_, err = pqfile.NewReader(ctx, bytes.NewReader(data), pqfile.ReadOptions{Columns: []string{"nope"}, BatchRows: 128, Mem: mem})
		require.ErrorContains(t, err, `no column "nope"`)
	}
}
