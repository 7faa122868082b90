package forest

import (
	"fmt"
	"math"
	"sync"

	"github.com/millwright-ml/millwright/internal/errs"
)

// lanes is how many walks are interleaved. Eight hide the latency of a load from
// the second level of cache.
const lanes = 8

// node is one node as the walks see it, of 12 or 16 bytes.
type node[T Float] struct {
	// threshold is what the slot is compared with, and a leaf's value.
	threshold T
	// base is the right child; the left child, for less, is the next node.
	base uint32
	slot uint32
}

// group is as many trees as are walked at once for one row.
type group struct {
	roots   [lanes]uint32
	outputs [lanes]uint32 // the output of a lane that is to spare is one too many
	depth   int
}

// root is one tree for many rows.
type root struct {
	at, output uint32
	depth      int
}

// Forest is a compiled model. It is safe for concurrent use.
type Forest[T Float] struct {
	features int
	outputs  int
	nodes    []node[T]
	packed   []packed[T] // in the place of nodes, where they fit
	// heap and symmetric are more of the same for many rows at once, where the
	// trees are even, and where they have one test a level.
	heap      *heap[T]
	symmetric *symmetric
	answers   *answers // for one row of even trees
	groups    []group
	roots     []root
	slots     []slot
	init      []T
	vectors   []T // the leaves' vectors end to end, where leaves are vectors
	tiny      bool
	round32   bool
	scratch   sync.Pool // of *scratch[T]
}

// Options are what a library adds to the trees.
type Options struct {
	// Init is what the sums begin with, one number an output. Default 0.
	Init []float64
	// Round32 rounds the features to float32 before they are compared, also in
	// a forest of float64.
	Round32 bool
}

// Build compiles the model. The Builder must not be used again.
func Build[T Float](b *Builder, opts *Options) (*Forest[T], error) {
	if opts == nil {
		opts = &Options{}
	}
	f := &Forest[T]{
		features: b.features, outputs: b.outputs, slots: b.slots, tiny: b.tiny, round32: opts.Round32,
		// A leaf's link is to the node before it, so that the first is nobody's.
		nodes: make([]node[T], 1, b.nodes+1), init: make([]T, b.outputs), roots: make([]root, 0, len(b.trees)),
	}
	if len(opts.Init) != 0 && len(opts.Init) != b.outputs {
		return nil, fmt.Errorf("%d base values for %d outputs: %w", len(opts.Init), b.outputs, errs.ErrInvalid)
	}
	for i, v := range opts.Init {
		if !finite(v) {
			return nil, fmt.Errorf("the base value %v: %w", v, errs.ErrInvalid)
		}
		f.init[i] = T(v)
	}
	for i := range b.trees {
		t := &b.trees[i]
		at := uint32(len(f.nodes))
		depth, err := f.add(t.nodes, b.vectors)
		if err != nil {
			return nil, fmt.Errorf("tree %d: %w", i, err)
		}
		f.roots = append(f.roots, root{at, uint32(t.output), depth})
	}
	f.heap = f.buildHeap(b.trees, b.nodes)
	b.trees = nil
	if f.heap != nil {
		f.symmetric = f.heap.levels(len(f.slots))
		f.answers = f.buildAnswers()
	}
	f.group()
	f.pack()
	f.scratch.New = func() any { return &scratch[T]{} }
	return f, nil
}

// add lays out one tree and returns its depth.
func (f *Forest[T]) add(nodes []Node, vectors bool) (depth int, err error) {
	type place struct {
		from int32
		at   uint32
	}
	at := uint32(len(f.nodes))
	f.nodes = append(f.nodes, node[T]{})
	row, next := []place{{0, at}}, []place(nil)
	for ; len(row) > 0; depth++ {
		next = next[:0]
		for _, p := range row {
			n := &nodes[p.from]
			if n.Left < 0 {
				leaf, err := f.leaf(n, vectors)
				if err != nil {
					return 0, err
				}
				// Less than its value always, so that base+1 is the leaf itself.
				f.nodes[p.at] = node[T]{threshold: leaf, base: p.at - 1}
				continue
			}
			base := uint32(len(f.nodes))
			f.nodes = append(f.nodes, node[T]{}, node[T]{})
			f.nodes[p.at] = node[T]{threshold: T(n.Threshold), base: base, slot: uint32(n.Slot)}
			next = append(next, place{n.Right, base}, place{n.Left, base + 1})
		}
		row, next = next, row
	}
	return depth - 1, nil
}

// leaf returns what stands in the place of a leaf's threshold.
func (f *Forest[T]) leaf(n *Node, vectors bool) (T, error) {
	if !vectors {
		v := T(n.Value)
		if math.IsInf(float64(v), 0) {
			return 0, fmt.Errorf("a leaf has the value %v: %w", n.Value, errs.ErrInvalid)
		}
		return v, nil
	}
	at := T(len(f.vectors) / f.outputs)
	if at+1 == at || len(f.vectors)/f.outputs >= 1<<24 {
		return 0, fmt.Errorf("there are more than %d leaves with vectors: %w", 1<<24, errs.ErrInvalid)
	}
	if n.Vector == nil {
		return 0, fmt.Errorf("some leaves are vectors and some are not: %w", errs.ErrInvalid)
	}
	for _, v := range n.Vector {
		f.vectors = append(f.vectors, T(v))
	}
	return at, nil
}

// group puts the trees together that are walked at once, in their order.
func (f *Forest[T]) group() {
	for from := 0; from < len(f.roots); from += lanes {
		var g group
		for i := range lanes {
			// A lane that is to spare walks the first tree again; nobody reads it.
			r, output := f.roots[from], uint32(f.outputs)
			if from+i < len(f.roots) {
				r = f.roots[from+i]
				output = r.output
			}
			g.roots[i], g.outputs[i] = r.at, output
			g.depth = max(g.depth, r.depth)
		}
		f.groups = append(f.groups, g)
	}
}

// Features returns the number of columns of a row.
func (f *Forest[T]) Features() int { return f.features }

// Outputs returns the number of sums of a row.
func (f *Forest[T]) Outputs() int { return f.outputs }

// Trees returns the number of trees.
func (f *Forest[T]) Trees() int { return len(f.roots) }

// Size returns about how many bytes the forest holds.
func (f *Forest[T]) Size() int64 {
	size := int64(len(f.nodes))*int64(8+sizeOf[T]()) + int64(len(f.packed))*int64(2*sizeOf[T]()) + int64(len(f.groups))*80 + int64(len(f.slots))*40 + int64(len(f.vectors))*8
	if h := f.heap; h != nil {
		size += int64(len(h.nodes))*4 + int64(len(h.leaves)*sizeOf[T]())
		for i := range h.rankers {
			size += int64(len(h.rankers[i].cuts)*sizeOf[T]() + len(h.rankers[i].cells)*4)
		}
	}
	if y := f.symmetric; y != nil {
		size += int64(len(y.tested)) * 12
	}
	if a := f.answers; a != nil {
		size += int64(len(a.tests))*2 + int64(len(a.stairs)+4*len(a.from))
	}
	for i := range f.slots {
		if s := f.slots[i].set; s != nil {
			size += int64(len(s.Words)) * 4
		}
	}
	return size
}
