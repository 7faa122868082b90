package mlflowapi

import (
	"math"
	"slices"
	"strconv"
)

// pow10 has the powers that a float64 holds exactly.
var pow10 = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// parseFloat parses a number that is known to follow JSON's grammar. ok is
// false when it is too large.
func parseFloat(b []byte) (v float64, ok bool) {
	// A mantissa below 2^53 with a small power of ten takes one exact
	// division; that is most of what people log.
	i, negative := 0, false
	if b[0] == '-' {
		negative, i = true, 1
	}
	var mantissa uint64
	scale, digits := 0, 0
	fraction := false
	for ; i < len(b); i++ {
		c := b[i]
		if c == '.' {
			fraction = true
			continue
		}
		if !isDigit(c) {
			break // an exponent
		}
		mantissa = mantissa*10 + uint64(c-'0')
		if digits++; fraction {
			scale++
		}
	}
	if i == len(b) && digits <= 18 && mantissa < 1<<53 && scale < len(pow10) {
		v = float64(mantissa) / pow10[scale]
		if negative {
			v = -v
		}
		return v, true
	}
	v, err := strconv.ParseFloat(string(b), 64)
	return v, err == nil
}

// parseFloatText parses the text of a JSON string that stands for a number.
func parseFloatText(s string) (float64, bool) {
	switch s {
	case "NaN":
		return math.NaN(), true
	case "Infinity", "+Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	sc := scanner{data: []byte(s)}
	raw, _, f := sc.number()
	if f != nil || len(raw) != len(s) {
		return 0, false
	}
	return parseFloat(raw)
}

// parseInt parses a number that is known to follow JSON's grammar. One with a
// fraction or exponent must have a whole value that a float64 holds exactly.
func parseInt(b []byte, integer bool) (int64, bool) {
	if !integer {
		v, ok := parseFloat(b)
		if !ok || v != math.Trunc(v) || math.Abs(v) > 1<<53 {
			return 0, false
		}
		return int64(v), true
	}
	if len(b) > 18 { // may overflow
		v, err := strconv.ParseInt(string(b), 10, 64)
		return v, err == nil
	}
	var v int64
	i := 0
	if b[0] == '-' {
		i = 1
	}
	for ; i < len(b); i++ {
		v = v*10 + int64(b[i]-'0')
	}
	if b[0] == '-' {
		v = -v
	}
	return v, true
}

// parseIntText parses the text of a JSON string that stands for an integer.
func parseIntText(s string) (int64, bool) {
	v, err := strconv.ParseInt(s, 10, 64)
	return v, err == nil
}

// appendFloat appends v as JSON.
func appendFloat(dst []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	}
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e16) {
		format = 'e'
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, v, format, -1, 64)
	if format == 'f' {
		if slices.Contains(dst[start:], '.') {
			return dst
		}
		dst = append(dst, '.', '0') // a double stays one for readers that tell 1 and 1.0 apart
	}
	return dst
}
