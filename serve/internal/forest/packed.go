package forest

// maxPackedSlots and maxPackedNodes are what a packed node has room for.
const (
	maxPackedSlots = 1 << 8
	maxPackedNodes = 1 << 24
)

// packed is a node of a model with few slots, of 8 or 16 bytes. The slot is the
// low byte of link and needs no check of bounds, the rest is the right child.
type packed[T Float] struct {
	threshold T
	link      uint32
}

// pack makes the packed form of the nodes if they fit in it.
func (f *Forest[T]) pack() {
	if len(f.slots) > maxPackedSlots || len(f.nodes) >= maxPackedNodes {
		return
	}
	f.packed = make([]packed[T], len(f.nodes))
	for i, n := range f.nodes {
		f.packed[i] = packed[T]{n.threshold, n.base<<8 | n.slot}
	}
	f.nodes = nil
}

// slotRoom is how many slots a row has room for.
func (f *Forest[T]) slotRoom() int {
	if f.packed != nil {
		return maxPackedSlots
	}
	return len(f.slots)
}

// leafOf returns what stands in a leaf.
func (f *Forest[T]) leafOf(at uint32) T {
	if f.packed != nil {
		return f.packed[at].threshold
	}
	return f.nodes[at].threshold
}

func settledPacked[T Float](nodes []packed[T], at *[lanes]uint32) bool {
	var slots uint32
	for _, a := range at {
		slots |= nodes[a].link
	}
	return uint8(slots) == 0
}

// walk8Packed is walk8 over packed nodes.
func walk8Packed[T Float](nodes []packed[T], x *[maxPackedSlots]T, roots *[lanes]uint32, depth int) (at [lanes]uint32) {
	a0, a1, a2, a3 := roots[0], roots[1], roots[2], roots[3]
	a4, a5, a6, a7 := roots[4], roots[5], roots[6], roots[7]
	for {
		for d := min(depth, stride); d > 0; d-- {
			n := &nodes[a0]
			a0 = n.link>>8 + less(x[uint8(n.link)], n.threshold)
			n = &nodes[a1]
			a1 = n.link>>8 + less(x[uint8(n.link)], n.threshold)
			n = &nodes[a2]
			a2 = n.link>>8 + less(x[uint8(n.link)], n.threshold)
			n = &nodes[a3]
			a3 = n.link>>8 + less(x[uint8(n.link)], n.threshold)
			n = &nodes[a4]
			a4 = n.link>>8 + less(x[uint8(n.link)], n.threshold)
			n = &nodes[a5]
			a5 = n.link>>8 + less(x[uint8(n.link)], n.threshold)
			n = &nodes[a6]
			a6 = n.link>>8 + less(x[uint8(n.link)], n.threshold)
			n = &nodes[a7]
			a7 = n.link>>8 + less(x[uint8(n.link)], n.threshold)
		}
		at = [lanes]uint32{a0, a1, a2, a3, a4, a5, a6, a7}
		depth -= stride
		if depth <= 0 || settledPacked(nodes, &at) {
			return at
		}
	}
}

// walkRowsPacked is walkRows over packed nodes.
func walkRowsPacked[T Float](nodes []packed[T], x *[maxPackedSlots][lanes]T, from uint32, depth int) (at [lanes]uint32) {
	a0, a1, a2, a3, a4, a5, a6, a7 := from, from, from, from, from, from, from, from
	for {
		for d := min(depth, stride); d > 0; d-- {
			n := &nodes[a0]
			a0 = n.link>>8 + less(x[uint8(n.link)][0], n.threshold)
			n = &nodes[a1]
			a1 = n.link>>8 + less(x[uint8(n.link)][1], n.threshold)
			n = &nodes[a2]
			a2 = n.link>>8 + less(x[uint8(n.link)][2], n.threshold)
			n = &nodes[a3]
			a3 = n.link>>8 + less(x[uint8(n.link)][3], n.threshold)
			n = &nodes[a4]
			a4 = n.link>>8 + less(x[uint8(n.link)][4], n.threshold)
			n = &nodes[a5]
			a5 = n.link>>8 + less(x[uint8(n.link)][5], n.threshold)
			n = &nodes[a6]
			a6 = n.link>>8 + less(x[uint8(n.link)][6], n.threshold)
			n = &nodes[a7]
			a7 = n.link>>8 + less(x[uint8(n.link)][7], n.threshold)
		}
		at = [lanes]uint32{a0, a1, a2, a3, a4, a5, a6, a7}
		depth -= stride
		if depth <= 0 || settledPacked(nodes, &at) {
			return at
		}
	}
}
