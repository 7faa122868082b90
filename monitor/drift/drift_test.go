package drift_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor/drift"
)

// measures are those over two counts alone.
var measures = map[string]func(ref, cur []uint64) (drift.Result, error){
	"PSI": drift.PSI, "KL": drift.KL, "JensenShannon": drift.JensenShannon, "Hellinger": drift.Hellinger,
	"TotalVariation": drift.TotalVariation, "LInf": drift.LInf,
	"KolmogorovSmirnov": drift.KolmogorovSmirnov, "ChiSquare": drift.ChiSquare,
}

// tested are those with a p-value.
var tested = []string{"PSI", "KL", "JensenShannon", "Hellinger", "KolmogorovSmirnov", "ChiSquare", "LInf"}

func score(t *testing.T, name string, ref, cur []uint64) float64 {
	t.Helper()
	r, err := measures[name](ref, cur)
	require.NoError(t, err)
	return r.Score
}

// TestEvidentlyVector is the contract of Evidently's test_stattests.py, with
// the numbers it does not state from SciPy.
func TestEvidentlyVector(t *testing.T) {
	t.Parallel()
	ref, cur := []uint64{16, 18, 16, 14, 12, 12}, []uint64{16, 16, 16, 16, 16, 8}
	for name, want := range map[string]float64{
		"PSI": 0.0372184, "JensenShannon": 0.0817342, "Hellinger": 0.068128,
		"TotalVariation": 0.0681818, "LInf": 0.0454545, "ChiSquare": 1.622409,
	} {
		require.InDelta(t, want, score(t, name, ref, cur), 5e-7, name)
	}
	// The source gives the divergence of the reference from the window.
	require.InDelta(t, 0.0189097, score(t, "KL", cur, ref), 5e-8)
	require.InDelta(t, 0.0680482, score(t, "JensenShannon", ref, cur)*math.Sqrt(math.Ln2), 5e-8)
	chi, err := drift.ChiSquare(ref, cur)
	require.NoError(t, err)
	require.InDelta(t, 0.898526, chi.PValue, 5e-7)
	require.EqualValues(t, 5, chi.NoiseFloor)
}

func TestHandVector(t *testing.T) {
	t.Parallel()
	ref, cur := []uint64{25, 25, 25, 25}, []uint64{40, 30, 20, 10}
	near(t, 0.15*math.Log(1.6)+0.05*math.Log(1.2)-0.05*math.Log(0.8)-0.15*math.Log(0.4), score(t, "PSI", ref, cur))
	require.InDelta(t, 0.2282174, score(t, "PSI", ref, cur), 5e-8)
	require.InDelta(t, 0.2005033, score(t, "JensenShannon", ref, cur), 5e-8)
	require.InDelta(t, 0.1678996, score(t, "Hellinger", ref, cur), 5e-8)
	require.InDelta(t, 0.1217773, score(t, "KL", cur, ref), 5e-8)
	near(t, 0.2, score(t, "TotalVariation", ref, cur))
	near(t, 0.15, score(t, "LInf", ref, cur))
}

// TestSmallSamples puts two samples of eight on one grid of single values,
// where the binned measures are those of the samples.
func TestSmallSamples(t *testing.T) {
	t.Parallel()
	r := []float64{38.7, 41.5, 43.8, 44.5, 45.5, 46.0, 47.7, 58.0}
	c := []float64{39.2, 39.3, 39.7, 41.4, 41.8, 42.9, 43.3, 45.8}
	grid := append(slices.Clone(r), c...)
	slices.Sort(grid)
	ref, cur := make([]uint64, 16), make([]uint64, 16)
	var mean, square float64
	for i := range r {
		ref[slices.Index(grid, r[i])]++
		cur[slices.Index(grid, c[i])]++
		mean += r[i] / 8
		square += r[i] * r[i] / 8
	}
	sd := math.Sqrt(square - mean*mean)
	near(t, 0.625, score(t, "KolmogorovSmirnov", ref, cur))
	w, err := drift.Wasserstein(ref, cur, grid, 0)
	require.NoError(t, err)
	near(t, 4.1625, w.Score)
	w, err = drift.Wasserstein(ref, cur, grid, sd)
	require.NoError(t, err)
	require.InDelta(t, 0.7812361, w.Score, 5e-8)
}

func TestSciPyDocVectors(t *testing.T) {
	t.Parallel()
	w, err := drift.Wasserstein([]uint64{1, 1, 1, 0, 0, 0}, []uint64{0, 0, 0, 1, 1, 1}, []float64{0, 1, 3, 5, 6, 8}, 1)
	require.NoError(t, err)
	near(t, 5, w.Score)
	// Weights 1.4 .9 3.1 7.2 at 3.4 3.9 7.5 7.8, and 3.2 3.5 at 4.5 1.4.
	w, err = drift.Wasserstein([]uint64{0, 14, 9, 0, 31, 72}, []uint64{35, 0, 0, 32, 0, 0}, []float64{1.4, 3.4, 3.9, 4.5, 7.5, 7.8}, 1)
	require.NoError(t, err)
	near(t, 4.0781331438047861, w.Score)
	require.InDelta(t, 0.4645014*math.Sqrt(1/math.Ln2), score(t, "JensenShannon", []uint64{2, 0}, []uint64{1, 1}), 1e-7)
	near(t, 0.05, drift.KolmogorovTail(1.3580986393225505))
	near(t, 0.01, drift.KolmogorovTail(1.6276236115189503))
}

