package drift

import (
	"fmt"
	"math"
)

// Limits of the exact laws of samples without ties.
const (
	exactOmegaRows = 20   // Of the larger sample, for CramerVonMises.
	exactWinPairs  = 1000 // N*M, for MannWhitney.
)

// CramerVonMises is the two-sample test on the squared difference of the
// cumulative shares, averaged over the rows of both samples, T (Anderson 1962).
// Score is T and NoiseFloor its mean, (1+1/(N+M))/6. Effect is sqrt(T/k), the
// root mean square of F-G, from 0 to 1.
//
// A row in a bin of several takes the mean of (F-G)^2 before and after the bin,
// which is Anderson's T where each row has its own bin, and the same in either
// order of the bins. (Midranks instead, as in SciPy, give a large T to equal
// samples of unequal size with ties.)
//
// Law: without ties and up to 20 rows a sample the p-value is exact (Anderson
// 1962; Xiao, Gordon and Yakovlev 2007); else T is brought to the mean and
// variance of its limit law, which on few bins errs towards silence.
func CramerVonMises(ref, cur []uint64) (Result, error) {
	s, err := measure("cramer-von mises", ref, cur)
	if err != nil {
		return Result{}, err
	}
	var f, g, before, sum float64
	ties := false
	for i, r := range ref {
		rows := float64(r) + float64(cur[i])
		ties = ties || rows > 1
		f += float64(r)
		g += float64(cur[i])
		gap := f/s.n - g/s.m
		sum += rows * (before*before + gap*gap) / 2
		before = gap
	}
	all := s.n + s.m
	t := sum / all * s.k()
	out := Result{Score: t, NoiseFloor: (1 + 1/all) / 6, Effect: math.Sqrt(sum / all)}
	if !ties && max(s.n, s.m) <= exactOmegaRows {
		out.PValue = exactCramerVonMises(uint64(s.n), uint64(s.m), uint64(math.Round(sum*s.n*s.m*s.n*s.m)))
		return out, nil
	}
	// The variance of T by Anderson 1962, and 1/45 that of its limit.
	variance := (all + 1) / all * (4*s.k() - 3*(s.n/s.m+s.m/s.n)*s.k()/all - 2*s.k()/all) / (4 * s.k()) / 45
	out.PValue = CramerVonMisesTail(1./6 + (t-out.NoiseFloor)/math.Sqrt(45*variance))
	return out, nil
}

// Ties says how AndersonDarlingK takes rows of one bin.
type Ties int

const (
	// Midrank takes the cumulative share in the middle of a bin (A2akN,
	// equation 7 of Scholz and Stephens 1987): for binned and rounded values.
	Midrank Ties = iota
	// RightEnd takes it at the end of a bin (A2kN, equation 6).
	RightEnd
)

// AndersonDarling is the two-sample Anderson-Darling test with midranks: like
// CramerVonMises, with more weight on the tails. See AndersonDarlingK.
func AndersonDarling(ref, cur []uint64) (Result, error) {
	if _, err := measure("anderson-darling", ref, cur); err != nil {
		return Result{}, err
	}
	pair := [2][]uint64{ref, cur}
	return andersonDarling(Midrank, pair[:])
}

// AndersonDarlingK tests that two or more samples come from one population
// (Scholz and Stephens 1987), from the counts of the same ordered bins. Score
// is the statistic less its mean k-1, divided by its standard deviation, so
// NoiseFloor is 0 and a score below it is no change. Effect is the square root
// of the statistic over k (of more than two samples, half of N less the sum of
// the squares of their rows over N): a root mean square of F-G weighted towards
// the tails.
//
// Law: the standardised statistic has the tail of the standardised limit law,
// from which Scholz and Stephens took their table. (SciPy interpolates that
// table and stops at 0.001 and 0.25.) It holds from about 5 rows a sample.
//
// It returns ErrInvalid for fewer than two samples, an empty one, or counts of
// different lengths. When all rows are in one bin the score is 0 and the
// p-value 1.
func AndersonDarlingK(ties Ties, samples ...[]uint64) (Result, error) {
	if len(samples) < 2 {
		return Result{}, fmt.Errorf("drift: anderson-darling: %d samples, want two or more: %w", len(samples), ErrInvalid)
	}
	for i, s := range samples {
		if len(s) != len(samples[0]) {
			return Result{}, fmt.Errorf("drift: anderson-darling: %d bins of sample 0 and %d of sample %d: made from different references: %w", len(samples[0]), len(s), i, ErrInvalid)
		}
		if rowsOf(s) == 0 {
			return Result{}, fmt.Errorf("drift: anderson-darling: sample %d has no rows: %w", i, ErrInvalid)
		}
	}
	return andersonDarling(ties, samples)
}

