package forest

import (
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Float is what a forest calculates in: the thresholds, the leaves and the sums
// have one type, which is the one of the library that made the model.
type Float interface{ float32 | float64 }

// The limits of a description. A model that exceeds one is refused.
const (
	// MaxFeatures bounds the columns of a row.
	MaxFeatures = 1 << 20
	// MaxOutputs bounds the sums of a row.
	MaxOutputs = 1 << 16
	// maxNodes is what the node's index has room for.
	maxNodes = 1<<31 - 16
	// maxSlots bounds the memory that one row takes.
	maxSlots = 1 << 22
)

// Node is one node of a tree as a loader describes it.
type Node struct {
	// Left and Right are indices into the tree's nodes. A negative Left is a
	// leaf.
	Left, Right int32
	// Slot is what the node compares, one of the Builder's.
	Slot int32
	// Threshold is what it compares with: less goes left. +Inf sends all
	// numbers left; NaN and -Inf are refused.
	Threshold float64
	// Value is what a leaf adds to the tree's output. It must be finite.
	Value float64
	// Vector is what a leaf adds to all outputs, in place of Value.
	Vector []float64
}

// Builder collects the trees of a model. Everything that comes from the model's
// file is checked.
type Builder struct {
	features int
	outputs  int
	slots    []slot
	bySlot   map[slotKey]int32
	trees    []tree
	nodes    int
	vectors  bool
	tiny     bool
}

type tree struct {
	output int
	nodes  []Node
}

// NewBuilder begins a model with rows of so many features and so many sums.
func NewBuilder(features, outputs int) (*Builder, error) {
	var f errs.Faults
	f.Check(features >= 0 && features <= MaxFeatures, "%d features, of which 0 to %d are possible", features, MaxFeatures)
	f.Check(outputs >= 1 && outputs <= MaxOutputs, "%d outputs, of which 1 to %d are possible", outputs, MaxOutputs)
	if err := f.Err("sizes"); err != nil {
		return nil, err
	}
	// Slot 0 is the one that leaves test.
	return &Builder{features: features, outputs: outputs, slots: []slot{{kind: lowest}}, bySlot: map[slotKey]int32{}}, nil
}

// RoundTiny takes all values within 1e-35 of zero for zero, as LightGBM does with
// a row before it looks at it.
func (b *Builder) RoundTiny() { b.tiny = true }

// Trees returns the number of trees so far.
func (b *Builder) Trees() int { return len(b.trees) }

// Tree adds a tree whose root is the first node and whose leaves add to one
// output, or to all of them when they are vectors. The nodes must form a tree:
// each is reached once at most.
func (b *Builder) Tree(output int, nodes []Node) error {
	switch {
	case len(nodes) == 0:
		return b.fault("it has no nodes")
	case output < 0 || output >= b.outputs:
		return b.fault("it adds to output %d of %d", output, b.outputs)
	case len(nodes) > maxNodes-b.nodes:
		return b.fault("the model has more than %d nodes", maxNodes)
	}
	reached := make([]bool, len(nodes))
	reached[0] = true
	leaves := 0
	// The walk is on an explicit stack: a file may hold a chain of any length.
	for stack := []int32{0}; len(stack) > 0; {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		n := &nodes[at]
		if n.Left < 0 {
			leaves++
			if err := b.leaf(at, n); err != nil {
				return err
			}
			continue
		}
		if n.Slot <= 0 || int(n.Slot) >= len(b.slots) {
			return b.fault("node %d tests slot %d of %d", at, n.Slot, len(b.slots))
		}
		if math.IsNaN(n.Threshold) || math.IsInf(n.Threshold, -1) {
			return b.fault("node %d has the threshold %v", at, n.Threshold)
		}
		for _, child := range [2]int32{n.Left, n.Right} {
			if child < 0 || int(child) >= len(nodes) {
				return b.fault("node %d has the child %d of %d nodes", at, child, len(nodes))
			}
			if reached[child] {
				return b.fault("node %d is reached twice", child)
			}
			reached[child] = true
			stack = append(stack, child)
		}
	}
	if leaves > 1 && len(b.slots) == 1 {
		return b.fault("it splits and there is no feature")
	}
	b.nodes += len(nodes)
	b.trees = append(b.trees, tree{output, nodes})
	return nil
}

func (b *Builder) leaf(at int32, n *Node) error {
	if n.Vector == nil {
		if !finite(n.Value) {
			return b.fault("leaf %d has the value %v", at, n.Value)
		}
		return nil
	}
	b.vectors = true
	if len(n.Vector) != b.outputs {
		return b.fault("leaf %d has %d values for %d outputs", at, len(n.Vector), b.outputs)
	}
	for _, v := range n.Vector {
		if !finite(v) {
			return b.fault("leaf %d has the value %v", at, v)
		}
	}
	return nil
}

func (b *Builder) fault(format string, args ...any) error {
	return fmt.Errorf("tree %d: %s: %w", len(b.trees), fmt.Sprintf(format, args...), errs.ErrInvalid)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// Above32 returns the least float32 that is greater than t, which turns the test
// x <= t into x < Above32(t).
func Above32(t float32) float64 { return float64(math.Nextafter32(t, float32(math.Inf(1)))) }

// Above64 is Above32 for float64.
func Above64(t float64) float64 { return math.Nextafter(t, math.Inf(1)) }
