package forest

import "math"

func lowestValue[T Float]() T { return T(math.Inf(-1)) }

func sizeOf[T Float]() int {
	var v T
	if _, small := any(v).(float32); small {
		return 4
	}
	return 8
}

// sumBlocks does the rows in blocks of eight, some blocks at a time so that each
// tree is read from memory once for all of them. It returns how many rows it did.
func sumBlocks[T, S Float](f *Forest[T], s *scratch[T], dst []T, rows []S, n int) int {
	each := len(f.slots) * lanes * sizeOf[T]()
	blocks := max(1, min(blockBytes/each, (n+lanes-1)/lanes))
	room := f.slotRoom()
	s.block = grow(s.block, blocks*room)
	s.sums = grow(s.sums, blocks*f.outputs)
	done := 0
	for n-done >= lanes/2 {
		// The last block may be short: its spare lanes do the last row again.
		use := min(blocks, (n-done+lanes-1)/lanes)
		if rest := (n - done) - (use-1)*lanes; use > 1 && rest < lanes/2 {
			use--
		}
		last := min(n, done+use*lanes) - 1
		for b := range use {
			fillBlock(f, s.block[b*room:(b+1)*room], rows, done+b*lanes, last)
			for k := range f.outputs {
				for l := range lanes {
					s.sums[b*f.outputs+k][l] = f.init[k]
				}
			}
		}
		f.walkBlocks(s, use)
		for b := range use {
			for l := range lanes {
				row := done + b*lanes + l
				if row > last {
					break
				}
				out := dst[row*f.outputs : (row+1)*f.outputs]
				for k := range out {
					out[k] = s.sums[b*f.outputs+k][l]
				}
			}
		}
		done = last + 1
	}
	return done
}

// fillBlock makes the slots of eight rows.
func fillBlock[T, S Float](f *Forest[T], x [][lanes]T, rows []S, first, last int) {
	for l := range lanes {
		x[0][l] = lowestValue[T]()
		at := min(first+l, last) * f.features
		row := rows[at : at+f.features]
		for i := 1; i < len(f.slots); i++ {
			sl := &f.slots[i]
			v := cast(f, row[sl.feature])
			if sl.kind != plain {
				v = fill(sl, v)
			}
			x[i][l] = v
		}
	}
}

// walkBlocks walks each tree for eight rows at once, block after block.
func (f *Forest[T]) walkBlocks(s *scratch[T], blocks int) {
	room := f.slotRoom()
	for r := range f.roots {
		root := &f.roots[r]
		for b := range blocks {
			x := s.block[b*room : (b+1)*room]
			var at [lanes]uint32
			if f.packed != nil {
				at = walkRowsPacked(f.packed, (*[maxPackedSlots][lanes]T)(x), root.at, root.depth)
			} else {
				at = walkRows(f.nodes, x, root.at, root.depth)
			}
			if f.vectors != nil {
				f.addVectors(s.sums[b*f.outputs:(b+1)*f.outputs], &at)
				continue
			}
			sum := &s.sums[b*f.outputs+int(root.output)]
			for l, a := range at {
				sum[l] += f.leafOf(a)
			}
		}
	}
}

func (f *Forest[T]) addVectors(sums [][lanes]T, at *[lanes]uint32) {
	for l, a := range at {
		from := int(f.leafOf(a)) * f.outputs
		for k, v := range f.vectors[from : from+f.outputs] {
			sums[k][l] += v
		}
	}
}

// walkRows takes eight rows down one tree.
func walkRows[T Float](nodes []node[T], x [][lanes]T, from uint32, depth int) (at [lanes]uint32) {
	a0, a1, a2, a3, a4, a5, a6, a7 := from, from, from, from, from, from, from, from
	for {
		for range min(depth, stride) {
			n0, n1, n2, n3 := &nodes[a0], &nodes[a1], &nodes[a2], &nodes[a3]
			a0 = n0.base + less(x[n0.slot][0], n0.threshold)
			a1 = n1.base + less(x[n1.slot][1], n1.threshold)
			a2 = n2.base + less(x[n2.slot][2], n2.threshold)
			a3 = n3.base + less(x[n3.slot][3], n3.threshold)
			n4, n5, n6, n7 := &nodes[a4], &nodes[a5], &nodes[a6], &nodes[a7]
			a4 = n4.base + less(x[n4.slot][4], n4.threshold)
			a5 = n5.base + less(x[n5.slot][5], n5.threshold)
			a6 = n6.base + less(x[n6.slot][6], n6.threshold)
			a7 = n7.base + less(x[n7.slot][7], n7.threshold)
		}
		at = [lanes]uint32{a0, a1, a2, a3, a4, a5, a6, a7}
		depth -= stride
		if depth <= 0 || settled(nodes, &at) {
			return at
		}
	}
}
