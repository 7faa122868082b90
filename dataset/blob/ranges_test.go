package blob_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest/faults"
)

func TestCoalesce(t *testing.T) {
	t.Parallel()
	r := func(numbers ...int64) []blob.Range {
		var list []blob.Range
		for i := 0; i < len(numbers); i += 2 {
			list = append(list, blob.Range{Off: numbers[i], Len: numbers[i+1]})
		}
		return list
	}
	for _, c := range []struct {
		in        []blob.Range
		gap, part int64
		want      []blob.Range
	}{
		{nil, 0, 10, nil},
		{r(5, 0, 7, -1), 0, 10, nil},
		{r(0, 5, 5, 5), 0, 10, r(0, 10)},
		{r(6, 4, 0, 5), 0, 10, r(0, 5, 6, 4)},
		{r(6, 4, 0, 5), 1, 10, r(0, 10)},
		{r(0, 10, 2, 3), 0, 10, r(0, 10)},
		{r(0, 25), 0, 10, r(0, 9, 9, 9, 18, 7)}, // no crumb at the end
		{r(100, 1), 1 << 40, 1, r(100, 1)},
	} {
		require.Equal(t, c.want, blob.Coalesce(c.in, c.gap, c.part), "%v", c)
	}
}

// object puts n random bytes at "k" of a new store that counts its calls.
func object(t *testing.T, n int) (*faults.Store, []byte) {
	t.Helper()
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	m := new(blob.Mem)
	require.NoError(t, m.Put(t.Context(), "k", bytes.NewReader(data), int64(n)))
	return faults.New(m, &faults.Options{Record: true}), data
}

func readerAt(t *testing.T, s blob.Store, size int64, opts *blob.RangeOptions) *blob.ReaderAt {
	t.Helper()
	r, err := blob.NewReaderAt(t.Context(), s, "k", size, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

func requireAt(t *testing.T, r io.ReaderAt, data []byte, off, n int) {
	t.Helper()
	got := make([]byte, n)
	_, err := r.ReadAt(got, int64(off))
	require.NoError(t, err)
	require.True(t, bytes.Equal(data[off:off+n], got), "%d bytes at %d", n, off)
}

func TestFooterTakesOneRequest(t *testing.T) {
	t.Parallel()
	s, data := object(t, 1<<20)
	r := readerAt(t, s, 1<<20, nil)
	requireAt(t, r, data, 1<<20-8, 8)
	requireAt(t, r, data, 1<<20-5000, 4992)
	require.Len(t, s.Calls(), 1)
	requireAt(t, r, data, 100, 50)
	require.Len(t, s.Calls(), 2)
}

func TestPrefetchJoinsAndReadsOnce(t *testing.T) {
	t.Parallel()
	s, data := object(t, 1<<20)
	r := readerAt(t, s, 1<<20, &blob.RangeOptions{Gap: 100, Part: 50_000, Tail: -1})
	columns := []blob.Range{{Off: 1000, Len: 10_000}, {Off: 11_050, Len: 10_000}, {Off: 500_000, Len: 120_000}, {Off: 1<<20 - 10, Len: 1000}}
	r.Prefetch(columns...)
	r.Prefetch(columns...) // nothing is asked for twice
	requireAt(t, r, data, 1000, 10_000)
	requireAt(t, r, data, 11_050, 10_000)
	requireAt(t, r, data, 500_000, 120_000)
	requireAt(t, r, data, 1<<20-10, 10)
	require.Equal(t, 1+3+1, s.Count(faults.Get))
	// What was read is dropped, and comes from the store again.
	requireAt(t, r, data, 1000, 10_000)
	require.Equal(t, 6, s.Count(faults.Get))
	// A read may lie across what is there and what is not.
	r.Prefetch(blob.Range{Off: 2000, Len: 1000})
	requireAt(t, r, data, 1500, 3000)
	require.Equal(t, 9, s.Count(faults.Get))
}

// A budget that is full of what nobody reads must not stop a read.
func TestBudgetNeverDeadlocks(t *testing.T) {
	t.Parallel()
	s, data := object(t, 1<<20)
	budget := blob.NewBudget(10_000)
	opts := &blob.RangeOptions{Gap: -1, Part: 10_000, Tail: -1, Budget: budget}
	idle := readerAt(t, s, 1<<20, opts)
	idle.Prefetch(blob.Range{Off: 0, Len: 100_000})
	r := readerAt(t, s, 1<<20, opts)
	r.Prefetch(blob.Range{Off: 200_000, Len: 300_000})
	for off := 490_000; off >= 200_000; off -= 10_000 { // backwards, against the queue
		requireAt(t, r, data, off, 10_000)
	}
	require.NoError(t, idle.Close())
	requireAt(t, r, data, 0, 100_000)
}

func TestRandomReads(t *testing.T) {
	t.Parallel()
	const size = 300_000
	s, data := object(t, size)
	s.Shake(7, 0.2, faults.Truncate(1000), faults.Cut(77), faults.Truncate(0), faults.LostRequest())
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		budget := blob.NewBudget(random.Int64N(100_000) + 1)
		r, err := blob.NewReaderAt(t.Context(), s, "k", size, &blob.RangeOptions{
			Gap: random.Int64N(5000) - 1, Part: random.Int64N(50_000) + 1000, Tail: random.Int64N(20_000) - 1, Budget: budget, InFlight: random.IntN(4),
		})
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 3 {
			seed := random.Uint64()
			wg.Go(func() {
				own := rand.New(rand.NewPCG(seed, 0))
				for range 10 {
					off := own.Int64N(size)
					n := own.Int64N(size - off)
					if own.IntN(2) == 0 {
						r.Prefetch(blob.Range{Off: off, Len: n})
					}
					got := make([]byte, n)
					if _, err := r.ReadAt(got, off); err != nil || !bytes.Equal(got, data[off:off+n]) {
						t.Errorf("round %d, seed %d: %d bytes at %d: %v", round, seed, n, off, err)
					}
				}
			})
		}
		wg.Wait()
		require.NoError(t, r.Close())
	}
}

func TestReaderAtKeepsTheContract(t *testing.T) {
	t.Parallel()
	s, data := object(t, 10_000)
	r := readerAt(t, s, -1, nil)
	require.NoError(t, iotest.TestReader(io.NewSectionReader(r, 0, r.Size()), data))
}

func TestReplacedObjectIsNoticed(t *testing.T) {
	t.Parallel()
	s, data := object(t, 100_000)
	r := readerAt(t, s, 100_000, &blob.RangeOptions{Tail: -1})
	requireAt(t, r, data, 0, 10)
	require.NoError(t, s.Put(t.Context(), "k", bytes.NewReader(data), 100_000))
	_, err := r.ReadAt(make([]byte, 10), 50)
	require.ErrorIs(t, err, blob.ErrConflict)
	// A size that is not the object's is noticed too.
	_, err = readerAt(t, s, 99_999, nil).ReadAt(make([]byte, 10), 0)
	require.ErrorIs(t, err, blob.ErrConflict)
	require.ErrorContains(t, err, "read k: ")
}

func TestReadsEndWithTheContext(t *testing.T) {
	t.Parallel()
	s, _ := object(t, 100_000)
	s.Inject(faults.Rule{Op: faults.Get, Times: -1, Fault: faults.Hang()})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := blob.NewReaderAt(ctx, s, "k", 100_000, nil)
	require.NoError(t, err)
	r.Prefetch(blob.Range{Off: 0, Len: 1000}, blob.Range{Off: 50_000, Len: 10})
	time.AfterFunc(10*time.Millisecond, cancel)
	_, err = r.ReadAt(make([]byte, 10), 0)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, r.Close())
	require.ErrorIs(t, blob.ReadRange(ctx, s, "k", 0, make([]byte, 10), nil), context.Canceled)
}

