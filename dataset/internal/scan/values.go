package scan

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
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
func (c *column) add(a arrow.Array) {
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
		b, _ := c.bounds.(*textBounds)
		for i := range a.Len() {
			if a.IsNull(i) {
				c.summary.AddNull()
				continue
			}
			v := a.Value(i)
			c.summary.AddString(v)
			if b != nil {
				b.add(v)
			}
		}
	}
}

type number interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~float32 | ~float64
}

// numbers profiles v * mul / div, which is how times become Unix seconds.
func numbers[T number](c *column, a arrow.Array, values []T, mul, div float64) {
	b, _ := c.bounds.(*numberBounds[T])
	nulls := a.NullN() > 0
	lo, hi, seen, nan := T(0), T(0), false, false
	if b != nil {
		lo, hi, seen, nan = b.lo, b.hi, b.seen, b.nan
	}
	for i, v := range values {
		if nulls && a.IsNull(i) {
			c.summary.AddNull()
			continue
		}
		c.summary.AddFloat(float64(v) * mul / div)
		switch {
		case v != v:
			nan = true
		case !seen:
			lo, hi, seen = v, v, true
		case v < lo:
			lo = v
		case v > hi:
			hi = v
		}
	}
	if b != nil {
		b.lo, b.hi, b.seen, b.nan = lo, hi, seen, nan
	}
}
