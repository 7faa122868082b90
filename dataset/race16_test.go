package dataset_test

import (
	"context"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
)

// TestSixteenWritersRace lets sixteen catalogs, which know of each other no more
// than processes do, append to one table: a thousand times where the real
// components are met, less often elsewhere.
func TestSixteenWritersRace(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := context.Background()
		counted := &counting{Store: s}
		create(t, counted, "n", small)
		counted.reset()
		const writers = 16
		commits := fewer(160, 2)
		if os.Getenv("REQUIRE_REAL") == "1" {
			commits = 1000
		}
		var next atomic.Int64
		versions := make([]*dataset.Version, commits) // By the number they wrote.
		start := time.Now()
		var wg sync.WaitGroup
		for range writers {
			d, err := dataset.New(counted, nil).Open(ctx, "n")
			require.NoError(t, err)
			wg.Go(func() {
				for {
					i := next.Add(1) - 1
					if i >= int64(commits) {
						return
					}
					v, err := d.Append(ctx, numbers(t, i), nil)
					if err != nil {
						t.Error(err)
						return
					}
					versions[i] = v
				}
			})
		}
		wg.Wait()
		t.Logf("%d commits of %d writers in %s: %d writes, %d reads, %d misses", commits, writers, time.Since(start), counted.writes.Load(), counted.reads.Load(), counted.misses.Load())

		// Every acknowledged commit is there once, in order, none lost.
		d := open(t, s)
		latest, err := d.Latest(ctx)
		require.NoError(t, err)
		require.EqualValues(t, commits, latest.Number)
		got := readNumbers(t, latest)
		require.Len(t, got, commits)
		sorted := slices.Sorted(slices.Values(got))
		for i, n := range sorted {
			require.EqualValues(t, i, n)
		}
		byCommit := map[string]*dataset.Version{}
		for v, err := range d.Log(ctx) {
			require.NoError(t, err)
			byCommit[v.Commit] = v
		}
		require.Len(t, byCommit, commits+1)
		for i, v := range versions {
			found := byCommit[v.Commit]
			require.Equal(t, v.Number, found.Number)
			require.Equal(t, v.Digest, found.Digest)
			require.EqualValues(t, i, got[v.Number-1], "version n added the nth row")
			before := byCommit[v.Parents[0]]
			require.Equal(t, v.Number-1, before.Number)
			require.Equal(t, before.Digest, v.Parent)
			require.True(t, v.Time.After(before.Time))
		}
	})
}
