package anytime_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/rollout/anytime"
)

// binomial draws the number of n coins that fall on p.
func binomial(r *rand.Rand, n int64, p float64) anytime.Counts {
	c := anytime.Counts{N: n}
	for range n {
		if r.Float64() < p {
			c.K++
		}
	}
	return c
}

// chance is the probability of k out of n.
func chance(c anytime.Counts, p float64) float64 {
	n, k := float64(c.N), float64(c.K)
	a, _ := math.Lgamma(n + 1)
	b, _ := math.Lgamma(k + 1)
	d, _ := math.Lgamma(n - k + 1)
	return math.Exp(a-b-d) * math.Pow(p, k) * math.Pow(1-p, n-k)
}

// TestBlockMeanIsAtMostOne adds up every outcome of a block under many pairs of
// rates that the null hypothesis allows.
func TestBlockMeanIsAtMostOne(t *testing.T) {
	t.Parallel()
	rates := []float64{0, 0.003, 0.05, 0.3, 0.5, 0.9, 1}
	checked := 0
	for _, margin := range []float64{-0.1, 0, 0.01, 0.2} {
		for _, d := range []anytime.Direction{anytime.Greater, anytime.Less} {
			for _, size := range [][2]int64{{1, 1}, {6, 1}, {2, 5}, {4, 4}} {
				for _, pa := range rates {
					for _, pb := range rates {
						for _, ta := range rates {
							for _, tb := range append(rates, ta+margin) {
								null := tb <= ta+margin
								if d == anytime.Less {
									null = tb >= ta+margin
								}
								if !null || tb < 0 || tb > 1 {
									continue
								}
								mean := 0.0
								for ka := range size[0] + 1 {
									for kb := range size[1] + 1 {
										a, b := anytime.Counts{N: size[0], K: ka}, anytime.Counts{N: size[1], K: kb}
										if p := chance(a, ta) * chance(b, tb); p > 0 {
											mean += p * math.Exp(anytime.BlockLogE(a, b, margin, d, pa, pb))
										}
									}
								}
								checked++
								if mean > 1+1e-9 {
									t.Fatalf("margin %v direction %v sizes %v bet %v %v truth %v %v: mean %v", margin, d, size, pa, pb, ta, tb, mean)
								}
							}
						}
					}
				}
			}
		}
	}
	require.Greater(t, checked, 10_000)
}

// peeking runs experiments that are looked at after each block and returns the
// share that was ever rejected at level 0.05. rates gives those of a block.
func peeking(runs, blocks int, margin float64, d anytime.Direction, share float64, rates func(block int) (a, b float64)) float64 {
	rejected := 0
	for run := range runs {
		r := rand.New(rand.NewPCG(uint64(run), 7))
		test := anytime.RateTest{Margin: margin, Direction: d}
		for i := range blocks {
			pa, pb := rates(i)
			n := int64(20 + r.IntN(60))
			nb := max(1, int64(float64(n)*share))
			test.Add(binomial(r, n-nb, pa), binomial(r, nb, pb))
		}
		if test.Rejects(0.05) {
			rejected++
		}
	}
	return float64(rejected) / float64(runs)
}

func TestRateTestFalseAlarms(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		margin float64
		d      anytime.Direction
		share  float64
		rates  func(int) (float64, float64)
	}{
		{"equal", 0, anytime.Greater, 0.5, func(int) (float64, float64) { return 0.05, 0.05 }},
		{"equal, a small share", 0, anytime.Greater, 0.05, func(int) (float64, float64) { return 0.05, 0.05 }},
		{"on the border", 0.02, anytime.Greater, 0.3, func(int) (float64, float64) { return 0.03, 0.05 }},
		{"on the border, less", 0.02, anytime.Less, 0.3, func(int) (float64, float64) { return 0.03, 0.05 }},
		{"rates that rise and fall", 0, anytime.Greater, 0.3, func(i int) (float64, float64) {
			p := 0.05 + 0.2*float64(i%20)/20
			return p, p
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			alarms := peeking(150, 120, tc.margin, tc.d, tc.share, tc.rates)
			t.Logf("false alarms: %.3f", alarms)
			// Three standard errors above 0.05 at 150 runs.
			require.LessOrEqual(t, alarms, 0.103)
		})
	}
}

func TestRateTestPower(t *testing.T) {
	t.Parallel()
	worse := func(int) (float64, float64) { return 0.02, 0.10 }
	require.Greater(t, peeking(100, 120, 0, anytime.Greater, 0.3, worse), 0.95)
	same := func(int) (float64, float64) { return 0.01, 0.01 }
	require.Greater(t, peeking(100, 120, 0.03, anytime.Less, 0.3, same), 0.95)
	// No failure at all is evidence for a rate below the margin.
	never := func(int) (float64, float64) { return 0, 0 }
	require.Greater(t, peeking(20, 120, 0.02, anytime.Less, 0.3, never), 0.95)
}

func TestRateTestStateSurvives(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	whole, parts := anytime.RateTest{Margin: 0.01}, anytime.RateTest{Margin: 0.01}
	for range 30 {
		a, b := binomial(r, 50, 0.05), binomial(r, 20, 0.1)
		whole.Add(a, b)
		parts.Add(a, b)
		text, err := json.Marshal(parts)
		require.NoError(t, err)
		parts = anytime.RateTest{}
		require.NoError(t, json.Unmarshal(text, &parts))
	}
	require.Equal(t, whole, parts)
	require.Equal(t, anytime.Counts{N: 1500, K: whole.A.K}, whole.A)
}

func TestRateTestWithoutASide(t *testing.T) {
	t.Parallel()
	var test anytime.RateTest
	require.Zero(t, test.LogE())
	for range 10 {
		test.Add(anytime.Counts{N: 100, K: 3}, anytime.Counts{})
	}
	require.Zero(t, test.LogE())
	require.False(t, test.Rejects(0.05))
	require.Equal(t, 0.03, test.A.Rate())
	require.Zero(t, test.B.Rate())
}

func TestRateBounds(t *testing.T) {
	t.Parallel()
	low, high := anytime.RateBounds(anytime.Counts{}, 0.05)
	require.Equal(t, [2]float64{0, 1}, [2]float64{low, high})
	low, high = anytime.RateBounds(anytime.Counts{N: 1000}, 0.05)
	require.Zero(t, low)
	require.InDelta(t, 0.007, high, 0.003)
	low, high = anytime.RateBounds(anytime.Counts{N: 1000, K: 1000}, 0.05)
	require.InDelta(t, 0.993, low, 0.003)
	require.Equal(t, 1.0, high)

	missed, runs := 0, 100
	for run := range runs {
		r := rand.New(rand.NewPCG(uint64(run), 3))
		var c anytime.Counts
		bad := false
		for range 25 {
			c = c.Plus(binomial(r, 50, 0.07))
			low, high := anytime.RateBounds(c, 0.05)
			bad = bad || low > 0.07 || high < 0.07
		}
		if bad {
			missed++
		}
	}
	require.LessOrEqual(t, float64(missed)/float64(runs), 0.115)
}
