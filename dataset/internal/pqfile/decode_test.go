package pqfile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
)

// flatTypes are the types of flat columns, each nullable and not.
var flatTypes = []arrow.DataType{
	arrow.FixedWidthTypes.Boolean, arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64,
	arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64, arrow.FixedWidthTypes.Date32, arrow.FixedWidthTypes.Timestamp_us,
	arrow.BinaryTypes.String, arrow.BinaryTypes.Binary, &arrow.Decimal128Type{Precision: 20, Scale: 2},
}

// flatBatch has a column of each flat type in three kinds: values that repeat,
// values that do not, and values that ascend; with nulls and without.
func flatBatch(t testing.TB, rows int, seed uint64) arrow.RecordBatch {
	return flatColumns(t, rows, seed, stride)
}

// flatColumns is one of so many columns of the batch.
func flatColumns(t testing.TB, rows int, seed uint64, every int) arrow.RecordBatch {
	r := rand.New(rand.NewPCG(seed, 4))
	made := 0
	var fields []arrow.Field
	var cols []arrow.Array
	for _, typ := range flatTypes {
		for kind := range 3 {
			for _, share := range []int{0, 1, 3, 100} { // Of nulls, in thirds; 100: all.
				if made++; made%every != 0 {
					continue
				}
				b := array.NewBuilder(memory.DefaultAllocator, typ)
				for i := range rows {
					if share > 0 && (share == 100 || r.IntN(share*3) == 0 || share == 3 && i%1000 < 200) {
						b.AppendNull()
						continue
					}
					v := int64(i)
					switch kind {
					case 0:
						v = int64(r.IntN(7))
					case 1:
						v = r.Int64() >> r.IntN(64)
					}
					appendValue(b, v, r)
				}
				fields = append(fields, arrow.Field{Name: fmt.Sprintf("%s-%d-%d", typ.ID(), kind, share), Type: typ, Nullable: share > 0})
				cols = append(cols, b.NewArray())
				b.Release()
			}
		}
	}
	rec := array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, int64(rows))
	t.Cleanup(rec.Release)
	return rec
}

func appendValue(b array.Builder, v int64, r *rand.Rand) {
	text := fmt.Sprintf("%x", v)
	if v%13 == 5 {
		text = strings.Repeat("long ", int(v%50)+1)
	}
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(v&1 == 1)
	case *array.Int8Builder:
		b.Append(int8(v))
	case *array.Int16Builder:
		b.Append(int16(v))
	case *array.Int32Builder:
		b.Append(int32(v))
	case *array.Int64Builder:
		b.Append(v)
	case *array.Float32Builder:
		b.Append(float32(v) / 3)
	case *array.Float64Builder:
		b.Append(float64(v) / 3)
	case *array.Date32Builder:
		b.Append(arrow.Date32(v))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v))
	case *array.StringBuilder:
		b.Append(text)
	case *array.BinaryBuilder:
		b.Append([]byte(text))
	case *array.Decimal128Builder:
		b.Append(decimal128.FromI64(v))
	}
	_ = r
}

func encode(t testing.TB, rec arrow.RecordBatch, groupRows int64) pqfile.Encoded {
	w, err := pqfile.NewWriter(rec.Schema(), pqfile.WriteOptions{})
	require.NoError(t, err)
	for from := int64(0); from < rec.NumRows(); from += groupRows {
		part := rec.NewSlice(from, min(from+groupRows, rec.NumRows()))
		require.NoError(t, w.Write(part, nil, nil))
		part.Release()
	}
	enc, err := w.Close()
	require.NoError(t, err)
	return enc
}

// TestDecoderAgreesWithTheLibrary decodes what was written by both ways.
func TestDecoderAgreesWithTheLibrary(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, rows := range []int{1, 7, 64, 1000, 20_011} {
		want := flatBatch(t, rows, uint64(rows))
		enc := encode(t, want, 8000)
		f, err := pqfile.Open(enc.Body[enc.Tail:], int64(len(enc.Body)))
		require.NoError(t, err)
		require.True(t, f.Own())
		all := make([]int, f.Schema().NumFields())
		for i := range all {
			all[i] = i
		}
		row := int64(0)
		for g := range f.Groups() {
			mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
			ours, err := f.Decode(ctx, []pqfile.Segment{{Data: enc.Body}}, g, all, pqfile.DecodeOptions{Mem: mem, Trusted: true})
			require.NoError(t, err)
			theirs, err := f.Decode(ctx, []pqfile.Segment{{Data: enc.Body}}, g, all, pqfile.DecodeOptions{Mem: mem})
			require.NoError(t, err)
			part := want.NewSlice(row, row+f.Rows(g))
			for i := range all {
				name := f.Schema().Field(i).Name
				require.Equal(t, part.Column(i).NullN(), ours[i].NullN(), name)
				require.True(t, array.Equal(part.Column(i), ours[i]), name)
				require.True(t, array.Equal(part.Column(i), theirs[i]), name)
				require.NoError(t, array.ValidateFull(ours[i]), name)
				ours[i].Release()
				theirs[i].Release()
			}
			part.Release()
			row += f.Rows(g)
			mem.AssertSize(t, 0)
		}
		require.EqualValues(t, rows, row)
	}
}

