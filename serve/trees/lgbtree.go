package trees

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/internal/forest"
)

// The bits of LightGBM's decision_type.
const (
	lgbCategorical = 1
	lgbDefaultLeft = 2
	lgbMissing     = 2 // how far the kind of missing values is shifted
)

// lgbTree is one tree of LightGBM, one array for each field of its nodes. A child
// that is negative is the leaf of its complement.
type lgbTree struct {
	feature, decision, left, right []int32
	threshold, leaves              []float64
	boundaries                     []int32
	words                          []uint32
}

// tree adds a tree to the forest.
func (l *lightgbm) tree(fields map[string]string) error {
	t, err := readLGBTree(fields)
	if err != nil {
		return fmt.Errorf("tree %d: %w", l.builder.Trees(), err)
	}
	inner := len(t.leaves) - 1
	nodes := make([]forest.Node, inner+len(t.leaves))
	for i, v := range t.leaves {
		nodes[inner+i] = forest.Node{Left: -1, Value: v}
	}
	child := func(c int32) int32 {
		if c < 0 {
			return int32(inner) + ^c
		}
		if int(c) >= inner {
			return math.MaxInt32 // No node: the builder refuses it.
		}
		return c
	}
	for n := range inner {
		node := &nodes[n]
		node.Left, node.Right = child(t.left[n]), child(t.right[n])
		if err := l.split(t, node, n); err != nil {
			return err
		}
	}
	return l.builder.Tree(l.builder.Trees()%l.outputs, nodes)
}

// split describes the test of a node.
func (l *lightgbm) split(t *lgbTree, node *forest.Node, n int) (err error) {
	decision, feature := t.decision[n], int(t.feature[n])
	if decision&lgbCategorical != 0 {
		set, err := t.set(n)
		if err != nil {
			return fmt.Errorf("tree %d: %w", l.builder.Trees(), err)
		}
		if l.words += len(set.Words); l.words > maxWords {
			return fmt.Errorf("tree %d: the sets of categories take more than %d bytes: %w", l.builder.Trees(), 4*maxWords, errs.ErrUnsupported)
		}
		node.Slot, err = l.builder.Member(feature, set)
		return err
	}
	missing := forest.AsZero
	left := decision&lgbDefaultLeft != 0
	switch kind := decision >> lgbMissing & 3; {
	case kind == 0:
	case kind == 1 && left:
		missing = forest.ZeroLeft
	case kind == 1:
		missing = forest.ZeroRight
	case kind == 2 && left:
		missing = forest.Left
	case kind == 2:
		missing = forest.Right
	default:
		return fmt.Errorf("tree %d: node %d has the decision_type %d: %w", l.builder.Trees(), n, decision, errs.ErrInvalid)
	}
	if math.IsInf(t.threshold[n], 1) {
		node.Slot, err = l.builder.Present(feature, missing)
		return err
	}
	if v := t.threshold[n]; math.IsNaN(v) || math.IsInf(v, -1) {
		return fmt.Errorf("tree %d: node %d has the threshold %v: %w", l.builder.Trees(), n, v, errs.ErrInvalid)
	}
	// LightGBM's test is less or equal.
	node.Threshold = forest.Above64(t.threshold[n])
	node.Slot, err = l.builder.Numeric(feature, missing)
	return err
}

// set returns the categories of a node: members go left, and all else right.
func (t *lgbTree) set(n int) (*forest.Set, error) {
	at := t.threshold[n]
	if at != math.Trunc(at) || at < 0 || at >= float64(len(t.boundaries)-1) {
		return nil, fmt.Errorf("node %d has the set of categories %v of %d: %w", n, at, len(t.boundaries)-1, errs.ErrInvalid)
	}
	from, to := t.boundaries[int(at)], t.boundaries[int(at)+1]
	if from < 0 || to < from || int(to) > len(t.words) {
		return nil, fmt.Errorf("node %d has the words %d to %d of %d: %w", n, from, to, len(t.words), errs.ErrInvalid)
	}
	return &forest.Set{Words: t.words[from:to], In: true, Low: -1, High: 1 << 31}, nil
}

func readLGBTree(fields map[string]string) (*lgbTree, error) {
	t := &lgbTree{}
	var f errs.Faults
	leaves, err := strconv.Atoi(strings.TrimSpace(fields["num_leaves"]))
	f.Check(err == nil && leaves >= 1, "num_leaves %.20q", fields["num_leaves"])
	if linear := strings.TrimSpace(fields["is_linear"]); linear != "" && linear != "0" {
		return nil, fmt.Errorf("its leaves are linear (linear_tree): %w", errs.ErrUnsupported)
	}
	t.leaves = words(&f, fields, "leaf_value", parseFloat)
	if f.Err("nodes") == nil && leaves == 1 && len(t.leaves) == 1 {
		return t, nil
	}
	t.feature, t.decision = words(&f, fields, "split_feature", parseInt), words(&f, fields, "decision_type", parseInt)
	t.left, t.right = words(&f, fields, "left_child", parseInt), words(&f, fields, "right_child", parseInt)
	t.threshold = words(&f, fields, "threshold", parseFloat)
	t.boundaries = words(&f, fields, "cat_boundaries", parseInt)
	t.words = words(&f, fields, "cat_threshold", func(s string) (uint32, error) {
		v, err := strconv.ParseUint(s, 10, 32)
		return uint32(v), err
	})
	f.Check(len(t.leaves) == leaves, "%d values for %d leaves", len(t.leaves), leaves)
	for _, n := range []int{len(t.feature), len(t.decision), len(t.left), len(t.right), len(t.threshold)} {
		f.Check(n == leaves-1, "an array of %d for %d inner nodes", n, leaves-1)
	}
	return t, f.Err("nodes")
}

func parseFloat(s string) (float64, error) { return strconv.ParseFloat(s, 64) }

func parseInt(s string) (int32, error) {
	v, err := strconv.ParseInt(s, 10, 32)
	return int32(v), err
}

// words parses a line of words with spaces between.
func words[T any](f *errs.Faults, fields map[string]string, name string, parse func(string) (T, error)) []T {
	var out []T
	for word := range strings.FieldsSeq(fields[name]) {
		v, err := parse(word)
		if err != nil {
			f.Addf("%s: %.20q is no number", name, word)
			return nil
		}
		out = append(out, v)
	}
	return out
}
