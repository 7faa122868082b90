package forest

// heap is a forest of even trees, each one laid out like a heap: the children of
// node i are 2i and 2i+1, so that a node needs no link and a step is five
// instructions. Trees that are less deep go on to the left down to the common
// depth.
type heap[T Float] struct {
	depth   int
	rankers []ranker[T]
	// nodes has 1<<depth numbers a tree, the first of which is not used: the rank
	// of the threshold, and eight times the slot.
	nodes []uint32
	// leaves has 1<<depth a tree, and some behind the last.
	leaves []T
}

// maxHeapDepth bounds the depth of even trees, and heapWaste how many times the
// nodes that the model has may be spent on them.
const (
	maxHeapDepth = 8
	heapWaste    = 4
)

// buildHeap lays the trees out, or returns nil if they are too uneven.
func (f *Forest[T]) buildHeap(trees []tree, nodes int) *heap[T] {
	depth := 0
	for i := range f.roots {
		depth = max(depth, f.roots[i].depth)
	}
	if depth > maxHeapDepth || len(trees)<<(depth+1) > heapWaste*nodes {
		return nil
	}
	list, bySlot, ok := f.rankers(trees)
	if !ok {
		return nil
	}
	h := &heap[T]{depth: depth, rankers: list, nodes: make([]uint32, len(trees)<<depth), leaves: make([]T, len(trees)<<depth+byteLeaves)}
	for i := range trees {
		from := i << depth
		h.add(f, bySlot, h.nodes[from:from+1<<depth], h.leaves[from:from+1<<depth], f.roots[i].at)
	}
	return h
}

// add lays out one tree, whose compiled form begins at the node root.
func (h *heap[T]) add(f *Forest[T], bySlot []int, nodes []uint32, leaves []T, root uint32) {
	for i := range nodes {
		nodes[i] = never << rankShift
	}
	type place struct {
		from     uint32 // among the compiled nodes
		at       int    // in the heap
		distance int    // to the leaves
	}
	for stack := []place{{root, 1, h.depth}}; len(stack) > 0; {
		p := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		n := f.nodes[p.from]
		if n.slot == 0 {
			first := p.at<<p.distance - len(leaves)
			for i := range 1 << p.distance {
				leaves[first+i] = n.threshold
			}
			continue
		}
		nodes[p.at] = h.rankers[bySlot[n.slot]].of(n.threshold)<<rankShift | n.slot*lanes
		stack = append(stack, place{n.base + 1, 2 * p.at, p.distance - 1}, place{n.base, 2*p.at + 1, p.distance - 1})
	}
}

// walkHeap takes eight rows down one tree and returns the heap's places.
func walkHeap(t []uint32, x *ranks, depth int) (at [lanes]uint32) {
	i0, i1, i2, i3, i4, i5, i6, i7 := uint32(1), uint32(1), uint32(1), uint32(1), uint32(1), uint32(1), uint32(1), uint32(1)
	for range depth {
		n := t[i0]
		i0 = 2*i0 + (n-x[n&slotMask])>>31
		n = t[i1]
		i1 = 2*i1 + (n-x[n&slotMask|1])>>31
		n = t[i2]
		i2 = 2*i2 + (n-x[n&slotMask|2])>>31
		n = t[i3]
		i3 = 2*i3 + (n-x[n&slotMask|3])>>31
		n = t[i4]
		i4 = 2*i4 + (n-x[n&slotMask|4])>>31
		n = t[i5]
		i5 = 2*i5 + (n-x[n&slotMask|5])>>31
		n = t[i6]
		i6 = 2*i6 + (n-x[n&slotMask|6])>>31
		n = t[i7]
		i7 = 2*i7 + (n-x[n&slotMask|7])>>31
	}
	return [lanes]uint32{i0, i1, i2, i3, i4, i5, i6, i7}
}
