package rollout

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/millwright-ml/millwright/serve/oip"
)

// Diff is how two answers to one request compare.
type Diff struct {
	// Equal: the same outputs, of the same shapes, all elements within the
	// tolerances.
	Equal bool
	// Why says in words what is different first, "" when nothing is.
	Why string
	// Elements were compared, Differ of them are beyond the tolerances.
	Elements, Differ int64
	// MaxAbs and MaxRel are the greatest differences of two numbers, MaxRel
	// relative to the first; of numbers that are finite.
	MaxAbs, MaxRel float64
	// TopOne of TopOneRows rows have their greatest element in the same place.
	// Rows are those of the last dimension, of floats, where it is 2 or more.
	TopOne, TopOneRows int64
}

// Compare compares the answer b with a: numbers a and b agree when
// |a-b| ≤ abs + rel·|a|, NaN agrees with NaN, words and truth values with
// themselves. Outputs are matched by name.
func Compare(a, b *oip.InferResponse, abs, rel float64) Diff {
	var d Diff
	for i := range a.Outputs {
		x := &a.Outputs[i]
		y := b.Output(x.Name)
		switch {
		case y == nil:
			d.because("output %q is missing", x.Name)
		case x.Datatype != y.Datatype:
			d.because("output %q is %s, was %s", x.Name, y.Datatype, x.Datatype)
		case !slices.Equal(x.Shape, y.Shape) || x.Len() != y.Len():
			d.because("output %q has shape %v, had %v", x.Name, y.Shape, x.Shape)
		default:
			d.tensor(x, y, abs, rel)
		}
	}
	for i := range b.Outputs {
		if name := b.Outputs[i].Name; a.Output(name) == nil {
			d.because("output %q is new", name)
		}
	}
	d.Equal = d.Why == ""
	return d
}

func (d *Diff) because(format string, args ...any) {
	if d.Why == "" {
		d.Why = fmt.Sprintf(format, args...)
	}
}

func (d *Diff) tensor(x, y *oip.Tensor, abs, rel float64) {
	switch x.Datatype {
	case oip.BYTES:
		d.exact(x, func(i int) bool { return bytes.Equal(x.BYTES()[i], y.BYTES()[i]) })
	case oip.BOOL:
		d.exact(x, func(i int) bool { return x.BOOL()[i] == y.BOOL()[i] })
	case oip.INT64:
		integers(d, x, x.INT64(), y.INT64(), abs, rel)
	case oip.UINT64:
		integers(d, x, x.UINT64(), y.UINT64(), abs, rel)
	case oip.FP64:
		d.floats(x, x.FP64(), y.FP64(), abs, rel)
	default:
		d.floats(x, numbers(x), numbers(y), abs, rel)
	}
}

func (d *Diff) exact(x *oip.Tensor, same func(i int) bool) {
	n := x.Len()
	d.Elements += int64(n)
	for i := range n {
		if !same(i) {
			d.Differ++
			d.because("output %q element %d differs", x.Name, i)
		}
	}
}

// integers compares numbers that a float64 may not hold: those that differ only
// beyond its 53 bits count as within any tolerance.
func integers[T int64 | uint64](d *Diff, x *oip.Tensor, a, b []T, abs, rel float64) {
	d.Elements += int64(len(a))
	for i := range a {
		if a[i] != b[i] {
			d.pair(x, i, float64(a[i]), float64(b[i]), abs, rel)
		}
	}
}

func (d *Diff) floats(x *oip.Tensor, a, b []float64, abs, rel float64) {
	d.Elements += int64(len(a))
	for i := range a {
		d.pair(x, i, a[i], b[i], abs, rel)
	}
	d.topOne(x, a, b)
}

// pair compares two numbers.
func (d *Diff) pair(x *oip.Tensor, i int, a, b, abs, rel float64) {
	if a == b || math.IsNaN(a) && math.IsNaN(b) {
		return
	}
	delta := math.Abs(a - b)
	if finite(a) && finite(b) {
		d.MaxAbs = max(d.MaxAbs, delta)
		if a != 0 {
			d.MaxRel = max(d.MaxRel, delta/math.Abs(a))
		}
		if delta <= abs+rel*math.Abs(a) {
			return
		}
	}
	d.Differ++
	d.because("output %q element %d is %v, was %v", x.Name, i, b, a)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// topOne counts the rows whose greatest elements are in the same place.
func (d *Diff) topOne(x *oip.Tensor, a, b []float64) {
	if len(x.Shape) == 0 || x.Shape[len(x.Shape)-1] < 2 || !isFloat(x.Datatype) {
		return
	}
	width := int(x.Shape[len(x.Shape)-1])
	for i := 0; i+width <= len(a); i += width {
		d.TopOneRows++
		if greatest(a[i:i+width]) == greatest(b[i:i+width]) {
			d.TopOne++
		}
	}
}

func isFloat(t oip.Datatype) bool {
	return t == oip.FP64 || t == oip.FP32 || t == oip.FP16 || t == oip.BF16
}

func greatest(row []float64) int {
	best := 0
	for i, v := range row {
		if v > row[best] {
			best = i
		}
	}
	return best
}

// numbers returns the elements of the datatypes that a float64 holds exactly.
func numbers(t *oip.Tensor) []float64 {
	switch t.Datatype {
	case oip.FP32:
		return convert(t.FP32())
	case oip.INT8:
		return convert(t.INT8())
	case oip.INT16:
		return convert(t.INT16())
	case oip.INT32:
		return convert(t.INT32())
	case oip.UINT8:
		return convert(t.UINT8())
	case oip.UINT16:
		return convert(t.UINT16())
	case oip.UINT32:
		return convert(t.UINT32())
	case oip.FP16:
		return widen(t.FP16(), half)
	case oip.BF16:
		return widen(t.BF16(), func(b uint16) float64 { return float64(math.Float32frombits(uint32(b) << 16)) })
	}
	return nil
}

func convert[T int8 | int16 | int32 | uint8 | uint16 | uint32 | float32](list []T) []float64 {
	out := make([]float64, len(list))
	for i, v := range list {
		out[i] = float64(v)
	}
	return out
}

func widen(list []uint16, f func(uint16) float64) []float64 {
	out := make([]float64, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}

// half reads an IEEE 754 number of 16 bits.
func half(b uint16) float64 {
	sign, exponent, fraction := 1.0, int(b>>10&0x1f), float64(b&0x3ff)
	if b&0x8000 != 0 {
		sign = -1
	}
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 0x1f:
		if fraction != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}
