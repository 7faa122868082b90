package anytime_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/rollout/anytime"
)

// draw makes values between 0 and 1 with the mean mu.
func draw(r *rand.Rand, n int, mu float64) (m anytime.Moments) {
	for range n {
		// Mostly near mu, sometimes at an end of the range.
		x := mu + 0.1*(r.Float64()-0.5)
		if r.Float64() < 0.1 {
			x = 0
			if r.Float64() < mu {
				x = 1
			}
		}
		m.Add(x)
	}
	return m
}

func TestMeanBounds(t *testing.T) {
	t.Parallel()
	low, high := anytime.MeanBounds(anytime.Moments{}, 0.05)
	require.Equal(t, [2]float64{0, 1}, [2]float64{low, high})

	const mu, runs = 0.4, 100
	missed := 0
	var width float64
	for run := range runs {
		r := rand.New(rand.NewPCG(uint64(run), 5))
		var m anytime.Moments
		bad := false
		for range 25 {
			m = m.Plus(draw(r, 40, mu))
			low, high := anytime.MeanBounds(m, 0.05)
			bad = bad || low > mu || high < mu
			width = high - low
		}
		if bad {
			missed++
		}
	}
	require.LessOrEqual(t, float64(missed)/runs, 0.115)
	require.Less(t, width, 0.06)
}

func TestMeansLogE(t *testing.T) {
	t.Parallel()
	run := func(seed uint64, a, b, margin float64, d anytime.Direction) bool {
		r := rand.New(rand.NewPCG(seed, 6))
		var ma, mb anytime.Moments
		for range 12 {
			ma, mb = ma.Plus(draw(r, 120, a)), mb.Plus(draw(r, 40, b))
			if anytime.MeansLogE(ma, mb, margin, d) >= math.Log(1/0.05) {
				return true
			}
		}
		return false
	}
	rate := func(runs int, a, b, margin float64, d anytime.Direction) float64 {
		n := 0
		for i := range runs {
			if run(uint64(i), a, b, margin, d) {
				n++
			}
		}
		return float64(n) / float64(runs)
	}
	require.LessOrEqual(t, rate(80, 0.4, 0.4, 0, anytime.Greater), 0.12)
	require.LessOrEqual(t, rate(80, 0.4, 0.45, 0.05, anytime.Greater), 0.12)
	require.LessOrEqual(t, rate(80, 0.4, 0.45, 0.05, anytime.Less), 0.12)
	require.Greater(t, rate(30, 0.4, 0.6, 0, anytime.Greater), 0.95)
	require.Greater(t, rate(30, 0.4, 0.4, 0.15, anytime.Less), 0.95)
	require.Zero(t, anytime.MeansLogE(anytime.Moments{}, anytime.Moments{N: 1}, 0, anytime.Greater))
}

func TestMSPRT(t *testing.T) {
	t.Parallel()
	require.Zero(t, anytime.MSPRT(1, 0, 1))
	rejected, runs := 0, 400
	for run := range runs {
		r := rand.New(rand.NewPCG(uint64(run), 8))
		sum := 0.0
		for n := 1; n <= 500; n++ {
			sum += r.NormFloat64() - r.NormFloat64()
			if anytime.MSPRT(sum/float64(n), 2/float64(n), 0.1) >= math.Log(1/0.05) {
				rejected++
				break
			}
		}
	}
	require.LessOrEqual(t, float64(rejected)/float64(runs), 0.083)
	require.Greater(t, anytime.MSPRT(0.5, 2.0/500, 0.1), math.Log(1/0.05))
}

func TestRankBounds(t *testing.T) {
	t.Parallel()
	low, high := anytime.RankBounds(0, 0.99, 0.05)
	require.Equal(t, [2]int64{0, 1}, [2]int64{low, high})
	low, high = anytime.RankBounds(10, 0.99, 0.05)
	require.Equal(t, int64(11), high, "ten values say nothing about the upper end of p99")
	require.Less(t, low, int64(11))

	const q, runs = 0.9, 100
	truth := -math.Log(1 - q) // of the exponential distribution
	missed := 0
	for run := range runs {
		r := rand.New(rand.NewPCG(uint64(run), 9))
		var list []float64
		bad := false
		for range 20 {
			for range 50 {
				list = append(list, r.ExpFloat64())
			}
			slices.Sort(list)
			low, high := anytime.RankBounds(int64(len(list)), q, 0.05)
			bad = bad || low > 0 && list[low-1] > truth || high <= int64(len(list)) && list[high-1] < truth
		}
		if bad {
			missed++
		}
	}
	require.LessOrEqual(t, float64(missed)/runs, 0.115)
	low, high = anytime.RankBounds(100_000, 0.99, 0.05)
	require.InDelta(t, 99_000, low, 150)
	require.InDelta(t, 99_000, high, 150)
}
