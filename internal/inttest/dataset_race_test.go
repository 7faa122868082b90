package inttest_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest/faults"
	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/internal/inttest"
)

var oneColumn = arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)

// rowsOf reads one record with the numbers.
func rowsOf(values ...int64) array.RecordReader {
	b := array.NewRecordBuilder(memory.DefaultAllocator, oneColumn)
	defer b.Release()
	b.Field(0).(*array.Int64Builder).AppendValues(values, nil)
	rec := b.NewRecord()
	defer rec.Release()
	rr, err := array.NewRecordReader(oneColumn, []arrow.Record{rec})
	if err != nil {
		panic(err) // The record has the schema.
	}
	return rr
}

func numbersOf(t *testing.T, v *dataset.Version) []int64 {
	rr, err := v.Read(t.Context(), nil)
	require.NoError(t, err)
	defer rr.Release()
	var out []int64
	for rr.Next() {
		out = append(out, rr.Record().Column(0).(*array.Int64).Int64Values()...)
	}
	require.NoError(t, rr.Err())
	return out
}

// TestDatasetRace lets sixteen writers, each with a client of its own, make a
// thousand commits to one table of a real S3 server.
func TestDatasetRace(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, server *inttest.S3) {
		ctx := t.Context()
		url := "s3://" + server.NewBucket(t)
		_, err := dataset.New(open(t, url, server.Options()), nil).Create(ctx, "n", oneColumn, nil)
		require.NoError(t, err)
		const writers, commits = 16, 1000
		var next atomic.Int64
		acknowledged := make([]*dataset.Version, commits)
		start := time.Now()
		var wg sync.WaitGroup
		for range writers {
			d, err := dataset.New(open(t, url, server.Options()), nil).Open(ctx, "n")
			require.NoError(t, err)
			wg.Go(func() {
				for {
					i := next.Add(1) - 1
					if i >= commits {
						return
					}
					rr := rowsOf(i)
					v, err := d.Append(ctx, rr, nil)
					rr.Release()
					if err != nil {
						t.Error(err)
						return
					}
					acknowledged[i] = v
				}
			})
		}
		wg.Wait()
		require.False(t, t.Failed())
		t.Logf("%s: %d commits of %d writers in %s", server.Name, commits, writers, time.Since(start))

		d, err := dataset.New(open(t, url, server.Options()), nil).Open(ctx, "n")
		require.NoError(t, err)
		latest, err := d.Latest(ctx)
		require.NoError(t, err)
		require.EqualValues(t, commits, latest.Number)
		got := numbersOf(t, latest)
		for i, v := range acknowledged {
			require.EqualValues(t, i, got[v.Number-1], "version %d added the row of its commit", v.Number)
		}
		slices.Sort(got)
		for i, n := range got {
			require.EqualValues(t, i, n)
		}
		before := map[string]*dataset.Version{}
		for v, err := range d.Log(ctx) {
			require.NoError(t, err)
			before[v.Commit] = v
		}
		for _, v := range acknowledged {
			require.Equal(t, before[v.Parents[0]].Number, v.Number-1)
			require.Equal(t, before[v.Parents[0]].Digest, v.Parent)
		}
	})
}

// TestDatasetRaceOfAllKinds lets appends, deletes and overwrites race while the
// answers of a tenth of the writes are lost.
func TestDatasetRaceOfAllKinds(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, server *inttest.S3) {
		ctx := t.Context()
		url := "s3://" + server.NewBucket(t)
		_, err := dataset.New(open(t, url, server.Options()), nil).Create(ctx, "n", oneColumn, nil)
		require.NoError(t, err)
		const writers, each = 6, 12
		var wg sync.WaitGroup
		for w := range int64(writers) {
			shaky := faults.New(open(t, url, server.Options()), nil)
			d, err := dataset.New(shaky, nil).Open(ctx, "n")
			require.NoError(t, err)
			shaky.Shake(uint64(w), 0.1, faults.LostReply(), faults.LostRequest())
			wg.Go(func() {
				for i := range int64(each) {
					if err := work(ctx, d, w, i); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		require.False(t, t.Failed())
		d, err := dataset.New(open(t, url, server.Options()), nil).Open(ctx, "n")
		require.NoError(t, err)
		latest, err := d.Latest(ctx)
		require.NoError(t, err)
		// Of each writer's rows those are left that it did not delete or replace.
		var want []int64
		for w := range int64(writers) {
			for i := range int64(each) {
				switch i % 3 {
				case 0:
					want = append(want, w*1000+i*10+1)
				case 1:
					want = append(want, w*1000+i*10, w*1000+i*10+1)
				case 2:
					want = append(want, w*1000+i*10+5)
				}
			}
		}
		got := numbersOf(t, latest)
		slices.Sort(got)
		slices.Sort(want)
		require.Equal(t, want, got)
	})
}

// work makes one writer's ith change, and makes it again while it cannot be
// said to have happened.
func work(ctx context.Context, d *dataset.Dataset, w, i int64) error {
	low := w*1000 + i*10
	steps := []func(opts *dataset.CommitOptions) error{func(opts *dataset.CommitOptions) error {
		rr := rowsOf(low, low+1)
		defer rr.Release()
		_, err := d.Append(ctx, rr, opts)
		return err
	}}
	switch i % 3 {
	case 0:
		steps = append(steps, func(opts *dataset.CommitOptions) error {
			_, err := d.Delete(ctx, filter.Eq("n", low), opts)
			return err
		})
	case 2:
		steps = append(steps, func(opts *dataset.CommitOptions) error {
			rr := rowsOf(low + 5)
			defer rr.Release()
			opts.Where = filter.Between("n", low, low+9)
			_, err := d.Overwrite(ctx, rr, opts)
			return err
		})
	}
	for k, step := range steps {
		var err error
		for range 20 {
			if err = step(&dataset.CommitOptions{App: fmt.Sprintf("writer-%d-%d", w, k), AppVersion: i}); err == nil {
				break
			}
		}
		if err != nil {
			return fmt.Errorf("writer %d, change %d, step %d: %w", w, i, k, err)
		}
	}
	return nil
}
