package sqlstore

import (
	"container/heap"
	"context"
	"slices"
)

// stepRange is a set of steps: first, first + stride, …, last. Where the steps
// of a block are no such series stride is 0 and list, once loaded, has them.
type stepRange struct {
	first, last int64
	stride      int64

	load func(context.Context) ([]int64, error) // of the steps, sorted
	list []int64
	at   int // place in list
}

// stepsOf describes the steps of points. It is exact where the stride is not 0.
func stepsOf(points []point) stepRange {
	steps := distinctSteps(points, nil, nil)
	r := stepRange{first: steps[0], last: steps[len(steps)-1], stride: 1}
	if len(steps) == 1 {
		return r
	}
	stride := uint64(steps[1]) - uint64(steps[0]) // of the distance between extremes, too
	for i := range steps[1:] {
		if uint64(steps[i+1])-uint64(steps[i]) != stride {
			stride = 0
			break
		}
	}
	r.stride = max(0, int64(stride)) // 0, too, for strides beyond the type
	return r
}

// distinctSteps returns the different steps within the bounds, sorted.
func distinctSteps(points []point, from, to *int64) []int64 {
	out := make([]int64, 0, len(points))
	sorted := true
	for i := range points {
		step := points[i].step
		if from != nil && step < *from || to != nil && step > *to {
			continue
		}
		if n := len(out); n > 0 {
			if out[n-1] == step {
				continue
			}
			sorted = sorted && out[n-1] < step
		}
		out = append(out, step)
	}
	if !sorted {
		slices.Sort(out)
		out = slices.Compact(out)
	}
	return out
}

// clip cuts a series down to the bounds; false when nothing is left.
func (r *stepRange) clip(from, to *int64) bool {
	if r.stride == 0 {
		return true // the list is cut when it is loaded
	}
	stride := uint64(r.stride)
	if from != nil && *from > r.last || to != nil && *to < r.first {
		return false
	}
	if from != nil && *from > r.first {
		missing := uint64(*from) - uint64(r.first)
		r.first = int64(uint64(r.first) + (missing+stride-1)/stride*stride)
	}
	if to != nil && *to < r.last {
		room := uint64(*to) - uint64(r.first)
		if *to < r.first {
			return false
		}
		r.last = int64(uint64(r.first) + room/stride*stride)
	}
	return r.first <= r.last
}

// size counts the steps of a series with a stride.
func (r *stepRange) size() uint64 {
	return (uint64(r.last)-uint64(r.first))/uint64(r.stride) + 1
}

// joinRanges unites series that go on where others end, or that cover the
// same steps: what usually is left of a metric, and of the same metric of
// several runs, is one.
func joinRanges(all []stepRange) []stepRange {
	type phase struct {
		stride int64
		rest   uint64
	}
	of := func(r *stepRange) phase {
		return phase{r.stride, uint64(r.first) % uint64(r.stride)}
	}
	slices.SortStableFunc(all, func(a, b stepRange) int { return compareInt(a.first, b.first) })
	open := map[phase]int{}
	out := all[:0:0]
	for i := range all {
		r := all[i]
		if r.stride != 0 {
			if at, ok := open[of(&r)]; ok {
				o := &out[at]
				if r.first <= o.last || uint64(r.first)-uint64(o.last) <= uint64(r.stride) {
					o.last = max(o.last, r.last)
					continue
				}
			}
			open[of(&r)] = len(out)
		}
		out = append(out, r)
	}
	return out
}

func compareInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// stepWalk goes through the union of ranges in the order of the steps. Of long
// series it makes leaps, and it has no more lists in memory than overlap.
type stepWalk struct {
	ranges []stepRange // by first; those not reached yet
	open   openRanges
}

// walkSteps calls emit with pieces of the union: n steps, from first by
// stride.
func walkSteps(ctx context.Context, ranges []stepRange, emit func(first, stride int64, n uint64)) error {
	w := stepWalk{ranges: slices.Clone(ranges)}
	for turn := 0; ; turn++ {
		if turn%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := w.reach(ctx); err != nil {
			return err
		}
		if len(w.open) == 0 {
			return nil
		}
		head := &w.open[0]
		if len(w.open) == 1 && head.stride != 0 {
			// Nobody else is here: on to the next range, or to the end.
			n := head.size()
			if len(w.ranges) > 0 {
				n = min(n, (uint64(w.ranges[0].first)-uint64(head.first)-1)/uint64(head.stride)+1)
			}
			emit(head.first, head.stride, n)
			w.leap(n)
			continue
		}
		step := head.first
		emit(step, 1, 1)
		for len(w.open) > 0 && w.open[0].first == step {
			w.leap(1)
		}
	}
}

// reach opens the ranges that begin at or before the next step.
func (w *stepWalk) reach(ctx context.Context) error {
	for len(w.ranges) > 0 && (len(w.open) == 0 || w.ranges[0].first <= w.open[0].first) {
		r := w.ranges[0]
		w.ranges = w.ranges[1:]
		if r.stride == 0 {
			list, err := r.load(ctx)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				continue
			}
			r.list, r.first = list, list[0]
		}
		heap.Push(&w.open, r)
	}
	return nil
}

// leap moves the head on by n steps.
func (w *stepWalk) leap(n uint64) {
	head := &w.open[0]
	switch {
	case head.stride == 0 && head.at+1 < len(head.list):
		head.at++
		head.first = head.list[head.at]
	case head.stride != 0 && n < head.size():
		head.first = int64(uint64(head.first) + n*uint64(head.stride))
	default:
		heap.Pop(&w.open)
		return
	}
	heap.Fix(&w.open, 0)
}

// openRanges is a heap by first.
type openRanges []stepRange

func (h openRanges) Len() int           { return len(h) }
func (h openRanges) Less(i, j int) bool { return h[i].first < h[j].first }
func (h openRanges) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *openRanges) Push(x any)        { *h = append(*h, x.(stepRange)) }

func (h *openRanges) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = stepRange{}
	*h = old[:len(old)-1]
	return x
}

// evenSteps returns the steps at limit evenly spaced places of the union:
// those at ⌊i·len/limit⌋, all where there are no more.
func evenSteps(ctx context.Context, ranges []stepRange, limit int) ([]int64, error) {
	var total uint64
	if err := walkSteps(ctx, ranges, func(_, _ int64, n uint64) { total += n }); err != nil {
		return nil, err
	}
	count := min(uint64(max(limit, 0)), total)
	out := make([]int64, 0, count)
	place := func(i uint64) uint64 { return mulDiv(i, total, count) }
	seen := uint64(0)
	err := walkSteps(ctx, ranges, func(first, stride int64, n uint64) {
		for uint64(len(out)) < count && place(uint64(len(out))) < seen+n {
			k := place(uint64(len(out))) - seen
			out = append(out, int64(uint64(first)+k*uint64(stride)))
		}
		seen += n
	})
	return out, err
}
