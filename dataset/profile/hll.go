package profile

import (
	"math"
	"math/bits"
	"slices"
)

// Sizes of the distinct counter: 2^12 registers give a standard error of
// 1.04/sqrt(4096) = 1.6 %.
const (
	hllBits = 12
	hllSize = 1 << hllBits
	hllMax  = 64 - hllBits + 1 // The largest value of a register.
)

// hll is a HyperLogLog counter (Flajolet, Fusy, Gandouet and Meunier 2007) over
// 64-bit hashes. The zero value is ready.
type hll struct {
	registers []uint8 // nil until the first value.
}

func (s *hll) add(hash uint64) {
	if s.registers == nil {
		s.registers = make([]uint8, hllSize)
	}
	r := &s.registers[hash>>(64-hllBits)]
	if rank := uint8(bits.LeadingZeros64(hash<<hllBits|1<<(hllBits-1)) + 1); rank > *r {
		*r = rank
	}
}

func (s *hll) merge(o *hll) {
	if s.registers == nil {
		s.registers = slices.Clone(o.registers)
		return
	}
	for i, r := range o.registers {
		s.registers[i] = max(s.registers[i], r)
	}
}

func (s *hll) clone() hll { return hll{slices.Clone(s.registers)} }

// estimate uses the estimator of Ertl, "New cardinality estimation algorithms
// for HyperLogLog sketches" (2017), algorithm 6, which needs no correction
// tables at either end.
func (s *hll) estimate() uint64 {
	if s.registers == nil {
		return 0
	}
	var count [hllMax + 1]float64
	for _, r := range s.registers {
		count[min(r, hllMax)]++
	}
	z := hllSize * hllTau(1-count[hllMax]/hllSize)
	for k := hllMax - 1; k > 0; k-- {
		z = (z + count[k]) / 2
	}
	z += float64(hllSize * hllSigma(count[0]/hllSize))
	return uint64(math.Round(hllSize / (2 * math.Ln2) * hllSize / z))
}

func hllSigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	z, y := x, 1.0
	for last := -1.0; z != last; y += y {
		x *= x
		last = z
		z += float64(x * y)
	}
	return z
}

func hllTau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	z, y := 1-x, 1.0
	for last := -1.0; z != last; {
		x = math.Sqrt(x)
		last = z
		y /= 2
		z -= float64((1 - x) * (1 - x) * y)
	}
	return z / 3
}
