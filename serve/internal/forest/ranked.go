package forest

// blocksOf says how many blocks of eight rows are done at a time, if each takes
// so many bytes.
func blocksOf(each, n int) int { return max(1, min(blockBytes/max(1, each), (n+lanes-1)/lanes)) }

// spare says which blocks come next after some rows: how many, and the last row.
// The last block may be short, but not by so much that rows alone are faster.
func spare(done, n, blocks int) (use, last int) {
	use = min(blocks, (n-done+lanes-1)/lanes)
	if rest := (n - done) - (use-1)*lanes; use > 1 && rest < lanes/2 {
		use--
	}
	return use, min(n, done+use*lanes) - 1
}

// begin sets the sums of the blocks to what they begin with.
func (f *Forest[T]) begin(s *scratch[T], blocks int) {
	for i := range blocks * f.outputs {
		v := f.init[i%f.outputs]
		for l := range lanes {
			s.sums[i][l] = v
		}
	}
}

// unpack writes the sums of the rows from first to last.
func (f *Forest[T]) unpack(s *scratch[T], dst []T, first, last int) {
	for row := first; row <= last; row++ {
		out := dst[row*f.outputs : (row+1)*f.outputs]
		block, lane := (row-first)/lanes, (row-first)%lanes
		for k := range out {
			out[k] = s.sums[block*f.outputs+k][lane]
		}
	}
}

// sumHeap is sumBlocks over even trees.
func sumHeap[T, S Float](f *Forest[T], s *scratch[T], dst []T, rows []S, n int) int {
	blocks := blocksOf(len(f.slots)*lanes*4, n)
	for len(s.ranks) < blocks {
		s.ranks = append(s.ranks, &ranks{})
	}
	s.sums = grow(s.sums, blocks*f.outputs)
	done := 0
	for n-done >= lanes/2 {
		use, last := spare(done, n, blocks)
		for b := range use {
			rankRows(f, f.heap.rankers, s.ranks[b], rows, done+b*lanes, last)
		}
		f.begin(s, use)
		f.walkHeaps(s, use)
		f.unpack(s, dst, done, last)
		done = last + 1
	}
	return done
}

// walkHeaps takes the blocks' rows down all trees.
func (f *Forest[T]) walkHeaps(s *scratch[T], blocks int) {
	h := f.heap
	size := uint32(1) << h.depth
	for r := range f.roots {
		tree, leaves := h.nodes[r<<h.depth:][:size], h.leaves[r<<h.depth:][:size]
		to := int(f.roots[r].output)
		for _, x := range s.ranks[:blocks] {
			at := walkHeap(tree, x, h.depth)
			if f.vectors != nil {
				for l, a := range at {
					f.addLane(s.sums[to:to+f.outputs], leaves[a-size], l)
				}
			} else {
				sum := &s.sums[to]
				for l, a := range at {
					sum[l] += leaves[a-size]
				}
			}
			to += f.outputs
		}
	}
}

// addLane adds a leaf's vector to a lane of the sums.
func (f *Forest[T]) addLane(sums [][lanes]T, leaf T, lane int) {
	from := int(leaf) * f.outputs
	for k, v := range f.vectors[from : from+f.outputs] {
		sums[k][lane] += v
	}
}
