package monitor_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
)

// TestMetrics checks the metrics of eight rows with their definitions, worked
// out by hand, and the intervals of shares with the formula of Wilson.
func TestMetrics(t *testing.T) {
	t.Parallel()
	src := newSource(70, 1, false)
	m := newMonitor(t, src.reference(t, 100), nil)
	scores := []float64{0.95, 0.85, 0.75, 0.65, 0.45, 0.35, 0.25, 0.15}
	truths := []float64{1, 1, 0, 1, 1, 0, 0, 0}
	for i, s := range scores {
		m.Observe([]float64{0}, s, monitor.NewID("r", i))
		require.Equal(t, monitor.Matched, m.Label(monitor.NewID("r", i), truths[i]))
	}
	l := m.Overall()
	require.Equal(t, []float64{3, 1, 1, 3}, []float64{l.Confusion.TP, l.Confusion.FP, l.Confusion.FN, l.Confusion.TN})
	for name, want := range map[string][3]float64{
		"accuracy":             {0.75, 0.409279, 0.928521},
		"precision":            {0.75, 0.300642, 0.954413},
		"recall":               {0.75, 0.300642, 0.954413},
		"f1":                   {0.75, math.NaN(), math.NaN()},
		"matthews_correlation": {0.5, math.NaN(), math.NaN()},
		"auc":                  {0.875, math.NaN(), math.NaN()},
		"brier":                {0.1525, math.NaN(), math.NaN()},
		"average_precision":    {0.8875, math.NaN(), math.NaN()},
		"lift_at_10_percent":   {2, math.NaN(), math.NaN()},
		"mean_score":           {0.55, math.NaN(), math.NaN()},
		"calibration_error":    {0.325, math.NaN(), math.NaN()},
	} {
		got, ok := l.Metric(name)
		require.True(t, ok, name)
		require.InDelta(t, want[0], got.Value, 1e-9, name)
		require.LessOrEqual(t, got.Low, got.Value, name)
		require.GreaterOrEqual(t, got.High, got.Value, name)
		if want[1] == want[1] {
			require.InDelta(t, want[1], got.Low, 1e-5, name)
			require.InDelta(t, want[2], got.High, 1e-5, name)
		}
	}
	_, ok := l.Metric("mae")
	require.False(t, ok, "a metric of numbers")
	data, err := json.Marshal(l)
	require.NoError(t, err)
	var back monitor.LabelReport
	require.NoError(t, json.Unmarshal(data, &back))
	require.Equal(t, l, back)
}

// TestIntervalsHoldTheTruth draws many windows and counts how often.
func TestIntervalsHoldTheTruth(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(71, 1))
	src := newSource(71, 1, false)
	m := newMonitor(t, src.reference(t, 100), nil)
	// A score uniform in [0,1] that is the probability: accuracy 3/4, auc 5/6,
	// Brier 1/6, recall and precision 3/4.
	truth := map[string]float64{"accuracy": 0.75, "recall": 0.75, "precision": 0.75, "auc": 5.0 / 6, "brier": 1.0 / 6, "f1": 0.75}
	held := map[string]int{}
	const windows, rows = 300, 200
	for w := range windows {
		for i := range rows {
			s, y := rng.Float64(), 0.0
			if rng.Float64() < s {
				y = 1
			}
			m.Observe([]float64{0}, s, monitor.NewID("r", w*rows+i))
			m.Label(monitor.NewID("r", w*rows+i), y)
		}
		r, err := m.Cut(t.Context())
		require.NoError(t, err)
		for name, v := range truth {
			if got, ok := r.Labels.Metric(name); ok && got.Low <= v && v <= got.High {
				held[name]++
			}
		}
	}
	for name := range truth {
		require.InDelta(t, 0.95, float64(held[name])/windows, 0.045, name)
	}
}

