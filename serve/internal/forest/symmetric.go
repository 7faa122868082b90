package forest

// symmetric is a forest whose trees have one test a level, as CatBoost grows them:
// which leaf a row comes to is a number with one bit a level, and eight rows are
// tested at once, a byte each of one word.
type symmetric struct {
	depth   int
	columns int
	// from are the columns of each slot, one for each 127 ranks that it has.
	from []column
	// tested and least are depth a tree: a test passes rows whose byte in the
	// column is at least so much, the same in all bytes.
	tested []uint32
	least  []uint64
}

// column is a byte a row: how far the rank of a slot is above a base.
type column struct{ slot, base int }

// The bytes of a word. A rank in a byte has its highest bit set, so that a
// subtraction borrows nothing from the next byte and leaves the bit if it passes.
const (
	ones      = 0x0101010101010101
	highs     = 0x8080808080808080
	byteRanks = 127
	// byteLeaves is what a byte reaches: so many are there from each tree on.
	byteLeaves = 1 << 8
)

// levels returns the symmetric form of the trees if all have it.
func (h *heap[T]) levels(slots int) *symmetric {
	if h.depth == 0 {
		return nil
	}
	s := &symmetric{depth: h.depth, from: []column{{}}}
	first := make([]int, slots) // the first column of a slot
	for i := range h.rankers {
		r := &h.rankers[i]
		for _, slot := range [2]int{r.at, r.low} {
			if slot == 0 {
				continue
			}
			first[slot] = len(s.from)
			for base := 0; base < max(1, r.n); base += byteRanks {
				s.from = append(s.from, column{slot, base})
			}
		}
	}
	s.columns = len(s.from)
	size := 1 << h.depth
	for from := 0; from < len(h.nodes); from += size {
		tree := h.nodes[from : from+size]
		for level := range h.depth {
			row := tree[1<<level : 2<<level]
			for _, n := range row {
				if n != row[0] {
					return nil
				}
			}
			slot, rank := int(row[0]&slotMask)/lanes, int(row[0]>>rankShift)
			if rank == never {
				s.tested, s.least = append(s.tested, 0), append(s.least, ones)
				continue
			}
			s.tested = append(s.tested, uint32(first[slot]+rank/byteRanks))
			s.least = append(s.least, uint64(rank%byteRanks+1)*ones)
		}
	}
	return s
}

// sumSymmetric is sumBlocks over symmetric trees.
func sumSymmetric[T, S Float](f *Forest[T], s *scratch[T], dst []T, rows []S, n int) int {
	y := f.symmetric
	blocks := blocksOf(y.columns*8, n)
	if len(s.ranks) == 0 {
		s.ranks = append(s.ranks, &ranks{})
	}
	s.levels = grow(s.levels, blocks*y.columns)
	s.sums = grow(s.sums, blocks*f.outputs)
	done := 0
	for n-done >= lanes/2 {
		use, last := spare(done, n, blocks)
		for b := range use {
			rankRows(f, f.heap.rankers, s.ranks[0], rows, done+b*lanes, last)
			y.squeeze(s.levels[b*y.columns:(b+1)*y.columns], s.ranks[0])
		}
		f.begin(s, use)
		f.walkLevels(s, use)
		f.unpack(s, dst, done, last)
		done = last + 1
	}
	return done
}

// squeeze makes the columns of eight rows from their ranks.
func (y *symmetric) squeeze(to []uint64, x *ranks) {
	to[0] = highs
	for i := 1; i < len(to); i++ {
		c := y.from[i]
		lane := x[c.slot*lanes&slotMask:][:lanes]
		var word uint64
		for l, rank := range lane {
			r := max(0, min(byteRanks, int(rank>>rankShift)-c.base))
			word |= uint64(r) << (8 * l)
		}
		to[i] = word | highs
	}
}

// treesAtOnce is how many symmetric trees are tested before the next rows come: their
// leaves stay in the first level of cache.
const treesAtOnce = 16

// walkLevels tests the blocks' rows against all trees.
func (f *Forest[T]) walkLevels(s *scratch[T], blocks int) {
	y, h := f.symmetric, f.heap
	size := 1 << h.depth
	for r := 0; r < len(f.roots); r += treesAtOnce {
		trees := min(treesAtOnce, len(f.roots)-r)
		leaves := h.leaves[r*size:]
		var at [treesAtOnce]uint64
		for b := range blocks {
			y.test(at[:trees], r, s.levels[b*y.columns:][:y.columns])
			if f.outputs == 1 && f.vectors == nil {
				addLevels(at[:trees], leaves, size, &s.sums[b])
				continue
			}
			to := s.sums[b*f.outputs:][:f.outputs]
			for t := range trees {
				for l := range lanes {
					leaf := leaves[t*size:][at[t]>>(8*l)&0xff]
					if f.vectors != nil {
						f.addLane(to, leaf, l)
					} else {
						to[f.roots[r+t].output][l] += leaf
					}
				}
			}
		}
	}
}

// test has eight rows tested by the trees from the first on: a byte each says which
// leaf of a tree is a row's.
func (y *symmetric) test(at []uint64, first int, levels []uint64) {
	from := first * y.depth
	for t := range at {
		tested := y.tested[from:][:y.depth]
		least := y.least[from:][:len(tested)]
		var place uint64
		for i, column := range tested {
			place = place<<1 + (levels[column]-least[i])>>7&ones
		}
		at[t] = place
		from += y.depth
	}
}

// addLevels adds the leaves of eight rows, tree by tree.
func addLevels[T Float](at []uint64, leaves []T, size int, sum *[lanes]T) {
	s0, s1, s2, s3, s4, s5, s6, s7 := sum[0], sum[1], sum[2], sum[3], sum[4], sum[5], sum[6], sum[7]
	for _, a := range at {
		leaf := (*[byteLeaves]T)(leaves)
		s0 += leaf[a&0xff]
		s1 += leaf[a>>8&0xff]
		s2 += leaf[a>>16&0xff]
		s3 += leaf[a>>24&0xff]
		s4 += leaf[a>>32&0xff]
		s5 += leaf[a>>40&0xff]
		s6 += leaf[a>>48&0xff]
		s7 += leaf[a>>56]
		leaves = leaves[size:]
	}
	*sum = [lanes]T{s0, s1, s2, s3, s4, s5, s6, s7}
}
