package drift

import (
	"cmp"
	"math"
	"slices"
)

// BenjaminiHochberg returns the p-values adjusted so that rejecting those at or
// below a level keeps the expected share of false alarms among the alarms at
// that level (Benjamini and Hochberg 1995). It holds for independent and for
// positively dependent tests; when nothing at all has changed it bounds the
// chance of any alarm. The order is that of p. A NaN is a test that was not
// made: it stays NaN and does not count.
func BenjaminiHochberg(p []float64) []float64 {
	out := make([]float64, len(p))
	order := made(p, out)
	least := 1.0
	for rank := len(order); rank > 0; rank-- {
		i := order[rank-1]
		least = min(least, p[i]*float64(len(order))/float64(rank))
		out[i] = least
	}
	return out
}

// Bonferroni returns the p-values multiplied by the number of tests, at most 1:
// rejecting those at or below a level keeps the chance of any false alarm below
// that level, however the tests depend on each other. A NaN is a test that was
// not made: it stays NaN and does not count.
func Bonferroni(p []float64) []float64 {
	tests := 0.0
	for _, v := range p {
		if v == v {
			tests++
		}
	}
	out := make([]float64, len(p))
	for i, v := range p {
		out[i] = v
		if v == v {
			out[i] = math.Min(v*tests, 1)
		}
	}
	return out
}

// BenjaminiYekutieli is BenjaminiHochberg for tests that depend on each other
// in any way (Benjamini and Yekutieli 2001): the same p-values times the sum of
// 1/i over the tests, which costs power by about the logarithm of their number.
func BenjaminiYekutieli(p []float64) []float64 {
	out := BenjaminiHochberg(p)
	var harmonic, tests float64
	for _, v := range p {
		if v == v {
			tests++
			harmonic += 1 / tests
		}
	}
	for i, v := range out {
		if v == v {
			out[i] = math.Min(v*harmonic, 1)
		}
	}
	return out
}

// Holm returns the p-values adjusted step by step from the smallest on (Holm
// 1979): it promises what Bonferroni promises, and never rejects less. A NaN is
// a test that was not made: it stays NaN and does not count.
func Holm(p []float64) []float64 {
	out := make([]float64, len(p))
	order := made(p, out)
	least := 0.0
	for rank, i := range order {
		least = max(least, math.Min(p[i]*float64(len(order)-rank), 1))
		out[i] = least
	}
	return out
}

// made copies the p-values to out and returns the places of those that are no
// NaN, ascending.
func made(p, out []float64) []int {
	order := make([]int, 0, len(p))
	for i, v := range p {
		out[i] = v
		if v == v {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	return order
}
