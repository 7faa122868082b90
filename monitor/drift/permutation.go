package drift

import (
	"fmt"
	"math/rand/v2"
)

// maxRuns bounds the runs of a permutation test.
const maxRuns = 1_000_000

// Permutation finds the p-value of any measure by dealing the rows of both
// samples out again and again (Fisher 1935; Phipson and Smyth 2010 for the one
// that is added, without which a p-value could be 0): for TotalVariation and
// Wasserstein, which have no closed law, and for small samples of the others.
// The noise floor is the mean of the scores.
//
// A run costs a few operations for each row of the smaller sample, so it is
// nothing for a hot path. It returns ErrInvalid for runs outside of 1 to
// 1,000,000, and the errors of the measure.
func Permutation(ref, cur []uint64, runs int, seed uint64, measure func(ref, cur []uint64) (Result, error)) (Result, error) {
	if runs < 1 || runs > maxRuns {
		return Result{}, fmt.Errorf("drift: permutation: %d runs, want 1 to %d: %w", runs, maxRuns, ErrInvalid)
	}
	out, err := measure(ref, cur)
	if err != nil {
		return Result{}, err
	}
	out.NoiseFloor = 0
	random := rand.New(rand.NewPCG(seed, 0xfe))
	both, left := make([]uint64, len(ref)), make([]uint64, len(ref))
	for i, r := range ref {
		both[i] = r + cur[i]
	}
	drawn := make([]uint64, len(ref))
	n, m := total(ref), total(cur)
	extreme := 1.0
	for range runs {
		copy(left, both)
		clear(drawn)
		draw(random, left, drawn, min(n, m), n+m)
		a, b := left, drawn
		if n < m {
			a, b = drawn, left
		}
		r, err := measure(a, b)
		if err != nil {
			return Result{}, err
		}
		out.NoiseFloor += r.Score / float64(runs)
		if r.Score >= out.Score*(1-1e-12) {
			extreme++
		}
	}
	out.PValue = extreme / float64(1+runs)
	return out, nil
}

// draw moves rows at random from left, which has all of them, to drawn.
func draw(random *rand.Rand, left, drawn []uint64, rows, all uint64) {
	for ; rows > 0; rows-- {
		at := random.Uint64N(all)
		all--
		i := 0
		for ; at >= left[i]; i++ {
			at -= left[i]
		}
		left[i]--
		drawn[i]++
	}
}
