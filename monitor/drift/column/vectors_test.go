package column_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor/drift"
	"github.com/millwright-ml/millwright/monitor/drift/column"
)

// TestEvidentlyVector is the contract of Evidently's test_stattests.py, with
// more digits and the other tests from SciPy.
func TestEvidentlyVector(t *testing.T) {
	t.Parallel()
	r := []float64{38.7, 41.5, 43.8, 44.5, 45.5, 46.0, 47.7, 58.0}
	c := []float64{39.2, 39.3, 39.7, 41.4, 41.8, 42.9, 43.3, 45.8}
	check := func(score, p float64, got drift.Result, err error) {
		t.Helper()
		require.NoError(t, err)
		require.InDelta(t, score, got.Score, 5e-7)
		require.InDelta(t, p, got.PValue, 5e-7)
	}
	got, err := column.KolmogorovSmirnov(r, c)
	check(0.625, 0.0870241, got, err)
	got, err = column.CramerVonMises(r, c)
	check(0.4375, 0.0643357, got, err)
	got, err = column.EppsSingleton(r, c)
	check(3.981989, 0.408449, got, err)
	got, err = column.AndersonDarling(drift.Midrank, r, c)
	require.NoError(t, err)
	require.InDelta(t, 1.718310, got.Score, 5e-7)
	require.InDelta(t, 0.0635, got.PValue, 1e-3) // Of the table; the law itself gives 0.0626.
	got, err = column.Student(r, c)
	require.NoError(t, err)
	require.InDelta(t, 0.0841057, got.PValue, 5e-8)
	got, err = column.Wasserstein(r, c, 0)
	require.NoError(t, err)
	require.InDelta(t, 4.1625, got.Score, 1e-12)
	got, err = column.Wasserstein(r, c, column.StandardDeviation(r))
	require.NoError(t, err)
	require.InDelta(t, 0.7812361, got.Score, 5e-8)
	got, err = column.Energy(r, c, 0)
	require.NoError(t, err)
	require.InDelta(t, 1.5702309, got.Score, 5e-8)
}

// TestScholzStephens holds the four laboratories of their section 5.
func TestScholzStephens(t *testing.T) {
	t.Parallel()
	labs := [][]float64{
		{38.7, 41.5, 43.8, 44.5, 45.5, 46.0, 47.7, 58.0},
		{39.2, 39.3, 39.7, 41.4, 41.8, 42.9, 43.3, 45.8},
		{34.0, 35.0, 39.0, 40.0, 43.0, 43.0, 44.0, 45.0},
		{34.0, 34.8, 34.8, 35.4, 37.2, 37.8, 41.2, 42.8},
	}
	plain, err := column.AndersonDarling(drift.RightEnd, labs...)
	require.NoError(t, err)
	require.InDelta(t, 4.4493, plain.Score, 5e-5)
	mid, err := column.AndersonDarling(drift.Midrank, labs...)
	require.NoError(t, err)
	require.InDelta(t, 4.4798, mid.Score, 5e-5)
	require.InDelta(t, 0.0020, mid.PValue, 5e-4)
	// The order of the samples and of their values means nothing.
	again, err := column.AndersonDarling(drift.Midrank, labs[2], labs[0], labs[3], labs[1])
	require.NoError(t, err)
	require.InDelta(t, mid.Score, again.Score, 1e-12)
	require.InDelta(t, mid.PValue, again.PValue, 1e-12)
}

// TestGoergKaiser is the example of the paper that corrected the test.
func TestGoergKaiser(t *testing.T) {
	t.Parallel()
	x := []float64{-0.35, 2.55, 1.73, 0.73, 0.35, 2.69, 0.46, -0.94, -0.37, 12.07}
	y := []float64{-1.15, -0.15, 2.48, 3.25, 3.71, 4.29, 5.00, 7.74, 8.38, 8.60}
	got, err := column.EppsSingleton(x, y)
	require.NoError(t, err)
	require.InDelta(t, 15.14, got.Score, 0.03) // The paper rounds on its way.
	require.InDelta(t, 15.163, got.Score, 5e-4)
	require.InDelta(t, 0.00437, got.PValue, 5e-6)
}

