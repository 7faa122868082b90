package drift

import "math"

// minExpected is the expected count below which a cell is merged with others:
// the chi-square law is poor for smaller ones (Cochran 1954).
const minExpected = 5

// ChiSquare is Pearson's test that two rows of counts come from one population
// (the 2 x B contingency table, without continuity correction; Pearson 1900).
// Score is the statistic and NoiseFloor its degrees of freedom, which is its
// mean when nothing has changed. The score grows with the window; Effect is
// Cohen's w against the shares of both samples together, sqrt(Score/k), which
// does not.
//
// Bins in which either side expects fewer than 5 rows are taken as one, and
// that one, if it is still too small, joins the smallest of the others. When
// only one cell is left there is nothing to test: the score is 0, the p-value
// 1.
func ChiSquare(ref, cur []uint64) (Result, error) {
	s, err := measure("chi-square", ref, cur)
	if err != nil {
		return Result{}, err
	}
	return merged(s, ref, cur, s.contingency, cell.pearson, s.k()), nil
}

// G is the likelihood-ratio test of the same table, 2 sum O ln(O/E) (Wilks
// 1938; Sokal and Rohlf, "Biometry"). Cells are merged as those of ChiSquare,
// and Score, NoiseFloor and Effect read the same way.
func G(ref, cur []uint64) (Result, error) {
	s, err := measure("g", ref, cur)
	if err != nil {
		return Result{}, err
	}
	return merged(s, ref, cur, s.contingency, cell.likelihood, s.k()), nil
}

// ChiSquareFit is Pearson's goodness of fit of the window to the shares of the
// reference, which are taken as known: use it when the reference is a law and
// not a sample, or is larger by orders of magnitude. The window's expected
// counts are scaled to its rows. A bin in which it expects fewer than 5 rows is
// merged, so a category that the reference has never seen does not make the
// p-value 0 by itself. Effect is Cohen's w, sqrt(Score/M).
func ChiSquareFit(ref, cur []uint64) (Result, error) {
	s, err := measure("chi-square fit", ref, cur)
	if err != nil {
		return Result{}, err
	}
	return merged(s, ref, cur, s.fit, cell.pearson, s.m), nil
}

// GFit is the likelihood-ratio test of the window against the shares of the
// reference, with the cells of ChiSquareFit.
func GFit(ref, cur []uint64) (Result, error) {
	s, err := measure("g fit", ref, cur)
	if err != nil {
		return Result{}, err
	}
	return merged(s, ref, cur, s.fit, cell.likelihood, s.m), nil
}

// merged sums up the terms of the cells that are large enough.
func merged(s sample, ref, cur []uint64, expect func(cell) (float64, float64), term func(cell, float64, float64) float64, size float64) Result {
	var (
		small, least cell
		cells        int
		sum          float64
	)
	value := func(c cell) float64 {
		r, e := expect(c)
		return term(c, r, e)
	}
	enough := func(c cell) bool {
		r, e := expect(c)
		return (r == 0 || r >= minExpected) && e >= minExpected
	}
	for i, r := range ref {
		c := cell{float64(r), float64(cur[i])}
		switch {
		case !enough(c):
			small.add(c)
			continue
		case cells == 0 || c.rows() < least.rows():
			least = c
		}
		cells++
		sum += value(c)
	}
	switch {
	case small.rows() == 0:
	case enough(small) || cells == 0:
		cells++
		sum += value(small)
	default:
		sum -= value(least)
		least.add(small)
		sum += value(least)
	}
	if cells < 2 {
		return Result{PValue: 1}
	}
	return statistic(sum, cells-1, size)
}

// statistic is the result of a score that is chi-square by itself.
func statistic(sum float64, df int, size float64) Result {
	sum = max(sum, 0)
	return Result{Score: sum, NoiseFloor: float64(df), PValue: ChiSquareTail(sum, df), Effect: math.Sqrt(sum / size)}
}

// cell is one column of the 2 x B table.
type cell struct{ ref, cur float64 }

func (c cell) rows() float64 { return c.ref + c.cur }

func (c *cell) add(o cell) {
	c.ref += o.ref
	c.cur += o.cur
}

// contingency is what both rows of the table expect in a cell.
func (s sample) contingency(c cell) (ref, cur float64) {
	return c.rows() * s.n / (s.n + s.m), c.rows() * s.m / (s.n + s.m)
}

// fit is what the window expects in a cell; the reference is no sample.
func (s sample) fit(c cell) (ref, cur float64) { return 0, c.ref * s.m / s.n }

// pearson is the sum of (observed-expected)^2/expected.
func (c cell) pearson(ref, cur float64) float64 {
	gap := c.cur - cur // The other row has the same, negative.
	if ref == 0 {
		return gap * gap / cur
	}
	return gap * gap * (1/ref + 1/cur)
}

// likelihood is the sum of 2 observed ln(observed/expected), less what adds up
// to nothing over all cells: so each term is of the size of its difference.
func (c cell) likelihood(ref, cur float64) float64 {
	sum := deviance(c.cur, cur)
	if ref > 0 {
		sum += deviance(c.ref, ref)
	}
	return sum
}

func deviance(observed, expected float64) float64 {
	if observed == 0 {
		return 2 * expected
	}
	return 2 * (observed*math.Log(observed/expected) - (observed - expected))
}
