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
// silence, by little when it is small.
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
	var p float64
	for i, r := range ref {
		if share := (float64(r) + float64(cur[i])) / (s.n + s.m); share > 0 && share < 1 {
			p += NormalTail(worst * math.Sqrt(s.k()/(share*(1-share))))
		}
	}
	if s.bins == 2 {
		p /= 2 // Both bins have the same gap.
	}
	return min(p, 1)
}
