package filter

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
)

type literalKind uint8

const (
	bad      literalKind = iota // text says why.
	number                      // text is a decimal number.
	text                        // A text, and for float columns also 'NaN' and 'Infinity'.
	rawBytes                    // text holds the bytes.
	boolean                     // text is "TRUE" or "FALSE".
	instant                     // at.
)

// literal is a constant as it was written; which value it is depends on the
// column that it is compared with.
type literal struct {
	kind literalKind
	text string
	at   time.Time
}

const (
	// maxDigits and maxExponent bound a number, and so the memory that its exact
	// form takes.
	maxDigits   = 400
	maxExponent = 400
)

func literalOf(v any) literal {
	switch v := v.(type) {
	case nil:
		return literal{kind: bad, text: "a comparison with null is never true; use IsNull or NotNull"}
	case time.Time:
		if y := v.UTC().Year(); y < 1 || y > 9999 {
			return literal{kind: bad, text: fmt.Sprintf("the year %d is not between 1 and 9999", y)}
		}
		return literal{kind: instant, at: v.UTC()}
	case []byte:
		return literal{kind: rawBytes, text: string(v)}
	case arrow.Date32:
		return literalOf(v.ToTime())
	case arrow.Timestamp:
		return literal{kind: bad, text: "a bare arrow.Timestamp does not say its unit; use a time.Time"}
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Bool:
		return literal{kind: boolean, text: strings.ToUpper(strconv.FormatBool(r.Bool()))}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return literal{kind: number, text: strconv.FormatInt(r.Int(), 10)}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return literal{kind: number, text: strconv.FormatUint(r.Uint(), 10)}
	case reflect.Float32:
		return floatLiteral(r.Float(), 32)
	case reflect.Float64:
		return floatLiteral(r.Float(), 64)
	case reflect.String:
		return literal{kind: text, text: r.String()}
	}
	return literal{kind: bad, text: fmt.Sprintf("a %T is no value to compare with", v)}
}

func floatLiteral(f float64, bits int) literal {
	switch {
	case f != f:
		return literal{kind: text, text: "NaN"}
	case math.IsInf(f, 1):
		return literal{kind: text, text: "Infinity"}
	case math.IsInf(f, -1):
		return literal{kind: text, text: "-Infinity"}
	}
	return literal{kind: number, text: strconv.FormatFloat(f, 'g', -1, bits)}
}

// String is the literal as Parse reads it.
func (l literal) String() string {
	switch l.kind {
	case number, boolean:
		return l.text
	case text:
		return "'" + strings.ReplaceAll(l.text, "'", "''") + "'"
	case rawBytes:
		return "X'" + hex.EncodeToString([]byte(l.text)) + "'"
	case instant:
		return "TIMESTAMP '" + l.at.Format(time.RFC3339Nano) + "'"
	}
	return "NULL"
}

func (l literal) describe() string {
	switch l.kind {
	case number:
		return "the number " + l.text
	case text:
		return "the text " + l.String()
	case rawBytes:
		return "the bytes " + l.String()
	case boolean:
		return l.text
	}
	return l.String()
}

// rational is the exact value of a number.
func rational(s string) (*big.Rat, error) {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	if len(mantissa) > maxDigits {
		return nil, fmt.Errorf("the number has %d digits, want at most %d", len(mantissa), maxDigits)
	}
	if exponent != "" {
		if e, err := strconv.Atoi(exponent); err != nil || e > maxExponent || e < -maxExponent {
			return nil, fmt.Errorf("the exponent of %s is beyond ±%d", s, maxExponent)
		}
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil, fmt.Errorf("%q is not a number", s)
	}
	return r, nil
}

var timeLayouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999", "2006-01-02",
}

// parseTime reads a date or a time; without a zone it is UTC.
func parseTime(s string) (time.Time, error) {
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a date or a time; write it as 2006-01-02 or 2006-01-02T15:04:05Z", s)
}
