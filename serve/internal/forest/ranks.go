package forest

import (
	"cmp"
	"math"
	"slices"
)

// The fast kernels compare whole numbers in the place of floats: a value becomes
// its rank among the thresholds that the model has for its feature, once a row,
// and a node then holds the rank of its own threshold. x < t exactly if fewer
// thresholds are at or below x than stand up to t, so nothing is lost.

// maxRankedSlots and maxRanks are what a ranked node has room for.
const (
	maxRankedSlots = 1 << 10
	slotMask       = maxRankedSlots*lanes - 1
	rankShift      = 13 // the bits of slotMask
	maxRanks       = 1<<17 - 1
)

// never is the rank of a test that nothing passes to the right.
const never = maxRanks + 1

// ranker makes the ranks of one slot, or of two that differ only in where NaN
// goes: their thresholds are ranked together.
type ranker[T Float] struct {
	slot *slot
	// at are the slots for the rank. low, unless it is 0, is the one whose NaN
	// is less than everything.
	at, low int
	// cuts are the thresholds in order and then as many infinite ones as a
	// search may look at behind its end.
	cuts []T
	n    int
	// cells has for each of the equal parts between lo and hi how many
	// thresholds lie before it. A monotone function of x finds the part, so
	// that only the thresholds in the same part are left to compare. It is
	// empty where a search through all is as good.
	cells  []uint32
	lo, hi T
	scale  T
	step   int // the first step of the search that is left
}

// rankers are what ranks all slots, and by slot the one that does it.
func (f *Forest[T]) rankers(trees []tree) (list []ranker[T], bySlot []int, ok bool) {
	if len(f.slots) > maxRankedSlots {
		return nil, nil, false
	}
	found := make([][]T, len(f.slots))
	for i := range trees {
		for k := range trees[i].nodes {
			if n := &trees[i].nodes[k]; n.Left >= 0 {
				found[n.Slot] = append(found[n.Slot], T(n.Threshold))
			}
		}
	}
	twins := map[int32]int{} // the rankers of plain slots, by feature
	for i := 1; i < len(f.slots); i++ {
		sl := &f.slots[i]
		if have, known := twins[sl.feature]; known && (sl.kind == plain || sl.kind == nanLow) {
			r := &list[have]
			r.cuts = append(r.cuts, found[i]...)
			if sl.kind == nanLow {
				r.low = i
			} else {
				r.at, r.slot = i, sl
			}
			continue
		}
		r := ranker[T]{slot: sl, at: i, cuts: found[i]}
		switch sl.kind {
		case plain:
			twins[sl.feature] = len(list)
		case nanLow:
			twins[sl.feature] = len(list)
			r.at, r.low = 0, i
		}
		list = append(list, r)
	}
	for i := range list {
		if !list[i].prepare() {
			return nil, nil, false
		}
	}
	// Searches of the same length one behind the other are foreseen by the
	// processor.
	bySlot = make([]int, len(f.slots))
	slices.SortStableFunc(list, func(a, b ranker[T]) int { return cmp.Compare(a.step, b.step) })
	for i := range list {
		bySlot[list[i].at], bySlot[list[i].low] = i, i
	}
	return list, bySlot, true
}

// prepare sorts the thresholds and lays out the cells.
func (r *ranker[T]) prepare() bool {
	slices.Sort(r.cuts)
	r.cuts = slices.Compact(r.cuts)
	r.n = len(r.cuts)
	if r.n > maxRanks/2 {
		return false
	}
	most := r.n
	if r.n > 4 {
		r.lo, r.hi = r.cuts[0], r.cuts[r.n-1]
		cells := 1
		for cells < 2*r.n {
			cells *= 2
		}
		r.scale = T(float64(cells-1) / (float64(r.hi) - float64(r.lo)))
		if span := r.hi - r.lo; !math.IsInf(float64(span), 0) && !math.IsInf(float64(r.scale), 0) && r.scale > 0 && span*r.scale < T(cells) {
			r.cells = make([]uint32, cells)
			most = r.count()
		}
	}
	r.step = 1
	for 2*r.step-1 < most {
		r.step *= 2
	}
	for range 2 * r.step {
		r.cuts = append(r.cuts, -lowestValue[T]())
	}
	return true
}

// count fills the cells and returns how many thresholds the fullest has.
func (r *ranker[T]) count() int {
	most, k := 0, 0
	for c := range r.cells {
		r.cells[c] = uint32(k)
		from := k
		for k < r.n && int(r.cell(r.cuts[k])) == c {
			k++
		}
		most = max(most, k-from)
	}
	return most
}

// cell is the part that x lies in, which is between lo and hi.
func (r *ranker[T]) cell(x T) uint32 { return uint32(int32((x - r.lo) * r.scale)) }

// rank is how many thresholds x is not less than. NaN is not less than any.
func (r *ranker[T]) rank(x T) uint32 {
	from := uint32(0)
	if cells := r.cells; len(cells) > 0 {
		if x < r.lo {
			return 0
		}
		if !(x < r.hi) {
			return uint32(r.n)
		}
		c := r.cell(x)
		if uint64(c) >= uint64(len(cells)) {
			return 0 // It never is.
		}
		from = cells[c]
	}
	for step := uint32(r.step); step > 0; step >>= 1 {
		from += step & (less(x, r.cuts[from+step-1]) - 1)
	}
	return min(from, uint32(r.n))
}

// of is the rank of a threshold among them.
func (r *ranker[T]) of(threshold T) uint32 {
	k, _ := slices.BinarySearch(r.cuts[:r.n], threshold)
	return uint32(k)
}

// ranks is the memory for the slots of eight rows.
type ranks [maxRankedSlots * lanes]uint32

// rankRows makes the ranks of eight rows, or of the last one again.
func rankRows[T, S Float](f *Forest[T], list []ranker[T], x *ranks, rows []S, first, last int) {
	for i := range list {
		r := &list[i]
		feature, at, low := int(r.slot.feature), r.at*lanes, r.low*lanes
		simple := r.slot.kind == plain || r.slot.kind == nanLow
		for l := range lanes {
			v := cast(f, rows[min(first+l, last)*f.features+feature])
			if !simple {
				v = fill(r.slot, v)
			}
			rank := r.rank(v) << rankShift
			// A slot that is not there is slot 0, whose rank matters to nobody.
			x[(at+l)&slotMask] = rank
			if low != 0 {
				if v != v {
					rank = 0
				}
				x[(low+l)&slotMask] = rank
			}
		}
	}
}
