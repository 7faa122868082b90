package drift_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor/drift"
)

// all are the measures of two counts by their names.
func all(t *testing.T, ref, cur []uint64) map[drift.Method]drift.Result {
	t.Helper()
	positions := make([]float64, len(ref))
	for i := range positions {
		positions[i] = float64(i)
	}
	out := map[drift.Method]drift.Result{}
	for _, m := range drift.Methods() {
		r, err := m.Measure(ref, cur, positions, 2)
		require.NoError(t, err, m)
		out[m] = r
	}
	return out
}

func TestAllIsEach(t *testing.T) {
	t.Parallel()
	s := newSampler(21, 12)
	for _, c := range [][2][]uint64{
		{s.draw(5000), s.draw(700)}, {s.draw(40), s.draw(30)}, {{5, 0, 3}, {0, 0, 9}}, {{5, 1, 3}, {9, 2, 0}}, {{1}, {7}},
		{{1 << 40, 1 << 41, 0}, {1 << 40, 3, 1 << 20}},
	} {
		positions := make([]float64, len(c[0]))
		for i := range positions {
			positions[i] = float64(i)
		}
		got, err := drift.All(c[0], c[1], positions, 2)
		require.NoError(t, err)
		each := all(t, c[0], c[1])
		for m, r := range map[drift.Method]drift.Result{
			drift.MethodPSI: got.PSI, drift.MethodKL: got.KL, drift.MethodJensenShannon: got.JensenShannon, drift.MethodHellinger: got.Hellinger,
			drift.MethodTotalVariation: got.TotalVariation, drift.MethodLInf: got.LInf, drift.MethodChiSquare: got.ChiSquare,
			drift.MethodKolmogorovSmirnov: got.KolmogorovSmirnov, drift.MethodWasserstein: got.Wasserstein,
		} {
			want := each[m]
			require.InDelta(t, want.Score, r.Score, 1e-9*math.Abs(want.Score)+1e-13, m)
			require.InDelta(t, want.NoiseFloor, r.NoiseFloor, 1e-12*want.NoiseFloor, m)
			require.InDelta(t, want.Effect, r.Effect, 1e-9*want.Effect+1e-13, m)
			if want.PValue == want.PValue || r.PValue == r.PValue {
				require.InDelta(t, want.PValue, r.PValue, 1e-9, m)
			}
		}
		categories, err := drift.All(c[0], c[1], nil, 0)
		require.NoError(t, err)
		require.Equal(t, got.PSI, categories.PSI)
		require.Zero(t, categories.Wasserstein)
		require.Zero(t, categories.KolmogorovSmirnov)
	}
	_, err := drift.All([]uint64{1}, []uint64{0}, nil, 1)
	require.ErrorIs(t, err, drift.ErrInvalid)
	_, err = drift.All([]uint64{1, 2}, []uint64{2, 1}, []float64{2, 1}, 1)
	require.ErrorIs(t, err, drift.ErrInvalid)
}

// TestEveryMeasure checks what holds for all: nothing for equal shares, the
// same both ways and with either order of the bins, the effect without the
// number of rows, sums of replicas.
func TestEveryMeasure(t *testing.T) {
	t.Parallel()
	s := newSampler(22, 16)
	ref, cur := s.draw(4000), s.draw(4000)
	cur[2] += 300
	times := func(vs []uint64, by uint64) []uint64 {
		out := slices.Clone(vs)
		for i := range out {
			out[i] *= by
		}
		return out
	}
	back := func(vs []uint64) []uint64 {
		out := slices.Clone(vs)
		slices.Reverse(out)
		return out
	}
	shuffled := func(vs []uint64) []uint64 {
		out := make([]uint64, len(vs))
		for i, v := range vs {
			out[(i*5+3)%len(vs)] = v
		}
		return out
	}
	one, swapped, reversed := all(t, ref, cur), all(t, cur, ref), all(t, back(ref), back(cur))
	large, permuted, same := all(t, times(ref, 50), times(cur, 50)), all(t, shuffled(ref), shuffled(cur)), all(t, ref, times(ref, 3))
	for m, r := range one {
		warn, alarm := m.Floors()
		require.Positive(t, warn, m)
		require.Greater(t, alarm, warn, m)
		require.True(t, m.Known())
		require.InDelta(t, r.Score, reversed[m].Score, 1e-9*math.Abs(r.Score)+1e-12, m)
		if m != drift.MethodKL {
			require.InDelta(t, r.Score, swapped[m].Score, 1e-9*math.Abs(r.Score)+1e-12, m)
			require.InDelta(t, r.Effect, swapped[m].Effect, 1e-9*r.Effect, m)
		}
		require.InEpsilon(t, r.Effect, large[m].Effect, 0.01, m)
		if !m.Ordered() {
			require.InEpsilon(t, r.Score, permuted[m].Score, 1e-9, m)
		} else {
			require.Greater(t, math.Abs(r.Score-permuted[m].Score), 1e-3, m)
		}
		require.InDelta(t, 0, same[m].Effect, 1e-7, m)
		if v := same[m].PValue; v == v {
			require.Greater(t, v, 0.999, m)
			require.Less(t, large[m].PValue, r.PValue, m)
		}
	}
	none := drift.Method("beauty")
	require.False(t, none.Known())
	_, err := none.Measure(ref, cur, nil, 0)
	require.ErrorIs(t, err, drift.ErrInvalid)
	w, a := none.Floors()
	require.True(t, math.IsNaN(w) && math.IsNaN(a))
	require.True(t, math.IsNaN(none.Critical(0.05, 10, 100, 100)))
	require.True(t, math.IsNaN(none.NoiseFloor(10, 100, 100)))
	require.True(t, math.IsNaN(none.Window(0.1, 0.05, 10, 100)))
}

