package onnx

import (
	"context"
	"fmt"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/internal/onnxpb"
	"github.com/millwright-ml/millwright/serve/oip"
)

// Model is a graph, ready to answer. It is safe for concurrent use and is a
// [serve.Model].
type Model struct {
	signature serve.Signature
	elems     []int64  // of the inputs
	constants []*value // by slot; nil for what is computed
	inputs    []int    // the slots of the inputs
	outputs   []int    // the slots of the outputs
	steps     []step
}

var _ serve.Model = (*Model)(nil)

// step is one operator: it reads slots and fills slots. -1 is none.
type step struct {
	op      many
	name    string
	in, out []int
}

// Signature says what the graph takes and gives.
func (m *Model) Signature() serve.Signature { return m.signature }

// Close does nothing: the memory goes with the last reference.
func (m *Model) Close() error { return nil }

// Infer answers a request that agrees with the signature.
func (m *Model) Infer(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	slots := make([]*value, len(m.constants))
	copy(slots, m.constants)
	for i, meta := range m.signature.Inputs {
		t := find(req.Inputs, meta.Name)
		if t == nil || t.Datatype != meta.Datatype || t.Check() != nil {
			return fmt.Errorf("onnx: infer: the input %q is missing or contradicts itself: %w", meta.Name, ErrInvalid)
		}
		slots[m.inputs[i]] = fromTensor(t, m.elems[i])
	}
	for i := range m.steps {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("onnx: infer: %w", err)
		}
		if err := m.steps[i].run(slots); err != nil {
			return fmt.Errorf("onnx: infer: %s: %w", m.steps[i].name, err)
		}
	}
	for i, meta := range m.signature.Outputs {
		v := slots[m.outputs[i]]
		if v == nil {
			return fmt.Errorf("onnx: infer: the output %q was not computed: %w", meta.Name, ErrInvalid)
		}
		t, err := v.tensor(meta.Name)
		if err != nil {
			return fmt.Errorf("onnx: infer: %w", err)
		}
		resp.Outputs = append(resp.Outputs, t)
	}
	return nil
}

func find(list []oip.Tensor, name string) *oip.Tensor {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

func (s *step) run(slots []*value) error {
	in := make([]*value, len(s.in))
	for i, at := range s.in {
		if at >= 0 {
			in[i] = slots[at]
		}
	}
	out, err := s.op(in)
	if err != nil {
		return err
	}
	for i, at := range s.out {
		if at < 0 {
			continue
		}
		if i >= len(out) {
			return fmt.Errorf("it has no output %d: %w", i, errs.ErrInvalid)
		}
		slots[at] = out[i]
	}
	return nil
}

// graph is a file's graph on its way to a Model.
type graph struct {
	file  *onnxpb.Model
	slots map[string]int
	model *Model
}

func (g *graph) slot(name string) int {
	at, ok := g.slots[name]
	if !ok {
		at = len(g.slots)
		g.slots[name] = at
		g.model.constants = append(g.model.constants, nil)
	}
	return at
}

// build compiles the graph. The nodes of a file are in an order in which they can
// be computed.
func (g *graph) build() error {
	for i := range g.file.Graph.Initializers {
		t := &g.file.Graph.Initializers[i]
		v, err := constant(t)
		if err != nil {
			return err
		}
		g.model.constants[g.slot(t.Name)] = v
	}
	for i := range g.file.Graph.Inputs {
		if err := g.input(&g.file.Graph.Inputs[i]); err != nil {
			return err
		}
	}
	unknown := map[string]bool{}
	var first error
	for i := range g.file.Graph.Nodes {
		n := &g.file.Graph.Nodes[i]
		if err := g.node(n); err != nil {
			if !unknown[n.Op] && first != nil {
				err = fmt.Errorf("%w; %w", first, err)
			}
			if !unknown[n.Op] {
				unknown[n.Op], first = true, err
			}
			if len(unknown) > 8 {
				break
			}
		}
	}
	if first != nil {
		return first
	}
	for i := range g.file.Graph.Outputs {
		if err := g.output(&g.file.Graph.Outputs[i]); err != nil {
			return err
		}
	}
	return nil
}

func (g *graph) input(v *onnxpb.Value) error {
	if _, constant := g.slots[v.Name]; constant {
		return nil // A constant that old files list among the inputs.
	}
	datatype, known := datatypes[v.Elem]
	if !known {
		return fmt.Errorf("the input %q has elements of type %d: %w", v.Name, v.Elem, errs.ErrUnsupported)
	}
	g.model.inputs = append(g.model.inputs, g.slot(v.Name))
	g.model.elems = append(g.model.elems, v.Elem)
	g.model.signature.Inputs = append(g.model.signature.Inputs, oip.TensorMetadata{Name: v.Name, Datatype: datatype, Shape: v.Dims})
	return nil
}

func (g *graph) node(n *onnxpb.Node) error {
	s := step{name: n.Op}
	for _, name := range n.Inputs {
		at := -1
		if name != "" {
			known := false
			if at, known = g.slots[name]; !known {
				return fmt.Errorf("%s reads %.40q, which nothing has made: %w", n.Op, name, errs.ErrInvalid)
			}
		}
		s.in = append(s.in, at)
	}
	var err error
	switch {
	case n.Domain == "ai.onnx.ml" && n.Op == "ZipMap":
		// The table of scores in the place of a list of maps: the classes'
		// names are the order of its columns.
		s.op = func(in []*value) ([]*value, error) { return in[:1], nil }
		if len(n.Inputs) != 1 || n.Inputs[0] == "" {
			err = fmt.Errorf("ZipMap without an input: %w", errs.ErrInvalid)
		}
	case n.Domain == "" && n.Op == "Constant":
		s.op, err = constantNode(n)
	default:
		s.op, err = compile(n, g.file.Opsets[""])
	}
	// Also what an unknown operator makes has a name, or each that reads it would
	// be refused as well.
	for _, name := range n.Outputs {
		at := -1
		if name != "" {
			if _, twice := g.slots[name]; twice {
				return fmt.Errorf("%.40q is made twice: %w", name, errs.ErrInvalid)
			}
			at = g.slot(name)
		}
		s.out = append(s.out, at)
	}
	g.model.steps = append(g.model.steps, s)
	return err
}

func constantNode(n *onnxpb.Node) (many, error) {
	a := n.Attr("value")
	if a == nil || a.Tensor == nil {
		return nil, fmt.Errorf("a Constant that is no tensor: %w", errs.ErrUnsupported)
	}
	v, err := constant(a.Tensor)
	if err != nil {
		return nil, err
	}
	return func([]*value) ([]*value, error) { return []*value{v}, nil }, nil
}

func (g *graph) output(v *onnxpb.Value) error {
	at, known := g.slots[v.Name]
	if !known {
		return fmt.Errorf("nothing makes the output %q: %w", v.Name, errs.ErrInvalid)
	}
	meta := oip.TensorMetadata{Name: v.Name, Datatype: datatypes[v.Elem], Shape: v.Dims}
	if v.Sequence {
		meta.Datatype, meta.Shape = oip.FP32, []int64{-1, -1}
	}
	if meta.Datatype == "" {
		return fmt.Errorf("the output %q has elements of type %d: %w", v.Name, v.Elem, errs.ErrUnsupported)
	}
	g.model.outputs = append(g.model.outputs, at)
	g.model.signature.Outputs = append(g.model.signature.Outputs, meta)
	return nil
}