// TestPagesThatNobodyWantsAreSkipped keeps some rows and compares those.
func TestPagesThatNobodyWantsAreSkipped(t *testing.T) {
	t.Parallel()
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int64}, {Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "x", Type: arrow.PrimitiveTypes.Float64, Nullable: true}, {Name: "b", Type: arrow.FixedWidthTypes.Boolean},
	}, nil))
	const rows = 400_000
	for i := range rows {
		b.Field(0).(*array.Int64Builder).Append(int64(i)*1000 + int64(i*7919%997))
		if i%5 == 0 {
			b.Field(1).AppendNull()
			b.Field(2).AppendNull()
		} else {
			b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("text %d", i*7919%rows))
			b.Field(2).(*array.Float64Builder).Append(float64(i))
		}
		b.Field(3).(*array.BooleanBuilder).Append(i%3 == 0)
	}
	want := b.NewRecordBatch()
	b.Release()
	defer want.Release()
	enc := encode(t, want, rows)
	f, err := pqfile.Open(enc.Body[enc.Tail:], int64(len(enc.Body)))
	require.NoError(t, err)
	pages := f.Pages(0, 2)
	require.Greater(t, len(pages), 2)
	const from, to = 250_000, 250_100
	cols, err := f.Decode(context.Background(), []pqfile.Segment{{Data: enc.Body}}, 0, []int{0, 1, 2, 3}, pqfile.DecodeOptions{
		Mem: memory.DefaultAllocator, Trusted: true, Keep: func(a, b int64) bool { return a < to && b > from },
	})
	require.NoError(t, err)
	for i, c := range cols {
		require.Equal(t, rows, c.Len())
		require.True(t, array.SliceEqual(want.Column(i), from, to, c, from, to))
		require.NoError(t, array.ValidateFull(c))
	}
	require.True(t, cols[2].IsNull(rows-1))
	require.True(t, cols[1].IsNull(rows-1))
}

func TestChunksAndBounds(t *testing.T) {
	t.Parallel()
	rec := batch(t, 1000)
	enc := encode(t, rec, 300)
	require.Equal(t, []int64{300, 300, 300, 100}, enc.Groups)
	f, err := pqfile.Open(enc.Body, int64(len(enc.Body)))
	require.NoError(t, err)
	require.Equal(t, 4, f.Groups())
	require.EqualValues(t, 1000, f.NumRows())
	end := int64(4)
	for g := range f.Groups() {
		for _, c := range f.Chunks(g, nil) {
			require.Equal(t, end, c.Off) // They cover the file without a gap,
			end += c.Len
		}
		require.Len(t, f.Chunks(g, []int{0, 5}), 2)
	}
	require.Equal(t, enc.Tail, end) // up to the end that has a digest of its own.
	require.EqualValues(t, 0, f.Bounds(0, 0).Nulls)
	require.Equal(t, []byte{44, 1, 0, 0, 0, 0, 0, 0}, f.Bounds(1, 0).Min)
	require.False(t, f.Flat(5))
	require.EqualValues(t, -1, f.Bounds(0, 5).Nulls)
	_, known := f.MayHold(0, 4, []byte("x"))
	require.False(t, known)

	_, err = pqfile.Open(enc.Body[:len(enc.Body)-1], int64(len(enc.Body)-1))
	require.ErrorIs(t, err, pqfile.ErrDamaged)
	_, err = pqfile.Open(enc.Body[len(enc.Body)-8:], int64(len(enc.Body)))
	require.ErrorIs(t, err, pqfile.ErrDamaged)
}

