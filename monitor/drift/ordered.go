package drift

import (
	"fmt"
	"math"
)

// kolmogorovMean is the mean of Kolmogorov's law, sqrt(pi/2) ln 2.
const kolmogorovMean = 0.868731160636159

// KolmogorovSmirnov is the largest difference between the cumulative shares of
// ordered bins, from 0 to 1 (Smirnov 1939). On bins it is a lower bound of the
// distance of the two samples, by at most the largest share of a bin; it is
// equal where each bin is one value. Law: sqrt(k)*D follows Kolmogorov's, which
// on bins errs towards silence.
func KolmogorovSmirnov(ref, cur []uint64) (Result, error) {
	s, err := measure("kolmogorov-smirnov", ref, cur)
	if err != nil {
		return Result{}, err
	}
	var f, g, worst float64
	for i, r := range ref {
		f += float64(r)
		g += float64(cur[i])
		worst = max(worst, math.Abs(f/s.n-g/s.m))
	}
	root := math.Sqrt(s.k())
	return Result{Score: min(worst, 1), NoiseFloor: min(kolmogorovMean/root, 1), PValue: KolmogorovTail(root * worst)}, nil
}

// Wasserstein is the earth mover's distance of order 1, the area between the
// two cumulative shares (Vallender 1974), divided by scale: with the standard
// deviation of the reference it says by how many of those the mass has moved
// on average. 0.1 is a usual limit. With a scale of 0 (or less, or NaN) the
// distance is in the units of positions.
//
// positions holds one place on the number line for each bin, ascending: the
// rows of a bin are taken to lie there. It is exact where each bin is one
// value. Rows beyond the reference's range count at the position of the outer
// bin, so a shift far out of it is underestimated: the difference of the means
// is a lower bound for the true distance (Kantorovich), and worth comparing.
//
// It returns ErrInvalid when positions is not one ascending number for each
// bin.
func Wasserstein(ref, cur []uint64, positions []float64, scale float64) (Result, error) {
	s, err := measure("wasserstein", ref, cur)
	if err != nil {
		return Result{}, err
	}
	if len(positions) != len(ref) {
		return Result{}, fmt.Errorf("drift: wasserstein: %d positions of %d bins: %w", len(positions), len(ref), ErrInvalid)
	}
	if !(scale > 0) {
		scale = 1
	}
	var f, g, sum, noise float64
	for i := 1; i < len(ref); i++ {
		width := positions[i] - positions[i-1]
		if !(width >= 0) {
			return Result{}, fmt.Errorf("drift: wasserstein: positions %g and %g of bins %d and %d are not ascending: %w", positions[i-1], positions[i], i-1, i, ErrInvalid)
		}
		f += float64(ref[i-1])
		g += float64(cur[i-1])
		sum += math.Abs(f/s.n-g/s.m) * width
		noise += s.meanGap(f+g) * width
	}
	return Result{Score: sum / scale, NoiseFloor: noise / scale, PValue: math.NaN()}, nil
}
