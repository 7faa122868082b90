package profile

import (
	"math/bits"
	"slices"
)

const (
	// bulkNumbers is how many numbers are summarised at a time.
	bulkNumbers = 1024
	// bulkTexts is how many texts are counted at a time, before what is new is
	// weighed against what is known.
	bulkTexts = 8192
	// sampledLevels is how many levels of the quantile sketch are filled one by
	// one. Below them one value stands for a block.
	sampledLevels = 7
	// sampledTop is the highest level that one value of a block is put on.
	sampledTop = 6
	// expectExact is the binary logarithm of how many numbers a sketch takes one by
	// one when it knows that many more will come.
	expectExact = 17
)

// AddFloats counts many numbers like AddFloat does, several times faster. Mean
// and Variance may differ from those of single numbers in the last digits, and
// quantiles within their error.
func (c *Column) AddFloats(vs []float64) {
	if c.kind == Categorical {
		for _, v := range vs {
			c.AddFloat(v)
		}
		return
	}
	for len(vs) > 0 {
		n := min(len(vs), bulkNumbers)
		c.addFloats(vs[:n])
		vs = vs[n:]
	}
}

func (c *Column) addFloats(vs []float64) {
	c.kind = Numeric
	sum := sumOf(vs)
	if sum-sum != 0 { // A NaN, an infinity or an overflow is among them.
		for _, v := range vs {
			c.AddFloat(v)
		}
		return
	}
	c.rows += uint64(len(vs))
	c.num.addBlock(vs, sum)
}

// sumOf adds up in four strands, as one would wait for its last addition.
func sumOf(vs []float64) float64 {
	var a, b, c, d float64
	for ; len(vs) >= 4; vs = vs[4:] {
		a, b, c, d = a+vs[0], b+vs[1], c+vs[2], d+vs[3]
	}
	for _, v := range vs {
		a += v
	}
	return a + b + (c + d)
}

// spread is the range of finite numbers and the sum of the squares of their
// differences from a mean. The conversions forbid fused operations.
func spread(vs []float64, mean float64) (low, high, m2 float64) {
	low, high = vs[0], vs[0]
	low2, high2 := low, high
	var a, b float64
	for ; len(vs) >= 2; vs = vs[2:] {
		v, w := vs[0], vs[1]
		if v < low {
			low = v
		}
		if v > high {
			high = v
		}
		if w < low2 {
			low2 = w
		}
		if w > high2 {
			high2 = w
		}
		v, w = v-mean, w-mean
		a += float64(v * v)
		b += float64(w * w)
	}
	for _, v := range vs {
		low, high = min(low, v), max(high, v)
		v -= mean
		a += float64(v * v)
	}
	return min(low, low2), max(high, high2), a + b
}

// Expect says that about so many numbers will come in all, which makes adding
// many of them cheaper. It is a hint, given before the first number.
func (c *Column) Expect(rows int) {
	c.num.kll.floor = min(max(bits.Len(uint(rows)>>expectExact)-1, 0), sampledTop)
}

// AddNulls counts n missing values.
func (c *Column) AddNulls(n uint64) {
	c.rows += n
	c.nulls += n
}

// addBlock takes finite numbers with a finite sum.
func (s *numbers) addBlock(vs []float64, sum float64) {
	mean := sum / float64(len(vs))
	low, high, m2 := spread(vs, mean)
	s.addMoments(uint64(len(vs)), low, high, sum, mean, m2)
	if !s.sketched {
		if vs = s.addAllFew(vs); len(vs) == 0 {
			return
		}
	}
	for _, v := range vs {
		s.hll.add(hashFloat(v + 0))
	}
	s.kll.addMany(vs)
}

// addMoments takes n numbers into range, mean and variance.
func (s *numbers) addMoments(n uint64, low, high, sum, mean, m2 float64) {
	b := float64(n)
	// Negative zero is the same value as zero.
	low, high = low+0, high+0
	if s.n == 0 {
		s.min, s.max, s.mean, s.m2 = low, high, mean, m2
	} else {
		a, d := float64(s.n), mean-s.mean
		s.m2 += m2 + float64(d*d*(a*b/(a+b)))
		s.mean = (float64(s.mean*a) + sum) / (a + b)
		s.min, s.max = min(s.min, low), max(s.max, high)
	}
	s.n += n
}

// addAllFew counts exactly until there are too many different numbers, and
// returns what is left.
func (s *numbers) addAllFew(vs []float64) []float64 {
	// Where a number was found last, by a part of its hash; 0 is nowhere.
	var seen [256]uint8
	for i, v := range vs {
		v += 0
		at := &seen[hashFloat(v)>>56]
		if k := int(*at); k > 0 && k <= len(s.few) && s.few[k-1].value == v {
			s.few[k-1].count++
			continue
		}
		before := len(s.few)
		s.addFew(v, 1)
		if len(s.few) > maxExact {
			s.sketch()
			return vs[i+1:]
		}
		if len(s.few) != before {
			clear(seen[:]) // The places have moved.
			continue
		}
		k, _ := slices.BinarySearchFunc(s.few, v, func(w weighted, v float64) int {
			switch {
			case w.value < v:
				return -1
			case w.value > v:
				return 1
			}
			return 0
		})
		*at = uint8(k + 1)
	}
	return nil
}

