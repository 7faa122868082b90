package profile

import (
	"fmt"
	"math"
)

// Histogram counts the column's rows over a layout of bins, its own of
// [Column.Bins] when layout is nil. It is exact while the column is (up to 64
// different numbers, or 1024 categories); from there on the counts are those of
// the sketch, whose errors the package names, and still add up to the rows. The
// sums, and what is outside the range of the layout, are of the sketch, too.
//
// It returns ErrInvalid when the column is of another kind than the layout.
func (c *Column) Histogram(layout *Bins) (*Bins, error) {
	if layout == nil {
		layout = c.Bins(0)
	}
	if c.kind != "" && layout.Kind != "" && c.kind != layout.Kind {
		return nil, fmt.Errorf("profile: histogram: the column is %s, the layout %s: %w", c.kind, layout.Kind, ErrInvalid)
	}
	h := layout.Empty()
	h.Nulls, h.NonFinite = c.nulls+c.nan, c.negInf+c.posInf
	if c.kind == Categorical {
		left := c.rows - c.nulls
		for text, n := range c.cat.counts {
			h.Counts[h.Code(text)] += *n
			left -= *n
		}
		h.Counts[len(h.Counts)-1] += left // Rows whose category was forgotten.
		return h, nil
	}
	for _, w := range c.num.sample() {
		h.Counts[h.look.bin(w.value)] += w.count
		if w.value < h.look.low {
			h.Below += w.count
		}
		if w.value > h.look.high {
			h.Above += w.count
		}
		d := w.value - h.Shift
		h.Sum += float64(d * float64(w.count))
		h.SumSq += float64(d * d * float64(w.count))
	}
	if c.num.n > 0 {
		h.widen(c.num.min, c.num.max)
	}
	return h, nil
}

// driftBins is how many bins a comparison uses: the number for which the usual
// limits of the index (0.1 a shift, 0.25 a large one) were set.
const driftBins = 10

// Drift is how far the distribution of a column has moved from a reference, as
// the population stability index over ten quantile bins of the reference (or its
// nine most frequent categories and the rest), with missing values as a bin of
// their own. What two samples of one distribution differ by on average is
// subtracted, so that small samples do not look like drift. It is NaN when
// either has no rows, and +Inf when their kinds differ.
func (c *Column) Drift(reference *Column) float64 {
	if c.rows == 0 || reference.rows == 0 {
		return math.NaN()
	}
	if c.kind != "" && reference.kind != "" && c.kind != reference.kind {
		return math.Inf(1)
	}
	limit := driftBins
	if reference.kind == Categorical {
		limit--
	}
	layout := reference.Bins(limit)
	if reference.kind == "" {
		// All of it was null: whatever is not is in one bin.
		layout = &Bins{Kind: Numeric}
		if c.kind == Categorical {
			layout.Kind = Categorical
		}
	}
	want, err := reference.Histogram(layout)
	if err != nil {
		return math.Inf(1)
	}
	have, err := c.Histogram(layout)
	if err != nil {
		return math.Inf(1)
	}
	n, m := float64(c.rows), float64(reference.rows)
	psi, bins := 0.0, 0.0
	add := func(a, b uint64) {
		if a == 0 && b == 0 {
			return
		}
		// Half a row in an empty bin keeps the logarithm finite.
		p, q := max(float64(a), 0.5)/n, max(float64(b), 0.5)/m
		psi += float64((p - q) * math.Log(p/q))
		bins++
	}
	for i, a := range have.Counts {
		add(a, want.Counts[i])
	}
	add(have.Nulls+have.NonFinite, want.Nulls+want.NonFinite)
	return max(0, psi-(bins-1)*(1/n+1/m))
}
