package estimate_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor/drift/estimate"
)

// oracle is testdata/oracle.json, which testdata/oracle.py makes.
type oracle struct {
	Isotonic []struct {
		Scores   []float64
		Labels   []bool
		At, Want []float64
	}
	Confusion []struct {
		Cells [4]float64 // TP, FP, FN, TN.
		Want  map[estimate.Metric]float64
		FBeta float64 `json:"fbeta2"`
	}
	AUC []struct {
		P    []float64
		Want float64
	}
}

func loadOracle(t *testing.T) oracle {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "oracle.json"))
	require.NoError(t, err)
	var o oracle
	require.NoError(t, json.Unmarshal(raw, &o))
	require.NotEmpty(t, o.Isotonic)
	return o
}

func TestAgainstScikitLearn(t *testing.T) {
	t.Parallel()
	o := loadOracle(t)
	for _, c := range o.Isotonic {
		fit, err := estimate.FitIsotonic(c.Scores, c.Labels)
		require.NoError(t, err)
		require.NoError(t, fit.Validate())
		for i, s := range c.At {
			require.InDelta(t, c.Want[i], fit.Probability(s), 1e-9, "at %g of %d rows", s, len(c.Scores))
		}
	}
	for _, c := range o.Confusion {
		m := estimate.Confusion{TP: c.Cells[0], FP: c.Cells[1], FN: c.Cells[2], TN: c.Cells[3]}
		require.Len(t, c.Want, 10)
		for name, want := range c.Want {
			require.InDelta(t, want, m.Metric(name), 1e-12, name)
		}
		require.InDelta(t, c.FBeta, m.FBeta(2), 1e-12)
	}
	for _, c := range o.AUC {
		got, err := estimate.ExpectedAUC(c.P, c.P)
		require.NoError(t, err)
		require.InDelta(t, c.Want, got, 1e-12)
	}
}

// TestVector is the reference's, by NannyML's formulas.
func TestVector(t *testing.T) {
	t.Parallel()
	p := []float64{0.9, 0.8, 0.3, 0.1}
	var c estimate.CBPE
	for _, v := range p {
		c.Add(v, v >= 0.5)
	}
	m := c.Confusion()
	for i, want := range []float64{1.7, 0.3, 0.4, 1.6} {
		require.InDelta(t, want, []float64{m.TP, m.FP, m.FN, m.TN}[i], 1e-12)
	}
	require.InDelta(t, 0.825, m.Metric(estimate.Accuracy), 1e-12)
	require.InDelta(t, 0.85, m.Metric(estimate.Precision), 1e-12)
	require.InDelta(t, 1.7/2.1, m.Metric(estimate.Recall), 1e-12)
	require.InDelta(t, 3.4/4.1, m.Metric(estimate.F1), 1e-12)
	auc, err := estimate.ExpectedAUC(p, p)
	require.NoError(t, err)
	require.InDelta(t, 3.445/3.99, auc, 1e-12)
	require.InDelta(t, auc, c.AUC(), 1e-12)
}

// TestEstimateMeetsLabels draws labels from the probabilities, and wants the
// estimate to be within its bounds about as often as they say.
func TestEstimateMeetsLabels(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 0))
	const windows, rows = 300, 1000
	within := map[estimate.Metric]int{}
	aucWithin := 0
	metrics := []estimate.Metric{estimate.Accuracy, estimate.Precision, estimate.Recall, estimate.F1, estimate.MatthewsCorrelation}
	var first estimate.Confusion
	for w := range windows {
		var c estimate.CBPE
		var seen estimate.Confusion
		var pos, neg [estimate.Bins]float64
		for range rows {
			p := r.Float64()
			p = p * p
			label := r.Float64() < p
			c.Add(p, p >= 0.5)
			switch {
			case label && p >= 0.5:
				seen.TP++
			case label:
				seen.FN++
			case p >= 0.5:
				seen.FP++
			default:
				seen.TN++
			}
			if label {
				pos[int(p*estimate.Bins)]++
			} else {
				neg[int(p*estimate.Bins)]++
			}
		}
		if w == 0 {
			first = seen
		}
		for _, m := range metrics {
			se := first.StandardError(m, rows)
			low, high := estimate.Bounds(m, c.Confusion().Metric(m), se)
			if v := seen.Metric(m); v >= low && v <= high {
				within[m]++
			}
		}
		var won, all, below float64
		for i := range pos {
			won += pos[i] * (below + neg[i]/2)
			below += neg[i]
			all += pos[i]
		}
		se := estimate.AUCStandardError(c.AUC(), all, below)
		if math.Abs(won/all/below-c.AUC()) <= 3*se {
			aucWithin++
		}
	}
	for _, m := range metrics {
		require.GreaterOrEqual(t, within[m], windows*97/100, m)
	}
	require.GreaterOrEqual(t, aucWithin, windows*97/100)
}