// addMany adds values one by one, or, once the sketch is tall, one of each block
// at the level that stands for so many: the levels below would only choose
// among them too, as the paper notes in its section on sampling.
func (s *kll) addMany(vs []float64) {
	level := min(max(len(s.levels)-sampledLevels, s.floor), sampledTop)
	if level <= 0 {
		for _, v := range vs {
			s.add(v + 0)
		}
		return
	}
	s.grow(level + 1)
	block := 1 << level
	var buf [bulkNumbers / 2]float64
	chosen := buf[:0]
	for len(vs) >= block && len(chosen) < len(buf) {
		// Which one is a fixed function of how many went before.
		at := mix(s.flips[0]<<8|uint64(level)) & uint64(block-1)
		s.flips[0]++
		chosen = append(chosen, vs[at]+0)
		vs = vs[block:]
	}
	slices.Sort(chosen)
	s.levels[level] = mergeSorted(s.levels[level], chosen)
	s.size += len(chosen)
	s.shrink()
	for _, v := range vs {
		s.add(v + 0)
	}
}

// TextCounter counts many texts of one column at a time. It is a work space that
// may be used for one column after another; the zero value is ready.
type TextCounter struct {
	table [2 * bulkTexts]uint64 // The upper half of a hash, and a place in list, +1.
	list  []textEntry
	known [1 << 10]uint64 // A bit for each category that is counted, by its hash.
}

type textEntry struct {
	text  string
	hash  uint64
	count uint64
}

// Add counts n texts, as n calls of AddString do. text gives the ith, which is
// UTF-8 and need not outlive the call. Once there are more categories than are
// counted one by one, counts may differ from those of single calls, within
// TopError.
func (t *TextCounter) Add(c *Column, n int, text func(i int) string) {
	if c.kind == Numeric {
		for i := range n {
			c.AddString(text(i))
		}
		return
	}
	for from := 0; from < n; from += bulkTexts {
		to := min(from+bulkTexts, n)
		c.kind = Categorical
		c.rows += uint64(to - from)
		for i := from; i < to; i++ {
			s := text(i)
			if len(s) > maxCategoryLen {
				s = category(s)
			}
			t.count(s, 1)
		}
		t.flush(&c.cat)
	}
}

func (t *TextCounter) count(s string, n uint64) {
	h := hashString(s)
	mark := h &^ (1<<32 - 1)
	for at := h % uint64(len(t.table)); ; at = (at + 1) % uint64(len(t.table)) {
		k := t.table[at]
		if k == 0 {
			t.list = append(t.list, textEntry{s, h, n})
			t.table[at] = mark | uint64(len(t.list))
			return
		}
		if k&^(1<<32-1) == mark {
			if e := &t.list[uint32(k)-1]; e.hash == h && e.text == s {
				e.count += n
				return
			}
		}
	}
}

// AddCounted counts n different texts, each as often as counts says.
func (t *TextCounter) AddCounted(c *Column, n int, text func(i int) string, counts []uint32) {
	if c.kind == Numeric {
		for i := range n {
			for range counts[i] {
				c.AddString(text(i))
			}
		}
		return
	}
	for from := 0; from < n; from += bulkTexts {
		for i := from; i < min(from+bulkTexts, n); i++ {
			if counts[i] == 0 {
				continue
			}
			s := text(i)
			if len(s) > maxCategoryLen {
				s = category(s)
			}
			c.kind = Categorical
			c.rows += uint64(counts[i])
			t.count(s, uint64(counts[i]))
		}
		t.flush(&c.cat)
	}
}

// flush adds what was counted to the summary.
func (t *TextCounter) flush(s *categories) {
	if s.counts == nil {
		s.counts = make(map[string]*uint64)
	}
	clear(t.known[:])
	for text := range s.counts {
		h := hashString(text)
		t.known[h>>54] |= 1 << (h >> 48 & 63)
	}
	fresh := t.list[:0]
	sketched := s.hll.registers != nil
	for _, e := range t.list {
		if sketched {
			s.hll.add(e.hash)
		}
		if t.known[e.hash>>54]>>(e.hash>>48&63)&1 == 1 {
			if p := s.counts[e.text]; p != nil {
				*p += e.count
				continue
			}
		}
		fresh = append(fresh, e)
	}
	if len(s.counts)+len(fresh) > maxCategories {
		if !sketched {
			s.startDistinct()
			for _, e := range fresh {
				s.hll.add(e.hash)
			}
		}
		amount := t.amount(s, fresh)
		s.lost += amount
		for text, p := range s.counts {
			if *p <= amount {
				delete(s.counts, text)
				continue
			}
			*p -= amount
		}
		for _, e := range fresh {
			if e.count > amount {
				s.count(e.text, e.count-amount)
			}
		}
	} else {
		for _, e := range fresh {
			s.count(e.text, e.count)
		}
	}
	clear(t.table[:])
	t.list = t.list[:0]
}

// amount is the largest count but keepCategories: taken off all, it leaves no
// more than those.
func (t *TextCounter) amount(s *categories, fresh []textEntry) uint64 {
	const small = 256
	var with [small]int // How many have which count; the last: or more.
	for _, p := range s.counts {
		with[min(*p, small-1)]++
	}
	for _, e := range fresh {
		with[min(e.count, small-1)]++
	}
	above := with[small-1]
	if above <= keepCategories {
		for v := small - 2; v > 0; v-- {
			if above += with[v]; above > keepCategories {
				return uint64(v)
			}
		}
	}
	all := make([]uint64, 0, len(s.counts)+len(fresh))
	for _, p := range s.counts {
		all = append(all, *p)
	}
	for _, e := range fresh {
		all = append(all, e.count)
	}
	slices.Sort(all)
	return all[len(all)-1-keepCategories]
}
