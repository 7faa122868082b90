package monitor_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/drift"
)

func TestLabelMetrics(t *testing.T) {
	t.Parallel()
	src := newSource(20, 1, false)
	m := newMonitor(t, src.reference(t, 100), nil)
	scores := []float64{0.9, 0.8, 0.3, 0.1, 0.8}
	truths := []float64{1, 0, 1, 0, 1}
	for i, s := range scores {
		m.Observe([]float64{0}, s, monitor.NewID("a", i))
	}
	m.Observe([]float64{0}, 0.7, monitor.NewID("a", 5)) // Never labelled.
	p, err := m.Performance(1)
	require.NoError(t, err)
	require.EqualValues(t, 6, p.Rows)
	require.Zero(t, p.Coverage)
	require.True(t, math.IsNaN(p.AUC) && math.IsNaN(p.Brier))
	for i, y := range truths {
		require.Equal(t, monitor.Matched, m.Label(monitor.NewID("a", i), y))
	}
	require.Equal(t, monitor.Duplicate, m.Label(monitor.NewID("a", 0), 0))
	require.Equal(t, monitor.Unknown, m.Label(monitor.NewID("b", 0), 0))
	require.Equal(t, monitor.Rejected, m.Label(monitor.NewID("a", 5), math.NaN()))
	require.Equal(t, monitor.LabelCounts{Matched: 5, Unknown: 1, Duplicate: 1, Rejected: 1, Pending: 1}, undelayed(m))

	r, err := m.Cut(t.Context())
	require.NoError(t, err)
	l := r.Labels
	require.Equal(t, 1, l.Window)
	require.EqualValues(t, 5, l.Labelled)
	require.InDelta(t, 5.0/6, l.Coverage, 1e-12)
	require.InDelta(t, 0.6, l.PositiveRate, 1e-12)
	// scikit-learn 1.x: roc_auc_score, log_loss, brier_score_loss, accuracy_score.
	require.InDelta(t, 4.5/6, l.AUC, 1e-12)
	require.InDelta(t, -(math.Log(0.9)+math.Log(0.2)+math.Log(0.3)+math.Log(0.9)+math.Log(0.8))/5, l.LogLoss, 1e-12)
	require.InDelta(t, (0.01+0.64+0.49+0.01+0.04)/5, l.Brier, 1e-12)
	require.InDelta(t, 0.6, l.Accuracy, 1e-12)

	// Later labels go to their closed window.
	require.Equal(t, monitor.Matched, m.Label(monitor.NewID("a", 5), 1))
	p, err = m.Performance(1)
	require.NoError(t, err)
	require.Equal(t, 1.0, p.Coverage)
	require.Equal(t, p.AUC, m.Overall().AUC)
	require.Equal(t, 1, m.Snapshot().Ripe.Window)
	require.EqualValues(t, 5, r.Labels.Labelled, "a report never changes")
}

// TestBinnedAUC compares the metrics of many labels with the exact ones.
func TestBinnedAUC(t *testing.T) {
	t.Parallel()
	src := newSource(21, 1, false)
	m := newMonitor(t, src.reference(t, 100), nil)
	rng := rand.New(rand.NewPCG(1, 2))
	var scores []float64
	var truths []bool
	for i := range 20_000 {
		s := rng.Float64()
		truth := rng.Float64() < s
		scores, truths = append(scores, s), append(truths, truth)
		m.Observe([]float64{0}, s, monitor.NewID("r", i))
		y := 0.0
		if truth {
			y = 1
		}
		require.Equal(t, monitor.Matched, m.Label(monitor.NewID("r", i), y))
		if n := i + 1; n == 1024 || n == 1025 || n == 20_000 {
			want, err := drift.AUC(scores, truths)
			require.NoError(t, err)
			require.InDelta(t, want, m.Overall().AUC, 5e-5, "%d labels", n)
		}
	}
}

func TestRegressionLabels(t *testing.T) {
	t.Parallel()
	src := newSource(22, 1, false)
	m := newMonitor(t, src.reference(t, 100), nil)
	for i, s := range []float64{10, 20, 30} {
		m.Observe([]float64{0}, s, monitor.NewID("r", i))
		m.Label(monitor.NewID("r", i), s+2)
	}
	l := m.Overall()
	require.Equal(t, 4.0, l.Brier)
	require.True(t, math.IsNaN(l.AUC) && math.IsNaN(l.LogLoss) && math.IsNaN(l.Accuracy) && math.IsNaN(l.PositiveRate))
	data, err := json.Marshal(l)
	require.NoError(t, err)
	require.JSONEq(t, `{"rows":3,"labelled":3,"coverage":1,"brier":4,"metrics":[`+
		`{"name":"mae","value":2,"low":2,"high":2},{"name":"bias","value":-2,"low":-2,"high":-2},`+
		`{"name":"rmse","value":2,"low":2,"high":2},{"name":"r2","value":0.94,"low":0.94,"high":0.94}]}`, string(data))
	var back monitor.LabelReport
	require.NoError(t, json.Unmarshal(data, &back))
	require.True(t, math.IsNaN(back.AUC))
	require.Equal(t, 4.0, back.Brier)
}

