package drift

import (
	"fmt"
	"math"
)

// TwoProportions is the z test that a yes-or-no column has the same share in
// both samples, with the variance of both together. It takes two bins, and
// returns ErrInvalid for another number. Score is |z| and NoiseFloor its mean;
// Effect is the difference of the shares. The law is normal, from about 5
// expected rows in each bin: below, take Fisher.
func TwoProportions(ref, cur []uint64) (Result, error) {
	s, err := binary("two proportions", ref, cur)
	if err != nil {
		return Result{}, err
	}
	gap := math.Abs(float64(ref[1])/s.n - float64(cur[1])/s.m)
	share := (float64(ref[1]) + float64(cur[1])) / (s.n + s.m)
	if share == 0 || share == 1 {
		return Result{PValue: 1}, nil
	}
	z := gap * math.Sqrt(s.k()/(share*(1-share)))
	return Result{Score: z, NoiseFloor: normalMean, PValue: NormalTail(z), Effect: gap}, nil
}

// normalMean is the mean of |z| of a standard normal z.
const normalMean = 0.797884560802865

// Fisher is the exact test of a 2 x 2 table (Fisher 1935), two-sided: the
// probability of all tables with these sums that are at most as probable as
// this one. It takes two bins, and returns ErrInvalid for another number. Score
// and Effect are the difference of the shares.
func Fisher(ref, cur []uint64) (Result, error) {
	s, err := binary("fisher", ref, cur)
	if err != nil {
		return Result{}, err
	}
	a, c := float64(ref[1]), float64(cur[1])
	yes := a + c
	low, high := max(0, yes-s.m), min(s.n, yes)
	// From the most probable table outwards, in units of that one. up is the
	// ratio of the table with x+1 yes in the reference to the one with x.
	up := func(x float64) float64 { return (s.n - x) / (x + 1) * (yes - x) / (s.m - yes + x + 1) }
	mode := min(max(math.Floor((yes+1)/(s.m+s.n+2)*(s.n+1)), low), high)
	here := 1.0
	for x := mode; x < a; x++ {
		here *= up(x)
	}
	for x := mode; x > a; x-- {
		here /= up(x - 1)
	}
	const near = 1 + 1e-7 // Equal tables may differ by rounding.
	var sum, below float64
	add := func(p float64) {
		sum += p
		if p <= here*near {
			below += p
		}
	}
	add(1)
	for x, p := mode, 1.0; x < high && p > 0; x++ {
		p *= up(x)
		add(p)
	}
	for x, p := mode, 1.0; x > low && p > 0; x-- {
		p /= up(x - 1)
		add(p)
	}
	gap := math.Abs(a/s.n - c/s.m)
	return distance(gap, s.meanGap(yes), min(below/sum, 1)), nil
}

func binary(op string, ref, cur []uint64) (sample, error) {
	if len(ref) == len(cur) && len(ref) != 2 {
		return sample{}, fmt.Errorf("drift: %s: %d bins, want two: %w", op, len(ref), ErrInvalid)
	}
	return measure(op, ref, cur)
}
