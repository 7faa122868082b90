package onnx

import (
	"fmt"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/internal/forest"
	"github.com/millwright-ml/millwright/serve/internal/onnxpb"
	"github.com/millwright-ml/millwright/serve/internal/treeop"
)

// several finds an operator of ONNX-ML that has a label and scores, or is a tree
// ensemble.
func several(n *onnxpb.Node) (many, error) {
	if len(n.Inputs) < 1 || n.Inputs[0] == "" {
		return nil, fmt.Errorf("%s without an input: %w", n.Op, errs.ErrInvalid)
	}
	switch {
	case n.Op == "LinearClassifier":
		return linearClassifier(n)
	case treeop.Supported(n):
		return ensemble(n)
	}
	return nil, fmt.Errorf("the operator %.60q: %w", "ai.onnx.ml."+n.Op, errs.ErrUnsupported)
}

// names makes the value of the classes chosen.
func names(best []int, ints []int64, texts []string) *value {
	v := &value{elem: onnxpb.Int64, shape: []int{len(best)}}
	if texts != nil {
		v.elem = onnxpb.String
	}
	for _, b := range best {
		if texts != nil {
			v.str = append(v.str, []byte(texts[b]))
		} else {
			v.num = append(v.num, float64(ints[b]))
		}
	}
	return v
}

func linearClassifier(n *onnxpb.Node) (many, error) {
	ints := n.Ints("classlabels_ints")
	var texts []string
	for _, s := range n.Strings("classlabels_strings") {
		texts = append(texts, string(s))
	}
	classes := max(len(ints), len(texts))
	intercepts := n.Floats("intercepts")
	targets := len(intercepts)
	if targets == 0 {
		targets = classes
	}
	name := n.Text("post_transform", "NONE")
	post, err := postTransform(name)
	if err != nil {
		return nil, err
	}
	if classes < 2 || ints != nil && texts != nil || targets != classes && !(targets == 1 && classes == 2) {
		return nil, fmt.Errorf("LinearClassifier with %d classes and %d sums: %w", classes, targets, errs.ErrInvalid)
	}
	if targets == 1 && name == "SOFTMAX" {
		return nil, fmt.Errorf("LinearClassifier with SOFTMAX of one sum: %w", errs.ErrUnsupported)
	}
	f := linear(n.Floats("coefficients"), intercepts, targets)
	return func(in []*value) ([]*value, error) {
		if in[0] == nil || in[0].isText() {
			return nil, fmt.Errorf("text where numbers belong: %w", errs.ErrInvalid)
		}
		sums, err := f(in)
		if err != nil {
			return nil, err
		}
		rows := sums.shape[0]
		best := make([]int, rows)
		for r := range best {
			row := sums.num[r*targets : (r+1)*targets]
			if targets == 1 {
				best[r] = int(truth(row[0] > 0))
				continue
			}
			for c, x := range row {
				if x > row[best[r]] {
					best[r] = c
				}
			}
		}
		if targets == 1 { // Both classes out of the one sum.
			both := &value{elem: sums.elem, shape: []int{rows, 2}, num: make([]float64, 2*rows)}
			for r, x := range sums.num {
				both.num[2*r], both.num[2*r+1] = -x, x
			}
			sums = both
		}
		scores, err := post(sums)
		return []*value{names(best, ints, texts), scores}, err
	}, nil
}

// ensemble evaluates trees by the evaluator of package trees.
func ensemble(n *onnxpb.Node) (many, error) {
	op, err := treeop.Compile(n, 0)
	if err != nil {
		return nil, err
	}
	return func(in []*value) ([]*value, error) {
		if in[0] == nil || in[0].isText() {
			return nil, fmt.Errorf("text where numbers belong: %w", errs.ErrInvalid)
		}
		var scores *value
		var best []int
		var err error
		if op.Wide != nil {
			scores, best, err = sum(op.Wide, op.Width, in[0])
		} else {
			scores, best, err = sum(op.Narrow, op.Width, in[0])
		}
		if err != nil {
			return nil, err
		}
		if best == nil {
			return []*value{scores}, nil
		}
		return []*value{names(best, op.Ints, op.Strings), scores}, nil
	}, nil
}

func sum[T forest.Float](p *treeop.Parts[T], width int, v *value) (*value, []int, error) {
	rows, columns := v.table()
	features, outputs := p.Forest.Features(), p.Forest.Outputs()
	if columns < features {
		return nil, nil, fmt.Errorf("%d columns for trees that test %d: %w", columns, features, errs.ErrInvalid)
	}
	out, err := numbers(onnxpb.Float32, rows, width)
	if err != nil {
		return nil, nil, err
	}
	// The trees know the columns up to the last that they test.
	table := v.num
	if columns > features {
		table = make([]float64, 0, rows*features)
		for r := range rows {
			table = append(table, v.num[r*columns:r*columns+features]...)
		}
	}
	sums := make([]T, rows*outputs)
	forest.Sum(p.Forest, sums, table)
	var best []int
	if p.Label != nil {
		best = make([]int, rows)
	}
	for r := range rows {
		row := sums[r*outputs : (r+1)*outputs]
		if best != nil {
			best[r] = p.Label(row)
		}
		p.Finish(row, row)
		for i, x := range row[:width] {
			out.num[r*width+i] = float64(x)
		}
	}
	return out.round(), best, nil
}
