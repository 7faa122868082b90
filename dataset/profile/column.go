package profile

import (
	"fmt"
	"math"
	"strconv"
)

// Kind says how the values of a column are to be read.
type Kind string

// The kinds of column. A column that has seen nothing but nulls has the kind
// "".
const (
	Numeric     Kind = "numeric"
	Categorical Kind = "categorical"
)

// Category is one value of a categorical column and how often it was seen.
type Category struct {
	Value string
	Count uint64
}

// Column is a mergeable streaming summary of one column. The zero value is
// ready. The first value that is not a null decides the kind.
type Column struct {
	kind        Kind
	rows, nulls uint64
	nan         uint64
	negInf      uint64
	posInf      uint64
	num         numbers
	cat         categories
}

// AddFloat counts one number. NaN and the infinities are counted apart: they
// are rows, but take no part in the range, the moments and the quantiles. In a
// categorical column the number is counted by its shortest decimal text.
func (c *Column) AddFloat(v float64) {
	if c.kind == Categorical {
		c.AddString(strconv.FormatFloat(v, 'g', -1, 64))
		return
	}
	c.kind = Numeric
	c.rows++
	switch {
	case v-v == 0:
		c.num.add(v)
	case v != v:
		c.nan++
	case v > 0:
		c.posInf++
	default:
		c.negInf++
	}
}

// AddString counts one category; "" is a category like any other. A text
// longer than 256 bytes is kept as its start and a digest, and bytes that are
// not UTF-8 are replaced by U+FFFD. In a numeric column the text is not a
// number, and is counted as a NaN.
func (c *Column) AddString(s string) {
	if c.kind == Numeric {
		c.AddFloat(math.NaN())
		return
	}
	c.kind = Categorical
	c.rows++
	c.cat.add(s)
}

// AddNull counts one missing value.
func (c *Column) AddNull() {
	c.rows++
	c.nulls++
}

// Merge adds what o has seen to c; o is left as it is. Counts, Min, Max and
// Distinct do not depend on how the stream was split; the other estimates keep
// their error bounds. It returns ErrInvalid, with c unchanged, when both have
// values and their kinds differ.
func (c *Column) Merge(o *Column) error {
	if c.kind != "" && o.kind != "" && c.kind != o.kind {
		return fmt.Errorf("profile: merge column: one is %s, the other %s: %w", c.kind, o.kind, ErrInvalid)
	}
	if c.rows > maxRows || o.rows > maxRows-c.rows {
		return fmt.Errorf("profile: merge column: %d and %d rows are more than 2^53 together: %w", c.rows, o.rows, ErrInvalid)
	}
	if c.kind == "" {
		c.kind = o.kind
	}
	c.rows += o.rows
	c.nulls += o.nulls
	c.nan += o.nan
	c.negInf += o.negInf
	c.posInf += o.posInf
	c.num.merge(&o.num)
	c.cat.merge(&o.cat)
	return nil
}

// Kind returns how the values are read, "" while there were only nulls.
func (c *Column) Kind() Kind { return c.kind }

// Rows returns how many values were added, nulls, NaN and infinities included.
func (c *Column) Rows() uint64 { return c.rows }

// Nulls returns how many values were missing.
func (c *Column) Nulls() uint64 { return c.nulls }

// NonFinite returns how many numbers were NaN or infinite.
func (c *Column) NonFinite() uint64 { return c.nan + c.negInf + c.posInf }

// Min returns the smallest finite number, NaN when there was none.
func (c *Column) Min() float64 { return c.num.orNaN(c.num.min) }

// Max returns the largest finite number, NaN when there was none.
func (c *Column) Max() float64 { return c.num.orNaN(c.num.max) }

// Mean returns the mean of the finite numbers, NaN when there was none.
func (c *Column) Mean() float64 { return c.num.orNaN(c.num.mean) }

// Variance returns the population variance (divided by the count, not by the
// count less one) of the finite numbers, NaN when there was none. Numbers
// beyond about 1e154 make it +Inf.
func (c *Column) Variance() float64 {
	return c.num.orNaN(c.num.m2 / float64(c.num.n))
}

// Quantile returns the smallest number that at least a share q of the finite
// numbers does not exceed: 0 is the minimum, 0.5 the median, 1 the maximum.
// Values of q beyond these ends count as the ends. It returns NaN when there
// was no number. Each call costs some 50 microseconds on a long column.
func (c *Column) Quantile(q float64) float64 {
	if c.num.n == 0 || q != q {
		return math.NaN()
	}
	return c.num.quantile(q)
}

// Top returns at most k categories, the most frequent first and equally
// frequent ones in the order of their text. It is empty for a numeric column.
func (c *Column) Top(k int) []Category { return c.cat.top(k) }

// TopError returns how much a count of Top may be too low. It is 0 up to 1024
// different categories, and never more than a 513th of the rows.
func (c *Column) TopError() uint64 { return c.cat.lost }

// Distinct returns the number of different values: finite numbers, or
// categories. It is exact up to 64 numbers or 1024 categories; above, it is a
// HyperLogLog estimate with a standard error of 1.6 %.
func (c *Column) Distinct() uint64 {
	if c.kind == Categorical {
		return c.cat.distinct()
	}
	return c.num.distinct()
}
