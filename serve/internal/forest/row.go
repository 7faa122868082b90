package forest

// One row of a forest of even trees is answered by ranks as well, which takes the
// time to rank all slots first: rankWorth is how many steps of a walk that is.
const rankWorth = 8

// ranksRow says whether one row is worth its ranks.
func (f *Forest[T]) ranksRow() bool {
	return f.heap != nil && len(f.roots)*f.heap.depth >= rankWorth*len(f.heap.rankers)
}

// rowLanes is how many trees are walked at once for one row by ranks: as many as
// the processor has registers for. The trees are made up to a multiple of it.
const rowLanes = 4

// answers are a row's answers to all tests of symmetric trees, a byte each, so that
// no test of a tree waits for another.
type answers struct {
	// from is by slot where its answers begin, as many as it has thresholds.
	from []uint32
	// tests are where each test's answer is, depth a tree. The answer at 0 is no.
	tests []uint16
	// stairs are as many ones as a slot has thresholds at most, then as many
	// zeros: the answers of a slot are a part of it.
	stairs []uint8
}

// maxAnswers is what a test's place has room for.
const maxAnswers = 1 << 16

// answers lays out the tests of symmetric trees, or returns nil if they are too
// many.
func (h *heap[T]) answers(slots, trees int) *answers {
	a := &answers{from: make([]uint32, slots), tests: make([]uint16, 0, trees*h.depth)}
	next, most := 1, 0
	for i := range h.rankers {
		r := &h.rankers[i]
		most = max(most, r.n)
		for _, slot := range [2]int{r.at, r.low} {
			if slot != 0 {
				a.from[slot] = uint32(next)
				next += r.n
			}
		}
	}
	if next > maxAnswers {
		return nil
	}
	for t := range trees {
		for level := range h.depth {
			n := h.nodes[t<<h.depth+1<<level]
			place := uint32(0)
			if rank := n >> rankShift; rank != never {
				place = a.from[n&slotMask/lanes] + rank
			}
			a.tests = append(a.tests, uint16(place))
		}
	}
	a.stairs = make([]uint8, 2*most)
	for i := range most {
		a.stairs[i] = 1
	}
	return a
}

// rankRow makes the ranks of one row, in the first lane.
func rankRow[T, S Float](f *Forest[T], x *ranks, row []S) {
	for i := range f.heap.rankers {
		r := &f.heap.rankers[i]
		rank, low := rankOf(f, r, row)
		x[r.at*lanes&slotMask] = rank << rankShift
		if r.low != 0 {
			x[r.low*lanes&slotMask] = low << rankShift
		}
	}
}

// rankOf returns the rank of a row's value, and that of its twin.
func rankOf[T, S Float](f *Forest[T], r *ranker[T], row []S) (rank, low uint32) {
	v := cast(f, row[r.slot.feature])
	if r.slot.kind != plain && r.slot.kind != nanLow {
		v = fill(r.slot, v)
	}
	rank = r.rank(v)
	if v != v {
		return rank, 0
	}
	return rank, rank
}

// answerRow makes the answers of one row.
func answerRow[T, S Float](f *Forest[T], to *[maxAnswers]uint8, row []S) {
	a := f.answers
	most := uint32(len(a.stairs) / 2)
	for i := range f.heap.rankers {
		r := &f.heap.rankers[i]
		rank, low := rankOf(f, r, row)
		if r.at != 0 {
			copy(to[a.from[r.at]:][:r.n], a.stairs[most-rank:])
		}
		if r.low != 0 {
			copy(to[a.from[r.low]:][:r.n], a.stairs[most-low:])
		}
	}
}

// sumAnswers adds each tree's leaf for the answers of one row.
func (f *Forest[T]) sumAnswers(acc []T, x *[maxAnswers]uint8) {
	h, tests := f.heap, f.answers.tests
	sum := acc[0]
	for r := range f.roots {
		at := uint32(0)
		for _, t := range tests[r*h.depth:][:h.depth] {
			at = at<<1 + uint32(x[t])
		}
		leaf := h.leaves[uint32(r)<<h.depth+at]
		if f.outputs == 1 {
			sum += leaf
		} else {
			f.addLeaf(acc, r, leaf)
		}
	}
	if f.outputs == 1 {
		acc[0] = sum
	}
}

// sumRanks walks the trees for the ranks of one row.
func (f *Forest[T]) sumRanks(acc []T, x *ranks) {
	h := f.heap
	sum := acc[0]
	for r := 0; r < len(f.roots); r += rowLanes {
		at := walkRow(h.nodes[r<<h.depth:], x, h.depth)
		for l, a := range at[:min(rowLanes, len(f.roots)-r)] {
			leaf := h.leaves[uint32(r+l-1)<<h.depth+a]
			if f.outputs == 1 {
				sum += leaf
			} else {
				f.addLeaf(acc, r+l, leaf)
			}
		}
	}
	if f.outputs == 1 {
		acc[0] = sum
	}
}

// addLeaf adds a tree's leaf to one of several outputs, or to all of them.
func (f *Forest[T]) addLeaf(acc []T, tree int, leaf T) {
	if f.vectors != nil {
		f.addVector(acc, leaf)
		return
	}
	acc[f.roots[tree].output] += leaf
}

// walkRow takes one row down the first trees and returns the heaps' places.
func walkRow(t []uint32, x *ranks, depth int) [rowLanes]uint32 {
	size := 1 << depth
	t0, t1, t2, t3 := t[:size], t[size:][:size], t[2*size:][:size], t[3*size:][:size]
	i0, i1, i2, i3 := uint32(1), uint32(1), uint32(1), uint32(1)
	for range depth {
		n := t0[i0]
		i0 = 2*i0 + (n-x[n&slotMask])>>31
		n = t1[i1]
		i1 = 2*i1 + (n-x[n&slotMask])>>31
		n = t2[i2]
		i2 = 2*i2 + (n-x[n&slotMask])>>31
		n = t3[i3]
		i3 = 2*i3 + (n-x[n&slotMask])>>31
	}
	return [rowLanes]uint32{i0, i1, i2, i3}
}
