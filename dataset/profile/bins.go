package profile

import (
	"fmt"
	"math"
	"slices"
)

// Bins is a fixed partition of one feature with exact integer counts: what a
// reference and a live window share. Make one with [Column.Bins], then
// [Bins.Empty] for each window.
//
// The first block of fields is the layout. It is shared by all Bins made with
// Empty: treat it as read only. Bins of one layout merge and subtract exactly
// in all their counters, and up to rounding in Sum and SumSq.
type Bins struct {
	Kind Kind

	// Edges splits the numbers, ascending: bin i holds Edges[i-1] <= v < Edges[i],
	// the first bin everything below Edges[0], the last everything from the
	// last edge up. At most 255 edges.
	Edges []float64
	// Values holds the position of each bin on the number line, ascending:
	// the value itself where a bin stands for one value, else the mean of the
	// values that the layout was made from. Empty in a layout made by hand.
	Values []float64
	// Categories names the known values, the most frequent first. A value's
	// index is its code; Counts has one more cell for all other values.
	Categories []string
	// HasRange says that Low and High are the smallest and the largest number
	// of the data that the layout was made from; Below and Above count the
	// numbers outside. A number within a millionth of an end is still inside,
	// as a number loses about that much on its way through a float32.
	HasRange  bool
	Low, High float64
	// Shift is the number that Sum and SumSq are taken about.
	Shift float64

	// Counts holds the number of rows in each bin: one more cell than Edges,
	// or one more than Categories.
	Counts []uint64
	// Nulls counts missing values; a NaN is one. NonFinite counts infinities.
	// Neither is in Counts.
	Nulls, NonFinite uint64
	// Below and Above count the numbers outside Low and High, which are in
	// Counts too.
	Below, Above uint64
	// Sum and SumSq are the sums of v-Shift and of its square over the numbers.
	Sum, SumSq float64
	// Min and Max are the range of the numbers counted, both 0 before the
	// first. Sub cannot narrow them: after it they are bounds.
	Min, Max float64

	seen bool // Min and Max hold something.
	look *lookup
}

// Empty returns Bins with the same layout and nothing counted.
func (b *Bins) Empty() *Bins {
	e := &Bins{
		Kind: b.Kind, Edges: b.Edges, Values: b.Values, Categories: b.Categories,
		HasRange: b.HasRange, Low: b.Low, High: b.High, Shift: b.Shift,
		Counts: make([]uint64, b.cells()), look: b.look,
	}
	e.ready()
	return e
}

// cells returns how many counts the layout has.
func (b *Bins) cells() int {
	if b.Kind == Categorical {
		return len(b.Categories) + 1
	}
	return len(b.Edges) + 1
}

// AddFloat counts one number, or one code of a categorical layout. NaN is a
// missing value.
func (b *Bins) AddFloat(v float64) {
	one := [1]float64{v}
	b.AddFloats(one[:])
}

// AddCode counts one category by its code. A code that is not an index of
// Categories counts as another value.
func (b *Bins) AddCode(code int) {
	b.ready()
	if code < 0 || code >= len(b.Counts) {
		code = len(b.Counts) - 1
	}
	b.Counts[code]++
}

// AddNull counts one missing value.
func (b *Bins) AddNull() { b.Nulls++ }

// Code returns the code of a category: its index in Categories, or
// len(Categories) when it is not known.
func (b *Bins) Code(s string) int {
	if b.look != nil && len(b.look.codes) == len(b.Categories) {
		if code, ok := b.look.codes[s]; ok {
			return code
		}
		s = category(s)
		if code, ok := b.look.codes[s]; ok {
			return code
		}
		return len(b.Categories)
	}
	if code := slices.Index(b.Categories, category(s)); code >= 0 {
		return code
	}
	return len(b.Categories)
}

// Rows returns how many values were counted, missing ones included.
func (b *Bins) Rows() uint64 { return b.counted() + b.Nulls + b.NonFinite }

func (b *Bins) counted() (n uint64) {
	for _, c := range b.Counts {
		n += c
	}
	return n
}

// Mean returns the mean of the numbers counted, NaN when there were none.
func (b *Bins) Mean() float64 {
	n := b.counted()
	if n == 0 || b.Kind == Categorical {
		return math.NaN()
	}
	return b.Shift + b.Sum/float64(n)
}

