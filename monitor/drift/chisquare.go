package drift

// minExpected is the expected count below which a cell is merged with others:
// the chi-square law is poor for smaller ones (Cochran 1954).
const minExpected = 5

// ChiSquare is Pearson's test that two rows of counts come from one population
// (the 2 x B contingency table, without continuity correction). Score is the
// statistic and NoiseFloor its degrees of freedom, which is its mean when
// nothing has changed. The score grows with the window, so it is a test and no
// measure of the size of a change.
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
	var (
		small, least cell
		cells        int
		sum          float64
	)
	for i, r := range ref {
		c := cell{float64(r), float64(cur[i])}
		switch {
		case !c.expectsEnough(s):
			small.add(c)
			continue
		case cells == 0 || c.rows() < least.rows():
			least = c
		}
		cells++
		sum += c.term(s)
	}
	switch {
	case small.rows() == 0:
	case small.expectsEnough(s) || cells == 0:
		cells++
		sum += small.term(s)
	default:
		sum -= least.term(s)
		least.add(small)
		sum += least.term(s)
	}
	if cells < 2 {
		return Result{PValue: 1}, nil
	}
	sum = max(sum, 0)
	return Result{Score: sum, NoiseFloor: float64(cells - 1), PValue: ChiSquareTail(sum, cells-1)}, nil
}

// cell is one column of the 2 x B table.
type cell struct{ ref, cur float64 }

func (c cell) rows() float64 { return c.ref + c.cur }

func (c *cell) add(o cell) {
	c.ref += o.ref
	c.cur += o.cur
}

func (c cell) expectsEnough(s sample) bool {
	return c.rows()*min(s.n, s.m)/(s.n+s.m) >= minExpected
}

// term is the sum of (observed-expected)^2/expected over both rows.
func (c cell) term(s sample) float64 {
	gap := c.ref - c.rows()*s.n/(s.n+s.m) // The other row has the same, negative.
	return gap * gap / c.rows() * (s.n + s.m) * (1/s.n + 1/s.m)
}
