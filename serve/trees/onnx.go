package trees

import (
	"fmt"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/internal/forest"
	"github.com/millwright-ml/millwright/serve/internal/onnxpb"
	"github.com/millwright-ml/millwright/serve/internal/treeop"
	"github.com/millwright-ml/millwright/serve/oip"
)

// loadONNX makes a model of a graph that is one tree ensemble: what skl2onnx and
// onnxmltools make of a forest.
func loadONNX(data []byte, opts *Options) (*Model, error) {
	file, err := onnxpb.Parse(data)
	if err != nil {
		return nil, err
	}
	if opts.Margin || opts.Rounds > 0 {
		return nil, fmt.Errorf("an ONNX file has neither sums nor rounds to choose from: %w", errs.ErrUnsupported)
	}
	node, err := ensembleOf(&file.Graph)
	if err != nil {
		return nil, err
	}
	in := inputOf(&file.Graph, node)
	if in == nil || in.Elem != onnxpb.Float32 && in.Elem != onnxpb.Float64 {
		return nil, fmt.Errorf("the ensemble does not read an input of floating point: %w", errs.ErrUnsupported)
	}
	features := 0
	if len(in.Dims) == 2 && in.Dims[1] > 0 && in.Dims[1] <= forest.MaxFeatures {
		features = int(in.Dims[1])
	}
	op, err := treeop.Compile(node, features)
	if err != nil {
		return nil, err
	}
	var m *Model
	if op.Wide != nil {
		m = fromParts(op.Wide, op.Width, opts)
	} else {
		m = fromParts(op.Narrow, op.Width, opts)
	}
	return m, m.signONNX(&file.Graph, in, op, opts)
}

func fromParts[T float32 | float64](p *treeop.Parts[T], width int, opts *Options) *Model {
	m := newModel(p.Forest, width, finish[T](p.Finish), "onnx", opts)
	if r, ok := m.engine.(*runner[T]); ok {
		r.label = p.Label
	}
	return m
}

// ensembleOf finds the one node that computes. Beside it are only those that name
// or convert its outputs.
func ensembleOf(g *onnxpb.Graph) (*onnxpb.Node, error) {
	var found *onnxpb.Node
	for i := range g.Nodes {
		n := &g.Nodes[i]
		switch {
		case treeop.Supported(n) && found == nil:
			found = n
		case found != nil && (n.Op == "ZipMap" || n.Op == "Identity" || n.Op == "Cast"):
		default:
			return nil, fmt.Errorf("the operator %.60q beside trees, which package onnx may know: %w", n.Op, errs.ErrUnsupported)
		}
	}
	if found == nil || len(found.Inputs) != 1 {
		return nil, fmt.Errorf("no tree ensemble: %w", errs.ErrUnsupported)
	}
	return found, nil
}

func inputOf(g *onnxpb.Graph, node *onnxpb.Node) *onnxpb.Value {
	for i := range g.Inputs {
		if g.Inputs[i].Name == node.Inputs[0] {
			return &g.Inputs[i]
		}
	}
	return nil
}

// signONNX takes the names of the file into the signature.
func (m *Model) signONNX(g *onnxpb.Graph, in *onnxpb.Value, op *treeop.Op, opts *Options) error {
	s := &m.signature
	if opts.Input == "" {
		s.Inputs[0].Name = in.Name
	}
	s.Inputs[0].Datatype = oip.FP32
	if in.Elem == onnxpb.Float64 {
		s.Inputs[0].Datatype = oip.FP64
	}
	scores := &s.Outputs[0]
	scores.Datatype = oip.FP32 // Whatever the trees computed in.
	want := 1
	if op.Ints != nil || op.Strings != nil {
		want = 2
	}
	if len(g.Outputs) != want {
		return fmt.Errorf("%d outputs in the place of %d: %w", len(g.Outputs), want, errs.ErrUnsupported)
	}
	if opts.Output == "" {
		scores.Name = g.Outputs[want-1].Name
	}
	if want == 1 {
		return nil
	}
	m.labels = &labels{ints: op.Ints, strings: op.Strings}
	label := oip.TensorMetadata{Name: g.Outputs[0].Name, Datatype: oip.INT64, Shape: []int64{-1}}
	if op.Strings != nil {
		label.Datatype = oip.BYTES
	}
	m.signature = serve.Signature{Inputs: s.Inputs, Outputs: []oip.TensorMetadata{label, *scores}}
	return nil
}
