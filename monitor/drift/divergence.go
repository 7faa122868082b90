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
	// (TotalVariation, LInf, Wasserstein): test those features with ChiSquare
	// or KolmogorovSmirnov, and take these as the size of the effect.
	PValue float64
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
	}
}

// root is the result of a score for which factor*k*score^2 is chi-square.
func (s sample) root(square, factor float64) Result {
	square = max(square, 0)
	df := s.bins - 1
	return Result{
		Score:      math.Sqrt(square),
		NoiseFloor: chiMean(df) / math.Sqrt(factor*s.k()),
		PValue:     ChiSquareTail(factor*s.k()*square, df),
	}
}

// PSI is the population stability index, sum (q-p) ln(q/p): 0 and up, without
// bound. Credit scoring reads 0.1 on ten quantile bins as a change to look at,
// and 0.25 as one to act on (Siddiqi, "Credit Risk Scorecards", 2006). It is
// the symmetric form of KL (Jeffreys 1946). Law: k*PSI is chi-square with B-1
// degrees of freedom (Yurdakul 2018).
func PSI(ref, cur []uint64) (Result, error) {
	s, err := measure("psi", ref, cur)
	if err != nil {
		return Result{}, err
	}
	add, n, m := s.smooth()
	var sum float64
	for i, r := range ref {
		if r == 0 && cur[i] == 0 {
			continue
		}
		p, q := (float64(r)+add)/n, (float64(cur[i])+add)/m
		sum += (q - p) * math.Log(q/p)
	}
	return s.linear(sum, 1), nil
}

// KL is the Kullback-Leibler divergence of the window from the reference,
// sum q ln(q/p), in nats: 0 and up, without bound. It is not symmetric: for
// sum p ln(p/q) exchange the arguments. Law: 2k*KL is chi-square with B-1
// degrees of freedom (Kullback and Leibler 1951).
func KL(ref, cur []uint64) (Result, error) {
	s, err := measure("kl", ref, cur)
	if err != nil {
		return Result{}, err
	}
	add, n, m := s.smooth()
	var sum float64
	for i, r := range ref {
		if r == 0 && cur[i] == 0 {
			continue
		}
		p, q := (float64(r)+add)/n, (float64(cur[i])+add)/m
		sum += q * math.Log(q/p)
	}
	return s.linear(sum, 2), nil
}

// JensenShannon is the Jensen-Shannon distance in base 2: the square root of
// the mean divergence of both sides from their mixture (Lin 1991; a metric by
// Endres and Schindelin 2003). It runs from 0 to 1. 0.1 is a usual limit. Law:
// 8k times the divergence in nats is chi-square with B-1 degrees of freedom.
func JensenShannon(ref, cur []uint64) (Result, error) {
	s, err := measure("jensen-shannon", ref, cur)
	if err != nil {
		return Result{}, err
	}
	var sum float64
	for i, r := range ref {
		p, q := float64(r)/s.n, float64(cur[i])/s.m
		mid := (p + q) / 2
		if p > 0 {
			sum += p * math.Log(p/mid)
		}
		if q > 0 {
			sum += q * math.Log(q/mid)
		}
	}
	return s.root(min(sum/2/math.Ln2, 1), 8*math.Ln2), nil
}

// Hellinger is the Hellinger distance, sqrt(1 - sum sqrt(p q)), from 0 to 1.
// 0.1 is a usual limit. Law: 8k*H^2 is chi-square with B-1 degrees of freedom.
func Hellinger(ref, cur []uint64) (Result, error) {
	s, err := measure("hellinger", ref, cur)
	if err != nil {
		return Result{}, err
	}
	var sum float64
	for i, r := range ref {
		// The same as 1 - sum sqrt(p q), without its loss of digits near 0.
		d := math.Sqrt(float64(r)/s.n) - math.Sqrt(float64(cur[i])/s.m)
		sum += d * d
	}
	return s.root(min(sum/2, 1), 8), nil
}

// TotalVariation is half the sum of |p-q|, from 0 to 1: the share of rows that
// would have to move to another bin.
func TotalVariation(ref, cur []uint64) (Result, error) {
	s, err := measure("total variation", ref, cur)
	if err != nil {
		return Result{}, err
	}
	var sum, noise float64
	for i, r := range ref {
		p, q := float64(r)/s.n, float64(cur[i])/s.m
		sum += math.Abs(p - q)
		noise += s.meanGap(float64(r) + float64(cur[i]))
	}
	return Result{Score: min(sum/2, 1), NoiseFloor: noise / 2, PValue: math.NaN()}, nil
}

// LInf is the largest |p-q| of any bin, from 0 to 1: the measure of choice for
// many categories, as it does not add up their noise. The noise floor is that
// of the noisiest bin alone, which is a little low for many bins.
func LInf(ref, cur []uint64) (Result, error) {
	s, err := measure("l-infinity", ref, cur)
	if err != nil {
		return Result{}, err
	}
	var worst, noise float64
	for i, r := range ref {
		worst = max(worst, math.Abs(float64(r)/s.n-float64(cur[i])/s.m))
		noise = max(noise, s.meanGap(float64(r)+float64(cur[i])))
	}
	return Result{Score: worst, NoiseFloor: noise, PValue: math.NaN()}, nil
}

// meanGap is the mean of |p-q| when rows of both samples together have what
// the difference measures, and chance alone deals them out: the mean of the
// half-normal law with the variance of a difference of two shares.
func (s sample) meanGap(rows float64) float64 {
	share := min(rows/(s.n+s.m), 1)
	return math.Sqrt(2 / math.Pi * share * (1 - share) / s.k())
}