func TestSciPyDocVectors(t *testing.T) {
	t.Parallel()
	w, err := column.Wasserstein([]float64{0, 1, 3}, []float64{5, 6, 8}, 1)
	require.NoError(t, err)
	near(t, 5, w.Score)
	weighted, err := column.WassersteinWeighted([]float64{3.4, 3.9, 7.5, 7.8}, []float64{1.4, 0.9, 3.1, 7.2}, []float64{4.5, 1.4}, []float64{3.2, 3.5}, 1)
	require.NoError(t, err)
	near(t, 4.0781331438047861, weighted)
	e, err := column.Energy([]float64{0}, []float64{2}, 1)
	require.NoError(t, err)
	near(t, 2, e.Score)
	weighted, err = column.EnergyWeighted([]float64{.7, 7.4, 2.4, 6.8}, []float64{2.1, 4.2, 7.4, 8}, []float64{1.4, 8}, []float64{7.6, 8.8}, 1)
	require.NoError(t, err)
	near(t, 0.88003340976158217, weighted)
}

// tests are the functions of two columns.
var tests = map[string]func(ref, cur []float64) (drift.Result, error){
	"KolmogorovSmirnov": column.KolmogorovSmirnov, "CramerVonMises": column.CramerVonMises, "MannWhitney": column.MannWhitney,
	"AndersonDarling": func(ref, cur []float64) (drift.Result, error) { return column.AndersonDarling(drift.Midrank, ref, cur) },
	"RightEnd": func(ref, cur []float64) (drift.Result, error) {
		return column.AndersonDarling(drift.RightEnd, ref, cur)
	},
	"Wasserstein": func(ref, cur []float64) (drift.Result, error) { return column.Wasserstein(ref, cur, 1) },
	"Energy":      func(ref, cur []float64) (drift.Result, error) { return column.Energy(ref, cur, 1) },
	"Student":     column.Student, "Welch": column.Welch, "EppsSingleton": column.EppsSingleton,
}

// ordered are those that only know which value is higher.
var ordered = map[string]bool{"KolmogorovSmirnov": true, "CramerVonMises": true, "MannWhitney": true, "AndersonDarling": true, "RightEnd": true}

