package filter

import (
	"cmp"
	"strings"

	"github.com/apache/arrow/go/v15/arrow/decimal128"
)

// Verdict is what statistics say about a set of rows.
type Verdict uint8

// The verdicts. Some means that only the rows themselves can tell.
const (
	Some Verdict = iota
	None         // No row matches.
	All          // Every row matches.
)

// Stats are what is known of the values of one column in a set of rows. Bounds
// need not be values of the column; nil means unknown. Their types are int64 for
// integers, dates (days) and timestamps (in the column's unit), float64, bool,
// string for texts and binaries, and decimal128.Num at the column's scale.
type Stats struct {
	Min, Max any // No value is less than Min, none but NaN is greater than Max.
	// Nulls is how many values are null, -1 when that is unknown.
	Nulls int64
	// NaN says that the values of a float column may include NaN, which bounds do
	// not speak of.
	NaN bool
	// MayHold, when set, tells whether a value that is not null can be among the
	// rows; a Bloom filter can say so. It gets values of the types above.
	MayHold func(v any) bool
}

// outcomes is a set of results that a node can have for a row.
type outcomes uint8

const (
	canBeTrue outcomes = 1 << iota
	canBeFalse
	canBeNull
)

// Prune judges a set of rows by the statistics of its columns; for a column of
// which nothing is known, stats returns Stats{Nulls: -1, NaN: true}.
func (b *Bound) Prune(rows int64, stats func(column string) Stats) Verdict {
	if rows == 0 {
		return None
	}
	if b.root == nil {
		return All
	}
	known := make([]Stats, len(b.columns))
	for i, f := range b.columns {
		known[i] = stats(f.Name)
	}
	switch o := b.root.outcomes(rows, known); {
	case o&canBeTrue == 0:
		return None
	case o == canBeTrue:
		return All
	}
	return Some
}

func (n *bound) outcomes(rows int64, stats []Stats) outcomes {
	switch n.kind {
	case not:
		return n.args[0].outcomes(rows, stats).not()
	case and:
		out := canBeTrue
		for _, a := range n.args {
			out = out.and(a.outcomes(rows, stats))
		}
		return out
	case or:
		out := canBeTrue // Of the opposite.
		for _, a := range n.args {
			out = out.and(a.outcomes(rows, stats).not())
		}
		return out.not()
	}
	s := stats[n.column]
	nulls, values := s.Nulls != 0, s.Nulls < rows
	var out outcomes
	if n.kind == isNull {
		if nulls {
			out |= canBeTrue
		}
		if values {
			out |= canBeFalse
		}
		return out
	}
	if nulls {
		out |= canBeNull
	}
	if values {
		out |= n.test.outcomes(s)
	}
	return out
}

func (o outcomes) not() outcomes {
	out := o & canBeNull
	if o&canBeTrue != 0 {
		out |= canBeFalse
	}
	if o&canBeFalse != 0 {
		out |= canBeTrue
	}
	return out
}

// and combines every outcome of the one with every outcome of the other: the
// conditions may depend on each other, which only makes fewer of them possible.
func (o outcomes) and(p outcomes) (out outcomes) {
	for _, x := range []outcomes{canBeTrue, canBeFalse, canBeNull} {
		for _, y := range []outcomes{canBeTrue, canBeFalse, canBeNull} {
			switch {
			case o&x == 0 || p&y == 0:
			case x == canBeFalse || y == canBeFalse:
				out |= canBeFalse
			case x == canBeNull || y == canBeNull:
				out |= canBeNull
			default:
				out |= canBeTrue
			}
		}
	}
	return out
}

// between says what a comparison with c can give for values from lo to hi; nil
// ends are open.
func between[T any](o op, c T, lo, hi *T, order func(a, b T) int, mayHold bool) (out outcomes) {
	below := lo == nil || order(*lo, c) < 0   // A value less than c.
	above := hi == nil || order(*hi, c) > 0   // A value greater than c.
	within := lo == nil || order(*lo, c) <= 0 // c is no less than the least.
	within = within && (hi == nil || order(*hi, c) >= 0)
	equal := within && mayHold
	for _, x := range []struct {
		can   bool
		order int
	}{{below, -1}, {equal, 0}, {above, 1}} {
		switch {
		case !x.can:
		case holds(o, x.order):
			out |= canBeTrue
		default:
			out |= canBeFalse
		}
	}
	return out
}

// endOf is a bound of type T, nil when it is unknown.
func endOf[T any](v any) *T {
	if t, ok := v.(T); ok {
		return &t
	}
	return nil
}

func (s Stats) mayHold(o op, v any) bool {
	return s.MayHold == nil || o != eq || s.MayHold(v)
}

func (t fixed) outcomes(Stats) outcomes {
	if t.yes {
		return canBeTrue
	}
	return canBeFalse
}

func (t boolTest) outcomes(s Stats) outcomes {
	order := func(a, b bool) int {
		switch {
		case a == b:
			return 0
		case a:
			return 1
		}
		return -1
	}
	// There is nothing below false and nothing above true.
	lo, hi := endOf[bool](s.Min), endOf[bool](s.Max)
	low, high := false, true
	if lo == nil {
		lo = &low
	}
	if hi == nil {
		hi = &high
	}
	return between(t.op, t.c, lo, hi, order, true)
}

func (t numberTest[T]) outcomes(s Stats) outcomes {
	c := any(t.c)
	switch c := c.(type) {
	case float64:
		return floatOutcomes(t.op, c, s)
	case float32:
		return floatOutcomes(t.op, float64(c), s)
	}
	v := int64(t.c)
	return between(t.op, v, endOf[int64](s.Min), endOf[int64](s.Max), cmp.Compare[int64], s.mayHold(t.op, v))
}

func floatOutcomes(o op, c float64, s Stats) outcomes {
	// Equal zeros may have different bits, which is all that MayHold looks at.
	hold := c == 0 || s.mayHold(o, c)
	out := between(o, c, endOf[float64](s.Min), endOf[float64](s.Max), compareFloats, hold)
	if s.NaN {
		out |= canBeFalse
		if holds(o, 1) {
			out |= canBeTrue
		}
	}
	return out
}

// compareFloats has one zero, unlike the bits, and is not asked about NaN.
func compareFloats(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (t nanTest[T]) outcomes(s Stats) outcomes {
	out := canBeTrue | canBeFalse
	if !s.NaN {
		out = canBeFalse
		if !t.nan {
			out = canBeTrue
		}
	}
	return out
}

func (t decimalTest) outcomes(s Stats) outcomes {
	return between(t.op, t.c, endOf[decimal128.Num](s.Min), endOf[decimal128.Num](s.Max), decimal128.Num.Cmp, s.mayHold(t.op, t.c))
}

func (t textTest) outcomes(s Stats) outcomes {
	return between(t.op, t.c, endOf[string](s.Min), endOf[string](s.Max), strings.Compare, s.mayHold(t.op, t.c))
}

// outcomes of a list: true when one can be, and false when none must be.
func (t anyOf) outcomes(s Stats) outcomes {
	out := canBeFalse
	for _, x := range t {
		o := x.outcomes(s)
		if o == canBeTrue {
			return canBeTrue
		}
		out |= o & canBeTrue
	}
	return out
}
