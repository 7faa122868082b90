// Package treeop compiles the operators TreeEnsembleClassifier and
// TreeEnsembleRegressor of ONNX-ML. What they answer is what ONNX Runtime does,
// where the specification leaves it open as well.
package treeop

import (
	"fmt"
	"math"
	"slices"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/internal/forest"
	"github.com/millwright-ml/millwright/serve/internal/onnxpb"
)

// Op is a compiled operator: Narrow computes in float32, or Wide in float64.
type Op struct {
	Narrow *Parts[float32]
	Wide   *Parts[float64]
	// Width is how many scores there are for a row.
	Width int
	// Ints or Strings are the classes of a classifier.
	Ints    []int64
	Strings []string
}

// Parts are the forest and what follows it.
type Parts[T forest.Float] struct {
	Forest *forest.Forest[T]
	// Finish turns sums into scores. out has room for Width of them and may be
	// the sums' own memory.
	Finish func(out, sums []T)
	// Label finds the class of a row by its sums, before they are finished.
	Label func(sums []T) int
}

// ensemble is a node on its way to an Op.
type ensemble struct {
	node       *onnxpb.Node
	features   int
	classifier bool
	wide       bool
	classes    int // sums a row
	prefix     string
	base       []float64
	values     []float64
	weights    []float64
	trees      int
}

// Supported reports whether the package knows an operator.
func Supported(node *onnxpb.Node) bool {
	return node.Domain == "ai.onnx.ml" && (node.Op == "TreeEnsembleClassifier" || node.Op == "TreeEnsembleRegressor")
}

// Compile makes an Op of a node for rows of so many features; 0 takes as many as
// the trees test.
func Compile(node *onnxpb.Node, features int) (*Op, error) {
	e := &ensemble{node: node, features: features, classifier: node.Op == "TreeEnsembleClassifier", prefix: "target"}
	op := &Op{}
	if err := e.readOutputs(op); err != nil {
		return nil, err
	}
	if err := e.readNumbers(); err != nil {
		return nil, err
	}
	list, err := e.nodes()
	if err != nil {
		return nil, err
	}
	if e.wide {
		op.Wide, err = compile[float64](e, op, list)
	} else {
		op.Narrow, err = compile[float32](e, op, list)
	}
	if err != nil {
		return nil, err
	}
	return op, nil
}

// readOutputs finds the classes or targets.
func (e *ensemble) readOutputs(op *Op) error {
	if !e.classifier {
		n := e.node.Int("n_targets", 1)
		if n < 1 || n > forest.MaxOutputs {
			return fmt.Errorf("n_targets %d: %w", n, errs.ErrInvalid)
		}
		e.classes, op.Width = int(n), int(n)
		if t := e.node.Text("post_transform", "NONE"); t != "NONE" {
			return fmt.Errorf("post_transform %q of a regressor: %w", t, errs.ErrUnsupported)
		}
		return nil
	}
	e.prefix = "class"
	op.Ints = e.node.Ints("classlabels_int64s")
	for _, s := range e.node.Strings("classlabels_strings") {
		op.Strings = append(op.Strings, string(s))
	}
	n := max(len(op.Ints), len(op.Strings))
	if n < 2 || n > forest.MaxOutputs || len(op.Ints) > 0 && len(op.Strings) > 0 {
		return fmt.Errorf("%d classes with numbers and %d with names: %w", len(op.Ints), len(op.Strings), errs.ErrInvalid)
	}
	e.classes, op.Width = n, n
	return nil
}

// numbers reads a list that may be a tensor of float64.
func (e *ensemble) numbers(name string) ([]float64, error) {
	if a := e.node.Attr(name + "_as_tensor"); a != nil && a.Tensor != nil {
		if a.Tensor.Elem != onnxpb.Float64 && a.Tensor.Elem != onnxpb.Float32 {
			return nil, fmt.Errorf("%s_as_tensor has elements of type %d: %w", name, a.Tensor.Elem, errs.ErrUnsupported)
		}
		e.wide = e.wide || a.Tensor.Elem == onnxpb.Float64
		out, err := a.Tensor.Numbers()
		if err != nil {
			err = fmt.Errorf("%w: %w", err, errs.ErrInvalid)
		}
		return out, err
	}
	var out []float64
	for _, v := range e.node.Floats(name) {
		out = append(out, float64(v))
	}
	return out, nil
}

