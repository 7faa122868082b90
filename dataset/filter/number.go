package filter

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

type integer interface {
	int8 | int16 | int32 | int64 | arrow.Date32 | arrow.Timestamp
}

type numeric interface {
	integer | float32 | float64
}

// numberTest compares numbers with one that is not NaN.
type numberTest[T numeric] struct {
	op op
	c  T
}

// newFloatTest follows the order in which NaN is the largest number.
func newFloatTest[T float32 | float64](o op, c T) test {
	if c == c {
		return numberTest[T]{o, c}
	}
	switch o {
	case le:
		return fixed{true}
	case gt:
		return fixed{false}
	case lt, ne:
		return nanTest[T]{false}
	}
	return nanTest[T]{true}
}

// numbersOf are the values of a column, offset applied.
func numbersOf[T numeric](a arrow.Array) []T {
	var v any
	switch a := a.(type) {
	case *array.Int8:
		v = a.Int8Values()
	case *array.Int16:
		v = a.Int16Values()
	case *array.Int32:
		v = a.Int32Values()
	case *array.Int64:
		v = a.Int64Values()
	case *array.Date32:
		v = a.Date32Values()
	case *array.Timestamp:
		v = a.TimestampValues()
	case *array.Float32:
		v = a.Float32Values()
	case *array.Float64:
		v = a.Float64Values()
	}
	values, _ := v.([]T)
	return values
}

// eval counts on three loops that compile to no branch, and on their opposites:
// not less is greater or equal, and so holds for NaN as it should.
func (t numberTest[T]) eval(a arrow.Array, out []uint64) {
	values := numbersOf[T](a)
	for w := range out {
		part := values[w*64 : min(w*64+64, len(values))]
		var bits uint64
		switch t.op {
		case lt, ge:
			for i, v := range part {
				var b uint64
				if v < t.c {
					b = 1
				}
				bits |= b << (i & 63)
			}
		case le, gt:
			for i, v := range part {
				var b uint64
				if v <= t.c {
					b = 1
				}
				bits |= b << (i & 63)
			}
		default:
			for i, v := range part {
				var b uint64
				if v == t.c {
					b = 1
				}
				bits |= b << (i & 63)
			}
		}
		out[w] = bits
	}
	invert(t.op == ne || t.op == gt || t.op == ge, out)
}

// nanTest finds the NaNs, or all but them.
type nanTest[T float32 | float64] struct{ nan bool }

func (t nanTest[T]) eval(a arrow.Array, out []uint64) {
	for i, v := range numbersOf[T](a) {
		if (v != v) == t.nan {
			out[i>>6] |= 1 << (i & 63)
		}
	}
}
