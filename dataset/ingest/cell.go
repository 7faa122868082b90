package ingest

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
)

// cellParser appends the value that a text stands for, or says why it stands
// for none. It keeps nothing of the text.
type cellParser func(b array.Builder, text []byte) (reason string)

// clock says how times are read.
type clock struct {
	zone  *time.Location // Of times without one; nil refuses them.
	round bool           // Cut what is finer than a microsecond.
}

// cellFor is the parser of a type.
func cellFor(t arrow.DataType, c clock) cellParser {
	switch t := t.(type) {
	case *arrow.BooleanType:
		return boolCell
	case *arrow.Int8Type:
		return func(b array.Builder, text []byte) string {
			v, reason := parseInt(text, math.MinInt8, math.MaxInt8, "an int8")
			if reason == "" {
				b.(*array.Int8Builder).Append(int8(v))
			}
			return reason
		}
	case *arrow.Int16Type:
		return func(b array.Builder, text []byte) string {
			v, reason := parseInt(text, math.MinInt16, math.MaxInt16, "an int16")
			if reason == "" {
				b.(*array.Int16Builder).Append(int16(v))
			}
			return reason
		}
	case *arrow.Int32Type:
		return func(b array.Builder, text []byte) string {
			v, reason := parseInt(text, math.MinInt32, math.MaxInt32, "an int32")
			if reason == "" {
				b.(*array.Int32Builder).Append(int32(v))
			}
			return reason
		}
	case *arrow.Int64Type:
		return func(b array.Builder, text []byte) string {
			v, reason := parseInt(text, math.MinInt64, math.MaxInt64, "an int64")
			if reason == "" {
				b.(*array.Int64Builder).Append(v)
			}
			return reason
		}
	case *arrow.Float32Type:
		return func(b array.Builder, text []byte) string {
			v, reason := parseFloat(text, 32)
			if reason == "" {
				b.(*array.Float32Builder).Append(float32(v))
			}
			return reason
		}
	case *arrow.Float64Type:
		return func(b array.Builder, text []byte) string {
			v, reason := parseFloat(text, 64)
			if reason == "" {
				b.(*array.Float64Builder).Append(v)
			}
			return reason
		}
	case *arrow.StringType:
		return func(b array.Builder, text []byte) string {
			if !utf8.Valid(text) {
				return "is not UTF-8 text"
			}
			b.(*array.StringBuilder).BinaryBuilder.Append(text)
			return ""
		}
	case *arrow.BinaryType:
		return func(b array.Builder, text []byte) string {
			b.(*array.BinaryBuilder).Append(text)
			return ""
		}
	case *arrow.Date32Type:
		return func(b array.Builder, text []byte) string {
			d, rest, ok := parseDay(text)
			if !ok || len(rest) > 0 {
				return "is not a date such as 2026-11-21"
			}
			b.(*array.Date32Builder).Append(arrow.Date32(d))
			return ""
		}
	case *arrow.TimestampType:
		return func(b array.Builder, text []byte) string {
			v, _, reason := parseTime(text, c)
			if reason == "" {
				b.(*array.TimestampBuilder).Append(arrow.Timestamp(v))
			}
			return reason
		}
	case *arrow.Decimal128Type:
		return func(b array.Builder, text []byte) string {
			v, reason := parseDecimal(text, t)
			if reason == "" {
				b.(*array.Decimal128Builder).Append(v)
			}
			return reason
		}
	}
	// A list, a map or a struct is written as JSON.
	return func(b array.Builder, text []byte) string {
		p := newJSONParser(text, c)
		if f := p.value(b, t, 0); f != nil {
			return f.reason
		}
		if p.space(); p.pos < len(p.data) {
			return "goes on behind its JSON value"
		}
		return ""
	}
}

func boolCell(b array.Builder, text []byte) string {
	v, ok := parseBool(text)
	if !ok {
		return "is not true or false"
	}
	b.(*array.BooleanBuilder).Append(v)
	return ""
}

func parseBool(text []byte) (v, ok bool) {
	switch string(text) {
	case "true", "True", "TRUE":
		return true, true
	case "false", "False", "FALSE":
		return false, true
	}
	return false, false
}

// parseInt reads decimal digits with an optional sign.
func parseInt(text []byte, low, high int64, what string) (int64, string) {
	digits, negative := text, false
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		negative = digits[0] == '-'
		digits = digits[1:]
	}
	var n uint64
	if len(digits) == 0 || len(digits) > 19 {
		return 0, notInt(digits, what)
	}
	for _, c := range digits {
		c -= '0'
		if c > 9 {
			return 0, "is not " + what
		}
		n = n*10 + uint64(c) // 19 digits fit.
	}
	limit := uint64(math.MaxInt64)
	if negative {
		limit++
	}
	v := int64(n)
	if negative {
		v = -v
	}
	if n > limit || v < low || v > high {
		return 0, "is out of the range of " + what
	}
	return v, ""
}

func notInt(digits []byte, what string) string {
	for _, c := range digits {
		if c-'0' > 9 {
			return "is not " + what
		}
	}
	if len(digits) == 0 {
		return "is not " + what
	}
	return "is out of the range of " + what
}

// parseFloat reads a decimal number, NaN or an infinity; not the hexadecimal
// forms and the underscores of Go.
func parseFloat(text []byte, bits int) (float64, string) {
	for _, c := range text {
		if c == '_' || c == 'x' || c == 'X' || c == 'p' || c == 'P' {
			return 0, "is not a number"
		}
	}
	// The text is not kept: an error of strconv copies it.
	v, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), bits)
	if err != nil {
		if math.IsInf(v, 0) {
			return 0, fmt.Sprintf("is out of the range of a float%d", bits)
		}
		return 0, "is not a number"
	}
	return v, ""
}

func parseDecimal(text []byte, t *arrow.Decimal128Type) (v decimal128.Num, reason string) {
	var hi, lo uint64
	digits, negative := text, false
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		negative = digits[0] == '-'
		digits = digits[1:]
	}
	whole, point, seen := 0, -1, 0
	for i, c := range digits {
		if c == '.' && point < 0 {
			point = i
			continue
		}
		if c-'0' > 9 {
			return v, "is not a decimal number"
		}
		seen++
		if point >= 0 && int32(i-point) > t.Scale {
			if c != '0' {
				return v, fmt.Sprintf("has more than %d digits behind the point", t.Scale)
			}
			continue
		}
		if whole > 0 || c != '0' {
			whole++
		}
		if whole > int(t.Precision) {
			return v, fmt.Sprintf("has more digits than %s", t)
		}
		hi, lo = timesTen(hi, lo, uint64(c-'0'))
	}
	if seen == 0 {
		return v, "is not a decimal number"
	}
	behind := int32(0)
	if point >= 0 {
		behind = min(int32(len(digits)-point-1), t.Scale)
	}
	for ; behind < t.Scale; behind++ {
		if whole > 0 {
			whole++
		}
		if whole > int(t.Precision) {
			return v, fmt.Sprintf("has more digits than %s", t)
		}
		hi, lo = timesTen(hi, lo, 0)
	}
	if v = decimal128.New(int64(hi), lo); negative {
		v = v.Negate()
	}
	return v, ""
}

// timesTen appends a digit to a number of 128 bits, which has room for it: 38
// digits fit.
func timesTen(hi, lo, digit uint64) (uint64, uint64) {
	over, low := bits.Mul64(lo, 10)
	low, carry := bits.Add64(low, digit, 0)
	return hi*10 + over + carry, low
}
