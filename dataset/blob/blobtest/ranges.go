package blobtest

import (
	"bytes"
	"io"
	"io/fs"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
)

// opened checks that a reader describes the whole object that it reads from.
func opened(t *testing.T, s blob.Store) {
	create(t, s, "a/k", "0123456789")
	fi, err := s.Stat(t.Context(), "a/k")
	require.NoError(t, err)
	for _, c := range []struct{ off, n int64 }{{0, -1}, {3, 4}, {9, 100}} {
		r, err := s.Get(t.Context(), "a/k", c.off, c.n)
		require.NoError(t, err)
		if is := blob.Opened(r); is != nil {
			require.Equal(t, "a/k", is.Name())
			require.EqualValues(t, 10, is.Size())
			require.Equal(t, blob.Tag(fi), blob.Tag(is))
		}
		require.NoError(t, r.Close())
	}
}

// parallelReads reads one object in many ways at once.
func parallelReads(t *testing.T, s blob.Store) {
	ctx := t.Context()
	const size = 3<<20 + 17
	data := pattern(size, 9)
	require.NoError(t, s.Create(ctx, "big", bytes.NewReader(data), size))
	opts := &blob.RangeOptions{Part: 300_000, Gap: 1000, InFlight: 3, Budget: blob.NewBudget(1 << 20)}

	whole := make([]byte, size)
	require.NoError(t, blob.ReadRange(ctx, s, "big", 0, whole, opts))
	require.True(t, bytes.Equal(data, whole))
	require.NoError(t, blob.ReadRange(ctx, s, "big", size, nil, opts))
	require.ErrorIs(t, blob.ReadRange(ctx, s, "big", 1, whole, opts), io.ErrUnexpectedEOF)
	require.ErrorIs(t, blob.ReadRange(ctx, s, "none", 0, whole, opts), fs.ErrNotExist)

	r, err := blob.NewReaderAt(ctx, s, "big", -1, opts)
	require.NoError(t, err)
	require.EqualValues(t, size, r.Size())
	var ranges []blob.Range
	for off := int64(0); off < size-70_000; off += 100_000 {
		ranges = append(ranges, blob.Range{Off: off, Len: 70_000})
	}
	r.Prefetch(ranges...)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := w; i < len(ranges); i += 4 {
				got := make([]byte, ranges[i].Len)
				n, err := r.ReadAt(got, ranges[i].Off)
				if err != nil || !bytes.Equal(got[:n], data[ranges[i].Off:][:len(got)]) {
					t.Errorf("range %v: %d bytes, %v", ranges[i], n, err)
				}
			}
		})
	}
	wg.Wait()
	tail := make([]byte, 100)
	n, err := r.ReadAt(tail, size-50)
	require.Equal(t, 50, n)
	require.Equal(t, io.EOF, err)
	require.Equal(t, data[size-50:], tail[:n])
	require.NoError(t, r.Close())
	require.NoError(t, r.Close())
	_, err = r.ReadAt(tail, 0)
	require.ErrorIs(t, err, fs.ErrClosed)
}
