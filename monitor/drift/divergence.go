package drift

import "math"

// PSI is the population stability index, sum (q-p) ln(q/p): 0 and up, without
// bound. Credit scoring reads 0.1 on ten quantile bins as a change to look at,
// and 0.25 as one to act on (Siddiqi, "Credit Risk Scorecards", 2006). It is
// the symmetric form of KL (Jeffreys 1946). Law: k*PSI is chi-square with B-1
// degrees of freedom (Yurdakul 2018).
func PSI(ref, cur []uint64) (Result, error) {
	s, err := measure("psi", ref, cur)
	if err != nil {
		return Result{}, err
	}
	add, n, m := s.smooth()
	var sum float64
	for i, r := range ref {
		if r == 0 && cur[i] == 0 {
			continue
		}
		p, q := (float64(r)+add)/n, (float64(cur[i])+add)/m
		sum += (q - p) * math.Log(q/p)
	}
	return s.linear(sum, 1), nil
}

// KL is the Kullback-Leibler divergence of the window from the reference,
// sum q ln(q/p), in nats: 0 and up, without bound. It is not symmetric: for
// sum p ln(p/q) exchange the arguments. Law: 2k*KL is chi-square with B-1
// degrees of freedom (Kullback and Leibler 1951).
func KL(ref, cur []uint64) (Result, error) {
	s, err := measure("kl", ref, cur)
	if err != nil {
		return Result{}, err
	}
	add, n, m := s.smooth()
	var sum float64
	for i, r := range ref {
		if r == 0 && cur[i] == 0 {
			continue
		}
		p, q := (float64(r)+add)/n, (float64(cur[i])+add)/m
		sum += q * math.Log(q/p)
	}
	return s.linear(sum, 2), nil
}

// JensenShannon is the Jensen-Shannon distance in base 2: the square root of
// the mean divergence of both sides from their mixture (Lin 1991; a metric by
// Endres and Schindelin 2003). It runs from 0 to 1. 0.1 is a usual limit. Law:
// 8k times the divergence in nats is chi-square with B-1 degrees of freedom.
func JensenShannon(ref, cur []uint64) (Result, error) {
	s, err := measure("jensen-shannon", ref, cur)
	if err != nil {
		return Result{}, err
	}
	var sum float64
	for i, r := range ref {
		p, q := float64(r)/s.n, float64(cur[i])/s.m
		mid := (p + q) / 2
		if p > 0 {
			sum += p * math.Log(p/mid)
		}
		if q > 0 {
			sum += q * math.Log(q/mid)
		}
	}
	return s.root(min(sum/2/math.Ln2, 1), 8*math.Ln2), nil
}

// Hellinger is the Hellinger distance, sqrt(1 - sum sqrt(p q)), from 0 to 1.
// 0.1 is a usual limit. Law: 8k*H^2 is chi-square with B-1 degrees of freedom.
func Hellinger(ref, cur []uint64) (Result, error) {
	s, err := measure("hellinger", ref, cur)
	if err != nil {
		return Result{}, err
	}
	var sum float64
	for i, r := range ref {
		// The same as 1 - sum sqrt(p q), without its loss of digits near 0.
		d := math.Sqrt(float64(r)/s.n) - math.Sqrt(float64(cur[i])/s.m)
		sum += d * d
	}
	return s.root(min(sum/2, 1), 8), nil
}
