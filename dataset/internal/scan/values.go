package scan

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// profiled tells which types have a column in the profile. Binary and nested
// values have none.
func profiled(t arrow.DataType) bool {
	switch t.ID() {
	case arrow.BOOL, arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64,
		arrow.FLOAT32, arrow.FLOAT64, arrow.STRING, arrow.DATE32, arrow.TIMESTAMP, arrow.DECIMAL128:
		return true
	}
	return false
}

// add feeds the values of one batch to the profile and the bounds.
func (c *column) add(a arrow.Array, texts *profile.TextCounter) {
	switch a := a.(type) {
	case *array.Boolean:
		b, _ := c.bounds.(*boolBounds)
		for i := range a.Len() {
			if a.IsNull(i) {
				c.summary.AddNull()
				continue
			}
			v, f := a.Value(i), 0.0
			if v {
				f = 1
			}
			c.summary.AddFloat(f)
			if b != nil {
				b.add(v)
			}
		}
	case *array.Int8:
		numbers(c, a, a.Int8Values(), 1, 1)
	case *array.Int16:
		numbers(c, a, a.Int16Values(), 1, 1)
	case *array.Int32:
		numbers(c, a, a.Int32Values(), 1, 1)
	case *array.Int64:
		numbers(c, a, a.Int64Values(), 1, 1)
	case *array.Date32:
		numbers(c, a, a.Date32Values(), 86400, 1)
	case *array.Timestamp:
		numbers(c, a, a.TimestampValues(), 1, 1e6)
	case *array.Float32:
		numbers(c, a, a.Float32Values(), 1, 1)
	case *array.Float64:
		numbers(c, a, a.Float64Values(), 1, 1)
	case *array.Decimal128:
		scale := a.DataType().(*arrow.Decimal128Type).Scale
		b, _ := c.bounds.(*decimalBounds)
		for i := range a.Len() {
			if a.IsNull(i) {
				c.summary.AddNull()
				continue
			}
			c.summary.AddFloat(a.Value(i).ToFloat64(scale))
			if b != nil {
				b.add(a.Value(i))
			}
		}
	case *array.String:
		c.addTexts(a, texts)
	}
}

type number interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~float32 | ~float64
}

// block is how many values are handed to the profile at once.
const block = 1024

// numbers profiles v * mul / div, which is how times become Unix seconds.
func numbers[T number](c *column, a arrow.Array, values []T, mul, div float64) {
	if nulls := a.NullN(); nulls > 0 {
		c.summary.AddNulls(uint64(nulls))
		if nulls == len(values) {
			return
		}
	}
	b, _ := c.bounds.(*numberBounds[T])
	var valid [block]T
	var floats [block]float64
	nulls := a.NullN() > 0
	for from := 0; from < len(values); from += block {
		part := values[from:min(from+block, len(values))]
		if nulls {
			n := 0
			for i, v := range part {
				valid[n] = v
				if a.IsValid(from + i) {
					n++
				}
			}
			part = valid[:n]
		}
		switch {
		case mul == 1 && div == 1:
			for i, v := range part {
				floats[i] = float64(v)
			}
		default:
			for i, v := range part {
				floats[i] = float64(v) * mul / div
			}
		}
		c.summary.AddFloats(floats[:len(part)])
		if b != nil {
			b.add(part)
		}
	}
}

// add widens the bounds to some values.
func (b *numberBounds[T]) add(values []T) {
	lo, hi, seen := b.lo, b.hi, b.seen
	for _, v := range values {
		switch {
		case v != v:
			b.nan = true
		case !seen:
			lo, hi, seen = v, v, true
		case v < lo:
			lo = v
		case v > hi:
			hi = v
		}
	}
	b.lo, b.hi, b.seen = lo, hi, seen
}

// addTexts profiles the texts that are not null, where they lie.
func (c *column) addTexts(a *array.String, texts *profile.TextCounter) {
	value := a.Value
	n := a.Len()
	if nulls := a.NullN(); nulls > 0 {
		c.summary.AddNulls(uint64(nulls))
		at := make([]int32, 0, n-nulls)
		for i := range n {
			if a.IsValid(i) {
				at = append(at, int32(i))
			}
		}
		n, value = len(at), func(i int) string { return a.Value(int(at[i])) }
	}
	texts.Add(c.summary, n, value)
	b, _ := c.bounds.(*textBounds)
	if b == nil || n == 0 {
		return
	}
	lo, hi := value(0), value(0)
	for i := 1; i < n; i++ {
		switch v := value(i); {
		case v < lo:
			lo = v
		case v > hi:
			hi = v
		}
	}
	b.add(lo)
	b.add(hi)
}
