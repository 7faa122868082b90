package anytime

import "math"

// Moments is what is known of the mean of values between 0 and 1. The zero value
// is ready. Moments of parts add up to those of the whole.
type Moments struct {
	// N values have the sum Sum.
	N   int64   `json:"n"`
	Sum float64 `json:"sum"`
	// V is the sum of the squared distances of the values from what was
	// expected of each before it was seen: the mean of those before.
	V float64 `json:"v"`
}

// Add takes a value in, which is brought between 0 and 1.
func (m *Moments) Add(x float64) {
	m.AddExpected(x, (m.Sum+0.5)/float64(m.N+1))
}

// AddExpected takes a value in of which expected was thought before it was seen,
// where more is known than these moments.
func (m *Moments) AddExpected(x, expected float64) {
	x, expected = min(max(x, 0), 1), min(max(expected, 0), 1)
	m.N++
	m.Sum += x
	m.V += (x - expected) * (x - expected)
}

// Plus adds two moments.
func (m Moments) Plus(o Moments) Moments {
	return Moments{N: m.N + o.N, Sum: m.Sum + o.Sum, V: m.V + o.V}
}

// Mean is Sum/N, 0 when there is nothing.
func (m Moments) Mean() float64 {
	if m.N == 0 {
		return 0
	}
	return m.Sum / float64(m.N)
}

// slopes are the bets of the mixture: from ¾ down to 6·10⁻⁵, each two thirds of
// the one before. psis are ψ(λ) = -log(1-λ) - λ.
var slopes, psis = func() (l, p [24]float64) {
	for i := range l {
		l[i] = 0.75 * math.Pow(2.0/3, float64(i))
		p[i] = -math.Log1p(-l[i]) - l[i]
	}
	return l, p
}()

// logAbove is the logarithm of an e-process for "the mean is at most mu": the
// mean over λ of exp(λ(Sum - N·mu) - ψ(λ)V), the empirical Bernstein
// supermartingale of Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform,
// nonparametric, nonasymptotic confidence sequences" (Annals of Statistics
// 2021), theorem 4, after Fan, Grama, Liu (2015), mixed over a grid.
func (m Moments) logAbove(mu float64) float64 {
	return m.mixture(m.Sum - float64(m.N)*mu)
}

// logBelow is the same for "the mean is at least mu".
func (m Moments) logBelow(mu float64) float64 {
	return m.mixture(float64(m.N)*mu - m.Sum)
}

func (m Moments) mixture(s float64) float64 {
	var logs [len(slopes)]float64
	for i, l := range slopes {
		logs[i] = l*s - psis[i]*m.V
	}
	return logMeanExp(logs[:])
}

// MeanBounds returns a confidence sequence of the mean: of the average of the
// values' expectations so far, which may change. It is the empirical Bernstein
// sequence of Howard and others (2021), both sides at α/2.
func MeanBounds(m Moments, alpha float64) (low, high float64) {
	if m.N == 0 {
		return 0, 1
	}
	limit := math.Log(2 / alpha)
	mean := m.Mean()
	low = bisect(0, mean, func(mu float64) bool { return m.logAbove(mu) < limit })
	high = bisect(mean, 1, func(mu float64) bool { return m.logBelow(mu) >= limit })
	// At the ends of the range nothing is refuted.
	if m.logAbove(0) < limit {
		low = 0
	}
	if m.logBelow(1) < limit {
		high = 1
	}
	return low, high
}

// MeansLogE returns the logarithm of an e-process for two means of values
// between 0 and 1: the null hypothesis is that b's is at most a's + margin
// (Greater), or at least (Less).
//
// For each value m of a's mean, the e-process of b against m + margin times that
// of a against m is one, as the sides are independent; the smallest over all m is
// an e-process whatever the mean is. Like MeanBounds it speaks of the averages
// so far, so that both sides should have seen the same times: begin anew when
// the shares of the traffic change, and multiply what came out.
func MeansLogE(a, b Moments, margin float64, d Direction) float64 {
	if a.N == 0 || b.N == 0 {
		return 0
	}
	at := func(m float64) float64 {
		if d == Less {
			return b.logBelow(m+margin) + a.logAbove(m)
		}
		return b.logAbove(m+margin) + a.logBelow(m)
	}
	// A sum of logarithms of sums of exponentials is convex in m. The mean of b
	// is in range too.
	low, high := max(0, -margin), min(1, 1-margin)
	if low >= high {
		return 0
	}
	const golden = 0.6180339887498949
	x, y := high-golden*(high-low), low+golden*(high-low)
	fx, fy := at(x), at(y)
	for range 60 {
		if fx < fy {
			high, y, fy = y, x, fx
			x = high - golden*(high-low)
			fx = at(x)
		} else {
			low, x, fx = x, y, fy
			y = low + golden*(high-low)
			fy = at(y)
		}
	}
	return min(fx, fy)
}

// MSPRT returns the logarithm of the mixture sequential probability ratio for
// the difference of two means of many values each, which is 0 under the null
// hypothesis: of the normal distribution with a normal prior of variance tau2
// over the difference. diff is the difference of the means that were seen,
// variance that of diff: varA/na + varB/nb.
//
// Robbins (1970); Johari, Koomen, Pekelis, Walsh, "Always valid inference:
// continuous monitoring of A/B tests" (Operations Research 2022). It is two-sided
// and, other than the rest of this package, right only in the limit: where values
// are bounded prefer MeansLogE.
func MSPRT(diff, variance, tau2 float64) float64 {
	if variance <= 0 || tau2 <= 0 {
		return 0
	}
	return 0.5*math.Log(variance/(variance+tau2)) + diff*diff*tau2/(2*variance*(variance+tau2))
}
