package drift_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor/drift"
)

// sampler deals rows out to bins by a table of 256 equally likely cells: eight
// rows for each random number.
type sampler struct {
	r    *rand.Rand
	bins int
	cell [256]uint8
}

func newSampler(seed uint64, bins int) *sampler {
	s := &sampler{r: rand.New(rand.NewPCG(seed, 1)), bins: bins}
	for i := range s.cell {
		s.cell[i] = uint8(math.Sqrt(float64(i)/256) * float64(bins)) // Shares from 1 to 2*bins-1.
	}
	return s
}

func (s *sampler) draw(rows int) []uint64 {
	out := make([]uint64, s.bins)
	var u uint64
	for i := range rows {
		if i%8 == 0 {
			u = s.r.Uint64()
		}
		out[s.cell[u&255]]++
		u >>= 8
	}
	return out
}

// TestNullCalibration draws both samples from one population, where every
// alarm is a false one.
func TestNullCalibration(t *testing.T) {
	t.Parallel()
	const runs, n, m, bins, level = 2000, 10_000, 5000, 10, 0.05
	s := newSampler(42, bins)
	alarms, scores, floors := map[string]float64{}, map[string]float64{}, map[string]float64{}
	positions := []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	for range runs {
		ref, cur := s.draw(n), s.draw(m)
		add := func(name string, r drift.Result, err error) {
			require.NoError(t, err)
			if r.PValue <= level {
				alarms[name] += 1.0 / runs
			}
			scores[name] += r.Score / runs
			floors[name] += r.NoiseFloor / runs
		}
		for name, f := range measures {
			r, err := f(ref, cur)
			add(name, r, err)
		}
		r, err := drift.Wasserstein(ref, cur, positions, 1)
		add("Wasserstein", r, err)
	}
	for name := range scores {
		t.Logf("%-18s alarms %.4f, mean score %.6f, noise floor %.6f", name, alarms[name], scores[name], floors[name])
		switch {
		case name == "KolmogorovSmirnov": // On ten bins it may only be too silent.
			require.Less(t, alarms[name], 0.065)
			require.Less(t, scores[name], floors[name])
		case name == "LInf": // The floor is that of one bin, the score of the worst of ten.
			require.Less(t, alarms[name], 0.065)
			require.Greater(t, alarms[name], 0.035)
			require.Less(t, floors[name], scores[name])
			require.Greater(t, floors[name], scores[name]/2)
		case slices.Contains(tested, name):
			require.Greater(t, alarms[name], 0.035, name)
			require.Less(t, alarms[name], 0.065, name)
			require.InEpsilon(t, scores[name], floors[name], 0.03, name)
		default:
			require.InEpsilon(t, scores[name], floors[name], 0.03, name)
		}
	}
}

// TestPower requires that every measure sees a growing shift more and more
// clearly.
func TestPower(t *testing.T) {
	t.Parallel()
	s := newSampler(7, 10)
	ref, clean := s.draw(50_000), s.draw(5000)
	positions := []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	last := map[string]drift.Result{}
	for _, moved := range []uint64{0, 200, 300, 400} {
		cur := slices.Clone(clean)
		cur[0] += moved
		cur[9] -= moved
		check := func(name string, r drift.Result, err error) {
			require.NoError(t, err)
			if moved > 0 {
				require.Greater(t, r.Score, last[name].Score, name)
			}
			if moved > 0 && slices.Contains(tested, name) {
				require.Less(t, r.PValue, last[name].PValue, name)
			}
			last[name] = r
		}
		for name, f := range measures {
			r, err := f(ref, cur)
			check(name, r, err)
		}
		r, err := drift.Wasserstein(ref, cur, positions, 1)
		check("Wasserstein", r, err)
	}
	for _, name := range tested {
		require.Less(t, last[name].PValue, 1e-6, name)
	}
}

// TestOrderOfBins checks which measures know the order of the bins.
func TestOrderOfBins(t *testing.T) {
	t.Parallel()
	s := newSampler(9, 20)
	ref, cur := s.draw(3000), s.draw(400)
	cur[3] += 50
	back := func(vs []uint64) []uint64 {
		out := slices.Clone(vs)
		slices.Reverse(out)
		return out
	}
	for name, f := range measures {
		a, err := f(ref, cur)
		require.NoError(t, err)
		b, err := f(back(ref), back(cur))
		require.NoError(t, err)
		near(t, a.Score, b.Score, name)
		c, err := f(cur, ref)
		require.NoError(t, err)
		if name == "KL" {
			require.NotEqual(t, a.Score, c.Score)
		} else {
			near(t, a.Score, c.Score, name)
			near(t, a.NoiseFloor, c.NoiseFloor, name)
		}
	}
}
