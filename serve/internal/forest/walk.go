package forest

// scratch is what one call needs.
type scratch[T Float] struct {
	row    []T        // the slots of one row
	block  [][lanes]T // the slots of eight rows, for some blocks
	sums   [][lanes]T // their sums
	single []T        // the sums of one row, and one to spare
	ranks  []*ranks   // the ranks of eight rows, for some blocks
	levels []uint64   // the same in bytes, for symmetric trees

	answers *[maxAnswers]uint8 // of one row, for even trees
}

// blockBytes is about how much memory the slots of the blocks may take, so that
// they stay in the first level of cache beside a tree.
const blockBytes = 16 << 10

// grow returns s with n elements of any value.
func grow[E any](s []E, n int) []E {
	if cap(s) < n {
		return make([]E, n)
	}
	return s[:n]
}

// Sum writes the sums of each row to dst, the outputs of a row side by side. rows
// holds whole rows; dst has room for all of them.
func Sum[T, S Float](f *Forest[T], dst []T, rows []S) {
	n := len(dst) / f.outputs
	if f.features > 0 {
		n = min(n, len(rows)/f.features)
	}
	s, _ := f.scratch.Get().(*scratch[T])
	done := 0
	if n >= lanes/2 {
		switch {
		case f.symmetric != nil:
			done = sumSymmetric(f, s, dst, rows, n)
		case f.heap != nil:
			done = sumHeap(f, s, dst, rows, n)
		default:
			done = sumBlocks(f, s, dst, rows, n)
		}
	}
	for ; done < n; done++ {
		sumRow(f, s, dst[done*f.outputs:(done+1)*f.outputs], rows[done*f.features:(done+1)*f.features])
	}
	f.scratch.Put(s)
}

// cast makes a feature what the forest compares.
func cast[T, S Float](f *Forest[T], v S) T {
	if f.round32 {
		v = S(float32(v))
	}
	x := T(v)
	if f.tiny && isTiny(x) {
		return 0
	}
	return x
}

func sumRow[T, S Float](f *Forest[T], s *scratch[T], dst []T, row []S) {
	s.single = grow(s.single, f.outputs+1)
	acc := s.single
	copy(acc, f.init)
	if f.answers != nil {
		if s.answers == nil {
			s.answers = new([maxAnswers]uint8)
		}
		answerRow(f, s.answers, row)
		f.sumAnswers(acc, s.answers)
	} else {
		compareRow(f, s, acc, row)
	}
	copy(dst, acc)
}

// compareRow is one row whose values are compared as they are.
func compareRow[T, S Float](f *Forest[T], s *scratch[T], acc []T, row []S) {
	s.row = grow(s.row, f.slotRoom())
	x := s.row
	x[0] = lowestValue[T]()
	for i := 1; i < len(f.slots); i++ {
		sl := &f.slots[i]
		v := cast(f, row[sl.feature])
		if sl.kind != plain {
			v = fill(sl, v)
		}
		x[i] = v
	}
	if f.vectors != nil {
		f.walkTreesVectors(acc, x)
	} else {
		f.walkTrees(acc, x)
	}
}

// walkTrees walks eight trees at once for one row.
func (f *Forest[T]) walkTrees(acc, x []T) {
	for g := range f.groups {
		grp := &f.groups[g]
		at := f.walkGroup(x, grp)
		if f.outputs > 1 {
			for i, a := range at {
				acc[grp.outputs[i]] += f.leafOf(a)
			}
			continue
		}
		sum := acc[0]
		for _, a := range at[:min(lanes, len(f.roots)-g*lanes)] {
			sum += f.leafOf(a)
		}
		acc[0] = sum
	}
}

// walkTreesVectors is walkTrees where each leaf adds to all outputs.
func (f *Forest[T]) walkTreesVectors(acc, x []T) {
	for g := range f.groups {
		grp := &f.groups[g]
		at := f.walkGroup(x, grp)
		for i, a := range at {
			if grp.outputs[i] != uint32(f.outputs) {
				f.addVector(acc, f.leafOf(a))
			}
		}
	}
}

func (f *Forest[T]) walkGroup(x []T, g *group) [lanes]uint32 {
	if f.packed != nil {
		return walk8Packed(f.packed, (*[maxPackedSlots]T)(x), &g.roots, g.depth)
	}
	return walk8(f.nodes, x, &g.roots, g.depth)
}

func (f *Forest[T]) addVector(acc []T, leaf T) {
	from := int(leaf) * f.outputs
	for k, v := range f.vectors[from : from+f.outputs] {
		acc[k] += v
	}
}

// settled reports whether all walks have come to a leaf. Trees of uneven depth
// get there long before the deepest path ends.
func settled[T Float](nodes []node[T], at *[lanes]uint32) bool {
	var slots uint32
	for _, a := range at {
		slots |= nodes[a].slot
	}
	return slots == 0
}

// stride is how many steps are taken between two looks whether all have settled.
const stride = 6

// walk8 takes eight walks of one row down to their leaves.
func walk8[T Float](nodes []node[T], x []T, roots *[lanes]uint32, depth int) (at [lanes]uint32) {
	a0, a1, a2, a3 := roots[0], roots[1], roots[2], roots[3]
	a4, a5, a6, a7 := roots[4], roots[5], roots[6], roots[7]
	for {
		for range min(depth, stride) {
			n0, n1, n2, n3 := &nodes[a0], &nodes[a1], &nodes[a2], &nodes[a3]
			a0 = n0.base + less(x[n0.slot], n0.threshold)
			a1 = n1.base + less(x[n1.slot], n1.threshold)
			a2 = n2.base + less(x[n2.slot], n2.threshold)
			a3 = n3.base + less(x[n3.slot], n3.threshold)
			n4, n5, n6, n7 := &nodes[a4], &nodes[a5], &nodes[a6], &nodes[a7]
			a4 = n4.base + less(x[n4.slot], n4.threshold)
			a5 = n5.base + less(x[n5.slot], n5.threshold)
			a6 = n6.base + less(x[n6.slot], n6.threshold)
			a7 = n7.base + less(x[n7.slot], n7.threshold)
		}
		at = [lanes]uint32{a0, a1, a2, a3, a4, a5, a6, a7}
		depth -= stride
		if depth <= 0 || settled(nodes, &at) {
			return at
		}
	}
}

// less is 1 when a is less than b; the compiler makes no branch of it.
func less[T Float](a, b T) uint32 {
	var r uint32
	if a < b {
		r = 1
	}
	return r
}
