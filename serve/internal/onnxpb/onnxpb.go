// Package onnxpb reads the part of ONNX's protobuf messages that inference needs.
// What it returns points into the file's bytes where it can.
//
// Files may be hostile: lengths are checked against what is there, and the number
// of messages is bounded.
package onnxpb

import (
	"errors"
	"fmt"

	"github.com/millwright-ml/millwright/internal/errs"
)

// maxMessages bounds the nodes, attributes, tensors and types of a file together:
// each costs much more memory than the two bytes that it may take in the file.
const maxMessages = 1 << 18

// Model is a file.
type Model struct {
	IR       int64
	Producer string
	Opsets   map[string]int64 // version by domain; "" is ONNX's own
	Graph    Graph
}

// Graph is what is computed.
type Graph struct {
	Nodes        []Node
	Initializers []Tensor
	Inputs       []Value
	Outputs      []Value
}

// Node is one operator.
type Node struct {
	Name, Op, Domain string
	Inputs, Outputs  []string
	Attrs            []Attr
}

// Attr is an attribute of a node.
type Attr struct {
	Name    string
	Kind    int64 // as in the file, 0 where it is not said
	Float   float32
	Int     int64
	Bytes   []byte
	Tensor  *Tensor
	Floats  []float32
	Ints    []int64
	Strings [][]byte
}

// Value is an input or output of a graph.
type Value struct {
	Name string
	// Elem is the type of the elements, 0 for what is no tensor.
	Elem int64
	// Dims are the dimensions, -1 where they vary. Nil is an unknown rank.
	Dims []int64
	// Ranked says that Dims is known.
	Ranked bool
	// Sequence is set for a list of maps, ZipMap's output.
	Sequence bool
}

// reader counts the messages.
type reader struct{ left int }

var errMessages = fmt.Errorf("it has more than %d parts", maxMessages)

func (r *reader) count() error {
	if r.left--; r.left < 0 {
		return errMessages
	}
	return nil
}

// Parse reads a file.
func Parse(data []byte) (*Model, error) {
	m, err := (&reader{left: maxMessages}).model(data)
	if err != nil {
		return nil, fmt.Errorf("no ONNX file: %w: %w", err, errs.ErrInvalid)
	}
	return m, nil
}

func (r *reader) model(data []byte) (*Model, error) {
	m := &Model{Opsets: map[string]int64{}}
	graphs := 0
	err := fields(data, func(f field) error {
		switch f.num {
		case 1:
			m.IR = int64(f.bits)
		case 2:
			m.Producer = string(f.data)
		case 7:
			graphs++
			return r.graph(&m.Graph, f.data)
		case 8:
			return r.opset(m, f.data)
		}
		return nil
	})
	if err == nil && graphs != 1 {
		err = errors.New("it has no graph")
	}
	return m, err
}

func (r *reader) opset(m *Model, data []byte) error {
	if err := r.count(); err != nil {
		return err
	}
	domain, version := "", int64(0)
	err := fields(data, func(f field) error {
		switch f.num {
		case 1:
			domain = string(f.data)
		case 2:
			version = int64(f.bits)
		}
		return nil
	})
	if domain == "ai.onnx" {
		domain = ""
	}
	m.Opsets[domain] = version
	return err
}

func (r *reader) graph(g *Graph, data []byte) error {
	return fields(data, func(f field) error {
		if err := r.count(); err != nil {
			return err
		}
		switch f.num {
		case 1:
			n, err := r.node(f.data)
			g.Nodes = append(g.Nodes, n)
			return err
		case 5:
			t, err := readTensor(f.data)
			g.Initializers = append(g.Initializers, t)
			return err
		case 11, 12:
			v, err := readValue(f.data)
			if f.num == 11 {
				g.Inputs = append(g.Inputs, v)
			} else {
				g.Outputs = append(g.Outputs, v)
			}
			return err
		case 15:
			return errors.New("it has sparse initializers")
		}
		return nil
	})
}

func (r *reader) node(data []byte) (Node, error) {
	var n Node
	err := fields(data, func(f field) error {
		switch f.num {
		case 1:
			n.Inputs = append(n.Inputs, string(f.data))
			return r.count()
		case 2:
			n.Outputs = append(n.Outputs, string(f.data))
			return r.count()
		case 3:
			n.Name = string(f.data)
		case 4:
			n.Op = string(f.data)
		case 5:
			if err := r.count(); err != nil {
				return err
			}
			a, err := readAttr(f.data)
			n.Attrs = append(n.Attrs, a)
			return err
		case 7:
			if n.Domain = string(f.data); n.Domain == "ai.onnx" {
				n.Domain = ""
			}
		}
		return nil
	})
	return n, err
}

// Attr returns an attribute of the node, nil if it has none of the name.
func (n *Node) Attr(name string) *Attr {
	for i := range n.Attrs {
		if n.Attrs[i].Name == name {
			return &n.Attrs[i]
		}
	}
	return nil
}

// Has reports whether the node has an attribute of the name.
func (n *Node) Has(name string) bool { return n.Attr(name) != nil }

// The values of attributes, empty or the fallback where there is none.

// Floats returns a list of numbers.
func (n *Node) Floats(name string) []float32 {
	if a := n.Attr(name); a != nil {
		return a.Floats
	}
	return nil
}

// Ints returns a list of whole numbers.
func (n *Node) Ints(name string) []int64 {
	if a := n.Attr(name); a != nil {
		return a.Ints
	}
	return nil
}

// Strings returns a list of texts.
func (n *Node) Strings(name string) [][]byte {
	if a := n.Attr(name); a != nil {
		return a.Strings
	}
	return nil
}

// Text returns one text.
func (n *Node) Text(name, fallback string) string {
	if a := n.Attr(name); a != nil {
		return string(a.Bytes)
	}
	return fallback
}

// Int returns one whole number.
func (n *Node) Int(name string, fallback int64) int64 {
	if a := n.Attr(name); a != nil {
		return a.Int
	}
	return fallback
}

// Float returns one number.
func (n *Node) Float(name string, fallback float32) float32 {
	if a := n.Attr(name); a != nil {
		return a.Float
	}
	return fallback
}
