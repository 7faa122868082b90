package anytime

import (
	"math"
	"slices"
)

// Counts is what is known of one side: requests, and those that count (failed,
// were slow).
type Counts struct {
	N int64 `json:"n"`
	K int64 `json:"k"`
}

// Plus adds two counts.
func (c Counts) Plus(d Counts) Counts { return Counts{N: c.N + d.N, K: c.K + d.K} }

// Rate is K/N, 0 when there is nothing.
func (c Counts) Rate() float64 {
	if c.N == 0 {
		return 0
	}
	return float64(c.K) / float64(c.N)
}

// smoothed is an estimate of the rate that is never 0 or 1 (the mean under
// Jeffreys' prior).
func (c Counts) smoothed() float64 {
	return (float64(c.K) + 0.5) / (float64(c.N) + 1)
}

// Direction is the alternative of a one-sided test.
type Direction int

// The directions.
const (
	// Greater: the null hypothesis is that b is at most a + margin; evidence
	// grows while b is greater.
	Greater Direction = iota
	// Less: the null hypothesis is that b is at least a + margin; evidence
	// grows while b is less.
	Less
)

// floor keeps bets off 0 and 1, where logarithms end and digits are lost.
const floor = 1e-6

func inside(p float64) float64 { return min(max(p, floor), 1-floor) }

// BlockLogE returns the logarithm of an e-value for two rates from one block of
// requests: na and nb on the two sides, of which ka and kb count.
//
// The null hypothesis is θb ≤ θa + margin (Greater) or θb ≥ θa + margin (Less);
// pa and pb are the rates that the test bets on, chosen before the block was
// seen. When they satisfy the null hypothesis the answer is 0: no bet.
//
// It is the likelihood of (pa, pb) divided by that of (ra, rb), the pair on the
// border rb = ra + margin that is nearest to it: the one with the smallest
// na·KL(pa‖ra) + nb·KL(pb‖rb). Turner, Ly, Grünwald, "Generic E-variables for
// exact sequential k-sample tests that allow for optional stopping" (JSPI 2024),
// and Turner, Grünwald, "Exact anytime-valid confidence intervals for
// contingency tables and beyond" (2023), for the border. That its mean is at
// most 1 takes three lines, and needs equal rates only on average over the
// block. Let Da = (pa-ra)/(ra(1-ra)), Db alike. The mean of each request's
// factor is 1 + (θ-r)D ≤ exp((θ-r)D), so that of the block's is at most
// exp(na·Da(θ̄a-ra) + nb·Db(θ̄b-rb)). As (ra, rb) is nearest, na·Da = -nb·Db. So
// the exponent is nb·Db(θ̄b - θ̄a - margin), and at most 0 under the null.
//
// Because each block is judged by itself, rates may change from block to block
// as they like, on both sides: by the hour, with the load, with the share of the
// traffic.
func BlockLogE(a, b Counts, margin float64, d Direction, pa, pb float64) float64 {
	if a.N == 0 || b.N == 0 {
		return 0
	}
	pa, pb = inside(pa), inside(pb)
	if d == Greater && pb-pa <= margin || d == Less && pb-pa >= margin {
		return 0
	}
	ra, rb, ok := nearest(float64(a.N), float64(b.N), margin, pa, pb)
	if !ok {
		return 0
	}
	return logLikelihoodRatio(a, pa, ra) + logLikelihoodRatio(b, pb, rb)
}

func logLikelihoodRatio(c Counts, p, r float64) float64 {
	return float64(c.K)*math.Log(p/r) + float64(c.N-c.K)*math.Log((1-p)/(1-r))
}

// nearest finds the pair on the border, by bisection on the derivative, which
// grows with ra. It is not ok when the null hypothesis has no room: a margin
// next to 1 or -1.
func nearest(na, nb, margin, pa, pb float64) (ra, rb float64, ok bool) {
	low, high := 1e-12, min(1-floor/2, 1-floor/2-margin)
	if margin < 0 {
		low = floor/2 - margin
	}
	if low >= high {
		return 0, 0, false
	}
	slope := func(r float64) float64 {
		s := r + margin
		return na*(r-pa)/(r*(1-r)) + nb*(s-pb)/(s*(1-s))
	}
	// At the ends the pair would not be a stationary point, which the proof
	// needs: no bet is always right.
	if slope(low) > 0 || slope(high) < 0 {
		return 0, 0, false
	}
	for range 60 {
		mid := (low + high) / 2
		if slope(mid) < 0 {
			low = mid
		} else {
			high = mid
		}
	}
	ra = (low + high) / 2
	return ra, ra + margin, true
}

