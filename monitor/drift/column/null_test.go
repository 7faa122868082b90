//go:build !race

// The race detector makes simulations tenfold slower, and learns nothing from
// them: nothing here runs at once.

package column_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNullCalibration draws both columns from one population: 5 % of the tests
// alarm at 0.05, by one percent more or less.
func TestNullCalibration(t *testing.T) {
	t.Parallel()
	const level = 0.05
	r := rand.New(rand.NewPCG(31, 0))
	draw := func(n int, round bool) []float64 {
		out := make([]float64, n)
		for i := range out {
			if out[i] = r.NormFloat64(); round {
				out[i] = math.Round(3 * out[i])
			}
		}
		return out
	}
	for _, c := range []struct {
		name  string
		n, m  int
		round bool
	}{{"small", 15, 12, false}, {"exact", 70, 60, false}, {"large", 400, 150, false}, {"rounded", 150, 100, true}} {
		runs := 2000
		if c.round {
			runs = 600
		}
		alarms, scores, floors := map[string]float64{}, map[string]float64{}, map[string]float64{}
		for range runs {
			x, y := draw(c.n, c.round), draw(c.m, c.round)
			for name, f := range tests {
				got, err := f(x, y)
				require.NoError(t, err)
				if got.PValue <= level {
					alarms[name] += 1 / float64(runs)
				}
				if name == "Energy" { // Its floor is the root of a mean square.
					got.Score *= got.Score
					got.NoiseFloor *= got.NoiseFloor
				}
				scores[name] += got.Score / float64(runs)
				floors[name] += got.NoiseFloor / float64(runs)
			}
		}
		t.Log(c.name, alarms)
		for name := range tests {
			if name == "Wasserstein" {
				require.InEpsilon(t, floors[name], scores[name], 0.1, name)
				continue
			}
			low, high := 0.035, 0.065 // One percent, and what 2000 runs leave open.
			switch {
			case name == "EppsSingleton":
				low, high = 0.025, 0.09 // The paper's law; loud on samples of unequal size.
			case name == "KolmogorovSmirnov" && c.n*c.m > 10_000:
				low = 0.01 // Kolmogorov's law is silent on few rows and on ties.
			case c.n < 20:
				low = 0.015 // Exact laws have steps, and tests of means few degrees.
			case c.round:
				low, high = 0.025, 0.075
			}
			require.Greater(t, alarms[name], low, "%s, %s", name, c.name)
			require.Less(t, alarms[name], high, "%s, %s", name, c.name)
			if !ordered[name] && name != "EppsSingleton" && c.n > 20 {
				require.InEpsilon(t, floors[name], scores[name], 0.1, "%s, %s", name, c.name)
			}
		}
	}
}

// TestPower wants every test to see a growing shift more and more clearly.
func TestPower(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(32, 0))
	x, y := make([]float64, 600), make([]float64, 300)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	for i := range y {
		y[i] = r.NormFloat64()
	}
	for name, f := range tests {
		last := 0.0
		for _, shift := range []float64{0.2, 0.4, 0.8} {
			moved := make([]float64, len(y))
			for i, v := range y {
				moved[i] = v + shift
			}
			got, err := f(x, moved)
			require.NoError(t, err)
			require.Greater(t, got.Effect, last, name)
			if last > 0 && name != "Wasserstein" {
				require.Less(t, got.PValue, 0.001, name)
			}
			last = got.Effect
		}
	}
}

func BenchmarkColumns(b *testing.B) {
	r := rand.New(rand.NewPCG(33, 0))
	x, y := make([]float64, 10_000), make([]float64, 1000)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	for i := range y {
		y[i] = r.NormFloat64()
	}
	for name, f := range tests {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = f(x, y)
			}
		})
	}
}
