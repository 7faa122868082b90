package profile

import (
	"math"
	"strconv"
)

// DefaultBins is how many bins Column.Bins makes when it is given 0.
const DefaultBins = 64

// Bins returns an empty layout for values like those of the column.
//
// A numeric column gets at most limit bins. If it has at most limit different
// values, and at most 64, each value has its own bin, with edges half way
// between neighbours: a value that comes back slightly rounded stays in its
// bin. (A float64 served as a float32 is the case that matters.) Otherwise the edges are at quantiles, between values of the data, so
// that bins hold about the same number of rows; a value that alone makes up
// more than one bin's share has its own bin. A categorical column gets a bin
// for each of its limit most frequent categories, and one for all others.
//
// limit is 64 when it is 0 or less, and at most 256 for numbers and 1024 for
// categories. A column that had only nulls gets one bin.
func (c *Column) Bins(limit int) *Bins {
	if limit <= 0 {
		limit = DefaultBins
	}
	if c.kind == Categorical {
		b := &Bins{Kind: Categorical}
		for _, t := range c.Top(limit) {
			b.Categories = append(b.Categories, t.Value)
		}
		b.ready()
		return b
	}
	b := &Bins{Kind: Numeric}
	if c.num.n > 0 {
		b.HasRange, b.Low, b.High = true, c.num.min, c.num.max
		if mean := c.num.mean; mean-mean == 0 {
			b.Shift = mean
		}
		b.layOut(c.num.sample(), min(limit, maxEdges+1), !c.num.sketched)
	}
	b.ready()
	return b
}

// layOut sets the edges and the positions from ascending values; complete says
// that these are all there were.
func (b *Bins) layOut(sample []weighted, limit int, complete bool) {
	rows := make([]uint64, len(sample)+1) // rows[i] is how many rows are below sample[i].
	for i, w := range sample {
		rows[i+1] = rows[i] + w.count
	}
	total := float64(rows[len(sample)])
	cut := make([]int, 0, limit+1) // Bin i holds sample[cut[i]:cut[i+1]].
	cut = append(cut, 0)
	if complete && len(sample) <= limit {
		for i := 1; i < len(sample); i++ {
			cut = append(cut, i)
		}
	} else {
		at := 0
		for k := 1; k < limit; k++ {
			want := total * float64(k) / float64(limit)
			for float64(rows[at+1]) < want {
				at++
			}
			// The quantile falls into sample[at]: cut on the nearer side of it.
			c := at
			if float64(rows[at+1])-want < want-float64(rows[at]) {
				c++
			}
			if c > cut[len(cut)-1] && c < len(sample) {
				cut = append(cut, c)
			}
		}
	}
	for _, c := range cut[1:] {
		b.Edges = append(b.Edges, between(sample[c-1].value, sample[c].value, complete))
	}
	cut = append(cut, len(sample))
	for i := range len(cut) - 1 {
		b.Values = append(b.Values, centre(sample[cut[i]:cut[i+1]]))
	}
}

// between returns a number above a and at most b, with few digits: a profile is
// read by people, too. The middle is best where no value of the data can be
// hidden between a and b. Where the sketch may have dropped some, they are
// likely to lie at simple fractions of the way (cents between two prices), and
// the golden section keeps away from all of these.
func between(a, b float64, complete bool) float64 {
	const golden = 2 * 0.381966011250105
	half := b/2 - a/2 // Half, as the whole may overflow.
	at, tolerance := a+float64(half*golden), half/512
	if complete {
		at, tolerance = a+half, half/2
	}
	if e := shortest(at, tolerance); e > a && e <= b {
		return e
	}
	return b // Neighbouring floats.
}

// centre returns the mean of the values, to three digits of their spread.
func centre(ws []weighted) float64 {
	first, last := ws[0].value, ws[len(ws)-1].value
	if first == last {
		return first
	}
	var rows, sum float64
	for _, w := range ws {
		rows += float64(w.count)
	}
	for _, w := range ws {
		sum += float64(w.value * (float64(w.count) / rows))
	}
	return min(max(shortest(sum, (last/2-first/2)/512), first), last)
}

// shortest returns the number with the fewest digits within the tolerance.
func shortest(v, tolerance float64) float64 {
	for digits := 1; digits < 17; digits++ {
		r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', digits, 64), 64)
		if err == nil && math.Abs(r-v) <= tolerance {
			return r
		}
	}
	return v
}
