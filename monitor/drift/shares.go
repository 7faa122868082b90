package drift

import "math"

// TotalVariation is half the sum of |p-q|, from 0 to 1: the share of rows that
// would have to move to another bin.
func TotalVariation(ref, cur []uint64) (Result, error) {
	s, err := measure("total variation", ref, cur)
	if err != nil {
		return Result{}, err
	}
	var sum, noise float64
	for i, r := range ref {
		p, q := float64(r)/s.n, float64(cur[i])/s.m
		sum += math.Abs(p - q)
		noise += s.meanGap(float64(r) + float64(cur[i]))
	}
	return distance(min(sum/2, 1), noise/2, math.NaN()), nil
}

// LInf is the largest |p-q| of any bin, from 0 to 1: the measure of choice for
// many categories, as it does not add up their noise. The noise floor is that
// of the noisiest bin alone, which is a little low for many bins. Law: each gap
// is normal with the variance of a difference of two shares; the p-value adds
// up what they give one by one (Bonferroni's bound), which errs towards
// silence, by little when it is small; it has three digits.
func LInf(ref, cur []uint64) (Result, error) {
	s, err := measure("l-infinity", ref, cur)
	if err != nil {
		return Result{}, err
	}
	var worst, noise float64
	for i, r := range ref {
		worst = max(worst, math.Abs(float64(r)/s.n-float64(cur[i])/s.m))
		noise = max(noise, s.meanGap(float64(r)+float64(cur[i])))
	}
	return distance(worst, noise, s.unionTail(ref, cur, worst)), nil
}

// unionTail is a bound of the probability that chance gives some bin a gap of
// at least worst.
func (s sample) unionTail(ref, cur []uint64, worst float64) float64 {
	if worst == 0 {
		return 1
	}
	var spread float64 // The largest variance of a share.
	perAll := 1 / (s.n + s.m)
	for i, r := range ref {
		share := (float64(r) + float64(cur[i])) * perAll
		spread = max(spread, share*(1-share))
	}
	if spread == 0 {
		return 1
	}
	// Bins whose tail is less than a thousandth of the first one's, all
	// together, need not be added up. Bins of nearly the same share have nearly
	// the same tail: close to the last one that was computed, its logarithm is
	// a parabola.
	square := worst * worst * s.k()
	far := square/spread + 2*math.Log(1000*float64(s.bins))
	var p, at, tail, hazard float64
	for i, r := range ref {
		share := (float64(r) + float64(cur[i])) * perAll
		variance := share * (1 - share)
		if variance <= 0 || square > far*variance {
			continue
		}
		z := math.Sqrt(square / variance)
		off := at - z
		if math.Abs(off) > 0.12 || tail == 0 {
			at, off = z, 0
			tail, hazard = roughTail(z)
		}
		e := off * hazard * (1 - off/2*(hazard-at))
		p += tail * (1 + e*(1+e*(1./2+e*(1./6+e/24))))
	}
	if s.bins == 2 {
		p /= 2 // Both bins have the same gap.
	}
	return min(p, 1)
}

// roughTail is NormalTail to seven digits (Press et al., "Numerical Recipes",
// 6.2.2, erfcc), which are enough for a bound and take a fifth of the time, and
// the speed at which its logarithm falls.
func roughTail(z float64) (tail, hazard float64) {
	const density = 0.797884560802865 // Twice that of a normal variable at 0.
	t := 1 / (1 + z/math.Sqrt2/2)
	ratio := t * math.Exp(-1.26551223+t*(1.00002368+t*(0.37409196+t*(0.09678418+t*(-0.18628806+t*(0.27886807+
		t*(-1.13520398+t*(1.48851587+t*(-0.82215223+t*0.17087277)))))))))
	return ratio * math.Exp(-z*z/2), density / ratio
}