// RateTest is a one-sided sequential test of two rates: b against a + margin.
// It is an e-process: the mean of several that bet on different sizes of the
// difference, each the product of BlockLogE over the blocks, with a's rate as it
// was before the block. Its fields are its state, which may be stored.
type RateTest struct {
	// Margin and Direction are the hypothesis.
	Margin    float64   `json:"margin"`
	Direction Direction `json:"direction"`
	// A and B are what was seen. Before there were burnIn requests on side a,
	// blocks are only learned from.
	A Counts `json:"a"`
	B Counts `json:"b"`
	// Logs are the logarithms of the e-processes that are averaged.
	Logs []float64 `json:"logs,omitempty"`
	// Best is the greatest LogE so far.
	Best float64 `json:"best"`
}

// burnIn is the number of requests of side a before the first bet: a bet on a
// rate that nothing is known about is a loss.
const burnIn = 30

// bets are the differences that are bet on, beside the one that was seen.
var bets = [...]float64{0.001, 0.004, 0.016, 0.064, 0.25, 0.7}

// Add takes the next block in. Blocks may have any size, as long as it was not
// chosen by their outcomes; a block with one side only is only learned from. Small
// blocks follow changes of the rates faster.
func (t *RateTest) Add(a, b Counts) {
	if len(t.Logs) != len(bets)+2 {
		t.Logs = make([]float64, len(bets)+2)
	}
	if t.A.N >= burnIn && a.N > 0 && b.N > 0 {
		pa := t.A.smoothed()
		for i := range t.Logs {
			t.Logs[i] += BlockLogE(a, b, t.Margin, t.Direction, pa, t.bet(i, pa))
		}
	}
	t.A, t.B = t.A.Plus(a), t.B.Plus(b)
	t.Best = max(t.Best, t.LogE())
}

// bet is the rate of side b that the i-th process bets on.
func (t *RateTest) bet(i int, pa float64) float64 {
	border := pa + t.Margin
	switch {
	case i == len(bets)+1: // What was seen of side b.
		return t.B.smoothed()
	case i == len(bets): // Equal rates; with margin 0 half or twice the rate.
		if t.Margin != 0 {
			return pa
		}
		if t.Direction == Less {
			return pa / 2
		}
		return min(2*pa, (1+pa)/2)
	case t.Direction == Less:
		return border - bets[i]
	}
	return border + bets[i]
}

// LogE is the logarithm of the e-value. The test rejects at level α when it has
// ever been log(1/α) or more.
func (t *RateTest) LogE() float64 {
	if len(t.Logs) == 0 {
		return 0
	}
	return logMeanExp(t.Logs)
}

// Rejects reports whether the test has rejected at level alpha.
func (t *RateTest) Rejects(alpha float64) bool { return t.Best >= -math.Log(alpha) }

// logMeanExp is the logarithm of the mean of the exponentials.
func logMeanExp(logs []float64) float64 {
	top := slices.Max(logs)
	if math.IsInf(top, 0) {
		return top
	}
	sum := 0.0
	for _, l := range logs {
		if l -= top; l > -40 { // The rest is below the last digit.
			sum += math.Exp(l)
		}
	}
	return top + math.Log(sum/float64(len(logs)))
}

// RateBounds returns a confidence sequence of a rate that does not change: all
// p that the mixture of the likelihoods under a Beta(½, ½) prior does not refute.
// Robbins, "Statistical methods related to the law of the iterated logarithm"
// (1970); the beta-binomial mixture of Howard, Ramdas, "Sequential estimation of
// quantiles" (Bernoulli 2022).
func RateBounds(c Counts, alpha float64) (low, high float64) {
	if c.N <= 0 {
		return 0, 1
	}
	limit := -math.Log(alpha)
	hat := c.Rate()
	outside := func(p float64) bool { return betaBinomialLogE(c.N, c.K, p, 0.5, 0.5) >= limit }
	low, high = 0, 1
	if c.K > 0 {
		low = bisect(0, hat, func(p float64) bool { return !outside(p) })
	}
	if c.K < c.N {
		high = bisect(hat, 1, outside)
	}
	return low, high
}

// betaBinomialLogE is the logarithm of the likelihood of k of n under a
// Beta(r, s) prior over that under p.
func betaBinomialLogE(n, k int64, p, r, s float64) float64 {
	x, y := float64(k), float64(n-k)
	if p <= 0 && k > 0 || p >= 1 && k < n {
		return math.Inf(1)
	}
	l := logBeta(x+r, y+s) - logBeta(r, s)
	if k > 0 {
		l -= x * math.Log(p)
	}
	if k < n {
		l -= y * math.Log1p(-p)
	}
	return l
}

func logBeta(a, b float64) float64 {
	x, _ := math.Lgamma(a)
	y, _ := math.Lgamma(b)
	z, _ := math.Lgamma(a + b)
	return x + y - z
}

// bisect finds where f turns from false to true between low and high.
func bisect(low, high float64, f func(float64) bool) float64 {
	for range 45 {
		mid := (low + high) / 2
		if f(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return (low + high) / 2
}