func (e *ensemble) readNumbers() (err error) {
	if e.values, err = e.numbers("nodes_values"); err != nil {
		return err
	}
	if e.weights, err = e.numbers(e.prefix + "_weights"); err != nil {
		return err
	}
	if e.base, err = e.numbers("base_values"); err != nil {
		return err
	}
	for _, v := range e.base {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("the base value %v: %w", v, errs.ErrInvalid)
		}
	}
	if e.classes == 2 && e.classifier && len(e.base) == 2 {
		return fmt.Errorf("two base values of two classes, whose meaning is open: %w", errs.ErrUnsupported)
	}
	if n := len(e.base); n != 0 && n != e.classes && !(e.classifier && e.classes == 2 && n == 1) {
		return fmt.Errorf("%d base values for %d outputs: %w", n, e.classes, errs.ErrInvalid)
	}
	return nil
}

func compile[T forest.Float](e *ensemble, op *Op, list []treeNodes) (*Parts[T], error) {
	b, err := e.build(list)
	if err != nil {
		return nil, err
	}
	f, err := forest.Build[T](b, nil)
	if err != nil {
		return nil, err
	}
	e.trees = len(list)
	p := &Parts[T]{Forest: f}
	if e.classifier {
		err = classify(e, p)
	} else {
		err = regress(e, p)
	}
	return p, err
}

// regress adds the base values after the sum, or the mean.
func regress[T forest.Float](e *ensemble, p *Parts[T]) error {
	mean := false
	switch how := e.node.Text("aggregate_function", "SUM"); how {
	case "SUM":
	case "AVERAGE":
		mean = true
	default:
		return fmt.Errorf("aggregate_function %.20q: %w", how, errs.ErrUnsupported)
	}
	base, n := typed[T](e.base), T(e.trees)
	p.Finish = func(out, sums []T) {
		for i, v := range sums {
			if mean {
				v /= n
			}
			if base != nil {
				v += base[i]
			}
			out[i] = v
		}
	}
	return nil
}

func typed[T forest.Float](list []float64) []T {
	var out []T
	for _, v := range list {
		out = append(out, T(v))
	}
	return out
}

// treeNodes are the nodes of one tree, by their place in the lists.
type treeNodes struct{ from, to int }

// nodes cuts the lists into trees and checks their lengths.
func (e *ensemble) nodes() ([]treeNodes, error) {
	ids := e.node.Ints("nodes_treeids")
	n := len(ids)
	var f errs.Faults
	f.Check(n > 0, "no nodes")
	for _, name := range []string{"nodes_nodeids", "nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids"} {
		f.Check(len(e.node.Ints(name)) == n, "%s has %d entries for %d nodes", name, len(e.node.Ints(name)), n)
	}
	f.Check(len(e.node.Strings("nodes_modes")) == n, "nodes_modes has %d entries for %d nodes", len(e.node.Strings("nodes_modes")), n)
	f.Check(len(e.values) == n, "nodes_values has %d entries for %d nodes", len(e.values), n)
	if m := len(e.node.Ints("nodes_missing_value_tracks_true")); m != 0 {
		f.Check(m == n, "nodes_missing_value_tracks_true has %d entries for %d nodes", m, n)
	}
	for _, name := range []string{"_ids", "_nodeids", "_treeids"} {
		m := len(e.node.Ints(e.prefix + name))
		f.Check(m == len(e.weights), "%s has %d entries for %d weights", e.prefix+name, m, len(e.weights))
	}
	if err := f.Err("nodes"); err != nil {
		return nil, err
	}
	var list []treeNodes
	seen := map[int64]bool{}
	for from := 0; from < n; {
		to := from
		for to < n && ids[to] == ids[from] {
			to++
		}
		if seen[ids[from]] {
			return nil, fmt.Errorf("the nodes of tree %d do not follow each other: %w", ids[from], errs.ErrUnsupported)
		}
		seen[ids[from]] = true
		list = append(list, treeNodes{from, to})
		from = to
	}
	if e.features == 0 {
		e.features = int(min(slices.Max(e.node.Ints("nodes_featureids")), forest.MaxFeatures-1)) + 1
	}
	return list, nil
}
