package scan

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// newBounds returns nil for the types without minimum and maximum: binary and
// nested ones. Every other type has both in every file with a value, because
// delta-rs (1.6, to_pyarrow_dataset) takes a missing bound of such a type for
// "no row matches" and skips the file.
func newBounds(t arrow.DataType) bounds {
	switch t.ID() {
	case arrow.INT8:
		return &numberBounds[int8]{format: integer[int8]}
	case arrow.INT16:
		return &numberBounds[int16]{format: integer[int16]}
	case arrow.INT32:
		return &numberBounds[int32]{format: integer[int32]}
	case arrow.INT64:
		return &numberBounds[int64]{format: integer[int64]}
	case arrow.FLOAT32:
		return &numberBounds[float32]{format: float[float32]}
	case arrow.FLOAT64:
		return &numberBounds[float64]{format: float[float64]}
	case arrow.DATE32:
		return &numberBounds[arrow.Date32]{format: date}
	case arrow.TIMESTAMP:
		return &numberBounds[arrow.Timestamp]{format: timestamp}
	case arrow.STRING:
		return &textBounds{}
	case arrow.BOOL:
		return &boolBounds{}
	case arrow.DECIMAL128:
		return &decimalBounds{scale: t.(*arrow.Decimal128Type).Scale}
	}
	return nil
}

type boolBounds struct{ seenFalse, seenTrue bool }

func (b *boolBounds) json() (lo, hi json.RawMessage) {
	if b.seenTrue || b.seenFalse {
		lo, hi = strconv.AppendBool(nil, !b.seenFalse), strconv.AppendBool(nil, b.seenTrue)
	}
	*b = boolBounds{}
	return lo, hi
}

type decimalBounds struct {
	lo, hi decimal128.Num
	scale  int32
	seen   bool
}

func (b *decimalBounds) add(v decimal128.Num) {
	switch {
	case !b.seen:
		b.lo, b.hi, b.seen = v, v, true
	case v.Less(b.lo):
		b.lo = v
	case b.hi.Less(v):
		b.hi = v
	}
}

func (b *decimalBounds) json() (lo, hi json.RawMessage) {
	if b.seen {
		lo, hi = json.RawMessage(b.lo.ToString(b.scale)), json.RawMessage(b.hi.ToString(b.scale))
	}
	b.seen = false
	return lo, hi
}

type numberBounds[T number] struct {
	lo, hi    T
	seen, nan bool
	format    func(v T, upper bool) json.RawMessage
}

func (b *numberBounds[T]) json() (lo, hi json.RawMessage) {
	if b.seen {
		lo, hi = b.format(b.lo, false), b.format(b.hi, true)
	}
	if b.nan {
		// Some engines sort NaN above every number and others nowhere: an upper
		// bound without bound keeps the file for all of them.
		hi = json.RawMessage(`"Infinity"`)
		if !b.seen {
			lo = json.RawMessage(`"-Infinity"`)
		}
	}
	b.seen, b.nan = false, false
	return lo, hi
}

func integer[T int8 | int16 | int32 | int64](v T, _ bool) json.RawMessage {
	return strconv.AppendInt(nil, int64(v), 10)
}

// float writes the value as a double, exactly: the shortest form of a float32
// reads back as another double, on the wrong side of the value. A zero is
// written as the outermost of the two zeros, and an infinity as the text that
// Spark writes and delta-kernel reads.
func float[T float32 | float64](v T, upper bool) json.RawMessage {
	f := float64(v)
	switch {
	case math.IsInf(f, 1):
		return json.RawMessage(`"Infinity"`)
	case math.IsInf(f, -1):
		return json.RawMessage(`"-Infinity"`)
	case f == 0:
		if upper {
			return json.RawMessage("0.0")
		}
		return json.RawMessage("-0.0")
	}
	return strconv.AppendFloat(nil, f, 'g', -1, 64)
}

func date(v arrow.Date32, _ bool) json.RawMessage {
	return quotedTime(time.Unix(int64(v)*86400, 0), "2006-01-02")
}

// timestamp keeps milliseconds, as the protocol does, rounded outwards.
func timestamp(v arrow.Timestamp, upper bool) json.RawMessage {
	t := time.UnixMicro(int64(v))
	floor := t.Truncate(time.Millisecond)
	if upper && floor.Before(t) {
		floor = floor.Add(time.Millisecond)
	}
	return quotedTime(floor, "2006-01-02T15:04:05.000Z")
}

func quotedTime(t time.Time, layout string) json.RawMessage {
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return nil
	}
	return json.RawMessage(strconv.Quote(t.Format(layout)))
}

// textBounds compares bytes, which for UTF-8 is the order of code points that
// Delta asks for.
type textBounds struct {
	lo, hi string
	seen   bool
}

func (b *textBounds) add(v string) {
	switch {
	case !b.seen:
		b.lo, b.hi, b.seen = clone(v), clone(v), true
	case v < b.lo:
		b.lo = clone(v)
	case v > b.hi:
		b.hi = clone(v)
	}
}

// clone copies a value out of an Arrow buffer that will be reused, no more of
// it than its bound needs.
func clone(v string) string {
	const enough = (textPrefix + 1) * utf8.UTFMax
	return string([]byte(v[:min(len(v), enough)]))
}

// textPrefix is how many characters of a text bound are kept.
const textPrefix = 32

func (b *textBounds) json() (lo, hi json.RawMessage) {
	if b.seen {
		low, _ := prefix(b.lo)
		lo, _ = json.Marshal(low)
		high, cut := prefix(b.hi)
		switch {
		case !cut:
			hi, _ = json.Marshal(high)
		case len(b.hi) < len(high)+utf8.UTFMax || b.hi[len(high):len(high)+utf8.UTFMax] != "\U0010FFFF":
			// The last character of Unicode stands for whatever was cut off.
			hi, _ = json.Marshal(high + "\U0010FFFF")
		}
	}
	b.lo, b.hi, b.seen = "", "", false
	return lo, hi
}

// prefix cuts a text to its first characters.
func prefix(s string) (p string, cut bool) {
	n := 0
	for i := range s {
		if n == textPrefix {
			return s[:i], true
		}
		n++
	}
	return s, false
}
