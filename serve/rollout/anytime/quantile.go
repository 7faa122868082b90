package anytime

import "math"

// RankBounds returns a confidence sequence of a quantile, as ranks: of n values
// in order, the quantile q is at least the low-th and at most the high-th,
// counted from 1; 0 and n+1 stand for no bound.
//
// Howard, Ramdas, "Sequential estimation of quantiles with applications to A/B
// testing and best-arm identification" (Bernoulli 2022), theorem 1(b): the number
// of values up to the quantile is a sum of coins with probability q, and the ranks
// are those that the beta-binomial mixture around q does not refute. It holds
// for the quantile of the average distribution so far when that changes.
func RankBounds(n int64, q, alpha float64) (low, high int64) {
	if n <= 0 {
		return 0, 1
	}
	limit := -math.Log(alpha)
	// The weight of the prior is that at which the interval is tightest after
	// some hundred values; it hardly matters.
	const weight = 20
	refuted := func(k int64) bool {
		return betaBinomialLogE(n, k, q, weight*q, weight*(1-q)) >= limit
	}
	center := int64(math.Round(q * float64(n)))
	// With k values up to the quantile, it is at least the k-th and less than
	// the next one. low and high are the smallest and the greatest k.
	low = search(0, center, func(k int64) bool { return !refuted(k) })
	high = search(center, n+1, func(k int64) bool { return k > n || refuted(k) })
	return low, high
}

// search finds the first integer from low to high at which f is true; f turns
// from false to true once, at high at the latest.
func search(low, high int64, f func(int64) bool) int64 {
	for low < high {
		mid := low + (high-low)/2
		if f(mid) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}