// TestCritical wants that a score at the critical value has the p-value alpha:
// found on counts whose shares are even.
func TestCritical(t *testing.T) {
	t.Parallel()
	const bins, n, m, alpha = 10, 50_000, 2000, 0.01
	ref := make([]uint64, bins)
	for i := range ref {
		ref[i] = n / bins
	}
	for _, method := range drift.Methods() {
		critical := method.Critical(alpha, bins, n, m)
		// Rows move from the second half of the window to the first until the
		// p-value is alpha.
		var p, score, noise float64
		for moved := range uint64(100) {
			cur := make([]uint64, bins)
			for i := range cur {
				cur[i] = m / bins
				if i < bins/2 {
					cur[i] += moved
				} else {
					cur[i] -= moved
				}
			}
			r := all(t, ref, cur)[method]
			if p, score, noise = r.PValue, r.Score, r.NoiseFloor; !(p > alpha) {
				break
			}
		}
		switch method {
		case drift.MethodTotalVariation, drift.MethodWasserstein, drift.MethodEnergy:
			require.True(t, math.IsNaN(critical), method)
			require.True(t, math.IsNaN(method.Window(0.1, alpha, bins, n)), method)
			if method == drift.MethodTotalVariation {
				require.InEpsilon(t, noise, method.NoiseFloor(bins, n, m), 0.05)
			}
			continue
		}
		require.LessOrEqual(t, p, alpha, method)
		require.InEpsilon(t, critical, score, 0.15, method) // By the step of one row.
		require.InDelta(t, noise, method.NoiseFloor(bins, n, m), 0.05*noise, method)
		// The window that makes an effect significant.
		effect, _ := method.Floors()
		window := method.Window(effect, alpha, bins, n)
		require.Greater(t, window, 1.0, method)
		require.True(t, math.IsInf(method.Window(1e-9, alpha, bins, n), 1), method)
		if method == drift.MethodPSI {
			require.InEpsilon(t, effect, method.Critical(alpha, bins, n, window), 1e-9)
		}
		for _, bad := range [][3]float64{{0, n, m}, {bins, 0, m}, {bins, n, math.NaN()}} {
			require.True(t, math.IsNaN(method.Critical(alpha, int(bad[0]), bad[1], bad[2])), method)
		}
	}
}

func TestPermutation(t *testing.T) {
	t.Parallel()
	s := newSampler(23, 8)
	ref, cur := s.draw(600), s.draw(150)
	exact, err := drift.ChiSquare(ref, cur)
	require.NoError(t, err)
	r, err := drift.Permutation(ref, cur, 2000, 1, drift.ChiSquare)
	require.NoError(t, err)
	require.InDelta(t, exact.PValue, r.PValue, 0.05)
	require.InEpsilon(t, exact.NoiseFloor, r.NoiseFloor, 0.06)
	tv, err := drift.TotalVariation(ref, cur)
	require.NoError(t, err)
	r, err = drift.Permutation(ref, cur, 2000, 1, drift.TotalVariation)
	require.NoError(t, err)
	require.InEpsilon(t, tv.NoiseFloor, r.NoiseFloor, 0.06)
	again, err := drift.Permutation(ref, cur, 2000, 1, drift.TotalVariation)
	require.NoError(t, err)
	require.Equal(t, r, again, "the same seed gives the same answer")
	swapped, err := drift.Permutation(cur, ref, 2000, 1, drift.TotalVariation)
	require.NoError(t, err)
	require.InDelta(t, r.PValue, swapped.PValue, 0.05)
	cur[0] += 40
	r, err = drift.Permutation(ref, cur, 999, 1, drift.TotalVariation)
	require.NoError(t, err)
	require.InDelta(t, 0.001, r.PValue, 1e-12)
	for _, runs := range []int{0, -1, 1_000_001} {
		_, err = drift.Permutation(ref, cur, runs, 1, drift.PSI)
		require.ErrorIs(t, err, drift.ErrInvalid)
	}
	_, err = drift.Permutation(ref, nil, 10, 1, drift.PSI)
	require.ErrorIs(t, err, drift.ErrInvalid)
}

