package profile

import (
	"cmp"
	"math/bits"
	"slices"
)

// AddCounted counts different numbers, each as often as counts says, which is
// much cheaper than AddFloats of all when there are few: quantiles and distinct
// values come out no worse.
func (c *Column) AddCounted(vs []float64, counts []uint32) {
	list := make([]weighted, 0, len(vs))
	n, sum := uint64(0), 0.0
	for i, v := range vs {
		k := uint64(counts[i])
		if k == 0 {
			continue
		}
		if v-v != 0 || c.kind == Categorical {
			for range k {
				c.AddFloat(v)
			}
			continue
		}
		list = append(list, weighted{v + 0, k})
		n += k
		sum += float64(v * float64(k))
	}
	if len(list) == 0 {
		return
	}
	c.kind = Numeric
	if sum-sum != 0 { // An overflow.
		for _, w := range list {
			for range w.count {
				c.AddFloat(w.value)
			}
		}
		return
	}
	slices.SortFunc(list, func(a, b weighted) int { return cmp.Compare(a.value, b.value) })
	mean, m2 := sum/float64(n), 0.0
	for _, w := range list {
		d := w.value - mean
		m2 += float64(float64(d*d) * float64(w.count))
	}
	c.rows += n
	s := &c.num
	s.addMoments(n, list[0].value, list[len(list)-1].value, sum, mean, m2)
	for !s.sketched && len(list) > 0 {
		s.addFew(list[0].value, list[0].count)
		list = list[1:]
		if len(s.few) > maxExact {
			s.sketch()
		}
	}
	for _, w := range list {
		s.hll.add(hashFloat(w.value))
	}
	s.kll.addCounted(list)
}

// addCounted adds ascending values with their counts, as addWeighted does with
// each.
func (s *kll) addCounted(list []weighted) {
	var all uint64
	for _, w := range list {
		all |= w.count
	}
	s.grow(max(1, bits.Len64(all)))
	var part []float64
	for h := 0; all != 0; h, all = h+1, all>>1 {
		part = part[:0]
		for _, w := range list {
			if w.count>>h&1 == 1 {
				part = append(part, w.value)
			}
		}
		if h == 0 {
			s.levels[0] = append(s.levels[0], part...)
		} else {
			s.levels[h] = mergeSorted(s.levels[h], part)
		}
		s.size += len(part)
	}
	s.shrink()
}
