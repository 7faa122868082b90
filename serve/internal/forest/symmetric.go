package forest

// symmetric is a forest whose trees have one test a level, as CatBoost grows them:
// which leaf a row comes to is a number with one bit a level, and eight rows are
// tested at once, a byte each of one word.
type symmetric struct {
	depth   int
	columns int
	// from are the columns of each slot, one for each 127 ranks that it has.
	from []column
	// tests are depth a tree.
	tests []test
}

// column is a byte a row: how far the rank of a slot is above a base.
type column struct{ slot, base int }

// test passes rows whose byte in the column is at least so much.
type test struct {
	column uint32
	least  uint8
}

// The bytes of a word. A rank in a byte has its highest bit set, so that a
// subtraction borrows nothing from the next byte and leaves the bit if it passes.
const (
	ones      = 0x0101010101010101
	highs     = 0x8080808080808080
	byteRanks = 127
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
				s.tests = append(s.tests, test{0, 1})
				continue
			}
			s.tests = append(s.tests, test{uint32(first[slot] + rank/byteRanks), uint8(rank%byteRanks + 1)})
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

// walkLevels tests the blocks' rows against all trees.
func (f *Forest[T]) walkLevels(s *scratch[T], blocks int) {
	y, h := f.symmetric, f.heap
	size := 1 << h.depth
	for r := range f.roots {
		tests, leaves := y.tests[r*y.depth:][:y.depth], h.leaves[r*size:][:size]
		to := int(f.roots[r].output)
		levels := s.levels[:blocks*y.columns]
		for len(levels) > 0 {
			var at uint64
			for _, t := range tests {
				at = at<<1 + (levels[t.column]-uint64(t.least)*ones)>>7&ones
			}
			levels = levels[y.columns:]
			if f.vectors != nil {
				for l := range lanes {
					f.addLane(s.sums[to:to+f.outputs], leaves[at>>(8*l)&0xff], l)
				}
			} else {
				sum := &s.sums[to]
				sum[0] += leaves[at&0xff]
				sum[1] += leaves[at>>8&0xff]
				sum[2] += leaves[at>>16&0xff]
				sum[3] += leaves[at>>24&0xff]
				sum[4] += leaves[at>>32&0xff]
				sum[5] += leaves[at>>40&0xff]
				sum[6] += leaves[at>>48&0xff]
				sum[7] += leaves[at>>56]
			}
			to += f.outputs
		}
	}
}
