package pqfile_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
)

// encodeWith writes a record as one row group.
func encodeWith(t testing.TB, rec arrow.RecordBatch, space *pqfile.Space, spaces []*pqfile.Space) pqfile.Encoded {
	w, err := pqfile.NewWriter(rec.Schema(), pqfile.WriteOptions{Space: space})
	require.NoError(t, err)
	require.NoError(t, w.Write(rec, spaces, nil))
	enc, err := w.Close()
	require.NoError(t, err)
	return enc
}

// TestBytesDoNotDependOnWhoEncodes uses one space again and again, and several
// at once.
func TestBytesDoNotDependOnWhoEncodes(t *testing.T) {
	t.Parallel()
	used := &pqfile.Space{}
	for seed := range uint64(3) {
		rec := flatBatch(t, 5000, seed)
		want := encodeWith(t, rec, nil, nil)
		require.True(t, bytes.Equal(want.Body, encodeWith(t, rec, used, nil).Body))
		helped := encodeWith(t, rec, used, []*pqfile.Space{used, {}, {}})
		require.True(t, bytes.Equal(want.Body, helped.Body))
		require.Equal(t, want.Sum, helped.Sum)
	}
}

// oneColumn is a record of one column.
func oneColumn(a arrow.Array, nullable bool) arrow.RecordBatch {
	s := arrow.NewSchema([]arrow.Field{{Name: "c", Type: a.DataType(), Nullable: nullable}}, nil)
	return array.NewRecordBatch(s, []arrow.Array{a}, int64(a.Len()))
}

// TestBoundsFollowTheFormat: no NaN is a bound, and zero is both zeros.
func TestBoundsFollowTheFormat(t *testing.T) {
	t.Parallel()
	nan, negative := math.NaN(), math.Copysign(0, -1)
	bits := func(v float64) []byte { return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)) }
	for _, c := range []struct {
		values []float64
		lo, hi []byte
		pages  bool
	}{
		{[]float64{nan, 2, 1, nan}, bits(1), bits(2), true},
		{[]float64{nan, nan}, nil, nil, false},
		{[]float64{0, negative, 0}, bits(negative), bits(0), true},
		{[]float64{negative, -1}, bits(-1), bits(0), true},
		{[]float64{math.Inf(1), math.Inf(-1)}, bits(math.Inf(-1)), bits(math.Inf(1)), true},
	} {
		b := array.NewFloat64Builder(memory.DefaultAllocator)
		b.AppendValues(c.values, nil)
		rec := oneColumn(b.NewArray(), false)
		enc := encodeWith(t, rec, nil, nil)
		f, err := pqfile.Open(enc.Body, int64(len(enc.Body)))
		require.NoError(t, err)
		got := f.Bounds(0, 0)
		require.Equal(t, [][]byte{c.lo, c.hi}, [][]byte{got.Min, got.Max}, "%v", c.values)
		require.Equal(t, c.pages, len(f.Pages(0, 0)) == 1, "%v", c.values)
	}
}

// TestLongTextsHaveShortBounds of pages that hold all values between them.
func TestLongTextsHaveShortBounds(t *testing.T) {
	t.Parallel()
	top := strings.Repeat("\U0010FFFF", 40)
	for _, values := range [][]string{
		{strings.Repeat("é", 200), strings.Repeat("z", 9000)},
		{top, top + "x"},
		{"", strings.Repeat("\uD7FF", 300)},
		{strings.Repeat("a", 600<<10), "b", strings.Repeat("c", 300<<10)},
	} {
		b := array.NewStringBuilder(memory.DefaultAllocator)
		b.AppendValues(values, nil)
		rec := oneColumn(b.NewArray(), false)
		enc := encodeWith(t, rec, nil, nil)
		f, err := pqfile.Open(enc.Body, int64(len(enc.Body)))
		require.NoError(t, err)
		pages := f.Pages(0, 0)
		require.NotEmpty(t, pages)
		for _, p := range pages {
			for _, v := range values[p.From:p.To] {
				require.LessOrEqual(t, string(p.Min), v)
				require.GreaterOrEqual(t, string(p.Max), v)
			}
		}
		group := f.Bounds(0, 0)
		for _, v := range values {
			require.LessOrEqual(t, string(group.Min), v)
			require.GreaterOrEqual(t, string(group.Max), v)
		}
		agree(t, rec, enc.Body[enc.Tail:], enc.Body)
	}
}

