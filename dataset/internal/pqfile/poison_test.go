package pqfile_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
)

// poison is an allocator whose memory is full of one byte.
type poison byte

func (p poison) Allocate(n int) []byte {
	b := memory.DefaultAllocator.Allocate(n)
	copy(b, bytes.Repeat([]byte{byte(p)}, n))
	return b
}

func (p poison) Reallocate(n int, b []byte) []byte {
	fresh := p.Allocate(n)
	copy(fresh, b)
	return fresh
}

func (poison) Free([]byte) {}

// TestNothingOfTheMemoryBeforeIsShown: memory that was not cleared may hold what
// others left there. A record that is sent on must show none of it, also not below
// nulls and in rows that were left out.
func TestNothingOfTheMemoryBeforeIsShown(t *testing.T) {
	t.Parallel()
	const rows = 20_011
	for _, want := range []arrow.RecordBatch{flatBatch(t, rows, 12), listBatch(t, 1501, 13)} {
		enc := encode(t, want, rows)
		f, err := pqfile.Open(enc.Body[enc.Tail:], int64(len(enc.Body)))
		require.NoError(t, err)
		n := want.NumRows()
		for _, span := range [][2]int64{{0, 0}, {n / 3, n / 2}} {
			for i := range int(want.NumCols()) {
				if l, ok := want.Column(i).DataType().(*arrow.ListType); ok && l.Elem().ID() == arrow.DECIMAL128 {
					continue // The library decodes these, into memory that was cleared.
				}
				decode := func(mem memory.Allocator) arrow.Array {
					out, err := f.Decode(context.Background(), []pqfile.Segment{{Data: enc.Body}}, 0, []int{i},
						pqfile.DecodeOptions{Mem: mem, Trusted: true, From: span[0], To: span[1]})
					require.NoError(t, err)
					return out[0]
				}
				same(t, decode(poison(0xA5)).Data(), decode(poison(0x5A)).Data(), want.ColumnName(i))
			}
		}
	}
}

// same compares every byte of every buffer.
func same(t *testing.T, a, b arrow.ArrayData, name string) {
	t.Helper()
	for i, x := range a.Buffers() {
		if y := b.Buffers()[i]; x != nil {
			require.True(t, bytes.Equal(x.Bytes(), y.Bytes()), "buffer %d of %s", i, name)
		}
	}
	for i, child := range a.Children() {
		same(t, child, b.Children()[i], name)
	}
}
