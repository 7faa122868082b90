package trees

import (
	"fmt"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/internal/forest"
	"github.com/millwright-ml/millwright/serve/internal/modeldoc"
)

// maxOblivious bounds the depth of a tree with one test a level.
const maxOblivious = 24

// oblivious adds a tree that has one test a level. Test i is bit i of the number
// of the leaf.
func (c *catboost) oblivious(b *forest.Builder, v *modeldoc.Value) error {
	splits := v.Get("splits").Items()
	values, err := v.Get("leaf_values").Floats64()
	if err != nil {
		return fmt.Errorf("leaf_values: %w: %w", err, errs.ErrInvalid)
	}
	depth := len(splits)
	if depth > maxOblivious || len(values) != c.outputs<<depth {
		return fmt.Errorf("%d values in the leaves for %d splits and %d outputs: %w", len(values), depth, c.outputs, errs.ErrInvalid)
	}
	tests := make([]forest.Node, depth)
	flipped := make([]bool, depth)
	for i := range splits {
		if flipped[i], err = c.split(b, &tests[i], &splits[i]); err != nil {
			return err
		}
	}
	// The nodes are numbered like a heap from 1 on; on the way down to node n of
	// level l, its bits below the highest one are the answers so far.
	inner := 1<<depth - 1
	nodes := make([]forest.Node, inner+1<<depth)
	for n := 1; n <= inner; n++ {
		level := bits(n)
		node := tests[level]
		no, yes := int32(2*n-1), int32(2*n)
		node.Left, node.Right = no, yes
		if flipped[level] {
			node.Left, node.Right = yes, no
		}
		nodes[n-1] = node
	}
	for leaf := range 1 << depth {
		at := 1
		for level := range depth {
			at = at<<1 | leaf>>level&1
		}
		nodes[at-1] = c.leaf(values[leaf*c.outputs : (leaf+1)*c.outputs])
	}
	return b.Tree(0, nodes)
}

// bits is the level of node n of a heap.
func bits(n int) int {
	l := -1
	for ; n > 0; n >>= 1 {
		l++
	}
	return l
}

func (c *catboost) leaf(values []float64) forest.Node {
	if c.outputs == 1 {
		return forest.Node{Left: -1, Value: values[0]}
	}
	return forest.Node{Left: -1, Vector: values}
}

// nested adds a tree that is written as objects within objects.
func (c *catboost) nested(b *forest.Builder, v *modeldoc.Value) error {
	type place struct {
		v  *modeldoc.Value
		at int
	}
	nodes := []forest.Node{{}}
	for stack := []place{{v, 0}}; len(stack) > 0; {
		p := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !p.v.Get("split").Has() {
			values, err := leafValues(p.v.Get("value"))
			if err != nil || len(values) != c.outputs {
				return fmt.Errorf("a leaf without %d values: %w", c.outputs, errs.ErrInvalid)
			}
			nodes[p.at] = c.leaf(values)
			continue
		}
		var node forest.Node
		flipped, err := c.split(b, &node, p.v.Get("split"))
		if err != nil {
			return err
		}
		no, yes := len(nodes), len(nodes)+1
		nodes = append(nodes, forest.Node{}, forest.Node{})
		stack = append(stack, place{p.v.Get("left"), no}, place{p.v.Get("right"), yes})
		node.Left, node.Right = int32(no), int32(yes)
		if flipped {
			node.Left, node.Right = node.Right, node.Left
		}
		nodes[p.at] = node
	}
	return b.Tree(0, nodes)
}

// leafValues reads one number or several.
func leafValues(v *modeldoc.Value) ([]float64, error) {
	if v.Kind() == modeldoc.Number {
		f, err := v.Float()
		return []float64{f}, err
	}
	return v.Floats64()
}