// Variance returns the population variance of the numbers counted, NaN when
// there were none.
func (b *Bins) Variance() float64 {
	n := float64(b.counted())
	if n == 0 || b.Kind == Categorical {
		return math.NaN()
	}
	mean := b.Sum / n
	// Rounding may leave a small negative number where all values are equal.
	return max(0, b.SumSq/n-mean*mean)
}

// Positions returns the position of each bin on the number line, ascending:
// Values where the layout has them, else the middle of each bin, with the
// range seen as the ends of the outer two. It is nil for categories.
func (b *Bins) Positions() []float64 {
	if b.Kind == Categorical {
		return nil
	}
	if len(b.Values) == len(b.Edges)+1 {
		return slices.Clone(b.Values)
	}
	ends := make([]float64, 0, len(b.Edges)+2)
	ends = append(ends, b.Min)
	ends = append(ends, b.Edges...)
	ends = append(ends, b.Max)
	if n := len(b.Edges); n > 0 {
		ends[0] = min(ends[0], b.Edges[0])
		ends[n+1] = max(ends[n+1], b.Edges[n-1])
	}
	out := make([]float64, len(b.Edges)+1)
	for i := range out {
		out[i] = ends[i]/2 + ends[i+1]/2
	}
	return out
}

// SameLayout reports whether b and o count over the same bins.
func (b *Bins) SameLayout(o *Bins) bool {
	return b.Kind == o.Kind && b.HasRange == o.HasRange && b.Low == o.Low && b.High == o.High && b.Shift == o.Shift &&
		slices.Equal(b.Edges, o.Edges) && slices.Equal(b.Values, o.Values) && slices.Equal(b.Categories, o.Categories)
}

// Merge adds the counts of o, which is left as it is. It returns ErrInvalid,
// with b unchanged, when the layouts differ.
func (b *Bins) Merge(o *Bins) error {
	if err := b.compatible("merge", o); err != nil {
		return err
	}
	if rows := b.Rows(); rows > maxRows || o.Rows() > maxRows-rows {
		return fmt.Errorf("profile: merge bins: more than 2^53 rows together: %w", ErrInvalid)
	}
	for i, n := range o.Counts {
		b.Counts[i] += n
	}
	b.Nulls += o.Nulls
	b.NonFinite += o.NonFinite
	b.Below += o.Below
	b.Above += o.Above
	b.Sum += o.Sum
	b.SumSq += o.SumSq
	if o.seen {
		b.widen(o.Min, o.Max)
	}
	return nil
}

// Sub takes away the counts of o, which must be part of what b has counted. It
// returns ErrInvalid, with b unchanged, when it is not or the layouts differ.
func (b *Bins) Sub(o *Bins) error {
	if err := b.compatible("subtract", o); err != nil {
		return err
	}
	part := o.Nulls <= b.Nulls && o.NonFinite <= b.NonFinite && o.Below <= b.Below && o.Above <= b.Above
	for i, n := range o.Counts {
		part = part && n <= b.Counts[i]
	}
	if !part {
		return fmt.Errorf("profile: subtract bins: more rows in a bin than there are, so it was never merged: %w", ErrInvalid)
	}
	left := uint64(0)
	for i, n := range o.Counts {
		b.Counts[i] -= n
		left += b.Counts[i]
	}
	b.Nulls -= o.Nulls
	b.NonFinite -= o.NonFinite
	b.Below -= o.Below
	b.Above -= o.Above
	b.Sum -= o.Sum
	b.SumSq -= o.SumSq
	if left == 0 {
		// What rounding left behind belongs to no row.
		b.Sum, b.SumSq, b.Min, b.Max, b.seen = 0, 0, 0, 0, false
	}
	return nil
}

func (b *Bins) compatible(verb string, o *Bins) error {
	b.ready()
	switch {
	case o == nil || !b.SameLayout(o):
		return fmt.Errorf("profile: %s bins: made from different references: layouts differ: %w", verb, ErrInvalid)
	case len(o.Counts) != len(b.Counts):
		return fmt.Errorf("profile: %s bins: %d counts, want %d: %w", verb, len(o.Counts), len(b.Counts), ErrInvalid)
	}
	return nil
}

func (b *Bins) widen(low, high float64) {
	if !b.seen {
		b.Min, b.Max, b.seen = low, high, true
		return
	}
	b.Min, b.Max = min(b.Min, low), max(b.Max, high)
}