func andersonDarling(ties Ties, samples [][]uint64) (Result, error) {
	var all, inverse, squares float64
	bins := 0
	for _, s := range samples {
		rows := rowsOf(s)
		all += rows
		squares += rows * rows
		inverse += 1 / rows
	}
	for i := range samples[0] {
		for _, s := range samples {
			if s[i] > 0 {
				bins++
				break
			}
		}
	}
	df := float64(len(samples) - 1)
	if bins < 2 || all < 4 { // The variance is of four rows and more.
		return Result{PValue: 1}, nil
	}
	var sum float64
	for _, s := range samples {
		n := rowsOf(s)
		var own, both float64 // Cumulative rows.
		for i := range s {
			var rows float64
			for _, o := range samples {
				rows += float64(o[i])
			}
			if rows == 0 {
				continue
			}
			o, b, tied := own+float64(s[i]), both+rows, 0.0
			own, both = o, b
			if ties == Midrank {
				o, b, tied = o-float64(s[i])/2, b-rows/2, rows/all/4
			} else if b >= all {
				break
			}
			gap := o/n - b/all
			sum += rows / all * n * gap * gap / (b/all*(1-b/all) - tied)
		}
	}
	if ties == Midrank {
		sum *= (all - 1) / all
	}
	deviation := math.Sqrt(andersonVariance(all, inverse, df+1))
	score := (sum - df) / deviation
	limit := math.Sqrt(2 * df * (math.Pi*math.Pi/3 - 3))
	return Result{Score: score, PValue: AndersonDarlingTail(df+score*limit, len(samples)), Effect: math.Sqrt(2 * sum / (all - squares/all))}, nil
}

// andersonVariance is equation 4 of Scholz and Stephens; inverse is the sum of
// 1/n over the samples.
func andersonVariance(all, inverse, k float64) float64 {
	h, squares := harmonic(all - 1)
	g := squares - 2*h/all
	a := (4*g-6)*(k-1) + (10-6*g)*inverse
	b := (2*g-4)*k*k + 8*h*k + (2*g-14*h-4)*inverse - 8*h + 4*g - 6
	c := (6*h+2*g-2)*k*k + (4*h-4*g+6)*k + (2*h-6)*inverse + 4*h
	d := (2*h+6)*k*k - 4*h*k
	return (((a*all+b)*all+c)*all + d) / (all - 1) / (all - 2) / (all - 3)
}

// harmonic is the sum of 1/i and of 1/i^2 for i from 1 to n.
func harmonic(n float64) (h, squares float64) {
	if n <= 1000 {
		for i := n; i >= 1; i-- {
			h += 1 / i
			squares += 1 / (i * i)
		}
		return h, squares
	}
	const euler = 0.57721566490153286061
	v := 1 / (n * n) // The terms left out are below 1e-20.
	h = math.Log(n) + euler + 1/(2*n) - v/12 + v*v/120
	squares = math.Pi*math.Pi/6 - 1/n + v/2 - v/(6*n) + v*v/(30*n)
	return h, squares
}

func rowsOf(counts []uint64) (rows float64) {
	for _, c := range counts {
		rows += float64(c)
	}
	return rows
}

// MannWhitney is the rank-sum test, for a shift of ordered bins in one
// direction (Mann and Whitney 1947). Score is |2A-1|, where A is the
// probability that a row of the window is in a higher bin than one of the
// reference, ties counting half: 0 when neither is higher, 1 when no two rows
// overlap (Cliff's delta).
//
// Law: without ties and up to N*M = 1000 the two-sided p-value is exact; else
// the normal law with the variance for ties and a continuity correction of half
// a pair.
func MannWhitney(ref, cur []uint64) (Result, error) {
	s, err := measure("mann-whitney", ref, cur)
	if err != nil {
		return Result{}, err
	}
	var below, won, cubes float64 // Pairs won in units of N*M, less half.
	ties := false
	for i, r := range ref {
		f, g := float64(r), float64(cur[i])
		won += g / s.m * ((below+f/2)/s.n - 0.5)
		below += f
		share := (f + g) / (s.n + s.m)
		cubes += share * share * share
		ties = ties || f+g > 1
	}
	all := s.n + s.m
	// n m/12 (N+1 - sum(t^3-t)/(N(N-1))) in units of the pairs.
	deviation := math.Sqrt(max((1-cubes)*all*all/(all-1)/12/s.n/s.m, 0))
	gap := math.Abs(won)
	out := distance(min(2*gap, 1), 2*deviation*math.Sqrt(2/math.Pi), 1)
	switch {
	case deviation == 0: // One bin.
	case !ties && s.n*s.m <= exactWinPairs:
		out.PValue = exactMannWhitney(uint64(s.n), uint64(s.m), uint64(math.Round((gap+0.5)*s.n*s.m)))
	default:
		z := (gap - 0.5/s.n/s.m) / deviation
		if z > 0 {
			out.PValue = NormalTail(z)
		}
	}
	return out, nil
}
