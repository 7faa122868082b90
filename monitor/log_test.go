package monitor_test

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor"
)

// rowLog is a log that counts, and can be held up.
type rowLog struct {
	gate chan struct{} // Nil for a log that never waits.
	mu   sync.Mutex
	seen map[monitor.ID]int
	rows int
	bad  int
}

func (l *rowLog) LogRows(rows monitor.Rows) {
	if l.gate != nil {
		<-l.gate
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	width := len(rows.Reference.Features)
	for i, id := range rows.IDs {
		l.seen[id]++
		l.rows++
		if rows.Values[i*width] != rows.Scores[i] || rows.Time.IsZero() {
			l.bad++
		}
	}
}

func TestEveryRowIsLoggedOnce(t *testing.T) {
	t.Parallel()
	for name, overflow := range map[string]monitor.Overflow{"inline": monitor.Inline, "drop": monitor.Drop, "block": monitor.Block} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := newSource(61, 3, false)
			log := &rowLog{seen: map[monitor.ID]int{}}
			m, err := monitor.New(src.reference(t, 500), &monitor.Options{Log: log, Overflow: overflow, WindowRows: 900})
			require.NoError(t, err)
			var observers sync.WaitGroup
			const goroutines, each = 6, 4000
			for g := range goroutines {
				observers.Go(func() {
					row := make([]float64, 3)
					for i := range each {
						row[0] = float64(i)
						m.Observe(row, float64(i), monitor.NewID("r", g*each+i))
						if i%1000 == 0 {
							m.Snapshot()
						}
					}
				})
			}
			observers.Wait()
			require.NoError(t, m.Shutdown(t.Context()))
			s := m.Snapshot()
			require.EqualValues(t, goroutines*each, s.Predictions+s.Overflowed)
			require.EqualValues(t, s.Predictions, uint64(log.rows)+s.Unlogged)
			require.Zero(t, log.bad)
			for id, n := range log.seen {
				require.Equal(t, 1, n, id)
			}
			if overflow != monitor.Drop {
				require.Zero(t, s.Unlogged)
			}
		})
	}
}

// TestALogThatWaits lets Observe wait and nothing else: windows are cut, and
// what they bring beyond a bound is counted.
func TestALogThatWaits(t *testing.T) {
	t.Parallel()
	src := newSource(62, 1, false)
	log := &rowLog{gate: make(chan struct{}), seen: map[monitor.ID]int{}}
	m, err := monitor.New(src.reference(t, 500), &monitor.Options{Log: log})
	require.NoError(t, err)
	rows := 64 * runtime.GOMAXPROCS(0) * 2 * 2 * 120 // More than may wait.
	for i := range rows {
		m.Observe([]float64{1}, 1, monitor.NewID("r", i))
		if i%120 != 0 {
			continue
		}
		_, err := m.Cut(t.Context()) // No two of the blocks have room in one.
		require.NoError(t, err)
	}
	s := m.Snapshot()
	require.EqualValues(t, rows, s.Predictions)
	require.Positive(t, s.Unlogged)
	observed := make(chan struct{})
	go func() {
		defer close(observed)
		for i := range 20_000 {
			m.Observe([]float64{1}, 1, monitor.NewID("r", rows+i))
		}
	}()
	select {
	case <-observed:
		t.Error("Observe does not wait")
	case log.gate <- struct{}{}:
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, m.Shutdown(ended), context.Canceled)
	<-observed // Shutdown has released it.
	close(log.gate)
	require.NoError(t, m.Shutdown(t.Context()))
	s = m.Snapshot()
	require.EqualValues(t, s.Predictions, uint64(log.rows)+s.Unlogged)
	require.EqualValues(t, rows+20_000, s.Predictions+s.Dropped)
}