func TestStandardError(t *testing.T) {
	t.Parallel()
	c := estimate.Confusion{TP: 400, FP: 100, FN: 150, TN: 350}
	require.InEpsilon(t, math.Sqrt(0.75*0.25/200), c.StandardError(estimate.Accuracy, 200), 1e-9)
	require.InEpsilon(t, math.Sqrt(0.8*0.2/(200*0.5)), c.StandardError(estimate.Precision, 200), 1e-9)
	recall := 400. / 550
	require.InEpsilon(t, math.Sqrt(recall*(1-recall)/(200*0.55)), c.StandardError(estimate.Recall, 200), 1e-9)
	// Against a simulation, for those without a closed form.
	r := rand.New(rand.NewPCG(4, 0))
	for _, m := range []estimate.Metric{estimate.F1, estimate.MatthewsCorrelation, estimate.CohensKappa, estimate.BalancedAccuracy, estimate.Jaccard} {
		var sum, square float64
		const runs, rows = 1000, 400
		for range runs {
			var d estimate.Confusion
			for range rows {
				switch u := r.Float64(); {
				case u < 0.4:
					d.TP++
				case u < 0.5:
					d.FP++
				case u < 0.65:
					d.FN++
				default:
					d.TN++
				}
			}
			v := d.Metric(m)
			sum += v
			square += v * v
		}
		require.InEpsilon(t, math.Sqrt(square/runs-sum/runs*sum/runs), c.StandardError(m, rows), 0.1, m)
	}
	for _, m := range estimate.Metrics() {
		v := estimate.Confusion{}.Metric(m)
		require.True(t, math.IsNaN(v), m)
		require.True(t, math.IsNaN(estimate.Confusion{}.StandardError(m, 10)), m)
		require.Positive(t, c.StandardError(m, 10), m)
		low, high := estimate.Bounds(m, 0.99, 5)
		require.InDelta(t, 1, high, 0)
		require.LessOrEqual(t, low, 0.0)
	}
	require.True(t, math.IsNaN(c.StandardError(estimate.Accuracy, 0)))
	require.True(t, math.IsNaN(c.Metric("beauty")))
	require.InDelta(t, 0.0313688, estimate.AUCStandardError(0.8, 100, 100), 5e-8) // By hand.
	for _, bad := range [][3]float64{{math.NaN(), 5, 5}, {1.1, 5, 5}, {0.5, 0, 5}, {0.5, 5, 0}} {
		require.True(t, math.IsNaN(estimate.AUCStandardError(bad[0], bad[1], bad[2])))
	}
	low, high, err := estimate.ChunkLimits([]float64{0.7, 0.9, math.NaN()})
	require.NoError(t, err)
	require.InDelta(t, 0.5, low, 1e-12)
	require.InDelta(t, 1.1, high, 1e-12)
	_, _, err = estimate.ChunkLimits([]float64{0.7, math.NaN()})
	require.ErrorIs(t, err, estimate.ErrInvalid)
}

func TestMergeAndStore(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 0))
	var all, a, b estimate.CBPE
	for i := range 1000 {
		p := r.Float64()
		if i%100 == 0 {
			p = math.NaN()
		}
		all.Add(p, p > 0.3)
		if i%3 == 0 {
			a.Add(p, p > 0.3)
		} else {
			b.Add(p, p > 0.3)
		}
	}
	a.Merge(&b)
	require.EqualValues(t, 10, all.Left())
	require.Equal(t, all.Left(), a.Left())
	require.InDelta(t, all.AUC(), a.AUC(), 1e-12)
	require.InDelta(t, all.Confusion().TP, a.Confusion().TP, 1e-9)
	raw, err := json.Marshal(all.Sums())
	require.NoError(t, err)
	var s estimate.Sums
	require.NoError(t, json.Unmarshal(raw, &s))
	again, err := estimate.FromSums(s)
	require.NoError(t, err)
	require.Equal(t, all, *again)
	s.Positive[3] = -1
	_, err = estimate.FromSums(s)
	require.ErrorIs(t, err, estimate.ErrInvalid)
	_, err = estimate.FromSums(estimate.Sums{})
	require.ErrorIs(t, err, estimate.ErrInvalid)
}