// TestEstimatedWithoutLabels moves the scores of a calibrated model towards the
// middle: what is expected without labels is what the labels show later.
func TestEstimatedWithoutLabels(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(72, 1))
	b, err := profile.NewBuilder([]profile.Input{{Name: "x", Kind: profile.Numeric}}, &profile.BuilderOptions{Score: true})
	require.NoError(t, err)
	// The model is too sure of itself: the probability of s is (1+2s)/4.
	draw := func(s float64) float64 {
		if rng.Float64() < (1+2*s)/4 {
			return 1
		}
		return 0
	}
	for range 60_000 {
		s := rng.Float64()
		require.NoError(t, b.Add(&profile.Record{Numbers: []float64{s}, Score: s, Outcome: draw(s)}))
	}
	ref, err := b.Reference()
	require.NoError(t, err)
	m := newMonitor(t, ref, nil)
	const rows = 20_000
	for i := range rows {
		s := 0.3 + 0.4*rng.Float64()
		m.Observe([]float64{s}, s, monitor.NewID("r", i))
		m.Label(monitor.NewID("r", i), draw(s))
	}
	r, err := m.Cut(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, r.Estimated)
	names := map[string]bool{}
	for _, e := range r.Estimated {
		names[e.Metric] = true
		real, ok := r.Labels.Metric(e.Metric)
		require.True(t, ok, e.Metric)
		require.InDelta(t, real.Value, e.Value, 0.025, e.Metric)
		require.LessOrEqual(t, e.Low, e.Value)
		require.GreaterOrEqual(t, e.High, e.Value)
	}
	require.True(t, names["auc"] && names["accuracy"] && names["f1"])
	for _, e := range r.Estimated {
		if e.Metric == "accuracy" {
			require.InDelta(t, 0.625, e.Reference, 0.01, "the mean of the better half")
		}
	}
	none := newSource(73, 1, false).reference(t, 1000)
	require.Empty(t, compare(t, none, none, nil).Estimated)
}

func TestFairness(t *testing.T) {
	t.Parallel()
	src := newSource(74, 1, true)
	m := newMonitor(t, src.reference(t, 1000), &monitor.Options{SliceBy: []string{"colour"}, Threshold: 0.7})
	// Of red and green, 40 and 80 of 100 rows are selected, of whose labels 30
	// and 20 are right; of each 10 more are missed. Blue has few.
	n := 0
	observe := func(colour, rows int, score, y float64) {
		for range rows {
			m.Observe([]float64{0, float64(colour)}, score, monitor.NewID("r", n))
			require.Equal(t, monitor.Matched, m.Label(monitor.NewID("r", n), y))
			n++
		}
	}
	for colour, right := range []int{30, 20} {
		observe(colour, right, 0.9, 1)
		observe(colour, 40*(colour+1)-right, 0.8, 0)
		observe(colour, 10, 0.6, 1)
		observe(colour, 100-40*(colour+1)-10, 0.1, 0)
	}
	observe(2, 5, 0.9, 1)
	m.Observe([]float64{0, math.NaN()}, 0.9, monitor.ID{})
	f := m.Fairness()
	require.Len(t, f, 1)
	require.Equal(t, "colour", f[0].By)
	red, green := f[0].Groups[0], f[0].Groups[1]
	require.Equal(t, "red", red.Value)
	require.EqualValues(t, 100, red.Rows)
	require.EqualValues(t, 100, red.Labelled)
	require.InDelta(t, 0.4, red.Selection, 1e-12)
	require.InDelta(t, 0.8, green.Selection, 1e-12)
	require.InDelta(t, 30.0/40, red.Recall, 1e-12)
	require.InDelta(t, 20.0/30, green.Recall, 1e-12)
	require.InDelta(t, 0.4, f[0].SelectionGap, 1e-12)
	require.InDelta(t, 30.0/40-20.0/30, f[0].OpportunityGap, 1e-12)
	require.InDelta(t, 60.0/70-10.0/60, f[0].OddsGap, 1e-12)
	require.EqualValues(t, 5, f[0].Groups[2].Rows)
	require.Empty(t, newMonitor(t, src.reference(t, 100), nil).Fairness())
}

// TestHorizon has labels that come over two days, the bad news first.
func TestHorizon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(75, 1, false)
		m := newMonitor(t, src.reference(t, 100), &monitor.Options{LabelHorizon: 48 * time.Hour})
		for i := range 100 {
			m.Observe([]float64{0}, 0.2, monitor.NewID("r", i))
		}
		r, err := m.Cut(t.Context())
		require.NoError(t, err)
		require.False(t, r.Labels.Mature)
		for i := range 60 {
			m.Label(monitor.NewID("r", i), 1)
		}
		require.Zero(t, m.Snapshot().Ripe.Window, "more than half have come, and not the usual ones")
		<-time.After(49 * time.Hour)
		for i := range 40 {
			m.Label(monitor.NewID("r", 60+i), 0)
		}
		l := m.Snapshot().Ripe
		require.Equal(t, 1, l.Window)
		p, err := m.Performance(1)
		require.NoError(t, err)
		require.True(t, p.Mature)
		require.Equal(t, 1.0, p.Coverage)
		require.InDelta(t, 0.6, p.PositiveRate, 1e-12)
	})
}
