//go:build !race

// The race detector makes simulations tenfold slower, and learns nothing from
// them: nothing here runs at once.

package multi_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor/drift/multi"
)

// TestNullCalibration draws window and reference from one population.
func TestNullCalibration(t *testing.T) {
	t.Parallel()
	s := sampler{rand.New(rand.NewPCG(11, 0))}
	const runs, level = 400, 0.05
	alarms := map[string]float64{}
	var score, floor float64
	p, err := multi.FitPCA(s.rows(4000, 0, 1, 0), &multi.PCAOptions{Components: 2})
	require.NoError(t, err)
	f, err := multi.FitFourier(s.rows(4000, 0, 1, 0), &multi.FourierOptions{Features: 32})
	require.NoError(t, err)
	for seed := range uint64(runs) {
		window := s.rows(400, 0, 1, 0)
		var e multi.Errors
		sums := f.Sums()
		for _, r := range window {
			d, err := p.Distance(r, nil)
			require.NoError(t, err)
			e.Add(d)
			require.NoError(t, f.Add(&sums, r, nil))
		}
		r, err := p.Compare(e)
		require.NoError(t, err)
		if r.PValue <= level {
			alarms["pca"] += 1. / runs
		}
		// A new reference each time, as its own chance is in all its windows.
		ref := f.Sums()
		for _, r := range s.rows(1000, 0, 1, 0) {
			require.NoError(t, f.Add(&ref, r, nil))
		}
		r, err = f.Between(ref, sums)
		require.NoError(t, err)
		if r.PValue <= level {
			alarms["fourier"] += 1. / runs
		}
		score += r.Score * r.Score / runs
		floor += r.NoiseFloor * r.NoiseFloor / runs
		if seed%4 == 0 {
			r, err = multi.MMD(s.rows(30, 0, 1, 0), window[:20], &multi.MMDOptions{Permutations: 39, Seed: seed})
			require.NoError(t, err)
			if r.PValue <= level {
				alarms["mmd"] += 4. / runs
			}
			c, err := multi.Classify(s.rows(200, 0, 1, 0), window[:200], &multi.ClassifyOptions{Seed: seed, Squares: seed%8 == 0})
			require.NoError(t, err)
			if c.PValue <= level {
				alarms["classify"] += 4. / runs
			}
		}
	}
	t.Logf("alarms %v, square %g of %g", alarms, score, floor)
	for _, name := range []string{"pca", "fourier"} {
		require.InDelta(t, level, alarms[name], 0.035, name) // Three standard deviations.
	}
	for _, name := range []string{"mmd", "classify"} {
		require.InDelta(t, level, alarms[name], 0.066, name)
	}
	require.InEpsilon(t, floor, score, 0.1)
}
