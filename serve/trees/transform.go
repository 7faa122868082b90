package trees

import (
	"math"

	"github.com/millwright-ml/millwright/serve/internal/cmath"
)

// finish turns the sums of one row into what the model answers. out may be the
// sums' own memory.
type finish[T float32 | float64] func(out, sums []T)

// each makes a finish of a function of one sum.
func each[T float32 | float64](f func(T) T) finish[T] {
	return func(out, sums []T) {
		for i, v := range sums {
			out[i] = f(v)
		}
	}
}

// sigmoid32 is XGBoost's: it keeps the exponential from overflowing.
func sigmoid32(x float32) float32 {
	x = min(-x, 88.7)
	return 1 / (cmath.Exp32(x) + 1 + 1e-16)
}

// softmax32 is XGBoost's: the sum is a float64, what it divides by is not.
func softmax32(out, sums []float32) {
	top := sums[0]
	for _, v := range sums[1:] {
		top = max(top, v)
	}
	var total float64
	for i, v := range sums {
		out[i] = cmath.Exp32(v - top)
		total += float64(out[i])
	}
	for i := range out[:len(sums)] {
		out[i] /= float32(total)
	}
}

// softmax64 is LightGBM's and CatBoost's.
func softmax64(out, sums []float64) {
	top := sums[0]
	for _, v := range sums[1:] {
		top = max(top, v)
	}
	var total float64
	for i, v := range sums {
		out[i] = cmath.Exp(v - top)
		total += out[i]
	}
	for i := range out[:len(sums)] {
		out[i] /= total
	}
}

// argmax answers the index of the greatest sum, the first of equals.
func argmax[T float32 | float64](out, sums []T) {
	best := 0
	for i, v := range sums {
		if v > sums[best] {
			best = i
		}
	}
	out[0] = T(best)
}

// sigmoid64 is the logistic function with a slope.
func sigmoid64(slope float64) func(float64) float64 {
	return func(x float64) float64 { return 1 / (1 + cmath.Exp(-slope*x)) }
}

// sign is LightGBM's: -1, 0 or 1.
func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}

// log1pExp is LightGBM's link of cross entropy with weights.
func log1pExp(x float64) float64 { return math.Log1p(cmath.Exp(x)) }
