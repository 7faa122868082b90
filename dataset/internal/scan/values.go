package scan

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"

	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
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

// add feeds the values of one batch to the profile and the bounds, of which a
// column may have one, both, or none.
func (c *column) add(a arrow.Array, facts pqfile.Facts, texts *profile.TextCounter) {
	switch a := a.(type) {
	case *array.Boolean:
		c.addBools(a)
	case *array.Int8:
		numbers(c, a, a.Int8Values(), 1, 1, facts)
	case *array.Int16:
		numbers(c, a, a.Int16Values(), 1, 1, facts)
	case *array.Int32:
		numbers(c, a, a.Int32Values(), 1, 1, facts)
	case *array.Int64:
		numbers(c, a, a.Int64Values(), 1, 1, facts)
	case *array.Date32:
		numbers(c, a, a.Date32Values(), 86400, 1, facts)
	case *array.Timestamp:
		numbers(c, a, a.TimestampValues(), 1, 1e6, facts)
	case *array.Float32:
		numbers(c, a, a.Float32Values(), 1, 1, facts)
	case *array.Float64:
		numbers(c, a, a.Float64Values(), 1, 1, facts)
	case *array.Decimal128:
		scale := a.DataType().(*arrow.Decimal128Type).Scale
		b, _ := c.bounds.(*decimalBounds)
		for i := range a.Len() {
			null := a.IsNull(i)
			if c.summary != nil && null {
				c.summary.AddNull()
			} else if c.summary != nil {
				c.summary.AddFloat(a.Value(i).ToFloat64(scale))
			}
			if b != nil && !null {
				b.add(a.Value(i))
			}
		}
	case *array.String:
		c.addTexts(a, facts, texts)
	}
}

type number interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~float32 | ~float64
}

// block is how many values are handed to the profile at once.
const block = 1024

// numbers profiles v * mul / div, which is how times become Unix seconds.
func numbers[T number](c *column, a arrow.Array, values []T, mul, div float64, facts pqfile.Facts) {
	if nulls := a.NullN(); nulls > 0 {
		if c.summary != nil {
			c.summary.AddNulls(uint64(nulls))
		}
		if nulls == len(values) {
			return
		}
	}
	b, _ := c.bounds.(*numberBounds[T])
	if b != nil && facts.Bounded {
		b.widen(facts)
		b = nil
	}
	if c.summary == nil && b == nil {
		return
	}
	if facts.Dict != nil && b == nil {
		counted := make([]float64, len(facts.Dict.Counts))
		for i := range counted {
			counted[i] = facts.Dict.Float(i) * mul / div
		}
		c.summary.AddCounted(counted, facts.Dict.Counts)
		return
	}
	var valid [block]T
	var floats [block]float64
	nulls, bits := a.NullN() > 0, a.NullBitmapBytes()
	for from := 0; from < len(values); from += block {
		part := values[from:min(from+block, len(values))]
		if nulls {
			n, at := 0, a.Data().Offset()+from
			for i, v := range part {
				// Without a branch: which values are null is chance.
				valid[n&(block-1)] = v
				n += int(bits[(at+i)>>3] >> ((at + i) & 7) & 1)
			}
			part = valid[:n]
		}
		if b != nil {
			b.add(part)
		}
		switch {
		case c.summary == nil:
			continue
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

// widen widens the bounds to those that are known.
func (b *numberBounds[T]) widen(facts pqfile.Facts) {
	b.nan = b.nan || facts.NaN
	for _, raw := range [][]byte{facts.Min, facts.Max} {
		var v T
		switch p := any(&v).(type) {
		case *float32:
			*p = math.Float32frombits(binary.LittleEndian.Uint32(raw))
		case *float64:
			*p = math.Float64frombits(binary.LittleEndian.Uint64(raw))
		default:
			if len(raw) == 4 {
				v = T(int32(binary.LittleEndian.Uint32(raw)))
			} else {
				v = T(int64(binary.LittleEndian.Uint64(raw)))
			}
		}
		b.add([]T{v})
	}
}

// addBools counts bits.
func (c *column) addBools(a *array.Boolean) {
	n, set := a.Len()-a.NullN(), 0
	bits, at := []byte(nil), a.Data().Offset()
	if n > 0 {
		bits = a.Data().Buffers()[1].Bytes()
	}
	if a.NullN() == 0 {
		set = bitutil.CountSetBits(bits, at, n)
	} else {
		for i := range a.Len() {
			if a.IsValid(i) && a.Value(i) {
				set++
			}
		}
	}
	if c.summary != nil {
		c.summary.AddNulls(uint64(a.NullN()))
		c.summary.AddCounted([]float64{0, 1}, []uint32{uint32(n - set), uint32(set)})
	}
	if b, ok := c.bounds.(*boolBounds); ok {
		b.seenFalse, b.seenTrue = b.seenFalse || set < n, b.seenTrue || set > 0
	}
}

// addTexts profiles the texts that are not null, where they lie.
func (c *column) addTexts(a *array.String, facts pqfile.Facts, texts *profile.TextCounter) {
	value := a.Value
	n := a.Len()
	b, _ := c.bounds.(*textBounds)
	if b != nil && facts.Bounded {
		b.add(string(facts.Min))
		b.add(string(facts.Max))
		b = nil
	}
	if c.summary == nil && b == nil {
		return
	}
	if facts.Dict != nil && c.summary != nil {
		c.summary.AddNulls(uint64(a.NullN()))
		texts.AddCounted(c.summary, len(facts.Dict.Counts), facts.Dict.Text, facts.Dict.Counts)
		return
	}
	if nulls := a.NullN(); nulls > 0 {
		if c.summary != nil {
			c.summary.AddNulls(uint64(nulls))
		}
		at, k := make([]int32, n-nulls+1), 0
		bits, from := a.NullBitmapBytes(), a.Data().Offset()
		for i := from; i < from+n; i++ {
			at[k] = int32(i - from)
			k += int(bits[i>>3] >> (i & 7) & 1)
		}
		n, value = k, func(i int) string { return a.Value(int(at[i])) }
	}
	if c.summary != nil {
		texts.Add(c.summary, n, value)
	}
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