func TestBenjaminiHochberg1995(t *testing.T) {
	t.Parallel()
	p := []float64{.0001, .0004, .0019, .0095, .0201, .0278, .0298, .0344, .0459, .324, .4262, .5719, .6528, .759, 1}
	adjusted := drift.BenjaminiHochberg(p)
	for i, want := range []float64{.0015, .003, .0095, .035625, .0603} {
		near(t, want, adjusted[i])
	}
	rejected := func(ps []float64) (n int) {
		for _, v := range ps {
			if v <= 0.05 {
				n++
			}
		}
		return n
	}
	require.Equal(t, 4, rejected(adjusted))
	require.Equal(t, 3, rejected(drift.Bonferroni(p)))
	near(t, 0.006, drift.Bonferroni(p)[1])
	require.EqualValues(t, 1, drift.Bonferroni(p)[14])

	shuffled := []float64{1, .0019, math.NaN(), .0001}
	require.InDeltaSlice(t, []float64{1, .00285, .0003}, without(drift.BenjaminiHochberg(shuffled), 2), 1e-15)
	require.True(t, math.IsNaN(drift.BenjaminiHochberg(shuffled)[2]))
	require.InDeltaSlice(t, []float64{1, .0057, .0003}, without(drift.Bonferroni(shuffled), 2), 1e-15)
	require.True(t, math.IsNaN(drift.Bonferroni(shuffled)[2]))
	require.Equal(t, []float64{1, .0019, .0001}, without(shuffled, 2), "the input is left as it is")
	require.Empty(t, drift.BenjaminiHochberg(nil))
	require.Empty(t, drift.Bonferroni(nil))
}

func without(vs []float64, i int) []float64 { return slices.Delete(slices.Clone(vs), i, i+1) }

func TestSameSharesAreNoDrift(t *testing.T) {
	t.Parallel()
	ref, cur := []uint64{10, 0, 50, 40}, []uint64{100, 0, 500, 400}
	for name, f := range measures {
		r, err := f(ref, cur)
		require.NoError(t, err)
		require.InDelta(t, 0, r.Score, 1e-15, name)
		require.Positive(t, r.NoiseFloor, name)
		if slices.Contains(tested, name) {
			require.InDelta(t, 1, r.PValue, 1e-12, name)
		} else {
			require.True(t, math.IsNaN(r.PValue), name)
		}
	}
}

func TestOppositeSharesAreTheLargestDrift(t *testing.T) {
	t.Parallel()
	ref, cur := []uint64{500, 500, 0, 0}, []uint64{0, 0, 500, 500}
	for _, name := range []string{"JensenShannon", "Hellinger", "TotalVariation", "KolmogorovSmirnov"} {
		near(t, 1, score(t, name, ref, cur), name)
	}
	near(t, 0.5, score(t, "LInf", ref, cur))
	for _, name := range tested {
		r, err := measures[name](ref, cur)
		require.NoError(t, err)
		require.Less(t, r.PValue, 1e-50, name)
		require.False(t, math.IsInf(r.Score, 0), name)
	}
}

func TestEmptyBins(t *testing.T) {
	t.Parallel()
	ref, cur := []uint64{30, 20, 0}, []uint64{10, 10, 5}
	p := []float64{30.5 / 51.5, 20.5 / 51.5, 0.5 / 51.5}
	q := []float64{10.5 / 26.5, 10.5 / 26.5, 5.5 / 26.5}
	var psi, kl float64
	for i := range p {
		psi += (q[i] - p[i]) * math.Log(q[i]/p[i])
		kl += q[i] * math.Log(q[i]/p[i])
	}
	near(t, psi, score(t, "PSI", ref, cur))
	near(t, kl, score(t, "KL", ref, cur))
	near(t, 0.2, score(t, "TotalVariation", ref, cur))
	// A bin that nobody is in changes nothing, the degrees of freedom included.
	for name, f := range measures {
		want, err := f(ref, cur)
		require.NoError(t, err)
		got, err := f([]uint64{0, 30, 0, 20, 0, 0}, []uint64{0, 10, 0, 10, 5, 0})
		require.NoError(t, err)
		if !slices.Contains(tested, name) {
			want.PValue, got.PValue = 0, 0
		}
		require.Equal(t, want, got, name)
	}
}

func TestOneBin(t *testing.T) {
	t.Parallel()
	for _, name := range tested {
		r, err := measures[name]([]uint64{7}, []uint64{9})
		require.NoError(t, err)
		require.Zero(t, r.Score, name)
		require.EqualValues(t, 1, r.PValue, name)
	}
}

