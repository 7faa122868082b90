package pqfile_test

import (
	"context"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
)

// TestSpansOfRows decodes parts of a row group.
func TestSpansOfRows(t *testing.T) {
	t.Parallel()
	const rows = 40_000 // Several pages of most columns.
	for k, want := range []arrow.RecordBatch{flatBatch(t, rows, 3), listBatch(t, 3000, 4)} {
		enc := encode(t, want, rows)
		f, err := pqfile.Open(enc.Body[enc.Tail:], int64(len(enc.Body)))
		require.NoError(t, err)
		n := want.NumRows()
		for _, span := range [][2]int64{{0, n}, {0, 1}, {n - 1, n}, {n / 3, n/3 + 1}, {n / 3, n / 2}, {1, n - 1}} {
			for i := int64(0); i < want.NumCols(); i += max(7/stride, 3) { // Each type, in some of its kinds.
				mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
				out, err := f.Decode(context.Background(), []pqfile.Segment{{Data: enc.Body}}, 0, []int{int(i)}, pqfile.DecodeOptions{
					Mem: mem, Trusted: i%10 == 0 || k == 0, From: span[0], To: span[1],
				})
				require.NoError(t, err)
				part := array.NewSlice(want.Column(int(i)), span[0], span[1])
				require.True(t, array.Equal(part, out[0]), "%s rows %v", want.ColumnName(int(i)), span)
				require.Equal(t, part.NullN(), out[0].NullN())
				part.Release()
				out[0].Release()
				mem.AssertSize(t, 0)
			}
		}
	}
}
