// Package cmath is the exponential and the logarithm of the C library of Linux,
// to the last bit. The libraries that train models turn sums into probabilities
// with them; Go's math package rounds differently now and then.
//
// They are evaluated as in Arm's Optimized Routines, where glibc has them from:
// a table for the high bits, a polynomial for the rest, both in float64, with the
// fused multiply-add of processors that have it.
package cmath

import "math"

const (
	shift  = 0x1.8p52 // Adding it rounds to a whole number, which the low bits hold.
	invLn2 = 0x1.71547652b82fep0
	ln2    = 0x1.62e42fefa39efp-1
)

// Exp32 is e^x for float32.
func Exp32(x float32) float32 {
	switch {
	case x != x:
		return x
	case x > 0x1.62e42ep6:
		return float32(math.Inf(1))
	case x < -0x1.9fe368p6:
		return 0
	}
	// x = ln2/32·k + r', where r counts in units of ln2/32.
	k := math.FMA(invLn2*32, float64(x), shift)
	bits := math.Float64bits(k)
	k -= shift
	r := math.FMA(invLn2*32, float64(x), -k)
	scale := math.Float64frombits(pow32[bits%32] + bits<<(52-5))
	const c0, c1, c2 = 0x1.c6af84b912394p-5 / 32 / 32 / 32, 0x1.ebfce50fac4f3p-3 / 32 / 32, 0x1.62e42ff0c52d6p-1 / 32
	high := math.FMA(c0, r, c1)
	low := math.FMA(c2, r, 1)
	return float32(math.FMA(high, r*r, low) * scale)
}

// Exp is e^x for float64.
func Exp(x float64) float64 {
	size := math.Abs(x)
	switch {
	case x != x:
		return x
	case size < 0x1p-54:
		return 1 + x
	case x > 0x1.62e42fefa39efp9:
		return math.Inf(1)
	case x < -0x1.74910d52d3051p9:
		return 0
	}
	k := math.FMA(invLn2*128, x, shift)
	bits := math.Float64bits(k)
	k -= shift
	r := math.FMA(k, -0x1.cf79abc9e3b39p-47, math.FMA(k, -0x1.62e42fefa0000p-8, x))
	t := &pow128[bits%128]
	const c2, c3, c4, c5 = 0x1.ffffffffffdbdp-2, 0x1.555555555543cp-3, 0x1.55555cf172b91p-5, 0x1.1111167a4d017p-7
	r2 := r * r
	rest := math.FMA(r2, math.FMA(r, c3, c2), math.Float64frombits(t[0])+r)
	rest = math.FMA(r2*r2, math.FMA(r, c5, c4), rest)
	if size >= 512 {
		return extreme(rest, t[1]+bits<<(52-7), bits)
	}
	scale := math.Float64frombits(t[1] + bits<<(52-7))
	return math.FMA(scale, rest, scale)
}

// extreme is the end of Exp where the scale itself may leave the range.
func extreme(rest float64, bits, k uint64) float64 {
	if k&0x80000000 == 0 {
		scale := math.Float64frombits(bits - 1009<<52)
		return 0x1p1009 * math.FMA(scale, rest, scale)
	}
	scale := math.Float64frombits(bits + 1022<<52)
	// Here glibc's compiler fuses nothing.
	product := float64(scale * rest)
	y := scale + product
	if y < 1 {
		// The result is subnormal: it is rounded once, where its last bit is.
		low := scale - y + product
		high := 1 + y
		low = 1 - high + y + low
		y = high + low - 1
		if y == 0 {
			y = 0
		}
	}
	return 0x1p-1022 * y
}

// logs are 16 points of the logarithm: 1/c and log(c).
var logs = [16][2]float64{
	{0x1.661ec79f8f3bep+0, -0x1.57bf7808caadep-2}, {0x1.571ed4aaf883dp+0, -0x1.2bef0a7c06ddbp-2},
	{0x1.49539f0f010bp+0, -0x1.01eae7f513a67p-2}, {0x1.3c995b0b80385p+0, -0x1.b31d8a68224e9p-3},
	{0x1.30d190c8864a5p+0, -0x1.6574f0ac07758p-3}, {0x1.25e227b0b8eap+0, -0x1.1aa2bc79c81p-3},
	{0x1.1bb4a4a1a343fp+0, -0x1.a4e76ce8c0e5ep-4}, {0x1.12358f08ae5bap+0, -0x1.1973c5a611cccp-4},
	{0x1.0953f419900a7p+0, -0x1.252f438e10c1ep-5}, {0x1p+0, 0x0p+0},
	{0x1.e608cfd9a47acp-1, 0x1.aa5aa5df25984p-5}, {0x1.ca4b31f026aap-1, 0x1.c5e53aa362eb4p-4},
	{0x1.b2036576afce6p-1, 0x1.526e57720db08p-3}, {0x1.9c2d163a1aa2dp-1, 0x1.bc2860d22477p-3},
	{0x1.886e6037841edp-1, 0x1.1058bc8a07ee1p-2}, {0x1.767dcf5534862p-1, 0x1.4043057b6ee09p-2},
}

// Log32 is the natural logarithm for float32.
func Log32(x float32) float32 {
	switch {
	case x == 0:
		return float32(math.Inf(-1))
	case x != x || x < 0:
		return float32(math.NaN())
	case math.IsInf(float64(x), 1) || x == 1:
		return float32(math.Log(float64(x)))
	}
	bits := math.Float32bits(x)
	if bits < 0x00800000 {
		bits = math.Float32bits(x*0x1p23) - 23<<23
	}
	// x = 2^k·z, with z around the point that is nearest.
	off := bits - 0x3f330000
	point := &logs[off>>19%16]
	k := int32(off) >> 23
	z := float64(math.Float32frombits(bits - off&0xff800000))
	r := math.FMA(z, point[0], -1)
	y0 := math.FMA(float64(k), ln2, point[1])
	r2 := r * r
	const a0, a1, a2 = -0x1.00ea348b88334p-2, 0x1.5575b0be00b6ap-2, -0x1.ffffef20a4123p-2
	y := math.FMA(a0, r2, math.FMA(a1, r, a2))
	return float32(math.FMA(y, r2, y0+r))
}
