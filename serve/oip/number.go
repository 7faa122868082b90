package oip

import (
	"math"
	"strconv"
	"unsafe"
)

// number is a JSON number as written: (-)mant × 10^exp.
// It has four fields because the compiler keeps such a struct in registers.
type number struct {
	mant uint64
	exp  int
	end  int // Offset after it, 0 when it is not a number.
	bits uint8
}

const (
	negative = 1 << iota
	fraction // Written with a fraction or an exponent.
	inexact  // mant does not hold all the digits.
)

func (n number) neg() bool   { return n.bits&negative != 0 }
func (n number) whole() bool { return n.bits&fraction == 0 }
func (n number) exact() bool { return n.bits&inexact == 0 }

// digitsMax is how many decimal digits always fit an uint64.
const digitsMax = 19

// number scans the number at s.i without consuming it, or fails. The grammar
// is JSON's: no plus sign, no leading zeros, digits on both sides of the point.
func (s *scanner) number() number {
	b, i := s.b, s.i
	var n number
	if i < len(b) && b[i] == '-' {
		n.bits = negative
		i++
	}
	from := i
	var mant uint64
	for i < len(b) && b[i]-'0' <= 9 {
		mant = mant*10 + uint64(b[i]-'0')
		i++
	}
	digits := i - from
	switch {
	case digits == 0 && !n.neg():
		s.fail(s.i, "a number")
		return number{}
	case digits == 0:
		s.fail(i, "a digit")
		return number{}
	case digits > 1 && b[from] == '0':
		s.refuse(from, "found a number with a leading zero")
		return number{}
	}
	if i < len(b) && b[i] == '.' {
		n.bits |= fraction
		i++
		point := i
		for i < len(b) && b[i]-'0' <= 9 {
			mant = mant*10 + uint64(b[i]-'0')
			i++
		}
		if i == point {
			s.fail(i, "a digit after the decimal point")
			return number{}
		}
		n.exp = point - i
		digits += i - point
	}
	// Leading zeros count as digits here: at worst a number goes the slow way.
	if digits > digitsMax {
		n.bits |= inexact
	}
	n.mant = mant
	if i < len(b) && b[i]|0x20 == 'e' {
		return s.exponent(n, i+1)
	}
	n.end = i
	return n
}

// exponent scans the exponent of n at i.
func (s *scanner) exponent(n number, i int) number {
	b := s.b
	n.bits |= fraction
	neg := false
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		neg = b[i] == '-'
		i++
	}
	from, exp := i, 0
	for i < len(b) && b[i]-'0' <= 9 {
		// Beyond any float, and far from overflow.
		exp = min(exp*10+int(b[i]-'0'), 1<<20)
		i++
	}
	if i == from {
		s.fail(i, "a digit in the exponent")
		return number{}
	}
	if neg {
		exp = -exp
	}
	n.exp += exp
	n.end = i
	return n
}

// pow10 are the powers of ten that a float64 holds exactly.
var pow10 = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// scaled returns ±mant × 10^exp in one rounding from f, for |exp| <= 22.
func (n number) scaled() float64 {
	f := float64(n.mant)
	if n.exp < 0 {
		f /= pow10[-n.exp]
	} else {
		f *= pow10[n.exp]
	}
	if n.neg() {
		f = -f
	}
	return f
}

// float64At returns the float64 nearest to n, which starts at from. Text too
// large for a float64 fails.
func (s *scanner) float64At(n number, from int) float64 {
	if n.exact() && n.mant <= 1<<53 && n.exp >= -22 && n.exp <= 22 {
		// Both operands are exact, so that the one operation rounds right.
		return n.scaled()
	}
	f, err := strconv.ParseFloat(s.view(from, n.end), 64)
	if err != nil {
		s.refuse(from, "the number %s is out of the range of FP64", s.clip(from, n.end))
	}
	return f
}

// float32At returns the float32 nearest to n, which starts at from. Text too
// large for a float32 fails.
func (s *scanner) float32At(n number, from int) float32 {
	if n.exact() && n.exp >= -22 && n.exp <= 22 {
		// The float64 is off by two units in the last place at most: one
		// rounding of a mantissa above 2^53, one of the operation. Rounding
		// it again gives the nearest float32 unless it lies that close to
		// the middle between two of them. Subnormals have their middles
		// elsewhere and take the slow way.
		f := n.scaled()
		a := math.Abs(f)
		low := math.Float64bits(a) & (1<<29 - 1)
		const middle, slack = 1 << 28, 3
		if (low < middle-slack || low > middle+slack) && (a >= 0x1p-126 && a <= math.MaxFloat32 || n.mant == 0) {
			return float32(f)
		}
	}
	f, err := strconv.ParseFloat(s.view(from, n.end), 32)
	if err != nil {
		s.refuse(from, "the number %s is out of the range of FP32", s.clip(from, n.end))
	}
	return float32(f)
}

// view is the text between two offsets without a copy. It must not outlive
// the call that it is passed to.
func (s *scanner) view(from, to int) string {
	return unsafe.String(&s.b[from], to-from)
}

// clip quotes the text between two offsets, shortened for a message.
func (s *scanner) clip(from, to int) string {
	const most = 32
	if to-from > most {
		return string(s.b[from:from+most]) + "…"
	}
	return string(s.b[from:to])
}
