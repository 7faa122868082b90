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
// equal where each bin is one value. Law: up to N*M = 10,000 the p-value is the
// exact one of all ways to deal the rows out to the two samples, given the bins
// (Hodges 1957; with ties Schröer and Trenkler 1995); above, sqrt(k)*D follows
// Kolmogorov's, which on bins errs towards silence.
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
	return s.kolmogorov(ref, cur, worst), nil
}

func (s sample) kolmogorov(ref, cur []uint64, worst float64) Result {
	root := math.Sqrt(s.k())
	p := 0.0
	if s.n*s.m <= exactPairs {
		p = exactKolmogorov(ref, cur)
	} else {
		p = KolmogorovTail(root * worst)
	}
	return distance(min(worst, 1), min(kolmogorovMean/root, 1), p)
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
	scale, err = checkAxis("wasserstein", positions, len(ref), scale)
	if err != nil {
		return Result{}, err
	}
	var f, g, sum, noise float64
	for i := 1; i < len(ref); i++ {
		width := halfWidth(positions, i)
		f += float64(ref[i-1])
		g += float64(cur[i-1])
		sum += math.Abs(f/s.n-g/s.m) * width
		noise += s.meanGap(f+g) * width
	}
	return distance(2*(sum/scale), 2*(noise/scale), math.NaN()), nil
}

// Energy is the energy distance, the square root of twice the area of (F-G)^2
// (Székely 2003; Székely and Rizzo 2013), of positions divided by scale, with
// the same arguments as Wasserstein: the unit is the root of the scale. It is
// more sensitive than Wasserstein to a change in a part of the range.
//
// Law: k/2 times its square is a weighted sum of chi-square variables; the
// p-value is that of the gamma law with the same mean and variance (Box 1954),
// good to some tenths of itself. The noise floor is the root of the mean
// square.
func Energy(ref, cur []uint64, positions []float64, scale float64) (Result, error) {
	s, err := measure("energy", ref, cur)
	if err != nil {
		return Result{}, err
	}
	scale, err = checkAxis("energy", positions, len(ref), scale)
	if err != nil {
		return Result{}, err
	}
	var f, g, sum, mean, variance, below float64
	span := positions[len(ref)-1]/2 - positions[0]/2
	for i := 1; i < len(ref); i++ {
		width := halfWidth(positions, i)
		if span > 0 { // Squares of widths shall not overflow.
			width /= span
		}
		f += float64(ref[i-1])
		g += float64(cur[i-1])
		gap := f/s.n - g/s.m
		sum += 2 * gap * gap * width
		// Of the sum of 2 (F-G)^2 times the width, where F-G is k^-1/2 times a
		// Brownian bridge at the share t, with covariance t(1-u) for t <= u.
		t := (f + g) / (s.n + s.m)
		mean += 2 * width * t * (1 - t) / s.k()
		above := width * (1 - t) * (1 - t)
		variance += 8 * above * (2*below + width*t*t) / s.k() / s.k()
		below += width * t * t
	}
	unit := math.Sqrt2 * math.Sqrt(span) / math.Sqrt(scale)
	return distance(math.Sqrt(sum)*unit, math.Sqrt(mean)*unit, GammaTail(sum, mean, variance)), nil
}

// checkAxis checks the positions of bins and returns the scale to use.
func checkAxis(op string, positions []float64, bins int, scale float64) (float64, error) {
	if len(positions) != bins {
		return 0, fmt.Errorf("drift: %s: %d positions of %d bins: %w", op, len(positions), bins, ErrInvalid)
	}
	for i := 1; i < bins; i++ {
		if width := halfWidth(positions, i); !(width >= 0) || math.IsInf(width, 1) {
			return 0, fmt.Errorf("drift: %s: positions %g and %g of bins %d and %d are not ascending numbers: %w", op, positions[i-1], positions[i], i-1, i, ErrInvalid)
		}
	}
	if !(scale > 0) {
		scale = 1
	}
	return scale, nil
}

// halfWidth is half of what lies between two positions, as the whole may be
// more than the largest number.
func halfWidth(positions []float64, i int) float64 { return positions[i]/2 - positions[i-1]/2 }