func TestAddDoesNotAllocate(t *testing.T) {
	var c estimate.CBPE
	require.Zero(t, testing.AllocsPerRun(100, func() { c.Add(0.4, true) }))
}

func BenchmarkCBPE(b *testing.B) {
	var c estimate.CBPE
	b.ReportAllocs()
	p := 0.0
	for b.Loop() {
		if p += 0.137; p > 1 {
			p--
		}
		c.Add(p, p > 0.5)
	}
}

func TestCalibration(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(6, 0))
	p, q, y := make([]float64, 3000), make([]float64, 3000), make([]bool, 3000)
	for i := range p {
		p[i] = r.Float64()
		q[i] = p[i] * p[i] * p[i] // Too sure of itself.
		y[i] = r.Float64() < p[i]
	}
	good, err := estimate.ECE(p, y, 10)
	require.NoError(t, err)
	bad, err := estimate.ECE(q, y, 10)
	require.NoError(t, err)
	require.Less(t, good, 0.03)
	require.Greater(t, bad, 0.2)
	needs, err := estimate.NeedsCalibration(q, y, 10)
	require.NoError(t, err)
	require.True(t, needs)
	fit, err := estimate.FitIsotonic(q, y)
	require.NoError(t, err)
	for i, v := range q {
		q[i] = fit.Probability(v)
	}
	fixed, err := estimate.ECE(q, y, 10)
	require.NoError(t, err)
	require.Less(t, fixed, 0.03)
	// By hand: two bins.
	e, err := estimate.ECE([]float64{0.1, 0.3, 0.9, 1}, []bool{false, true, true, false}, 2)
	require.NoError(t, err)
	require.InDelta(t, (math.Abs(1-0.4)+math.Abs(1-1.9))/4, e, 1e-12)
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		p []float64
		y []bool
	}{{nil, nil}, {[]float64{1}, nil}, {[]float64{nan}, []bool{true}}, {[]float64{inf}, []bool{true}}} {
		_, err := estimate.FitIsotonic(c.p, c.y)
		require.ErrorIs(t, err, estimate.ErrInvalid)
		_, err = estimate.ECE(c.p, c.y, 10)
		require.ErrorIs(t, err, estimate.ErrInvalid)
		_, err = estimate.NeedsCalibration(c.p, c.y, 10)
		require.ErrorIs(t, err, estimate.ErrInvalid)
	}
	_, err := estimate.ECE([]float64{0.5}, []bool{true}, 0)
	require.ErrorIs(t, err, estimate.ErrInvalid)
	for _, c := range [][2][]float64{{nil, nil}, {{1}, nil}, {{nan}, {1}}, {{1}, {nan}}, {{1, 2}, {1, 1}}, {{1, 2}, {0, 0}}} {
		_, err := estimate.ExpectedAUC(c[0], c[1])
		require.ErrorIs(t, err, estimate.ErrInvalid)
	}
	for _, i := range []estimate.Isotonic{
		{}, {Scores: []float64{1}}, {Scores: []float64{1}, Probabilities: []float64{2}}, {Scores: []float64{nan}, Probabilities: []float64{0.5}},
		{Scores: []float64{1, 1}, Probabilities: []float64{0.1, 0.2}}, {Scores: []float64{1, 2}, Probabilities: []float64{0.3, 0.2}},
	} {
		require.ErrorIs(t, i.Validate(), estimate.ErrInvalid)
	}
	i := estimate.Isotonic{Scores: []float64{-math.MaxFloat64, math.MaxFloat64}, Probabilities: []float64{0.2, 0.6}}
	require.NoError(t, i.Validate())
	require.InDelta(t, 0.4, i.Probability(0), 1e-12)
	require.InDelta(t, 0.6, i.Probability(inf), 1e-12)
	require.InDelta(t, 0.2, i.Probability(-inf), 1e-12)
	require.True(t, math.IsNaN(i.Probability(nan)))
	var c estimate.CBPE
	require.True(t, math.IsNaN(c.AUC()))
	c.Add(7, true)
	c.Add(-inf, false)
	require.Equal(t, estimate.Confusion{TP: 1, TN: 1}, c.Confusion())
}
