package profile

import (
	"math"
	"math/bits"
	"slices"
)

// Sizes of the quantile sketch: the capacity of its top level, and the least
// capacity of any level. The lower levels are smaller by a third each.
const (
	kllTop = 1024
	kllMin = 64
)

// kll is the quantile sketch of Karnin, Lang and Liberty, "Optimal Quantile
// Approximation in Streams" (2016). A value on level h stands for 2^h rows. A
// full level is sorted and every second value moves one level up.
//
// Whether the odd or the even values move is a coin toss in the paper. Here it
// is a fixed function of how often the level was compacted, so that a profile
// can be reproduced; tosses come in opposite pairs, whose errors cancel.
type kll struct {
	levels [][]float64 // All but level 0 are ascending.
	flips  []uint64    // How often each level was compacted.
	size   int         // Values on all levels.
	limit  int         // The size that calls for a compaction.
	floor  int         // The level on which many values start.
}

func kllCap(level, levels int) int {
	return max(kllMin, int(math.Ceil(kllTop*math.Pow(2.0/3, float64(levels-1-level)))))
}

// grow makes the sketch have at least n levels.
func (s *kll) grow(n int) {
	if len(s.levels) >= n {
		return
	}
	for len(s.levels) < n {
		s.levels = append(s.levels, nil)
		s.flips = append(s.flips, 0)
	}
	s.limit = 0
	for h := range s.levels {
		s.limit += kllCap(h, len(s.levels))
	}
}

func (s *kll) add(v float64) {
	if s.size >= s.limit {
		s.grow(1)
		s.shrink()
	}
	s.levels[0] = append(s.levels[0], v)
	s.size++
}

// addWeighted adds v count times by putting it on one level for each bit of
// the count. The caller calls shrink when it has added all it wants.
func (s *kll) addWeighted(v float64, count uint64) {
	s.grow(max(1, bits.Len64(count)))
	for h := 0; count != 0; h, count = h+1, count>>1 {
		if count&1 == 0 {
			continue
		}
		lv := append(s.levels[h], v)
		if h > 0 {
			// A new value mostly comes last, as callers add in ascending order.
			for i := len(lv) - 1; i > 0 && lv[i-1] > v; i-- {
				lv[i-1], lv[i] = lv[i], lv[i-1]
			}
		}
		s.levels[h] = lv
		s.size++
	}
}

// shrink compacts until there is room for one more value.
func (s *kll) shrink() {
	for s.size >= s.limit {
		h := 0
		for len(s.levels[h]) < kllCap(h, len(s.levels)) {
			h++ // Ends: the levels together are at their limit.
		}
		s.compact(h)
	}
}

func (s *kll) compact(h int) {
	s.grow(h + 2)
	lv := s.levels[h]
	if h == 0 {
		slices.Sort(lv)
	}
	odd := len(lv) & 1 // One value stays behind, so that the weights add up.
	n := s.flips[h]
	s.flips[h]++
	at := int(mix(n>>1<<8|uint64(h))&1 ^ n&1)
	moving := lv[odd:]
	half := len(moving) / 2
	for i := range half {
		moving[i] = moving[2*i+at]
	}
	s.levels[h+1] = mergeSorted(s.levels[h+1], moving[:half])
	s.levels[h] = lv[:odd]
	s.size -= half
}

// mergeSorted merges the ascending b into the ascending a, in place.
func mergeSorted(a, b []float64) []float64 {
	i, j := len(a)-1, len(b)-1
	a = append(a, b...)
	for k := len(a) - 1; j >= 0; k-- {
		if i >= 0 && a[i] > b[j] {
			a[k] = a[i]
			i--
		} else {
			a[k] = b[j]
			j--
		}
	}
	return a
}

func (s *kll) merge(o *kll) {
	s.grow(len(o.levels))
	for h, lv := range o.levels {
		s.flips[h] += o.flips[h]
		if h == 0 {
			s.levels[0] = append(s.levels[0], lv...)
		} else {
			s.levels[h] = mergeSorted(s.levels[h], lv)
		}
	}
	s.size += o.size
	s.shrink()
}

func (s *kll) clone() kll {
	c := kll{flips: slices.Clone(s.flips), size: s.size, limit: s.limit, floor: s.floor}
	for _, lv := range s.levels {
		c.levels = append(c.levels, slices.Clone(lv))
	}
	return c
}

// sample returns the different values held, ascending, each with the number of
// rows it stands for.
func (s *kll) sample() []weighted {
	out, merged := make([]weighted, 0, s.size), make([]weighted, 0, s.size)
	for h, lv := range s.levels {
		if h == 0 {
			lv = slices.Clone(lv) // A reader may not sort it in place.
			slices.Sort(lv)
		}
		merged = merged[:0]
		i := 0
		for _, v := range lv {
			for i < len(out) && out[i].value < v {
				merged = append(merged, out[i])
				i++
			}
			merged = append(merged, weighted{v, 1 << h})
		}
		merged = append(merged, out[i:]...)
		out, merged = merged, out
	}
	n := 0
	for _, w := range out {
		if n > 0 && out[n-1].value == w.value {
			out[n-1].count += w.count
			continue
		}
		out[n] = w
		n++
	}
	return out[:n]
}
