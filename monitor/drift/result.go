package drift

import (
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/internal/errs"
)

// ErrInvalid marks counts that cannot be compared.
var ErrInvalid = errs.ErrInvalid

// Result is what a measure says about a window.
type Result struct {
	// Score is the measure itself; 0 is no difference.
	Score float64
	// NoiseFloor is the Score to expect, on average, when nothing has changed
	// and only chance tells the two samples apart.
	NoiseFloor float64
	// PValue is how probable a Score at least this high is when nothing has
	// changed. It is NaN for the measures without a closed law
	// (TotalVariation, Wasserstein): Permutation finds it, or ChiSquare and
	// KolmogorovSmirnov test the same feature, and these say how large the
	// effect is.
	PValue float64
	// Effect is how large the difference is, whatever the number of rows: what
	// a practical limit is held against. For a distance it is the Score; each
	// test says what it takes.
	Effect float64
}

// sample is a pair of counts that can be compared.
type sample struct {
	n, m float64 // Rows.
	bins int     // Not empty on both sides.
	zero bool    // Some bin is empty on one side only.
}

func measure(op string, ref, cur []uint64) (sample, error) {
	var s sample
	if len(ref) != len(cur) {
		return s, fmt.Errorf("drift: %s: %d reference bins and %d current ones: made from different references: %w", op, len(ref), len(cur), ErrInvalid)
	}
	for i, r := range ref {
		c := cur[i]
		if r == 0 && c == 0 {
			continue
		}
		s.bins++
		s.n += float64(r)
		s.m += float64(c)
		s.zero = s.zero || r == 0 || c == 0
	}
	if s.n == 0 || s.m == 0 {
		return s, fmt.Errorf("drift: %s: %.0f reference rows and %.0f current ones, want some of both: %w", op, s.n, s.m, ErrInvalid)
	}
	return s, nil
}

// k is the effective size of the two samples.
func (s sample) k() float64 { return s.n / (s.n + s.m) * s.m }

// smooth returns what to add to each bin and the totals after that.
func (s sample) smooth() (add, n, m float64) {
	if !s.zero {
		return 0, s.n, s.m
	}
	add = 0.5
	return add, s.n + add*float64(s.bins), s.m + add*float64(s.bins)
}

// linear is the result of a score for which factor*k*score is chi-square.
func (s sample) linear(score, factor float64) Result {
	score = max(score, 0) // Rounding may leave less than nothing.
	df := s.bins - 1
	return Result{
		Score:      score,
		NoiseFloor: float64(df) / (factor * s.k()),
		PValue:     ChiSquareTail(factor*s.k()*score, df),
		Effect:     score,
	}
}

// root is the result of a score for which factor*k*score^2 is chi-square.
func (s sample) root(square, factor float64) Result {
	square = max(square, 0)
	df := s.bins - 1
	return distance(math.Sqrt(square), chiMean(df)/math.Sqrt(factor*s.k()), ChiSquareTail(factor*s.k()*square, df))
}

// distance is the result of a measure that is its own effect.
func distance(score, floor, p float64) Result {
	return Result{Score: score, NoiseFloor: floor, PValue: p, Effect: score}
}

// meanGap is the mean of |p-q| when rows of both samples together have what
// the difference measures, and chance alone deals them out: the mean of the
// half-normal law with the variance of a difference of two shares.
func (s sample) meanGap(rows float64) float64 {
	share := min(rows/(s.n+s.m), 1)
	return math.Sqrt(2 / math.Pi * share * (1 - share) / s.k())
}
