package monitor_test

import (
	"testing"

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
