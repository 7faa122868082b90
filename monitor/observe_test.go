package monitor_test

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor"
)

// TestOverflow has observers that outrun the counting, with each policy: what
// went in is counted, or counted as lost.
func TestOverflow(t *testing.T) {
	t.Parallel()
	for name, overflow := range map[string]monitor.Overflow{"inline": monitor.Inline, "drop": monitor.Drop, "block": monitor.Block} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := newSource(40, 3, true)
			var reported atomic.Int64
			m := newMonitor(t, src.reference(t, 1000), &monitor.Options{
				Overflow: overflow, WindowRows: 1000,
				OnReport: func(r monitor.Report) { reported.Add(int64(r.Rows)) },
			})
			row := src.row(nil)
			rows, scores := make([]float64, 0, 300*len(row)), make([]float64, 300)
			for range scores {
				rows = append(rows, row...)
			}
			const goroutines, each = 6, 60
			var wg sync.WaitGroup
			for range goroutines {
				wg.Go(func() {
					for range each {
						m.ObserveBatch(rows, scores, nil)
						for range 200 {
							m.Observe(row, 0.5, monitor.ID{})
						}
					}
				})
			}
			wg.Wait()
			require.NoError(t, m.Shutdown(t.Context()))
			m.ObserveBatch(rows, scores, nil)
			s := m.Snapshot()
			require.EqualValues(t, goroutines*each*500, s.Predictions+s.Overflowed)
			require.EqualValues(t, s.Predictions, reported.Load())
			require.EqualValues(t, 300, s.Dropped)
			require.Zero(t, s.Rejected)
			if overflow != monitor.Drop {
				require.Zero(t, s.Overflowed)
			}
		})
	}
}

// TestObserveBatchIsObserve compares a batch with its rows one by one.
func TestObserveBatchIsObserve(t *testing.T) {
	t.Parallel()
	src := newSource(41, 2, true)
	ref := src.reference(t, 500)
	one, many := newMonitor(t, ref, nil), newMonitor(t, ref, nil)
	for _, n := range []int{1, 64, 127, 129, 1000} {
		var rows, scores []float64
		var ids []monitor.ID
		for i := range n {
			row := src.row(nil)
			rows, scores, ids = append(rows, row...), append(scores, src.score()), append(ids, monitor.NewID("r", n*1000+i))
			one.Observe(row, scores[i], ids[i])
		}
		many.ObserveBatch(rows, scores, ids)
	}
	id := monitor.NewID("r", 1000*1000+999)
	require.Equal(t, monitor.Matched, one.Label(id, 1))
	require.Equal(t, monitor.Matched, many.Label(id, 1))
	require.Equal(t, one.Overall().Brier, many.Overall().Brier)
	want, err := one.Cut(t.Context())
	require.NoError(t, err)
	got, err := many.Cut(t.Context())
	require.NoError(t, err)
	require.Equal(t, want.Key, got.Key)
	require.EqualValues(t, 1321, got.Rows)

	// Shapes that do not fit.
	many.ObserveBatch(nil, nil, nil)
	require.Zero(t, many.Snapshot().Rejected)
	many.ObserveBatch([]float64{1, 2, 3, 4}, []float64{1, 2}, nil)
	many.ObserveBatch([]float64{1, 2, 3}, []float64{1}, make([]monitor.ID, 2))
	many.ObserveBatch([]float64{1, 2, 3, 4}, nil, nil)
	require.EqualValues(t, 4, many.Snapshot().Rejected)
	many.ObserveBatch([]float64{1, 2, 0}, nil, nil)
	got, err = many.Cut(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1.0, got.Score.Nulls)
}

func TestWindowTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(42, 1, false)
		var reports []monitor.Report
		m := newMonitor(t, src.reference(t, 500), &monitor.Options{
			WindowTime: time.Minute, OnReport: func(r monitor.Report) { reports = append(reports, r) },
		})
		<-time.After(time.Hour) // No window before the first row.
		m.Observe(src.row(nil), 0.5, monitor.ID{})
		<-time.After(50 * time.Millisecond) // No row falls on the end of a window.
		for range 699 {
			m.Observe(src.row(nil), 0.5, monitor.ID{})
			<-time.After(100 * time.Millisecond)
		}
		<-time.After(2*time.Minute - time.Second)
		synctest.Wait()
		require.Len(t, reports, 3)
		require.EqualValues(t, 601, reports[0].Rows)
		require.EqualValues(t, 99, reports[1].Rows)
		require.Equal(t, monitor.Insufficient, reports[1].Verdict)
		require.Zero(t, reports[2].Rows, "a window without traffic is a report, too")
		require.Equal(t, monitor.Insufficient, reports[2].Verdict)
		require.Equal(t, time.Minute, reports[2].To.Sub(reports[1].To))
		for _, f := range reports[2].Features {
			require.False(t, f.Alarm())
			require.False(t, math.IsNaN(f.Score) || math.IsNaN(f.Nulls) || math.IsNaN(f.Mean))
		}
	})
}

func TestObserveBatchAllocatesNothing(t *testing.T) {
	src := newSource(43, 32, true)
	m := newMonitor(t, src.reference(t, 1000), &monitor.Options{MaxPending: 1 << 12})
	var rows []float64
	for range 64 {
		rows = append(rows, src.row(nil)...)
	}
	scores := make([]float64, 64)
	for range 200 {
		m.ObserveBatch(rows, scores, nil)
	}
	require.Zero(t, testing.AllocsPerRun(200, func() { m.ObserveBatch(rows, scores, nil) }))
}