func TestChiSquareMergesSmallCells(t *testing.T) {
	t.Parallel()
	big := func(ref, cur []uint64) drift.Result {
		r, err := drift.ChiSquare(ref, cur)
		require.NoError(t, err)
		return r
	}
	// Four cells of two rows each are one of eight.
	require.Equal(t, big([]uint64{50, 40, 8}, []uint64{40, 50, 8}),
		big([]uint64{50, 2, 2, 40, 2, 2}, []uint64{40, 2, 2, 50, 2, 2}))
	// One cell of two rows joins the smallest of the others.
	require.Equal(t, big([]uint64{50, 32}, []uint64{40, 51}), big([]uint64{50, 2, 30}, []uint64{40, 1, 50}))
	// Nothing is large enough for a test.
	require.Equal(t, drift.Result{PValue: 1}, big([]uint64{1, 2, 1}, []uint64{2, 0, 1}))
}

func TestNothingToCompare(t *testing.T) {
	t.Parallel()
	full := []uint64{3, 4}
	for name, f := range measures {
		for _, c := range [][2][]uint64{
			{nil, nil}, {full, nil}, {full, {1}}, {full, {1, 2, 3}}, {full, {0, 0}}, {{0, 0}, full}, {{0}, {0}},
		} {
			r, err := f(c[0], c[1])
			require.ErrorIs(t, err, drift.ErrInvalid, name)
			require.Zero(t, r, name)
		}
	}
	_, err := drift.PSI(full, []uint64{1})
	require.EqualError(t, err, "drift: psi: 2 reference bins and 1 current ones: made from different references: invalid")
	_, err = drift.PSI(full, []uint64{0, 0})
	require.EqualError(t, err, "drift: psi: 7 reference rows and 0 current ones, want some of both: invalid")
	for _, positions := range [][]float64{nil, {1}, {2, 1}, {1, math.NaN()}, {math.Inf(1), math.Inf(1)}} {
		_, err := drift.Wasserstein(full, full, positions, 1)
		require.ErrorIs(t, err, drift.ErrInvalid, "%v", positions)
	}
	_, err = drift.Wasserstein(full, nil, nil, 1)
	require.ErrorIs(t, err, drift.ErrInvalid)
}

func TestAUC(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scores   []float64
		positive []bool
		want     float64
	}{
		{[]float64{0.1, 0.2, 0.8, 0.9}, []bool{false, false, true, true}, 1},
		{[]float64{0.1, 0.2, 0.8, 0.9}, []bool{true, true, false, false}, 0},
		{[]float64{0.5, 0.5, 0.5}, []bool{true, false, true}, 0.5},
		{[]float64{0.1, 0.4, 0.35, 0.8}, []bool{false, false, true, true}, 0.75}, // scikit-learn's example.
		{[]float64{math.Inf(-1), math.Inf(1)}, []bool{false, true}, 1},
	} {
		got, err := drift.AUC(c.scores, c.positive)
		require.NoError(t, err)
		near(t, c.want, got)
	}
	for _, c := range []struct {
		scores   []float64
		positive []bool
	}{
		{nil, nil},
		{[]float64{1}, nil},
		{[]float64{1, 2}, []bool{true, true}},
		{[]float64{1, 2}, []bool{false, false}},
		{[]float64{1, math.NaN()}, []bool{false, true}},
	} {
		_, err := drift.AUC(c.scores, c.positive)
		require.ErrorIs(t, err, drift.ErrInvalid)
	}
	_, err := drift.AUCBinned([]uint64{1}, []uint64{1, 2})
	require.ErrorIs(t, err, drift.ErrInvalid)
	_, err = drift.AUCBinned([]uint64{0, 0}, []uint64{1, 2})
	require.ErrorIs(t, err, drift.ErrInvalid)
}

func TestMeasuresDoNotAllocate(t *testing.T) {
	ref, cur, positions := bins64()
	for name, f := range measures {
		require.Zero(t, testing.AllocsPerRun(10, func() { _, _ = f(ref, cur) }), name)
	}
	require.Zero(t, testing.AllocsPerRun(10, func() { _, _ = drift.Wasserstein(ref, cur, positions, 1) }))
	require.Zero(t, testing.AllocsPerRun(10, func() { _, _ = drift.Energy(ref, cur, positions, 1) }))
	require.Zero(t, testing.AllocsPerRun(10, func() { _, _ = drift.All(ref, cur, positions, 1) }))
	for _, f := range []func(ref, cur []uint64) (drift.Result, error){drift.G, drift.ChiSquareFit, drift.GFit, drift.CramerVonMises, drift.MannWhitney} {
		require.Zero(t, testing.AllocsPerRun(10, func() { _, _ = f(ref, cur) }))
	}
	// The exact law of a small window as well.
	small := []uint64{5, 9, 3, 8}
	require.Zero(t, testing.AllocsPerRun(10, func() { _, _ = drift.KolmogorovSmirnov(small, small[:4:4]) }))
}
