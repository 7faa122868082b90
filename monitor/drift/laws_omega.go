package drift

import (
	"math"
	"math/cmplx"
)

// CramerVonMisesTail returns the probability that the limit law of the
// two-sample statistic T exceeds x: the sum of Z_j^2/(j pi)^2 over standard
// normal Z_j (Anderson and Darling 1952, Rosenblatt 1952), by Smirnov's
// alternating integrals, so that small probabilities keep their digits. It is 1
// when x is not above 0, and NaN when x is.
func CramerVonMisesTail(x float64) float64 {
	switch {
	case x != x:
		return math.NaN()
	case x <= 0.003: // Below 1e-17 of all.
		return 1
	}
	// In u with y = u^2 the product over (1 - y/(j pi)^2) is sin(u)/u, and the
	// integral of exp(-x y/2)/(y sqrt|sin(u)/u|) dy runs from one zero of the
	// sine to the next, k odd.
	return smirnov(func(k int, s float64) float64 {
		u := (float64(k) + s) * math.Pi
		edge := math.Sin(math.Pi*s) / (s * (1 - s))
		return 2 * math.Pi * math.Exp(-x*u*u/2) / math.Sqrt(u*edge)
	})
}

// AndersonDarlingTail returns the probability that the limit law of the
// statistic of k samples exceeds x before it is standardised: the sum of
// chi-square variables with k-1 degrees of freedom over j(j+1) (Scholz and
// Stephens 1987, section 3). It is 1 when x or k-1 is not above 0, and NaN when
// x is.
func AndersonDarlingTail(x float64, k int) float64 {
	switch {
	case x != x:
		return math.NaN()
	case x <= 0.02 || k < 2: // Below 1e-17 of all.
		return 1
	case k > 2:
		return bromwich(x, k-1)
	}
	// The product over (1 - y/(j(j+1))) is -cos(v pi/2)/(pi y) with v =
	// sqrt(1+4y), so its zeros are the odd v from 3 on.
	return smirnov(func(k int, s float64) float64 {
		v := float64(2*k+1) + 2*s
		y := (v*v - 1) / 4
		edge := math.Sin(math.Pi*s) / (s * (1 - s))
		return v * math.Exp(-x*y/2) / math.Sqrt(y*edge/math.Pi)
	})
}

// smirnov adds up the alternating integrals between the (2i-1)th and the 2i-th
// zero of the law's determinant, divided by pi (Smirnov 1937; Martynov 1978). g
// is the integrand in s from 0 to 1 times sqrt(s(1-s)), which leaves a smooth
// function: Gauss-Chebyshev nodes see it exactly.
func smirnov(g func(k int, s float64) float64) float64 {
	const nodes, most = 32, 64
	var sum float64
	sign := 1.0
	for i := 1; i <= most; i++ {
		var part float64
		for j := range nodes {
			c := math.Cos(math.Pi * (2*float64(j) + 1) / (4 * nodes))
			part += g(2*i-1, c*c)
		}
		part /= nodes // pi/nodes for the rule and 1/pi for the law.
		sum += sign * part
		if part < 1e-17*math.Abs(sum) {
			break
		}
		sign = -sign
	}
	return min(max(sum, 0), 1)
}

// bromwich inverts the moment generating function of the sum of chi-square
// variables with m degrees of freedom over j(j+1), along a line between 0 and
// its first pole at 1: the closer to that the larger x is, which keeps the
// digits of a small probability.
func bromwich(x float64, m int) float64 {
	if math.IsInf(x, 1) {
		return 0
	}
	half := float64(m) / 2
	room := min(max(half/x, 0.02), 0.75)
	at, step := 1-room, min(room, 0.25)*0.12
	determinant := func(s complex128) complex128 { // At y = 2s.
		y := 2 * s
		return -cmplx.Cos(complex(math.Pi/2, 0)*cmplx.Sqrt(1+4*y)) / (complex(math.Pi, 0) * y)
	}
	var sum, phase float64
	last := 0.0
	for i := range 1 << 18 {
		s := complex(at, step*float64(i))
		d := determinant(s)
		// The power's branch is the one that is continuous along the line.
		turn := math.Remainder(cmplx.Phase(d)-last, 2*math.Pi)
		phase += turn
		last = cmplx.Phase(d)
		size := math.Exp(-half*math.Log(cmplx.Abs(d)) - at*x)
		term := real(cmplx.Rect(size, -half*phase-imag(s)*x) / s)
		if i == 0 {
			term /= 2
		}
		sum += term
		if i > 0 && size/cmplx.Abs(s) < 1e-18*math.Abs(sum) {
			break
		}
	}
	return min(max(sum*step/math.Pi, 0), 1)
}
