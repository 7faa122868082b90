package tracking_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

var errOutage = fmt.Errorf("test: the store is away: %w", tracking.ErrUnavailable)

// advance lets time pass in a synctest bubble, and everything happen that is
// due by then.
func advance(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestMetricArrivesByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &faultyStore{}
		client, run := startRun(t, store, nil)
		run.Metric("loss", 0.5, 1)
		run.Metric("loss", 0.4, 2)
		advance(499 * time.Millisecond)
		require.Zero(t, points(t, run, "loss"))
		advance(2 * time.Millisecond)
		require.Equal(t, 2, points(t, run, "loss"))
		_, sizes := store.seen()
		require.Equal(t, []int{2}, sizes, "both points go in one batch")

		run.Metric("loss", 0.3, 3)
		advance(501 * time.Millisecond)
		require.Equal(t, 3, points(t, run, "loss"))
		require.NoError(t, client.Shutdown(t.Context()))
	})
}

func TestFullBatchDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &faultyStore{}
		client, run := startRun(t, store, &tracking.Options{FlushEvery: time.Hour})
		start := time.Now()
		for i := range tracking.MaxBatchMetrics {
			run.Metric("loss", 1, int64(i))
		}
		synctest.Wait()
		require.Equal(t, tracking.MaxBatchMetrics, points(t, run, "loss"))
		require.Zero(t, time.Since(start))
		require.NoError(t, client.Shutdown(t.Context()))
	})
}

func TestFlushSplitsIntoBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &faultyStore{}
		gate := make(chan struct{})
		store.set(nil, gate)
		client, run := startRun(t, store, nil)
		for i := range 2500 {
			run.Metric("loss", 1, int64(i))
		}
		close(gate)
		require.NoError(t, run.Flush(t.Context()))
		require.Equal(t, 2500, points(t, run, "loss"))
		_, sizes := store.seen()
		for _, n := range sizes {
			require.LessOrEqual(t, n, tracking.MaxBatchMetrics)
		}
		require.NoError(t, client.Shutdown(t.Context()))
	})
}

func TestMetricNeverBlocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &faultyStore{}
		gate := make(chan struct{})
		store.set(nil, gate) // the store hangs
		var heard []error
		client, run := startRun(t, store, &tracking.Options{MaxBuffered: 10, OnError: func(err error) { heard = append(heard, err) }})
		for i := range 25 {
			run.Metric("loss", 1, int64(i))
		}
		require.EqualValues(t, 15, run.Dropped())
		advance(time.Second) // ten points are under way, and still count
		run.Metric("loss", 1, 99)
		require.EqualValues(t, 16, run.Dropped())

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, run.Flush(ctx), context.DeadlineExceeded)

		close(gate)
		require.NoError(t, run.Flush(t.Context()), "the loss was reported by the Flush before")
		require.Equal(t, 10, points(t, run, "loss"))
		run.Metric("loss", 1, 100)
		require.NoError(t, run.Flush(t.Context()), "there is room again")
		require.NoError(t, client.Shutdown(t.Context()))
		require.Len(t, heard, 1)
		require.ErrorIs(t, heard[0], tracking.ErrUnavailable)
		require.ErrorContains(t, heard[0], "16 metric points dropped")
		require.ErrorContains(t, heard[0], "buffer of 10 points is full")
	})
}

func TestFlushReportsALossOnce(t *testing.T) {
	t.Parallel()
	client, run := startRun(t, &trackingtest.Memory{}, nil)
	run.Metric("loss", 1, 1)
	run.Metric("../loss", 1, 1)
	run.Metric("", 1, 1)
	err := run.Flush(t.Context())
	require.ErrorIs(t, err, tracking.ErrInvalid)
	require.ErrorContains(t, err, `2 metric points dropped`)
	require.ErrorContains(t, err, `key "../loss"`)
	require.NoError(t, run.Flush(t.Context()))
	require.Equal(t, 1, points(t, run, "loss"), "a bad key does not harm its neighbours")
	require.EqualValues(t, 2, run.Dropped())
	require.NoError(t, client.Shutdown(t.Context()))
}

func TestOutageLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &faultyStore{}
		var heard atomic.Int64
		var log strings.Builder
		client, run := startRun(t, store, &tracking.Options{
			Logger:  slog.New(slog.NewTextHandler(&log, nil)),
			OnError: func(err error) { heard.Add(1); require.ErrorIs(t, err, tracking.ErrUnavailable) },
		})
		store.set(errOutage, nil)
		for i := range 3000 {
			run.Metric("loss", 1, int64(i))
		}
		require.ErrorIs(t, run.Flush(t.Context()), tracking.ErrUnavailable)
		advance(5 * time.Minute)
		attempts, _ := store.seen()
		require.Less(t, attempts, 25, "the pauses between attempts grow")
		require.Greater(t, attempts, 8, "but not beyond half a minute")
		require.EqualValues(t, attempts-1, heard.Load(), "every attempt of the worker is heard of")
		require.Contains(t, log.String(), "will be tried again")

		store.set(nil, nil)
		advance(31 * time.Second)
		require.Equal(t, 3000, points(t, run, "loss"))
		require.Zero(t, run.Dropped())

		run.Metric("loss", 1, 5000)
		advance(501 * time.Millisecond)
		require.Equal(t, 3001, points(t, run, "loss"), "the pause is short again")
		require.NoError(t, client.Shutdown(t.Context()))
	})
}

func TestRefusalForGoodDropsTheBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &faultyStore{}
		client, run := startRun(t, store, nil)
		store.set(fmt.Errorf("test: the run is gone: %w", tracking.ErrNotFound), nil)
		run.Metric("loss", 1, 1)
		advance(time.Minute)
		attempts, _ := store.seen()
		require.Equal(t, 1, attempts, "what is refused for good is not sent again")
		require.EqualValues(t, 1, run.Dropped())
		err := run.Finish(t.Context(), tracking.Finished)
		require.ErrorIs(t, err, tracking.ErrNotFound)
		require.ErrorContains(t, err, "1 metric points dropped")
		info, err := run.Info(t.Context())
		require.NoError(t, err)
		require.Equal(t, tracking.Finished, info.Status, "the status is set all the same")
		require.NoError(t, client.Shutdown(t.Context()))
	})
}

func TestShutdownDelivers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &faultyStore{}
		client, run := startRun(t, store, &tracking.Options{FlushEvery: time.Hour})
		other, err := client.StartRun(t.Context(), run.Experiment(), nil)
		require.NoError(t, err)
		for i := range 1500 {
			run.Metric("loss", 1, int64(i))
			other.Metric("loss", 1, int64(i))
		}
		require.NoError(t, client.Shutdown(t.Context()))
		run.Metric("loss", 1, 9999)
		require.EqualValues(t, 1, run.Dropped())
		require.NoError(t, client.Shutdown(t.Context()), "a later drop is not its concern")

		again := tracking.New(store, nil)
		for _, r := range []*tracking.Run{run, other} {
			r, err := again.Run(t.Context(), r.ID())
			require.NoError(t, err)
			require.Equal(t, 1500, points(t, r, "loss"))
		}
	})
}

func TestShutdownCanBeRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &faultyStore{}
		store.set(nil, make(chan struct{})) // hangs until its context ends
		client, run := startRun(t, store, nil)
		for i := range 1200 {
			run.Metric("loss", 1, int64(i))
		}
		synctest.Wait() // the worker is inside the store now
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, client.Shutdown(ctx), context.DeadlineExceeded)

		store.set(errOutage, nil)
		err := client.Shutdown(t.Context())
		require.ErrorIs(t, err, tracking.ErrUnavailable)
		require.ErrorContains(t, err, "1200 metric points are not stored yet")

		store.set(nil, nil)
		require.NoError(t, client.Shutdown(t.Context()))
		require.NoError(t, client.Shutdown(t.Context()))
		run, err = tracking.New(store, nil).Run(t.Context(), run.ID())
		require.NoError(t, err)
		require.Equal(t, 1200, points(t, run, "loss"))
	})
}

func TestShutdownReportsWhatNoFlushSaid(t *testing.T) {
	t.Parallel()
	client, run := startRun(t, &trackingtest.Memory{}, nil)
	run.Metric("bad\nkey", 1, 1)
	require.Error(t, run.Flush(t.Context()))
	run.Metric("bad\tkey", 1, 1)
	run.Metric("bad\tkey", 1, 2)
	err := client.Shutdown(t.Context())
	require.ErrorIs(t, err, tracking.ErrInvalid)
	require.ErrorContains(t, err, "2 metric points dropped")
	require.NoError(t, client.Shutdown(t.Context()))
}

func TestMetricsOfManyGoroutinesAllArrive(t *testing.T) {
	t.Parallel()
	const writers, each = 8, 2000
	client, run := startRun(t, &trackingtest.Memory{}, &tracking.Options{FlushEvery: time.Millisecond})
	var wg sync.WaitGroup
	failed := make(chan error, writers)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				run.Metric(fmt.Sprint("m", w), 1, int64(i))
				if i%500 == 499 {
					if err := run.Flush(context.Background()); err != nil {
						failed <- err
						return
					}
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	require.NoError(t, errors.Join(<-failed))
	require.NoError(t, run.Finish(t.Context(), tracking.Finished))
	for w := range writers {
		require.Equal(t, each, points(t, run, fmt.Sprint("m", w)))
	}
	require.Zero(t, run.Dropped())
	require.NoError(t, client.Shutdown(t.Context()))
}

// nowhere accepts every batch and keeps none, so that only recording costs.
type nowhere struct{ trackingtest.Memory }

func (*nowhere) LogBatch(context.Context, tracking.RunID, tracking.Batch) error { return nil }

func TestMetricAllocatesNothing(t *testing.T) {
	client, run := startRun(t, &nowhere{}, &tracking.Options{FlushEvery: time.Hour})
	record := func() {
		for i := range 900 {
			run.Metric("validation/loss", 0.5, int64(i))
		}
		if err := run.Flush(context.Background()); err != nil {
			t.Error(err)
		}
	}
	record() // grows the buffer
	require.Less(t, testing.AllocsPerRun(20, record), 5.0, "allocations of 900 points and a flush")
	require.NoError(t, client.Shutdown(t.Context()))
}

func BenchmarkMetric(b *testing.B) {
	client, run := startRun(b, &nowhere{}, nil)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		run.Metric("validation/loss", 0.5, int64(i))
	}
	require.NoError(b, client.Shutdown(b.Context()))
}
