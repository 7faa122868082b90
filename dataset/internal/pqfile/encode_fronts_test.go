package pqfile_test

import (
	"bytes"
	"fmt"
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

// TestTextsGetTheEncodingThatFits, over several pages, with nulls and in lists, and
// what is written comes back the same from the library.
func TestTextsGetTheEncodingThatFits(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	hex := func(int) string { return fmt.Sprintf("%016x", r.Uint64()) }
	for name, c := range map[string]struct {
		text func(i int) string
		want parquet.Encoding
	}{
		"apart":          {hex, parquet.Encodings.DeltaLengthByteArray},
		"ids":            {func(int) string { return fmt.Sprintf("customer-%d", r.IntN(1e9)) }, parquet.Encodings.DeltaByteArray},
		"sorted":         {func(i int) string { return fmt.Sprintf("%012d", i*7) }, parquet.Encodings.DeltaByteArray},
		"long fronts":    {func(i int) string { return strings.Repeat("a", 40+i%50) + hex(i) }, parquet.Encodings.DeltaByteArray},
		"few":            {func(i int) string { return []string{"red", "green", "blue"}[r.IntN(3)] }, parquet.Encodings.RLEDict},
		"empty between":  {func(i int) string { return strings.Repeat(hex(i), i%2) }, parquet.Encodings.DeltaLengthByteArray},
		"fronts of none": {func(i int) string { return "prefix/"[:i%8] + strings.Repeat(hex(i), i%3) }, parquet.Encodings.DeltaLengthByteArray},
	} {
		for _, nulls := range []int{0, 5} {
			for _, lists := range []bool{false, true} {
				if stride > 1 && lists != (nulls > 0) {
					continue // Half of them is enough for the race detector.
				}
				t.Run(fmt.Sprintf("%s/%d/%v", name, nulls, lists), func(t *testing.T) {
					const rows = 20_000
					typ := arrow.DataType(arrow.BinaryTypes.String)
					if lists {
						typ = arrow.ListOf(typ)
					}
					b := array.NewBuilder(memory.DefaultAllocator, typ)
					texts, n := b, 1
					if list, ok := b.(*array.ListBuilder); ok {
						texts, n = list.ValueBuilder(), 2
					}
					for i := range rows {
						if nulls > 0 && i%nulls == 3 {
							b.AppendNull()
							continue
						}
						if list, ok := b.(*array.ListBuilder); ok {
							list.Append(true)
						}
						for k := range n {
							texts.(*array.StringBuilder).Append(c.text(i*n + k))
						}
					}
					whole := b.NewArray()
					rec := oneColumn(array.NewSlice(whole, 7, rows-3), true)
					enc := encodeWith(t, rec, nil, nil)
					pf, err := file.NewParquetReader(bytes.NewReader(enc.Body))
					require.NoError(t, err)
					chunk, err := pf.MetaData().RowGroup(0).ColumnChunk(0)
					require.NoError(t, err)
					require.Contains(t, chunk.Encodings(), c.want)
					agree(t, rec, enc.Body[enc.Tail:], enc.Body)
				})
			}
		}
	}
}

// TestDamagedFrontsAreRefused, or come back as other texts, and never more.
func TestDamagedFrontsAreRefused(t *testing.T) {
	t.Parallel()
	b := array.NewStringBuilder(memory.DefaultAllocator)
	for i := range 300 {
		b.Append(fmt.Sprintf("order-%06d", i*31))
	}
	rec := oneColumn(b.NewArray(), false)
	enc := encodeWith(t, rec, nil, nil)
	body := bytes.Clone(enc.Body)
	f, err := pqfile.Open(body, int64(len(body)))
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		bad := bytes.Clone(body)
		for range 1 + r.IntN(3) {
			bad[r.IntN(int(enc.Tail))] = byte(r.Uint32())
		}
		cols, err := f.Decode(t.Context(), []pqfile.Segment{{Data: bad}}, 0, []int{0}, pqfile.DecodeOptions{Mem: memory.DefaultAllocator, Trusted: true})
		if err == nil {
			require.Equal(t, 300, cols[0].Len())
			_ = cols[0].String()
			cols[0].Release()
		}
	}
}
