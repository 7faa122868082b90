package forest

// answers make one row of even trees quick: the row's answers to all different tests
// of the model are written down first, a byte each, so that a step of a walk is two
// loads and a sum, and the tests of a symmetric tree wait for nothing.
type answers struct {
	// from is by slot where its answers begin, as many as it has thresholds.
	from []uint32
	// tests are where each test's answer is: a test a level of symmetric trees,
	// and heaps of rowNodes of others, some spare ones at the end. The answer at 0
	// is no.
	tests []uint16
	// stairs are as many ones as a slot has thresholds at most, then as many
	// zeros: the answers of a slot are a part of it.
	stairs []uint8
}

const (
	// maxAnswers is what a test's place has room for, and mostAnswers how many
	// stay in the first level of cache.
	maxAnswers  = 1 << 16
	mostAnswers = 1 << 14
	// answersWorth is how many steps of a walk it takes to make up for the
	// answers of one slot.
	answersWorth = 16
	// rowDepth bounds the depth of trees that are walked by answers, and rowNodes
	// is the room of each. rowSpare is what a byte reaches behind the last one.
	rowDepth = 6
	rowNodes = 1 << rowDepth
	rowSpare = 1<<8 - rowNodes
	// rowLevels is the room of a symmetric tree.
	rowLevels = maxHeapDepth
)

// buildAnswers lays out the tests of even trees, or returns nil if there are too
// many or too few of them.
func (f *Forest[T]) buildAnswers() *answers {
	h, trees := f.heap, len(f.roots)
	if h.depth == 0 || h.depth > rowDepth && f.symmetric == nil || trees*h.depth < answersWorth*len(h.rankers) {
		return nil
	}
	a := &answers{from: make([]uint32, len(f.slots))}
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
	if next > mostAnswers {
		return nil
	}
	if f.symmetric != nil {
		a.levels(h.nodes, h.depth, trees)
	} else {
		a.heaps(h.nodes, h.depth, trees)
	}
	a.stairs = make([]uint8, 2*most)
	for i := range most {
		a.stairs[i] = 1
	}
	return a
}

// place is where the answer to a heap's node is.
func (a *answers) place(n uint32) uint16 {
	if n>>rankShift == never {
		return 0
	}
	return uint16(a.from[n&slotMask/lanes] + n>>rankShift)
}

func (a *answers) levels(nodes []uint32, depth, trees int) {
	a.tests = make([]uint16, (trees+lanes-1)/lanes*lanes*rowLevels)
	for t := range trees {
		for level := range depth {
			a.tests[(t+1)*rowLevels-depth+level] = a.place(nodes[t<<depth+1<<level])
		}
	}
}

func (a *answers) heaps(nodes []uint32, depth, trees int) {
	a.tests = make([]uint16, (trees+lanes-1)/lanes*lanes*rowNodes+rowSpare)
	for t := range trees {
		for i := 1; i < 1<<depth; i++ {
			a.tests[t*rowNodes+i] = a.place(nodes[t<<depth+i])
		}
	}
}

// answerRow makes the answers of one row.
func answerRow[T, S Float](f *Forest[T], to *[maxAnswers]uint8, row []S) {
	a := f.answers
	most := uint32(len(a.stairs) / 2)
	for i := range f.heap.rankers {
		r := &f.heap.rankers[i]
		v := cast(f, row[r.slot.feature])
		if r.slot.kind != plain && r.slot.kind != nanLow {
			v = fill(r.slot, v)
		}
		rank := r.rank(v)
		if r.at != 0 {
			copy(to[a.from[r.at]:][:r.n], a.stairs[most-rank:])
		}
		if r.low != 0 {
			if v != v {
				rank = 0
			}
			copy(to[a.from[r.low]:][:r.n], a.stairs[most-rank:])
		}
	}
}

// sumAnswers adds each tree's leaf for the answers of one row, in the trees' order.
func (f *Forest[T]) sumAnswers(acc []T, x *[maxAnswers]uint8) {
	h, tests := f.heap, f.answers.tests
	size := 1 << h.depth
	for r := 0; r < len(f.roots); r += lanes {
		var at [lanes]uint32
		if f.symmetric != nil {
			at = placesOfLevels((*[lanes * rowLevels]uint16)(tests[r*rowLevels:]), x)
		} else {
			at = walkAnswers((*[lanes*rowNodes + rowSpare]uint16)(tests[r*rowNodes:]), x, h.depth)
		}
		leaves := h.leaves[r*size : min(r+lanes, len(f.roots))*size]
		f.addLeaves(acc, leaves, &at, r)
	}
}

// addLeaves adds the leaves of some trees, each of which has so many.
func (f *Forest[T]) addLeaves(acc, leaves []T, at *[lanes]uint32, first int) {
	size := 1 << f.heap.depth
	if f.outputs == 1 {
		sum := acc[0]
		for l := 0; len(leaves) >= size; l++ {
			sum += leaves[int(at[l%lanes])&(size-1)]
			leaves = leaves[size:]
		}
		acc[0] = sum
		return
	}
	for l := 0; len(leaves) >= size; l++ {
		leaf := leaves[int(at[l])&(size-1)]
		leaves = leaves[size:]
		if f.vectors != nil {
			f.addVector(acc, leaf)
		} else {
			acc[f.roots[first+l].output] += leaf
		}
	}
}

// placesOfLevels is where eight symmetric trees have their leaves.
func placesOfLevels(tests *[lanes * rowLevels]uint16, x *[maxAnswers]uint8) (at [lanes]uint32) {
	for l := range lanes {
		t := (*[rowLevels]uint16)(tests[l*rowLevels:])
		at[l] = uint32(x[t[0]])<<7 | uint32(x[t[1]])<<6 | uint32(x[t[2]])<<5 | uint32(x[t[3]])<<4 |
			uint32(x[t[4]])<<3 | uint32(x[t[5]])<<2 | uint32(x[t[6]])<<1 | uint32(x[t[7]])
	}
	return at
}

// walkAnswers takes one row down eight trees and returns their places.
func walkAnswers(t *[lanes*rowNodes + rowSpare]uint16, x *[maxAnswers]uint8, depth int) [lanes]uint32 {
	// A byte holds all places that have a test, so that no bounds are checked.
	i0, i1, i2, i3, i4, i5, i6, i7 := uint32(1), uint32(1), uint32(1), uint32(1), uint32(1), uint32(1), uint32(1), uint32(1)
	for range depth {
		i0 = 2*i0 + uint32(x[t[uint(uint8(i0))]])
		i1 = 2*i1 + uint32(x[t[1*rowNodes+uint(uint8(i1))]])
		i2 = 2*i2 + uint32(x[t[2*rowNodes+uint(uint8(i2))]])
		i3 = 2*i3 + uint32(x[t[3*rowNodes+uint(uint8(i3))]])
		i4 = 2*i4 + uint32(x[t[4*rowNodes+uint(uint8(i4))]])
		i5 = 2*i5 + uint32(x[t[5*rowNodes+uint(uint8(i5))]])
		i6 = 2*i6 + uint32(x[t[6*rowNodes+uint(uint8(i6))]])
		i7 = 2*i7 + uint32(x[t[7*rowNodes+uint(uint8(i7))]])
	}
	return [lanes]uint32{i0, i1, i2, i3, i4, i5, i6, i7}
}