// FuzzDecode changes bytes of a file under both decoders: errors are fine,
// panics are not, and what comes out is sound.
func FuzzDecode(f *testing.F) {
	rec := flatBatch(f, 300, 1)
	enc := encode(f, rec, 128)
	for at := 4; at < len(enc.Body); at += len(enc.Body) / 12 {
		f.Add(at, byte(0xff), at/2, byte(1))
	}
	f.Fuzz(func(t *testing.T, at int, flip byte, at2 int, flip2 byte) {
		data := bytes.Clone(enc.Body)
		for _, c := range []struct {
			at   int
			flip byte
		}{{at, flip}, {at2, flip2}} {
			if c.at >= 0 && c.at < len(data) {
				data[c.at] ^= c.flip
			}
		}
		file, err := pqfile.Open(data, int64(len(data)))
		if err != nil {
			return
		}
		columns := make([]int, file.Schema().NumFields())
		for i := range columns {
			columns[i] = i
			file.Bounds(0, i)
			file.Pages(0, i)
			file.MayHold(0, i, []byte("x"))
		}
		for g := range file.Groups() {
			cols, err := file.Decode(context.Background(), nil, g, columns, pqfile.DecodeOptions{Mem: memory.DefaultAllocator, Trusted: true})
			if err != nil {
				continue
			}
			for _, c := range cols {
				_ = array.ValidateFull(c)
				c.Release()
			}
		}
	})
}

func TestCutsDependOnKeysAlone(t *testing.T) {
	t.Parallel()
	rec := flatColumns(t, 5000, 3, 1)
	opts := pqfile.CutOptions{Mean: 64, Min: 16, Max: 256}
	for _, key := range [][]string{{"INT64-1-0"}, {"STRING-1-0"}, {"FLOAT64-1-1", "DECIMAL128-1-0"}, {"BINARY-1-3", "DATE32-2-0", "BOOL-0-0", "TIMESTAMP-1-0", "INT8-1-0", "INT16-1-0", "INT32-1-0", "FLOAT32-1-0"}} {
		cut := func(parts ...arrow.RecordBatch) (at []int64) {
			c, err := pqfile.NewCutter(rec.Schema(), key, opts)
			require.NoError(t, err)
			base := int64(0)
			for _, p := range parts {
				for i := range c.Cuts(p) {
					at = append(at, base+i)
				}
				base += p.NumRows()
			}
			return at
		}
		whole := cut(rec)
		require.InDelta(t, 5000/64, len(whole), 30, key)
		var parts []arrow.RecordBatch
		r := rand.New(rand.NewPCG(1, 1))
		for from := int64(0); from < 5000; {
			to := min(from+1+r.Int64N(700), 5000)
			parts = append(parts, rec.NewSlice(from, to))
			from = to
		}
		require.Equal(t, whole, cut(parts...))
		last := int64(0)
		for _, at := range whole {
			require.GreaterOrEqual(t, at-last, opts.Min)
			require.LessOrEqual(t, at-last, opts.Max)
			last = at
		}
	}
	_, err := pqfile.NewCutter(schema, []string{"tags"}, opts)
	require.ErrorContains(t, err, "cannot be a key")
	_, err = pqfile.NewCutter(schema, []string{"none"}, opts)
	require.ErrorContains(t, err, "there are 0 columns")
}

// TestHashesNeverChange pins the places of the cuts: they are part of the
// format.
func TestHashesNeverChange(t *testing.T) {
	t.Parallel()
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "k", Type: arrow.PrimitiveTypes.Int64}, {Name: "s", Type: arrow.BinaryTypes.String}}, nil))
	for i := range int64(1000) {
		b.Field(0).(*array.Int64Builder).Append(i)
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("key number %d", i))
	}
	rec := b.NewRecordBatch()
	var got [][]int64
	for _, key := range []string{"k", "s"} {
		c, err := pqfile.NewCutter(rec.Schema(), []string{key}, pqfile.CutOptions{Mean: 256, Min: 1, Max: 1000})
		require.NoError(t, err)
		var at []int64
		for i := range c.Cuts(rec) {
			at = append(at, i)
		}
		got = append(got, at)
	}
	require.Equal(t, pinned, got)
}

func TestGroupOfALibraryReaderEnds(t *testing.T) {
	t.Parallel()
	enc := encode(t, batch(t, 100), 50)
	f, err := pqfile.Open(enc.Body, int64(len(enc.Body)))
	require.NoError(t, err)
	r, err := f.Group(context.Background(), nil, 1, []int{0, 5}, pqfile.ReadOptions{BatchRows: 20, Mem: memory.DefaultAllocator})
	require.NoError(t, err)
	defer r.Close()
	rows := int64(0)
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		rows += rec.NumRows()
	}
	require.EqualValues(t, 50, rows)
}

var pinned = [][]int64{{97, 219, 479, 873}, {14, 405, 499, 616, 877}}
