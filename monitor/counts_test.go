package monitor_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor"
)

// TestCountsOnlyGrow checks that each row is in the counters at once, and once,
// whatever has become of its window.
func TestCountsOnlyGrow(t *testing.T) {
	t.Parallel()
	src := newSource(90, 2, true)
	ref := src.reference(t, 500)
	var m *monitor.Monitor
	var inReport []uint64
	m = newMonitor(t, ref, &monitor.Options{OnReport: func(monitor.Report) {
		if _, c, err := m.Counts(); err == nil {
			inReport = append(inReport, c.Rows)
		}
	}})
	total := ref.Window()
	for i := range 6 {
		for range 100 {
			row, s := src.row(nil), src.score()
			m.Observe(row, s, monitor.ID{})
			require.NoError(t, total.Observe(row, s))
		}
		if i%2 == 1 {
			_, err := m.Cut(t.Context())
			require.NoError(t, err)
		}
		got, c, err := m.Counts()
		require.NoError(t, err)
		require.Equal(t, ref.Rows, got.Rows)
		require.Equal(t, total.Rows, c.Rows)
		for j, f := range total.Features {
			require.Equal(t, f.Bins.Counts, c.Features[j].Bins.Counts)
		}
		require.Equal(t, total.Score.Counts, c.Score.Counts)
	}
	require.Equal(t, []uint64{200, 400, 600}, inReport)
}

func TestSnapshotCountsAreOfOneMoment(t *testing.T) {
	t.Parallel()
	src := newSource(3, 2, false)
	m, err := monitor.New(src.reference(t, 1000), &monitor.Options{Threshold: 0.25})
	require.NoError(t, err)
	for i := range 300 {
		m.Observe(src.row(nil), float64(i%4)/4, monitor.ID{})
	}
	s, ref, observed, err := m.SnapshotCounts()
	require.NoError(t, err)
	require.EqualValues(t, 300, s.Predictions)
	require.EqualValues(t, 225, s.Positive)
	require.Equal(t, s.Predictions, observed.Rows)
	require.EqualValues(t, 1000, ref.Rows)
	require.Zero(t, s.Triggers)
	require.WithinDuration(t, time.Now(), s.Since, time.Hour)
}
