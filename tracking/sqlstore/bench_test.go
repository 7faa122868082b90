package sqlstore_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/sqlstore"
)

// trainingBatch returns points as a training run logs them: float32 values,
// half a second apart.
func trainingBatch(round, points int, names []string) tracking.Batch {
	b := tracking.Batch{Metrics: make([]tracking.Metric, points)}
	for i := range b.Metrics {
		step := int64((round*points + i) / len(names))
		b.Metrics[i] = tracking.Metric{
			Key: names[i%len(names)], Value: float64(float32(1 / float64(step+2))), Step: step,
			Time: time.UnixMilli(1_700_000_000_000 + step*500),
		}
	}
	return b
}

func layerNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("layer/%d/gradient norm", i)
	}
	return names
}

// BenchmarkWriters measures writers that share a store, each with its own run,
// the folding in the background included.
func BenchmarkWriters(b *testing.B) {
	for name, open := range map[string]func(testing.TB) tracking.Store{"SQLite": openNew, "Postgres": openPostgres} {
		for _, c := range []struct{ points, keys, writers int }{
			{1, 1, 1}, {1, 1, 16}, {1000, 10, 1}, {1000, 10, 8}, {1000, 1000, 1}, {1000, 1000, 8},
		} {
			b.Run(fmt.Sprintf("%s/%dPoints%dKeys%dWriters", name, c.points, c.keys, c.writers), func(b *testing.B) {
				benchmarkWriters(b, open(b), c.points, layerNames(c.keys), c.writers)
			})
		}
	}
}

func benchmarkWriters(b *testing.B, store tracking.Store, points int, names []string, writers int) {
	for w := range writers {
		newRun(b, store, tracking.RunID(fmt.Sprint("run", w)))
	}
	took := make([][]time.Duration, writers)
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	for w := range writers {
		wg.Go(func() {
			id := tracking.RunID(fmt.Sprint("run", w))
			for round := 0; left.Add(-1) >= 0; round++ {
				batch := trainingBatch(round, points, names)
				start := time.Now()
				if err := store.LogBatch(b.Context(), id, batch); err != nil {
					b.Error(err)
					return
				}
				took[w] = append(took[w], time.Since(start))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	b.ReportMetric(float64(b.N*points)/b.Elapsed().Seconds(), "points/s")
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkMillion reads a metric of 1,000,000 points.
func BenchmarkMillion(b *testing.B) {
	store := openNew(b).(*sqlstore.Store)
	id := newRun(b, store, "run1").ID
	for round := range 1000 {
		require.NoError(b, store.LogBatch(b.Context(), id, trainingBatch(round, 1000, []string{"loss"})))
	}
	for _, size := range []int{1000, 25_000} {
		b.Run(fmt.Sprintf("Page%d", size), func(b *testing.B) {
			b.ReportAllocs()
			p := tracking.Page{Max: size}
			for b.Loop() {
				points, next, err := store.History(b.Context(), id, "loss", p)
				require.NoError(b, err)
				require.Len(b, points, size)
				p.Token = next
			}
		})
	}
	b.Run("Sample320", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			points, err := store.SampleHistory(b.Context(), tracking.SampleQuery{Runs: []tracking.RunID{id}, Key: "loss", Max: 320})
			require.NoError(b, err)
			require.Len(b, points[0], 321)
		}
	})
}
