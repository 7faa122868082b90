package treeop

import (
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/internal/forest"
)

type nodeID struct{ tree, node int64 }

// leafWeight is what a leaf adds to one output.
type leafWeight struct {
	output int
	value  float64
}

// maxVectors bounds the numbers of leaves that are vectors: a leaf of a few bytes
// takes one for each class.
const maxVectors = 1 << 25

// leaves collects the weights of the leaves, and whether each leaf adds to one
// output only, which is then the same for its whole tree.
func (e *ensemble) leaves() (map[nodeID][]leafWeight, error) {
	ids, nodes, trees := e.node.Ints(e.prefix+"_ids"), e.node.Ints(e.prefix+"_nodeids"), e.node.Ints(e.prefix+"_treeids")
	m := make(map[nodeID][]leafWeight, len(ids))
	for i, id := range ids {
		if id < 0 || id >= int64(e.classes) {
			return nil, fmt.Errorf("weight %d is for output %d of %d: %w", i, id, e.classes, errs.ErrInvalid)
		}
		at := nodeID{trees[i], nodes[i]}
		for _, w := range m[at] {
			if w.output == int(id) {
				return nil, fmt.Errorf("leaf %d of tree %d has two weights for output %d: %w", at.node, at.tree, id, errs.ErrUnsupported)
			}
		}
		m[at] = append(m[at], leafWeight{int(id), e.weights[i]})
	}
	return m, nil
}

// build describes the trees.
func (e *ensemble) build(list []treeNodes) (*forest.Builder, error) {
	b, err := forest.NewBuilder(e.features, e.classes)
	if err != nil {
		return nil, err
	}
	leaves, err := e.leaves()
	if err != nil {
		return nil, err
	}
	outputs, vectors := e.outputs(list, leaves)
	numbers := 0
	for i, t := range list {
		nodes, err := e.tree(b, t)
		if err != nil {
			return nil, fmt.Errorf("tree %d: %w", i, err)
		}
		for n := range nodes {
			if nodes[n].Left >= 0 {
				continue
			}
			weights := leaves[nodeID{e.node.Ints("nodes_treeids")[t.from+n], e.node.Ints("nodes_nodeids")[t.from+n]}]
			if vectors {
				if numbers += e.classes; numbers > maxVectors {
					return nil, fmt.Errorf("its leaves hold more than %d numbers: %w", maxVectors, errs.ErrUnsupported)
				}
				nodes[n].Vector = make([]float64, e.classes)
			}
			for _, w := range weights {
				if vectors {
					nodes[n].Vector[w.output] = w.value
				} else {
					nodes[n].Value = w.value
				}
			}
		}
		if err := b.Tree(outputs[i], nodes); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// outputs finds the one output of each tree. If a tree has several, the leaves of
// all are vectors.
func (e *ensemble) outputs(list []treeNodes, leaves map[nodeID][]leafWeight) (outputs []int, vectors bool) {
	outputs = make([]int, len(list))
	ids, nodes := e.node.Ints("nodes_treeids"), e.node.Ints("nodes_nodeids")
	for i, t := range list {
		first := true
		for n := t.from; n < t.to; n++ {
			for _, w := range leaves[nodeID{ids[n], nodes[n]}] {
				if first {
					outputs[i], first = w.output, false
				}
				if w.output != outputs[i] {
					return make([]int, len(list)), true
				}
			}
		}
	}
	return outputs, false
}

// tree describes the nodes of one tree, the root first, without what leaves add.
func (e *ensemble) tree(b *forest.Builder, t treeNodes) ([]forest.Node, error) {
	ids, features := e.node.Ints("nodes_nodeids"), e.node.Ints("nodes_featureids")
	yes, no := e.node.Ints("nodes_truenodeids"), e.node.Ints("nodes_falsenodeids")
	modes, missing := e.node.Strings("nodes_modes"), e.node.Ints("nodes_missing_value_tracks_true")
	places := make(map[int64]int32, t.to-t.from)
	for n := t.from; n < t.to; n++ {
		if _, twice := places[ids[n]]; twice {
			return nil, fmt.Errorf("node %d is there twice: %w", ids[n], errs.ErrInvalid)
		}
		places[ids[n]] = int32(n - t.from)
	}
	out := make([]forest.Node, t.to-t.from)
	for n := t.from; n < t.to; n++ {
		node := &out[n-t.from]
		mode := string(modes[n])
		if mode == "LEAF" {
			node.Left = -1
			continue
		}
		left, known1 := places[yes[n]]
		right, known2 := places[no[n]]
		if !known1 || !known2 || features[n] < 0 || features[n] >= int64(e.features) {
			return nil, fmt.Errorf("node %d has the children %d and %d and the feature %d: %w", ids[n], yes[n], no[n], features[n], errs.ErrInvalid)
		}
		if err := e.split(b, node, int(features[n]), mode, e.values[n], missing != nil && missing[n] == 1); err != nil {
			return nil, err
		}
		// A test that is true goes left, unless it was turned around.
		node.Left, node.Right = left, right
		if mode == "BRANCH_GT" || mode == "BRANCH_GTE" || mode == "BRANCH_NEQ" {
			node.Left, node.Right = right, left
		}
	}
	return out, nil
}

// split describes a test. NaN makes every test false but "not equal", unless the
// node sends missing values to the true child.
func (e *ensemble) split(b *forest.Builder, node *forest.Node, feature int, mode string, value float64, toTrue bool) (err error) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return fmt.Errorf("a threshold is %v: %w", value, errs.ErrInvalid)
	}
	above := forest.Above64(value)
	if !e.wide {
		above = forest.Above32(float32(value))
	}
	missing := forest.Right
	switch mode {
	case "BRANCH_LEQ", "BRANCH_LT":
		if toTrue {
			missing = forest.Left
		}
		node.Threshold = value
		if mode == "BRANCH_LEQ" {
			node.Threshold = above
		}
	case "BRANCH_GT", "BRANCH_GTE":
		// x > v is not x <= v, and false for NaN.
		if !toTrue {
			missing = forest.Left
		}
		node.Threshold = value
		if mode == "BRANCH_GT" {
			node.Threshold = above
		}
	case "BRANCH_EQ", "BRANCH_NEQ":
		if toTrue {
			return fmt.Errorf("%s that takes missing values for equal: %w", mode, errs.ErrUnsupported)
		}
		node.Slot, err = b.Equal(feature, value)
		return err
	default:
		return fmt.Errorf("the mode %.30q: %w", mode, errs.ErrInvalid)
	}
	node.Slot, err = b.Numeric(feature, missing)
	return err
}
