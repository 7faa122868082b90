package trees

import (
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/internal/forest"
	"github.com/millwright-ml/millwright/serve/internal/modeldoc"
)

// xgbTree is one tree of XGBoost, one array for each field of its nodes.
type xgbTree struct {
	left, right, feature, defaultLeft, kind []int32
	condition                               []float32
	// categories of the node catNodes[i] are catSizes[i] of them from
	// catStarts[i] on.
	categories, catNodes, catStarts, catSizes []int32
	// width is how many values a leaf has.
	width int
}

func readXGBTree(v *modeldoc.Value) (*xgbTree, error) {
	t := &xgbTree{width: 1}
	var f errs.Faults
	ints := func(name string, needed bool) []int32 {
		field := v.Get(name)
		if !field.Has() && !needed {
			return nil
		}
		list, err := field.Ints()
		f.Check(err == nil, "%s: %v", name, err)
		return list
	}
	t.left, t.right = ints("left_children", true), ints("right_children", true)
	t.feature, t.defaultLeft = ints("split_indices", true), ints("default_left", true)
	t.kind = ints("split_type", false)
	t.categories, t.catNodes = ints("categories", false), ints("categories_nodes", false)
	t.catStarts, t.catSizes = ints("categories_segments", false), ints("categories_sizes", false)
	condition, err := v.Get("split_conditions").Floats32()
	f.Check(err == nil, "split_conditions: %v", err)
	t.condition = condition
	if size := v.Get("tree_param", "size_leaf_vector"); size.Has() {
		n, err := size.Int()
		f.Check(err == nil && n <= forest.MaxOutputs, "size_leaf_vector: no size")
		t.width = max(1, int(n))
	}
	n := len(t.left)
	f.Check(n > 0, "no nodes")
	for _, l := range []int{len(t.right), len(t.feature), len(t.defaultLeft), len(t.condition)} {
		f.Check(l == n, "arrays of %d and of %d nodes", n, l)
	}
	f.Check(t.kind == nil || len(t.kind) == n, "split_type has %d entries for %d nodes", len(t.kind), n)
	f.Check(len(t.catNodes) == len(t.catStarts) && len(t.catNodes) == len(t.catSizes), "the lists of categories disagree")
	return t, f.Err("nodes")
}

// tree adds tree i to the forest.
func (x *xgboost) tree(b *forest.Builder, i int) error {
	t, err := readXGBTree(&x.trees[i])
	if err != nil {
		return fmt.Errorf("tree %d: %w", i, err)
	}
	if t.width > 1 {
		return fmt.Errorf("tree %d has vectors for leaves (multi_strategy multi_output_tree): %w", i, errs.ErrUnsupported)
	}
	sets, err := t.sets(&x.words)
	if err != nil {
		return fmt.Errorf("tree %d: %w", i, err)
	}
	weight := float32(1)
	if x.weights != nil {
		weight = x.weights[i]
	}
	nodes := make([]forest.Node, len(t.left))
	for n := range nodes {
		node := &nodes[n]
		node.Left, node.Right = t.left[n], t.right[n]
		if node.Left < 0 {
			// A product of float32 is rounded before it is added.
			node.Value = float64(t.condition[n] * weight)
			continue
		}
		if err := t.split(b, node, n, sets); err != nil {
			return err
		}
	}
	return b.Tree(int(x.info[i]), nodes)
}

// split describes the test of a node.
func (t *xgbTree) split(b *forest.Builder, node *forest.Node, n int, sets map[int32]*forest.Set) (err error) {
	feature := int(t.feature[n])
	if t.kind != nil && t.kind[n] != 0 {
		set := sets[int32(n)]
		if set == nil {
			set = newXGBSet(nil)
		}
		set.Missing = t.defaultLeft[n] != 0
		node.Slot, err = b.Member(feature, set)
		return err
	}
	missing := forest.Right
	if t.defaultLeft[n] != 0 {
		missing = forest.Left
	}
	if c := t.condition[n]; math.IsInf(float64(c), 0) || c != c {
		return fmt.Errorf("tree %d: node %d has the threshold %v: %w", b.Trees(), n, c, errs.ErrInvalid)
	}
	node.Threshold = float64(t.condition[n])
	node.Slot, err = b.Numeric(feature, missing)
	return err
}

// maxXGBCategory is the first number that XGBoost takes for no category.
const maxXGBCategory = 1 << 24

// newXGBSet is a set whose members go right. What is no category goes left.
func newXGBSet(words []uint32) *forest.Set {
	return &forest.Set{Words: words, Invalid: true, Low: -math.SmallestNonzeroFloat64, High: maxXGBCategory}
}

// sets returns the categories of the nodes that test them.
func (t *xgbTree) sets(words *int) (map[int32]*forest.Set, error) {
	sets := make(map[int32]*forest.Set, len(t.catNodes))
	for i, node := range t.catNodes {
		start, size := int64(t.catStarts[i]), int64(t.catSizes[i])
		if start < 0 || size < 0 || start+size > int64(len(t.categories)) {
			return nil, fmt.Errorf("node %d has the categories %d to %d of %d: %w", node, start, start+size, len(t.categories), errs.ErrInvalid)
		}
		if sets[node] != nil {
			return nil, fmt.Errorf("node %d has two sets of categories: %w", node, errs.ErrInvalid)
		}
		set, err := bitset(t.categories[start : start+size])
		if err != nil {
			return nil, fmt.Errorf("node %d: %w", node, err)
		}
		if *words += len(set); *words > maxWords {
			return nil, fmt.Errorf("the sets of categories take more than %d bytes: %w", 4*maxWords, errs.ErrUnsupported)
		}
		sets[node] = newXGBSet(set)
	}
	return sets, nil
}

// A set is as large as its greatest member is, which a few bytes of a file say:
// one is bounded to 65,536 categories, and all together to 64 MiB.
const (
	maxSetWords = 1 << 11
	maxWords    = 1 << 24
)

func bitset(members []int32) ([]uint32, error) {
	var words []uint32
	for _, m := range members {
		if m < 0 || int(m/32) >= maxSetWords {
			return nil, fmt.Errorf("category %d of at most %d: %w", m, 32*maxSetWords, errs.ErrUnsupported)
		}
		for int(m/32) >= len(words) {
			words = append(words, 0)
		}
		words[m/32] |= 1 << (m % 32)
	}
	return words, nil
}