func TestStoreThatFailsForGood(t *testing.T) {
	t.Parallel()
	s, _ := object(t, 100_000)
	s.Inject(faults.Rule{Op: faults.Get, Times: -1, Fault: faults.Truncate(0)})
	err := blob.ReadRange(t.Context(), s, "k", 0, make([]byte, 10), nil)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.LessOrEqual(t, s.Count(faults.Get), 4)
}

// Without the optional interfaces, as a store of others is.
type plain struct{ blob.Store }

func TestStoreWithoutExtras(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, s := range []blob.Store{plain{new(blob.Mem)}, blob.Sub(plain{new(blob.Mem)}, "a/b"), faults.New(plain{new(blob.Mem)}, nil)} {
		_, err := blob.Swap(ctx, s, "k", strings.NewReader("x"), 1, "")
		require.ErrorIs(t, err, blob.ErrUnsupported)
		require.ErrorContains(t, err, "the store has no compare-and-swap")
		require.NoError(t, s.Put(ctx, "k", strings.NewReader("x"), 1))
		require.NoError(t, blob.Copy(ctx, s, "k", "l"))
		data, _, err := blob.ReadTagged(ctx, s, "l", 1)
		require.NoError(t, err)
		require.Equal(t, "x", string(data))
	}
}

func TestHashedIsABody(t *testing.T) {
	t.Parallel()
	var m blob.Mem
	h := blob.NewHashed([]byte("hello"), [32]byte{1})
	require.NoError(t, m.Put(t.Context(), "k", h, 5))
	data, err := blob.ReadAll(t.Context(), &m, "k", 5)
	require.NoError(t, err)
	require.Equal(t, "hello", string(data))
	require.Equal(t, "hello", string(h.Bytes()))
	require.Equal(t, [32]byte{1}, h.Sum())
}

func FuzzCoalesce(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 10, 200}, int64(3), int64(7))
	f.Fuzz(func(t *testing.T, raw []byte, gap, part int64) {
		gap, part = max(gap%100, 0), max(part%100, 1)
		wanted := map[int64]bool{}
		var ranges []blob.Range
		for pair := range slices.Chunk(raw, 2) {
			if len(pair) == 2 {
				r := blob.Range{Off: int64(pair[0]), Len: int64(pair[1])}
				ranges = append(ranges, r)
				for i := range r.Len {
					wanted[r.Off+i] = true
				}
			}
		}
		end := int64(-1)
		for _, r := range blob.Coalesce(ranges, gap, part) {
			require.Positive(t, r.Len)
			require.LessOrEqual(t, r.Len, part)
			require.GreaterOrEqual(t, r.Off, end)
			end = r.Off + r.Len
			for i := range r.Len {
				delete(wanted, r.Off+i)
			}
		}
		require.Empty(t, wanted)
	})
}
