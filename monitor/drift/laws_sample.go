package drift

import "math"

// NormalTail returns the probability that a standard normal variable is at
// least z away from 0 on either side. It is NaN when z is.
func NormalTail(z float64) float64 { return math.Erfc(math.Abs(z) / math.Sqrt2) }

// StudentTail returns the probability that a variable of Student's law with df
// degrees of freedom, which need not be whole, is at least t away from 0 on
// either side: the incomplete beta function I(df/2, 1/2) at df/(df+t^2). It is
// NaN when t is or df is not above 0; df may be infinite.
func StudentTail(t, df float64) float64 {
	switch {
	case t != t || !(df > 0):
		return math.NaN()
	case math.IsInf(df, 1):
		return NormalTail(t)
	case math.IsInf(t, 0):
		return 0
	}
	t = math.Abs(t)
	root := math.Sqrt(df)
	// Both shares are formed without their small difference from 1.
	cos, sin := root/math.Hypot(root, t), t/math.Hypot(root, t)
	return min(incompleteBeta(df/2, cos*cos, sin*sin), 1)
}

// incompleteBeta is the regularised incomplete beta function of a and b = 1/2 at
// x, where y is 1-x, by its continued fraction on the side where that converges
// fast (Press et al., "Numerical Recipes", 6.4).
func incompleteBeta(a, x, y float64) float64 {
	const b = 0.5
	if x <= 0 {
		return 0
	}
	if y <= 0 {
		return 1
	}
	lnx, lny := math.Log(x), math.Log(y)
	if x > 0.5 {
		lnx = math.Log1p(-y)
	} else {
		lny = math.Log1p(-x)
	}
	front := math.Exp(lnBeta(a) + a*lnx + b*lny)
	if x < (a+1)/(a+b+2) {
		return front * betaFraction(a, b, x) / a
	}
	return 1 - front*betaFraction(b, a, y)/b
}

// lnBeta is the logarithm of Gamma(a+1/2)/(Gamma(a) Gamma(1/2)).
func lnBeta(a float64) float64 {
	var ratio float64
	if a > 1000 { // The difference of two large numbers would lose its digits.
		ratio = math.Log(a)/2 - 1/(8*a) + 1/(192*a*a*a)
	} else {
		up, _ := math.Lgamma(a + 0.5)
		down, _ := math.Lgamma(a)
		ratio = up - down
	}
	return ratio - math.Log(math.Pi)/2
}

func betaFraction(a, b, x float64) float64 {
	const tiny = 1e-300
	safe := func(v float64) float64 {
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c, d := 1.0, 1/safe(1-(a+b)*x/(a+1))
	h := d
	for m := 1.0; m < maxTerms; m++ {
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d = 1 / safe(1+even*d)
		c = safe(1 + even/c)
		h *= d * c
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d = 1 / safe(1+odd*d)
		c = safe(1 + odd/c)
		h *= d * c
		if math.Abs(d*c-1) < 1e-16 {
			break
		}
	}
	return h
}