// TestFloatsInADictionaryStayWhatTheyAre: every NaN and both zeros.
func TestFloatsInADictionaryStayWhatTheyAre(t *testing.T) {
	t.Parallel()
	kinds := []float64{1.5, 0, math.Copysign(0, -1), math.Float64frombits(0x7ff8000000000001), math.Float64frombits(0xfff8000000000002), math.Inf(1)}
	b := array.NewFloat64Builder(memory.DefaultAllocator)
	for i := range 70_000 { // More than a page.
		b.Append(kinds[i*7%len(kinds)])
	}
	rec := oneColumn(b.NewArray(), false)
	enc := encodeWith(t, rec, nil, nil)
	pf, err := file.NewParquetReader(bytes.NewReader(enc.Body))
	require.NoError(t, err)
	c, err := pf.MetaData().RowGroup(0).ColumnChunk(0)
	require.NoError(t, err)
	require.True(t, c.HasDictionaryPage())
	f, err := pqfile.Open(enc.Body, int64(len(enc.Body)))
	require.NoError(t, err)
	cols, err := f.Decode(context.Background(), []pqfile.Segment{{Data: enc.Body}}, 0, []int{0}, pqfile.DecodeOptions{Mem: memory.DefaultAllocator, Trusted: true})
	require.NoError(t, err)
	for i, v := range cols[0].(*array.Float64).Float64Values() {
		require.Equal(t, math.Float64bits(kinds[i*7%len(kinds)]), math.Float64bits(v))
	}
}

// TestEncodingAllocatesLittle: a used space makes no memory for values.
func TestEncodingAllocatesLittle(t *testing.T) {
	rec := flatBatch(t, 4000, 2)
	space := &pqfile.Space{}
	encodeWith(t, rec, space, nil)
	got := testing.AllocsPerRun(3, func() { encodeWith(t, rec, space, nil) })
	require.Less(t, got/float64(rec.NumCols()), 60.0)
}

// FuzzEncode writes values that the fuzzer chose and reads them back both ways.
func FuzzEncode(f *testing.F) {
	f.Add([]byte("some bytes that become numbers and texts"), uint8(3), uint8(0), uint16(900))
	f.Add(bytes.Repeat([]byte{0xff, 0x7f, 0, 1}, 80), uint8(1), uint8(255), uint16(4000))
	f.Add([]byte{}, uint8(0), uint8(0), uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, step, nulls uint8, rows uint16) {
		n := int(rows)%5000 + 1
		data = append(bytes.Clone(data), 0, 1, 2, 3, 4, 5, 6, 7, 8)
		var fields []arrow.Field
		var cols []arrow.Array
		for i, typ := range flatTypes {
			b := array.NewBuilder(memory.DefaultAllocator, typ)
			at := i
			for k := range n {
				at = (at + int(step)) % (len(data) - 8)
				v := int64(binary.LittleEndian.Uint64(data[at:]))
				if nulls > 0 && uint8(v) < nulls {
					b.AppendNull()
				} else {
					appendValue(b, v>>(uint(k)%64), nil)
				}
			}
			fields = append(fields, arrow.Field{Name: typ.ID().String(), Type: typ, Nullable: nulls > 0})
			cols = append(cols, b.NewArray())
		}
		rec := array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, int64(n))
		enc := encodeWith(t, rec, nil, nil)
		agree(t, rec, enc.Body[enc.Tail:], enc.Body)
	})
}
