package profile

import "math"

// block is how many numbers are counted at a time: they stay in the cache
// between the passes over them.
const block = 128

// AddFloats counts many numbers at some five nanoseconds each; NaN is a missing
// value. In a categorical layout it is AddCodes. It allocates nothing.
func (b *Bins) AddFloats(vs []float64) {
	b.ready()
	if b.Kind == Categorical {
		b.addCodes(vs)
		return
	}
	for len(vs) > 0 {
		n := min(len(vs), block)
		b.addBlock(vs[:n])
		vs = vs[n:]
	}
}

// addBlock takes the sums first. They are finite only when all numbers are, so
// that a block without missing values needs no test of each number.
func (b *Bins) addBlock(vs []float64) {
	m := b.moments(vs)
	if m.sumSq-m.sumSq != 0 {
		b.addSifted(vs)
		return
	}
	b.addFinite(vs, m)
}

// addSifted counts a block with missing values or infinities in it.
func (b *Bins) addSifted(vs []float64) {
	var sifted [block]float64
	n, odd := 0, 0
	for _, v := range vs {
		sifted[n&(block-1)] = v
		// Without a branch, which would be mispredicted at every missing value.
		keep, infinite := 0, 0
		if v-v == 0 {
			keep = 1
		}
		if math.Abs(v) > math.MaxFloat64 {
			infinite = 1
		}
		n += keep
		odd += infinite
	}
	b.NonFinite += uint64(odd)
	b.Nulls += uint64(len(vs) - n - odd)
	if n > 0 {
		b.addFinite(sifted[:n], b.moments(sifted[:n]))
	}
}

// moments is what a block adds to the sums, and the range seen with it.
type moments struct{ sum, sumSq, low, high float64 }

// moments adds up in four strands, as one would wait for its last addition. The
// conversions forbid fused operations, so that all machines agree.
func (b *Bins) moments(vs []float64) moments {
	shift, low, high := b.Shift, b.Min, b.Max
	if !b.seen {
		low, high = math.Inf(1), math.Inf(-1)
	}
	var s0, s1, s2, s3, q0, q1, q2, q3 float64
	for ; len(vs) >= 4; vs = vs[4:] {
		v, w, x, y := vs[0], vs[1], vs[2], vs[3]
		if v < low {
			low = v
		}
		if v > high {
			high = v
		}
		if w < low {
			low = w
		}
		if w > high {
			high = w
		}
		if x < low {
			low = x
		}
		if x > high {
			high = x
		}
		if y < low {
			low = y
		}
		if y > high {
			high = y
		}
		v, w, x, y = v-shift, w-shift, x-shift, y-shift
		s0, s1, s2, s3 = s0+v, s1+w, s2+x, s3+y
		q0, q1, q2, q3 = q0+float64(v*v), q1+float64(w*w), q2+float64(x*x), q3+float64(y*y)
	}
	for _, v := range vs {
		if v < low {
			low = v
		}
		if v > high {
			high = v
		}
		v -= shift
		s0 += v
		q0 += float64(v * v)
	}
	return moments{s0 + s1 + (s2 + s3), q0 + q1 + (q2 + q3), low, high}
}

// addFinite counts finite numbers.
func (b *Bins) addFinite(vs []float64, m moments) {
	b.Sum += m.sum
	b.SumSq += m.sumSq
	b.Min, b.Max, b.seen = m.low, m.high, true
	l := b.look
	if m.low < l.low || m.high > l.high {
		b.addOutside(vs)
	}
	counts := b.Counts[:l.n+1]
	switch {
	case l.crowded:
		for _, v := range vs {
			counts[l.bin(v)]++
		}
	case l.bits:
		key, by := l.key, l.shift&63
		for _, v := range vs {
			i := l.start[bitCell(v, key, by)]
			counts[i+past(v, l.edges[i])]++
		}
	default:
		first, scale := l.first, l.scale
		for _, v := range vs {
			i := l.start[linearCell(v, first, scale)]
			counts[i+past(v, l.edges[i])]++
		}
	}
}

// past returns 1 when v is not below the edge. It compiles to no branch, which
// would be mispredicted in every other value of a cell with an edge in it.
func past(v, edge float64) (one uint8) {
	if v >= edge {
		one = 1
	}
	return one
}

// addOutside counts the numbers outside the range of the layout. It is a pass
// of its own, made only once the window has met such a number.
func (b *Bins) addOutside(vs []float64) {
	for _, v := range vs {
		if v < b.look.low {
			b.Below++
		}
		if v > b.look.high {
			b.Above++
		}
	}
}

// AddCodes counts many categories by their codes, as Code returns them; NaN is
// a missing value, and a number that is no index of Categories counts as
// another value. In a numeric layout it is AddFloats: the layout decides how
// the numbers are read. It allocates nothing.
func (b *Bins) AddCodes(vs []float64) { b.AddFloats(vs) }

func (b *Bins) addCodes(vs []float64) {
	counts := b.Counts
	other := len(counts) - 1
	top := float64(other)
	for _, v := range vs {
		if v >= 0 && v < top {
			if i := int(v); float64(i) == v {
				counts[i]++
				continue
			}
		}
		if v != v {
			b.Nulls++
			continue
		}
		counts[other]++
	}
}