// TestExactKolmogorov goes through all ways to deal out the rows of small
// counts with ties.
func TestExactKolmogorov(t *testing.T) {
	t.Parallel()
	for _, c := range [][2][]uint64{
		{{2, 1, 0, 3}, {0, 2, 2, 1}}, {{1, 1, 1, 1, 1}, {0, 0, 2, 1, 1}}, {{4}, {3}}, {{3, 0}, {0, 3}}, {{1, 0, 0}, {1, 2, 3}},
	} {
		want, err := drift.KolmogorovSmirnov(c[0], c[1])
		require.NoError(t, err)
		var rows []int
		var n, all int
		for i := range c[0] {
			for range c[0][i] + c[1][i] {
				rows = append(rows, i)
			}
			n += int(c[0][i])
		}
		extreme := 0
		for mask := range 1 << len(rows) {
			ref, cur := make([]uint64, len(c[0])), make([]uint64, len(c[0]))
			picked := 0
			for i, bin := range rows {
				if mask>>i&1 == 1 {
					ref[bin]++
					picked++
				} else {
					cur[bin]++
				}
			}
			if picked != n {
				continue
			}
			all++
			r, err := drift.KolmogorovSmirnov(ref, cur)
			require.NoError(t, err)
			if r.Score >= want.Score-1e-12 {
				extreme++
			}
		}
		require.InDelta(t, float64(extreme)/float64(all), want.PValue, 1e-12)
	}
}

func TestCountsThatAreOdd(t *testing.T) {
	t.Parallel()
	for _, f := range []func(ref, cur []uint64) (drift.Result, error){drift.Fisher, drift.TwoProportions} {
		for _, c := range [][2][]uint64{{{1}, {1}}, {{1, 2, 3}, {1, 2, 3}}, {{1, 2}, {1}}, {{0, 0}, {1, 2}}, {{1, 2}, {0, 0}}} {
			_, err := f(c[0], c[1])
			require.ErrorIs(t, err, drift.ErrInvalid)
		}
		r, err := f([]uint64{0, 9}, []uint64{0, 4})
		require.NoError(t, err)
		require.Zero(t, r.Score)
		require.EqualValues(t, 1, r.PValue)
		r, err = f([]uint64{1 << 40, 1 << 30}, []uint64{1 << 20, 1 << 11})
		require.NoError(t, err)
		require.Less(t, r.PValue, 1e-50)
	}
	for _, f := range []func(ref, cur []uint64) (drift.Result, error){drift.CramerVonMises, drift.AndersonDarling, drift.MannWhitney, drift.G, drift.ChiSquareFit, drift.GFit} {
		for _, c := range [][2][]uint64{{nil, nil}, {{1}, nil}, {{1, 2}, {1}}, {{0, 0}, {1, 2}}, {{1, 2}, {0, 0}}} {
			_, err := f(c[0], c[1])
			require.ErrorIs(t, err, drift.ErrInvalid)
		}
		r, err := f([]uint64{0, 9}, []uint64{0, 4})
		require.NoError(t, err)
		require.Zero(t, r.Score)
		require.EqualValues(t, 1, r.PValue)
		huge := []uint64{1 << 60, 1 << 61, 1 << 60}
		r, err = f(huge, huge)
		require.NoError(t, err)
		require.Greater(t, r.PValue, 0.9)
	}
	_, err := drift.AndersonDarlingK(drift.Midrank, []uint64{1})
	require.ErrorIs(t, err, drift.ErrInvalid)
	_, err = drift.AndersonDarlingK(drift.Midrank, []uint64{1}, []uint64{1, 2})
	require.ErrorIs(t, err, drift.ErrInvalid)
	_, err = drift.AndersonDarlingK(drift.Midrank, []uint64{1}, []uint64{0})
	require.ErrorIs(t, err, drift.ErrInvalid)
	for _, m := range []drift.Moments{{}, {Rows: -1}, {Rows: 3, Variance: -1}, {Rows: 3, Mean: math.NaN()}, {Rows: math.Inf(1)}, {Rows: 3, Mean: math.Inf(1)}, {Rows: 3, Variance: math.NaN()}} {
		_, err = drift.Student(m, drift.Moments{Rows: 5, Variance: 1})
		require.ErrorIs(t, err, drift.ErrInvalid)
		_, err = drift.Welch(drift.Moments{Rows: 5, Variance: 1}, m)
		require.ErrorIs(t, err, drift.ErrInvalid)
	}
	m, err := drift.MomentsOf([]uint64{2, 0, 1}, []float64{1, math.NaN(), 4})
	require.NoError(t, err)
	require.Equal(t, drift.Moments{Rows: 3, Mean: 2, Variance: 3}, m)
	_, err = drift.MomentsOf([]uint64{2}, nil)
	require.ErrorIs(t, err, drift.ErrInvalid)
	_, err = drift.MomentsOf([]uint64{2}, []float64{math.NaN()})
	require.ErrorIs(t, err, drift.ErrInvalid)
}
