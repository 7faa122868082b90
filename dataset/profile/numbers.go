package profile

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// maxExact is how many different numbers a column counts one by one before it
// turns to sketches. It is the default number of bins, so that every column
// that could have a bin for each value does.
const maxExact = 64

// weighted is a number and how many rows it stands for.
type weighted struct {
	value float64
	count uint64
}

// numbers summarises finite numbers. The zero value is ready.
type numbers struct {
	n        uint64
	mean, m2 float64 // Welford's running mean and sum of squared differences.
	min, max float64
	few      []weighted // Ascending; used while sketched is false.
	sketched bool
	kll      kll
	hll      hll
}

func (s *numbers) orNaN(v float64) float64 {
	if s.n == 0 {
		return math.NaN()
	}
	return v
}

func (s *numbers) add(v float64) {
	if v == 0 {
		v = 0 // Negative zero is the same value as zero.
	}
	if s.n == 0 {
		s.min, s.max = v, v
	}
	s.n++
	d := v - s.mean // The conversion below forbids a fused operation.
	s.mean += d / float64(s.n)
	s.m2 += float64(d * (v - s.mean))
	if v < s.min {
		s.min = v
	}
	if v > s.max {
		s.max = v
	}
	if s.sketched {
		s.kll.add(v)
		s.hll.add(hashFloat(v))
		return
	}
	s.addFew(v, 1)
	if len(s.few) > maxExact {
		s.sketch()
	}
}

// addFew counts v exactly.
func (s *numbers) addFew(v float64, count uint64) {
	i, found := slices.BinarySearchFunc(s.few, v, func(w weighted, v float64) int { return cmp.Compare(w.value, v) })
	if found {
		s.few[i].count += count
		return
	}
	s.few = slices.Insert(s.few, i, weighted{v, count})
}

// sketch moves the exact counts into the sketches. Nothing is lost by it: a
// count is a sum of powers of two, which are the weights of the levels.
func (s *numbers) sketch() {
	s.sketchAll(s.few)
	s.few, s.sketched = nil, true
}

func (s *numbers) sketchAll(few []weighted) {
	for _, w := range few {
		s.hll.add(hashFloat(w.value))
		s.kll.addWeighted(w.value, w.count)
	}
	s.kll.shrink()
}

func (s *numbers) merge(o *numbers) {
	if o.n == 0 {
		return
	}
	if s.n == 0 {
		s.min, s.max, s.mean, s.m2 = o.min, o.max, o.mean, o.m2
	} else {
		// Chan, Golub and LeVeque's pairwise update, in its symmetric form: the
		// order of the two sides must not show in the last bit. Nor must the
		// machine: the conversions forbid fused operations.
		a, b := float64(s.n), float64(o.n)
		d := o.mean - s.mean
		s.m2 = (s.m2 + o.m2) + float64(d*d*(a*b/(a+b)))
		s.mean = (float64(s.mean*a) + float64(o.mean*b)) / (a + b)
		s.min, s.max = min(s.min, o.min), max(s.max, o.max)
	}
	s.n += o.n
	// What is exact on one side goes into the sketch of the other, and the
	// result does not depend on which side that is.
	switch {
	case s.sketched && o.sketched:
		s.hll.merge(&o.hll)
		s.kll.merge(&o.kll)
	case s.sketched:
		s.sketchAll(o.few)
	case o.sketched:
		few := s.few
		s.few, s.sketched = nil, true
		s.hll, s.kll = o.hll.clone(), o.kll.clone()
		s.sketchAll(few)
	default:
		for _, w := range o.few {
			s.addFew(w.value, w.count)
		}
		if len(s.few) > maxExact {
			s.sketch()
		}
	}
}

func (s *numbers) distinct() uint64 {
	if !s.sketched {
		return uint64(len(s.few))
	}
	// The estimate of a small sketch may fall below what is known for certain.
	return max(s.hll.estimate(), maxExact+1)
}

// sample returns the different values known, ascending, with the number of
// rows each stands for.
func (s *numbers) sample() []weighted {
	if !s.sketched {
		return s.few
	}
	return s.kll.sample()
}

func (s *numbers) quantile(q float64) float64 {
	switch {
	case q <= 0:
		return s.min
	case q >= 1:
		return s.max
	}
	want := q * float64(s.n)
	var rows uint64
	for _, w := range s.sample() {
		rows += w.count
		if float64(rows) >= want {
			return w.value
		}
	}
	return s.max
}

// hashFloat spreads the bits of a number over 64 bits.
func hashFloat(v float64) uint64 { return mix(math.Float64bits(v)) }

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// fold multiplies two words and folds the product to one.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