func TestPendingIsBounded(t *testing.T) {
	t.Parallel()
	src := newSource(23, 1, false)
	m := newMonitor(t, src.reference(t, 100), &monitor.Options{MaxPending: 3000})
	for i := range 5000 {
		m.Observe([]float64{0}, 0.5, monitor.NewID("r", i))
		if i == 0 {
			require.Equal(t, monitor.Matched, m.Label(monitor.NewID("r", 0), 1))
		}
	}
	s := m.Snapshot()
	require.Equal(t, 3000, s.Labels.Pending)
	require.EqualValues(t, 1999, s.Labels.Forgotten, "one of the 2000 had its label")
	unknown := 0
	for i := range 5000 {
		if m.Label(monitor.NewID("r", i), 1) == monitor.Unknown {
			unknown++
		}
	}
	require.Equal(t, 2000, unknown)
	none := newMonitor(t, src.reference(t, 100), &monitor.Options{MaxPending: -1})
	none.Observe([]float64{0}, 0.5, monitor.NewID("r", 0))
	require.Equal(t, monitor.Unknown, none.Label(monitor.NewID("r", 0), 1))
}

// TestARequestSentAgain is a client's retry under the same id: two rows, and
// the label is for the last answer.
func TestARequestSentAgain(t *testing.T) {
	t.Parallel()
	src := newSource(24, 1, false)
	m := newMonitor(t, src.reference(t, 100), nil)
	id := monitor.NewID("retry", 0)
	m.Observe([]float64{0}, 0.1, id)
	m.Snapshot() // Folds: the last one counted holds.
	m.Observe([]float64{0}, 0.9, id)
	m.Snapshot()
	require.Equal(t, monitor.Matched, m.Label(id, 1))
	require.Equal(t, monitor.Duplicate, m.Label(id, 1))
	require.InDelta(t, 0.01, m.Overall().Brier, 1e-12)
	require.EqualValues(t, 2, m.Overall().Rows)
}

func TestLateLabels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(25, 1, false)
		m, err := monitor.New(src.reference(t, 100), &monitor.Options{LabelTTL: time.Hour})
		require.NoError(t, err)
		observe := func(name string) { m.Observe([]float64{0}, 0.5, monitor.NewID(name, 0)); m.Snapshot() }
		observe("a")
		observe("b")
		<-time.After(time.Hour) // The bubble's clock.
		require.Equal(t, monitor.Matched, m.Label(monitor.NewID("a", 0), 1))
		<-time.After(time.Second)
		require.Equal(t, monitor.Late, m.Label(monitor.NewID("b", 0), 1))
		<-time.After(time.Hour)
		observe("c")
		require.Equal(t, monitor.Unknown, m.Label(monitor.NewID("b", 0), 1), "forgotten after twice the time")
		require.Equal(t, monitor.LabelCounts{Matched: 1, Late: 1, Unknown: 1, Pending: 1}, undelayed(m))
		require.Equal(t, time.Hour, m.Snapshot().Labels.Delay)
		require.NoError(t, m.Shutdown(t.Context()))
	})
}

func TestPerformanceOfWindowsThatAreNotKept(t *testing.T) {
	t.Parallel()
	src := newSource(26, 1, false)
	m := newMonitor(t, src.reference(t, 100), nil)
	_, err := m.Performance(1)
	require.EqualError(t, err, "monitor: performance of window 1: no row was observed yet: not found")
	for i := range 70 {
		m.Observe([]float64{0}, 0.5, monitor.NewID("r", i))
		_, err := m.Cut(t.Context())
		require.NoError(t, err)
	}
	_, err = m.Performance(6)
	require.ErrorIs(t, err, monitor.ErrNotFound)
	require.EqualError(t, err, "monitor: performance of window 6: windows 7 to 70 are kept: not found")
	for _, window := range []int{-1, 0, 71} {
		_, err = m.Performance(window)
		require.ErrorIs(t, err, monitor.ErrNotFound)
	}
	// A label of a window that is gone still counts for the version.
	require.Equal(t, monitor.Matched, m.Label(monitor.NewID("r", 0), 1))
	require.EqualValues(t, 1, m.Overall().Labelled)
	p, err := m.Performance(7)
	require.NoError(t, err)
	require.Zero(t, p.Labelled)
}

// undelayed are the counts of labels without their delay, which is of the clock.
func undelayed(m *monitor.Monitor) monitor.LabelCounts {
	c := m.Snapshot().Labels
	c.Delay = 0
	return c
}