func TestOddValues(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	x, y := []float64{1, 2, 3, 4, 5, 7}, []float64{2, 3, 4, 5, 6, 9}
	for name, f := range tests {
		plain, err := f(x, y)
		require.NoError(t, err, name)
		// A NaN is left out.
		got, err := f(append([]float64{nan}, x...), append(y[:6:6], nan, nan))
		require.NoError(t, err, name)
		requireSame(t, plain, got, name)
		// Infinities are the ends of the order, and else no numbers.
		got, err = f([]float64{1, 2, 3, 4, 5, inf}, []float64{-inf, 3, 4, 5, 6, inf})
		if ordered[name] {
			require.NoError(t, err, name)
			want, err := f([]float64{1, 2, 3, 4, 5, 1e9}, []float64{-1e9, 3, 4, 5, 6, 1e9})
			require.NoError(t, err, name)
			requireSame(t, want, got, name)
		} else {
			require.ErrorIs(t, err, column.ErrInvalid, name)
		}
		// The largest numbers.
		huge := math.MaxFloat64
		got, err = f([]float64{-huge, -huge, -huge, huge, huge, huge}, []float64{-huge, -huge, huge, huge, huge, -huge / 2})
		require.NoError(t, err, name)
		require.False(t, math.IsNaN(got.Score) || math.IsNaN(got.Effect), name)
		// Constants.
		same := []float64{4, 4, 4, 4, 4}
		got, err = f(same, append(same, 4))
		require.NoError(t, err, name)
		require.Zero(t, got.Score, name)
		if name != "Wasserstein" {
			require.EqualValues(t, 1, got.PValue, name)
		}
		for _, none := range [][]float64{nil, {}, {nan, nan}} {
			_, err = f(none, y)
			require.ErrorIs(t, err, column.ErrInvalid, name)
			_, err = f(x, none)
			require.ErrorIs(t, err, column.ErrInvalid, name)
		}
	}
	// Constants of different values.
	for _, f := range []func(ref, cur []float64) (drift.Result, error){column.Student, column.Welch} {
		got, err := f([]float64{1, 1, 1}, []float64{2, 2})
		require.NoError(t, err)
		require.True(t, math.IsInf(got.Score, 1) && math.IsInf(got.Effect, 1))
		require.Zero(t, got.PValue)
	}
	_, err := column.EppsSingleton(x, y[:4])
	require.ErrorIs(t, err, column.ErrInvalid)
	_, err = column.Welch(x, y[:1])
	require.ErrorIs(t, err, column.ErrInvalid)
	_, err = column.AndersonDarling(drift.Midrank, x)
	require.ErrorIs(t, err, column.ErrInvalid)
	for _, c := range [][4][]float64{
		{{1}, {1, 1}, {2}, {1}}, {{nan}, {1}, {2}, {1}}, {{inf}, {1}, {2}, {1}}, {{1}, {-1}, {2}, {1}}, {{1}, {nan}, {2}, {1}},
		{{1}, {0}, {2}, {1}}, {{1}, {1}, {2}, {inf}}, {nil, nil, {2}, {1}}, {{1}, {1}, nil, nil},
	} {
		_, err := column.WassersteinWeighted(c[0], c[1], c[2], c[3], 1)
		require.ErrorIs(t, err, column.ErrInvalid, "%v", c)
		_, err = column.EnergyWeighted(c[0], c[1], c[2], c[3], 1)
		require.ErrorIs(t, err, column.ErrInvalid, "%v", c)
	}
	require.EqualValues(t, 1, column.StandardDeviation([]float64{nan, inf}))
	require.EqualValues(t, 1e-3, column.StandardDeviation([]float64{7, 7}))
	near(t, 1.5, column.StandardDeviation([]float64{1, 4, inf, nan}))
}

func requireSame(t *testing.T, want, got drift.Result, name string) {
	t.Helper()
	for i, w := range []float64{want.Score, want.NoiseFloor, want.PValue, want.Effect} {
		g := []float64{got.Score, got.NoiseFloor, got.PValue, got.Effect}[i]
		if w == w || g == g {
			require.InDelta(t, w, g, 1e-12, name)
		}
	}
}

func TestBin(t *testing.T) {
	t.Parallel()
	ref := make([]float64, 100)
	for i := range ref {
		ref[i] = float64((i * 37) % 100)
	}
	cur := []float64{-5, math.Inf(-1), 9, 10, 55, 99, 400, math.Inf(1), math.NaN()}
	b, err := column.Bin(ref, cur, 10)
	require.NoError(t, err)
	require.Equal(t, []float64{10, 20, 30, 40, 50, 60, 70, 80, 90}, b.Edges)
	require.Equal(t, []uint64{10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 0}, b.Ref)
	require.Equal(t, []uint64{3, 1, 0, 0, 0, 1, 0, 0, 0, 3, 1}, b.Cur)
	// A value that fills several bins fills one.
	b, err = column.Bin([]float64{1, 1, 1, 1, 1, 1, 2, 3}, nil, 4)
	require.NoError(t, err)
	require.Equal(t, []float64{2}, b.Edges)
	require.Equal(t, []uint64{6, 2, 0}, b.Ref)
	require.Equal(t, []uint64{0, 0, 0}, b.Cur)
	for _, c := range []struct {
		ref  []float64
		bins int
	}{{ref, 0}, {nil, 3}, {[]float64{math.NaN()}, 3}} {
		_, err = column.Bin(c.ref, cur, c.bins)
		require.ErrorIs(t, err, column.ErrInvalid)
	}
}
