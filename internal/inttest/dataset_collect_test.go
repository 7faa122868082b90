package inttest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/internal/inttest"
)

// calendar is a clock that a test turns, for stores that share it.
type calendar struct {
	mu    sync.Mutex
	now   time.Time
	times map[string]time.Time
}

func (c *calendar) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// dated is a store whose objects have the times of a calendar: a server's own
// clock cannot be turned.
type dated struct {
	blob.Store
	*calendar
}

func (s dated) wrote(key string, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.times[key] = s.now
	}
	return err
}

func (s dated) Create(ctx context.Context, key string, body io.Reader, size int64) error {
	return s.wrote(key, s.Store.Create(ctx, key, body, size))
}

func (s dated) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	return s.wrote(key, s.Store.Put(ctx, key, body, size))
}

func (s dated) Copy(ctx context.Context, from, to string) error {
	return s.wrote(to, blob.Copy(ctx, s.Store, from, to))
}

func (s dated) info(fi fs.FileInfo) fs.FileInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return blob.NewInfo(fi.Name(), fi.Size(), s.times[fi.Name()])
}

func (s dated) Stat(ctx context.Context, key string) (fs.FileInfo, error) {
	fi, err := s.Store.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	return s.info(fi), nil
}

func (s dated) List(ctx context.Context, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		for fi, err := range s.Store.List(ctx, prefix) {
			if err == nil {
				fi = s.info(fi)
			}
			if !yield(fi, err) {
				return
			}
		}
	}
}

// TestDatasetCollect collects again and again on a real S3 server, with two
// collectors at once and days between, while writers overwrite their branches with
// the same few rows, restore old versions and tag: what they were told is there
// stays, and in the end nothing is left over.
func TestDatasetCollect(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, server *inttest.S3) {
		ctx := t.Context()
		url := "s3://" + server.NewBucket(t)
		clock := &calendar{now: time.Now().Add(-1000 * 24 * time.Hour), times: map[string]time.Time{}}
		client := func() *dataset.Dataset {
			d, err := dataset.New(dated{open(t, url, server.Options()), clock}, nil).Open(ctx, "n")
			require.NoError(t, err)
			return d
		}
		first, err := dataset.New(dated{open(t, url, server.Options()), clock}, nil).Create(ctx, "n", oneColumn, nil)
		require.NoError(t, err)
		const writers = 3
		for w := range writers {
			v, err := first.Version(ctx, 0)
			require.NoError(t, err)
			_, err = first.CreateBranch(ctx, fmt.Sprint("b", w), v)
			require.NoError(t, err)
		}
		// A day passes between the operations of the writers: a process may not sleep
		// for a day in the middle of one.
		var day sync.RWMutex
		var operations atomic.Int64
		worked := make(chan struct{}, 1)
		done, stop := context.WithCancel(ctx)
		var wg sync.WaitGroup
		want := make([][]int64, writers)
		tags := make([]map[string]int64, writers)
		for w := range writers {
			r := rand.New(rand.NewPCG(uint64(w), 3))
			tags[w] = map[string]int64{}
			wg.Go(func() {
				for i := 0; done.Err() == nil; i++ {
					day.RLock()
					value := int64(r.IntN(10))
					rows, err := collectWork(ctx, client(), w, i, value)
					if err == nil && rows != nil {
						want[w] = rows
						if i%10 == 0 {
							tags[w][fmt.Sprintf("t%d-%d", w, i)] = rows[0]
						}
					}
					day.RUnlock()
					operations.Add(1)
					select {
					case worked <- struct{}{}:
					default:
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		opts := &dataset.CollectOptions{Apply: true, KeepLast: -1}
		var deleted atomic.Int64
		for range 6 {
			var both sync.WaitGroup
			for range 2 {
				d := client()
				both.Go(func() {
					r, err := d.Collect(ctx, opts)
					if err != nil {
						t.Error(err)
						return
					}
					deleted.Add(r.Deleted)
				})
			}
			both.Wait()
			for range 6 {
				select {
				case <-worked:
				case <-ctx.Done():
				}
			}
			day.Lock()
			clock.pass(25 * time.Hour)
			day.Unlock()
		}
		stop()
		wg.Wait()
		require.False(t, t.Failed())
		require.Positive(t, deleted.Load())
		t.Logf("%d operations, %d files deleted", operations.Load(), deleted.Load())
		d := client()
		check := func() {
			for w := range writers {
				b, err := d.OpenBranch(ctx, fmt.Sprint("b", w))
				require.NoError(t, err)
				v, err := b.Latest(ctx)
				require.NoError(t, err)
				require.Equal(t, want[w], numbersOf(t, v))
				for name, value := range tags[w] {
					v, err := d.Resolve(ctx, name)
					require.NoError(t, err)
					require.Equal(t, value, numbersOf(t, v)[0])
				}
			}
			report, err := d.Verify(ctx, nil)
			require.NoError(t, err)
			require.True(t, report.OK(), "%v", report.Damage)
		}
		check()
		var report *dataset.CollectReport
		for range 4 {
			report, err = client().Collect(ctx, opts)
			require.NoError(t, err)
			clock.pass(25 * time.Hour)
		}
		require.Equal(t, report.Used, report.Objects)
		check()
	})
}

// collectWork is one operation of a writer on its branch: it returns the rows
// that the branch has then, nil when nothing happened.
func collectWork(ctx context.Context, d *dataset.Dataset, w, i int, value int64) ([]int64, error) {
	b, err := d.OpenBranch(ctx, fmt.Sprint("b", w))
	if err != nil {
		return nil, err
	}
	if i%5 == 4 {
		var old *dataset.Version
		for v, err := range b.Log(ctx) {
			if err != nil {
				return nil, err
			}
			if old = v; v.Branch != b.Name() || i%3 == 0 && v.Parent != "" {
				break
			}
		}
		if old.Branch != b.Name() {
			return nil, nil
		}
		v, err := b.Restore(ctx, old, nil)
		if errors.Is(err, dataset.ErrNotFound) {
			return nil, nil // It was collected.
		}
		if err != nil {
			return nil, err
		}
		return collectRows(ctx, v)
	}
	rr := rowsOf(value, value+1)
	defer rr.Release()
	v, err := b.Overwrite(ctx, rr, nil)
	if err != nil {
		return nil, err
	}
	if i%10 == 0 {
		if err := d.Tag(ctx, fmt.Sprintf("t%d-%d", w, i), v, nil); err != nil {
			return nil, err
		}
	}
	return []int64{value, value + 1}, nil
}

func collectRows(ctx context.Context, v *dataset.Version) ([]int64, error) {
	rr, err := v.Read(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer rr.Release()
	var out []int64
	for rr.Next() {
		out = append(out, rr.Record().Column(0).(*array.Int64).Int64Values()...)
	}
	return out, rr.Err()
}
