package mlflowapi

import (
	"math"
	"math/bits"
)

// A batch of 1,000 points has 4,000 fields; the functions of this file read
// what nearly all of them look like, in one look at each byte. Whatever looks
// different is left to the scanner, which also words the faults.

// intPow10 has the powers of ten below 2^64.
var intPow10 = [...]uint64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
	1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// decimal returns mantissa / 10^scale, correctly rounded. scale is below 20.
func decimal(mantissa uint64, scale int) float64 {
	if mantissa < 1<<53 {
		return float64(mantissa) / pow10[scale] // both exact: one rounding
	}
	// The quotient of the two, with their top bits aligned, has at least 63
	// bits: enough to round to 53 with the remainder to break ties.
	d := intPow10[scale]
	lead, dlead := bits.LeadingZeros64(mantissa), bits.LeadingZeros64(d)
	m := mantissa << lead
	q, r := bits.Div64(m>>1, m<<63, d<<dlead)
	exp := dlead - lead // of q, as a number with 63 bits after the point
	if q>>63 == 0 {
		q <<= 1
		exp--
		if r<<1 >= d<<dlead || r>>63 != 0 {
			q |= 1
		}
	}
	if r != 0 {
		q |= 1 // sticky: any bit below the rounding bit will do
	}
	keep := q >> 11
	if rest := q & (1<<11 - 1); rest > 1<<10 || rest == 1<<10 && keep&1 == 1 {
		keep++
	}
	// keep has 53 bits, or is 2^53, whose carry raises the exponent; the result
	// is between 1e-4 and 2e19, never subnormal.
	return math.Float64frombits(uint64(exp+1023)<<52 + keep - 1<<52)
}

// floatAt reads a number without exponent of at most 19 digits. next is 0 when
// there is something else at i.
func floatAt(data []byte, i int) (v float64, next int) {
	negative := i < len(data) && data[i] == '-'
	if negative {
		i++
	}
	start := i
	var mantissa uint64
	for i < len(data) && data[i]-'0' <= 9 {
		mantissa = mantissa*10 + uint64(data[i]-'0')
		i++
	}
	digits, scale := i-start, 0
	if digits == 0 || digits > 1 && data[start] == '0' {
		return 0, 0
	}
	if i < len(data) && data[i] == '.' {
		i++
		point := i
		for i < len(data) && data[i]-'0' <= 9 {
			mantissa = mantissa*10 + uint64(data[i]-'0')
			i++
		}
		if scale = i - point; scale == 0 {
			return 0, 0
		}
	}
	if digits+scale > 19 || i >= len(data) || data[i]|0x20 == 'e' {
		return 0, 0
	}
	v = decimal(mantissa, scale)
	if negative {
		v = -v
	}
	return v, i
}

// intAt reads an integer of at most 18 digits. next is 0 when there is
// something else at i.
func intAt(data []byte, i int) (v int64, next int) {
	negative := i < len(data) && data[i] == '-'
	if negative {
		i++
	}
	start := i
	for i < len(data) && data[i]-'0' <= 9 {
		v = v*10 + int64(data[i]-'0')
		i++
	}
	digits := i - start
	if digits == 0 || digits > 18 || digits > 1 && data[start] == '0' || i >= len(data) {
		return 0, 0
	}
	if c := data[i]; c == '.' || c|0x20 == 'e' {
		return 0, 0
	}
	if negative {
		v = -v
	}
	return v, i
}

// textAt reads a string of plain characters whose quote opens at i.
func textAt(data []byte, i int) (text []byte, next int) {
	if i >= len(data) || data[i] != '"' {
		return nil, 0
	}
	i++
	for j := i; j < len(data); j++ {
		if !plain[data[j]] {
			if data[j] == '"' {
				return data[i:j], j + 1
			}
			return nil, 0
		}
	}
	return nil, 0
}

// at reports whether data has word at i.
func at(data []byte, i int, word string) bool {
	return len(data)-i >= len(word) && string(data[i:i+len(word)]) == word
}

// spaceAt returns the index after the white space at i.
func spaceAt(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i]-'\t' <= '\r'-'\t' && data[i] != '\v' && data[i] != '\f') {
		i++
	}
	return i
}

// fastMetric reads a point that has the fields key, value, timestamp and step
// once each at most, and no others. On false it has consumed nothing.
func (s *scanner) fastMetric(m *Metric) bool {
	data, i := s.data, s.pos+1 // after '{'
	seen := 0
	for {
		i = spaceAt(data, i)
		if i+1 >= len(data) {
			return false
		}
		bit, name := 0, ""
		switch data[i+1] {
		case 'k':
			bit, name = hasKey, `"key"`
		case 'v':
			bit, name = hasValue, `"value"`
		case 't':
			bit, name = hasTimestamp, `"timestamp"`
		case 's':
			bit, name = hasStep, `"step"`
		}
		if bit == 0 || !at(data, i, name) {
			return false
		}
		if i = spaceAt(data, i+len(name)); seen&bit != 0 || i >= len(data) || data[i] != ':' {
			return false
		}
		seen |= bit
		i = spaceAt(data, i+1)
		switch bit {
		case hasKey:
			var text []byte
			text, i = textAt(data, i)
			m.Key = s.intern(text)
		case hasValue:
			m.Value, i = floatAt(data, i)
		case hasTimestamp:
			m.Timestamp, i = intAt(data, i)
		case hasStep:
			m.Step, i = intAt(data, i)
		}
		if i == 0 {
			return false
		}
		i = spaceAt(data, i)
		if i < len(data) && data[i] == ',' {
			i++
			continue
		}
		const all = hasKey | hasValue | hasTimestamp
		if i >= len(data) || data[i] != '}' || seen&all != all || m.Key == "" {
			return false
		}
		s.pos = i + 1
		return true
	}
}
