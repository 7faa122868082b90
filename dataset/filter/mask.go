package filter

import (
	"iter"
	"math/bits"
)

// Mask marks rows of a record.
type Mask struct {
	bits []uint64
	n    int
	set  int
}

func newMask(n int) *Mask { return &Mask{bits: make([]uint64, (n+63)/64), n: n} }

func (m *Mask) count() *Mask {
	m.set = 0
	for _, w := range m.bits {
		m.set += bits.OnesCount64(w)
	}
	return m
}

// Len is the number of rows.
func (m *Mask) Len() int { return m.n }

// Count is the number of marked rows.
func (m *Mask) Count() int { return m.set }

// At tells whether row i is marked.
func (m *Mask) At(i int) bool { return m.bits[i>>6]>>(i&63)&1 == 1 }

// Invert returns the mask of the other rows: those for which the expression is
// false or null.
func (m *Mask) Invert() *Mask {
	out := newMask(m.n)
	fill(out.bits, m.n)
	for i, w := range m.bits {
		out.bits[i] &^= w
	}
	return out.count()
}

// Words are the bits of the mask, row 64*i+k in bit k of word i; the bits past
// the end are 0. They must not be changed.
func (m *Mask) Words() []uint64 { return m.bits }

// Runs yields the marked rows as ranges [from, to), in order.
func (m *Mask) Runs() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for from := m.find(0, 0); from < m.n; {
			to := m.find(from, ^uint64(0))
			if !yield(from, to) {
				return
			}
			from = m.find(to, 0)
		}
	}
}

// find is the first row from at on that is marked, or not marked when flip has
// all bits set.
func (m *Mask) find(at int, flip uint64) int {
	for at < m.n {
		if w := (m.bits[at>>6] ^ flip) >> (at & 63); w != 0 {
			return min(at+bits.TrailingZeros64(w), m.n)
		}
		at = at&^63 + 64
	}
	return m.n
}

// MaskOf marks the rows of the ranges [from, to) among n.
func MaskOf(n int, runs iter.Seq2[int, int]) *Mask {
	m := newMask(n)
	for from, to := range runs {
		from, to = max(from, 0), min(to, n)
		for from < to {
			upTo := min(to, from&^63+64)
			m.bits[from>>6] |= (^uint64(0) << (from & 63)) & (^uint64(0) >> (63 - (upTo-1)&63))
			from = upTo
		}
	}
	return m.count()
}

// And returns the mask of the rows that both masks mark, of equal length.
func (m *Mask) And(o *Mask) *Mask {
	out := newMask(m.n)
	for i := range out.bits {
		out.bits[i] = m.bits[i] & o.bits[i]
	}
	return out.count()
}

// Any tells whether a row of [from, to) is marked.
func (m *Mask) Any(from, to int) bool { return m.find(from, 0) < to }

// Span is the first row that is marked and the one behind the last; 0, 0 when
// none is.
func (m *Mask) Span() (from, to int) {
	if m.set == 0 {
		return 0, 0
	}
	last := len(m.bits) - 1
	for m.bits[last] == 0 {
		last--
	}
	return m.find(0, 0), last*64 + bits.Len64(m.bits[last])
}

// Slice is the mask of the rows [from, to).
func (m *Mask) Slice(from, to int) *Mask {
	return MaskOf(to-from, func(yield func(int, int) bool) {
		for a, b := range m.Runs() {
			if a < to && b > from && !yield(a-from, b-from) {
				return
			}
		}
	})
}
