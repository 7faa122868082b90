package dataset_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
)

func TestRacingAppendersAllCommit(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := context.Background()
		create(t, s, "n", small)
		const writers, each = 4, 10
		var wg sync.WaitGroup
		var mu sync.Mutex
		numbered := map[int64]bool{}
		for w := range writers {
			// A catalog of its own: what another process would have.
			d, err := dataset.New(s, nil).Open(ctx, "n")
			require.NoError(t, err)
			readers := make([]func() (*dataset.Version, error), each)
			for i := range readers {
				rr := numbers(t, int64(w*each+i))
				readers[i] = func() (*dataset.Version, error) { return d.Append(ctx, rr, nil) }
			}
			wg.Go(func() {
				for _, appendOne := range readers {
					v, err := appendOne()
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if numbered[v.Number] {
						t.Errorf("version %d was acknowledged twice", v.Number)
					}
					numbered[v.Number] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		require.Len(t, numbered, writers*each)

		d, err := dataset.New(s, nil).Open(ctx, "n")
		require.NoError(t, err)
		v, err := d.Latest(ctx)
		require.NoError(t, err)
		require.EqualValues(t, writers*each, v.Number, "the versions are contiguous")
		got := readNumbers(t, v)
		slices.Sort(got)
		for i, n := range got {
			require.EqualValues(t, i, n)
		}
		p, err := v.Profile(ctx)
		require.NoError(t, err)
		require.EqualValues(t, writers*each, p.Rows)
		// The lineage is true for every version, whatever races it lost.
		for n := int64(1); n <= v.Number; n++ {
			this, err := d.Version(ctx, n)
			require.NoError(t, err)
			before, err := d.Version(ctx, n-1)
			require.NoError(t, err)
			require.Equal(t, before.Digest, this.Parent)
		}
	})
}

func TestRacingIdempotentProducersCommitOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	create(t, s, "n", small)
	var wg sync.WaitGroup
	var got [6]int64
	for i := range got {
		d, err := dataset.New(s, nil).Open(ctx, "n")
		require.NoError(t, err)
		rr := numbers(t, 1, 2, 3)
		wg.Go(func() {
			v, err := d.Append(ctx, rr, &dataset.CommitOptions{App: "etl", AppVersion: 1})
			if err != nil {
				t.Error(err)
				return
			}
			got[i] = v.Number
		})
	}
	wg.Wait()
	require.Equal(t, [6]int64{1, 1, 1, 1, 1, 1}, got)
	d, err := dataset.New(s, nil).Open(ctx, "n")
	require.NoError(t, err)
	v, err := d.Latest(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 3, v.Rows)
}

func TestRacingCreatorsMakeOne(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		var wg sync.WaitGroup
		var made, refused atomic.Int64
		for range 4 {
			wg.Go(func() {
				_, err := dataset.New(s, nil).Create(context.Background(), "n", small, nil)
				switch {
				case err == nil:
					made.Add(1)
				case errors.Is(err, dataset.ErrExists):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, made.Load())
		require.EqualValues(t, 3, refused.Load())
	})
}

var errReply = errors.New("the connection broke before the reply")

// flaky is a store whose Create fails in ways that say nothing about whether
// the write happened.
type flaky struct {
	blob.Store
	landed atomic.Int64 // So many Creates of the log write, and then fail.
	lost   atomic.Int64 // So many fail without writing.
	steal  func(key string)
	blind  atomic.Bool // Reads of the log fail too.
	cancel context.CancelFunc
}

func (f *flaky) Create(ctx context.Context, key string, body io.Reader, size int64) error {
	if !strings.Contains(key, "_delta_log/") {
		return f.Store.Create(ctx, key, body, size)
	}
	if f.steal != nil {
		f.steal(key)
	}
	if f.lost.Add(-1) >= 0 {
		return &fs.PathError{Op: "create", Path: key, Err: errReply}
	}
	err := f.Store.Create(ctx, key, body, size)
	if f.landed.Add(-1) >= 0 {
		if f.cancel != nil {
			f.cancel()
		}
		return &fs.PathError{Op: "create", Path: key, Err: errReply}
	}
	return err
}

func (f *flaky) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if f.blind.Load() && strings.Contains(key, "_delta_log/") {
		return nil, &fs.PathError{Op: "get", Path: key, Err: errReply}
	}
	return f.Store.Get(ctx, key, off, n)
}

func TestAmbiguousCommitIsSettledByReadingBack(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	stores(t, func(t *testing.T, s blob.Store) {
		f := &flaky{Store: s}
		d := create(t, f, "n", small)

		f.landed.Store(1) // Written, and the reply lost: not to be written again.
		v, err := d.Append(ctx, numbers(t, 1), nil)
		require.NoError(t, err)
		require.EqualValues(t, 1, v.Number)

		f.lost.Store(2) // Not written: to be tried again.
		v, err = d.Append(ctx, numbers(t, 2), nil)
		require.NoError(t, err)
		require.EqualValues(t, 2, v.Number)

		// Lost, and meanwhile another writer took the number.
		other, err := dataset.New(s, nil).Open(ctx, "n")
		require.NoError(t, err)
		var once sync.Once
		stolen := numbers(t, 3)
		f.steal = func(string) {
			once.Do(func() {
				_, err := other.Append(ctx, stolen, nil)
				require.NoError(t, err)
			})
		}
		f.lost.Store(1)
		v, err = d.Append(ctx, numbers(t, 4), nil)
		require.NoError(t, err)
		require.EqualValues(t, 4, v.Number)
		f.steal = nil

		// The caller gives up the moment the write lands: it still is told.
		cancelled, cancel := context.WithCancel(ctx)
		f.cancel = cancel
		f.landed.Store(1)
		v, err = d.Append(cancelled, numbers(t, 5), nil)
		require.NoError(t, err)
		require.EqualValues(t, 5, v.Number)
		f.cancel = nil

		again, err := dataset.New(s, nil).Open(ctx, "n")
		require.NoError(t, err)
		v, err = again.Latest(ctx)
		require.NoError(t, err)
		require.Equal(t, []int64{1, 2, 3, 4, 5}, readNumbers(t, v))
	})
}

func TestUnsettledCommitSaysSoAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	create(t, s, "n", small)
	f := &flaky{Store: s}
	d, err := dataset.New(f, nil).Open(ctx, "n")
	require.NoError(t, err)
	rr := numbers(t, 1)
	f.steal = func(string) { f.blind.Store(true) } // From the first try on nothing can be read back.
	f.landed.Store(1 << 20)
	opts := &dataset.CommitOptions{App: "etl", AppVersion: 1}
	_, err = d.Append(ctx, rr, opts)
	require.ErrorIs(t, err, dataset.ErrUnavailable)
	require.ErrorIs(t, err, errReply)

	f.steal = nil
	f.blind.Store(false)
	f.landed.Store(0)
	v, err := d.Append(ctx, numbers(t, 1), opts)
	require.NoError(t, err)
	require.EqualValues(t, 1, v.Number)
	require.Equal(t, []int64{1}, readNumbers(t, v))
}

func TestDamagedLeftoverOfAnotherAppendIsHealed(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	// Learn the name of the content, then put something else there first.
	v, err := create(t, s, "a", small).Append(ctx, numbers(t, 1, 2), nil)
	require.NoError(t, err)
	d := create(t, s, "b", small)
	require.NoError(t, s.Put(ctx, "b/"+v.Files[0].Path, bytes.NewReader([]byte("torn")), 4))
	v, err = d.Append(ctx, numbers(t, 1, 2), nil)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2}, readNumbers(t, v))
}
