package drift

import "math"

// ChiSquareCritical returns the x that a chi-square variable with df degrees of
// freedom exceeds with probability alpha: the inverse of ChiSquareTail. It is 0
// when alpha is 1 or more or df is not above 0, infinite when alpha is 0, and
// NaN when alpha is NaN or below 0.
func ChiSquareCritical(alpha float64, df int) float64 {
	if df <= 0 && alpha >= 0 {
		return 0
	}
	return invert(alpha, float64(df), func(x float64) float64 { return ChiSquareTail(x, df) })
}

// KolmogorovCritical is the inverse of KolmogorovTail, with the same limits as
// ChiSquareCritical.
func KolmogorovCritical(alpha float64) float64 { return invert(alpha, 1, KolmogorovTail) }

// NormalCritical is the inverse of NormalTail, which counts both sides: 1.96
// for 0.05.
func NormalCritical(alpha float64) float64 { return invert(alpha, 1, NormalTail) }

// CramerVonMisesCritical is the inverse of CramerVonMisesTail.
func CramerVonMisesCritical(alpha float64) float64 { return invert(alpha, 1, CramerVonMisesTail) }

// AndersonDarlingCritical is the inverse of AndersonDarlingTail.
func AndersonDarlingCritical(alpha float64, k int) float64 {
	if k < 2 && alpha >= 0 {
		return 0
	}
	return invert(alpha, float64(k), func(x float64) float64 { return AndersonDarlingTail(x, k) })
}

// invert finds the x from 0 up where a falling tail is alpha, by halving: the
// tails here are exact to some 1e-15, and so is the answer where they are
// steep.
func invert(alpha, guess float64, tail func(float64) float64) float64 {
	switch {
	case !(alpha >= 0):
		return math.NaN()
	case alpha >= 1:
		return 0
	case alpha == 0:
		return math.Inf(1)
	}
	lo, hi := 0.0, guess
	for tail(hi) > alpha {
		lo, hi = hi, 2*hi
	}
	for {
		mid := lo + (hi-lo)/2
		if mid <= lo || mid >= hi {
			return mid
		}
		if tail(mid) > alpha {
			lo = mid
		} else {
			hi = mid
		}
	}
}
