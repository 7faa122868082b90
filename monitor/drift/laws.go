package drift

import "math"

// ChiSquareTail returns the probability that a chi-square variable with df
// degrees of freedom exceeds x: the regularised upper incomplete gamma function
// Q(df/2, x/2), by its series below df/2+1 and by its continued fraction above
// (Press et al., "Numerical Recipes", 6.2). It is 1 when df or x is not above
// 0, and NaN when x is.
func ChiSquareTail(x float64, df int) float64 {
	switch {
	case x != x:
		return math.NaN()
	case df <= 0 || x <= 0:
		return 1
	case math.IsInf(x, 1):
		return 0
	}
	return upperGamma(float64(df)/2, x/2)
}

// GammaTail returns the probability that a variable of the gamma law with a
// mean and a variance exceeds x: what stands in for a weighted sum of
// chi-square variables, of which those two are known (Box 1954). It is 1 when x
// is not above 0 or there is no variance, and NaN when one of them is.
func GammaTail(x, mean, variance float64) float64 {
	switch {
	case x != x || mean != mean || variance != variance:
		return math.NaN()
	case !(variance > 0) || !(mean > 0) || x <= 0:
		return 1
	case math.IsInf(x, 1):
		return 0
	}
	return upperGamma(mean*mean/variance, x*mean/variance)
}

// upperGamma is the regularised upper incomplete gamma function for x above 0.
func upperGamma(a, x float64) float64 {
	lg, _ := math.Lgamma(a)
	front := math.Exp(a*math.Log(x) - x - lg)
	if x < a+1 {
		return min(max(1-front*gammaSeries(a, x), 0), 1)
	}
	return min(front*gammaFraction(a, x), 1)
}

// maxTerms bounds the expansions; they need about sqrt(a) terms.
const maxTerms = 1 << 20

func gammaSeries(a, x float64) float64 {
	term := 1 / a
	sum := term
	for n := 1.0; n < maxTerms; n++ {
		term *= x / (a + n)
		sum += term
		if term < sum*1e-17 {
			break
		}
	}
	return sum
}

// gammaFraction uses Lentz's method as modified by Thompson and Barnett.
func gammaFraction(a, x float64) float64 {
	const tiny = 1e-300
	b := x + 1 - a
	c, d := 1/tiny, 1/b
	h := d
	for n := 1.0; n < maxTerms; n++ {
		an := -n * (n - a)
		b += 2
		if d = an*d + b; math.Abs(d) < tiny {
			d = tiny
		}
		if c = b + an/c; math.Abs(c) < tiny {
			c = tiny
		}
		d = 1 / d
		h *= d * c
		if math.Abs(d*c-1) < 1e-16 {
			break
		}
	}
	return h
}

// chiMean is the mean of the square root of a chi-square variable.
func chiMean(df int) float64 {
	if df <= 0 {
		return 0
	}
	up, _ := math.Lgamma(float64(df+1) / 2)
	down, _ := math.Lgamma(float64(df) / 2)
	return math.Sqrt2 * math.Exp(up-down)
}

// KolmogorovTail returns the probability that Kolmogorov's law exceeds x:
// 2 sum (-1)^(j-1) exp(-2 j^2 x^2) (Kolmogorov 1933), for small x in the form
// of Jacobi's theta function, which converges there. It is 1 when x is not
// above 0, and NaN when x is.
func KolmogorovTail(x float64) float64 {
	switch {
	case x != x:
		return math.NaN()
	case x <= 0:
		return 1
	case x < 1:
		var sum float64
		for j := 1.0; j < 20; j += 2 {
			sum += math.Exp(-j * j * math.Pi * math.Pi / (8 * x * x))
		}
		return min(max(1-math.Sqrt(2*math.Pi)/x*sum, 0), 1)
	}
	var sum float64
	sign := 2.0
	for j := 1.0; j < 20; j++ {
		sum += sign * math.Exp(-2*j*j*x*x)
		sign = -sign
	}
	return min(max(sum, 0), 1)
}
