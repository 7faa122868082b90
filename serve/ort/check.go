package ort

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"strings"
)

// maxDepth bounds how deep graphs lie in each other, and maxDims the dimensions of
// a constant. Both are far beyond what models have.
const (
	maxDepth = 24
	maxDims  = 64
)

// checker walks the protobuf of a model. It looks at what ONNX Runtime would trust:
// paths and sizes.
type checker struct {
	// outside are the files that constants are kept in.
	outside map[string]bool
	graphs  int
}

// inspect checks the form of a model's file and returns the other files that its
// constants are kept in.
func inspect(data []byte) ([]string, error) {
	c := &checker{outside: map[string]bool{}}
	err := fields(data, func(num int, _ uint64, sub []byte) error {
		switch num {
		case 7: // graph
			c.graphs++
			return c.graph(sub, 0)
		case 20: // training_info
			return errors.New("it has training steps")
		case 25: // functions
			return c.function(sub)
		}
		return nil
	})
	if err == nil && c.graphs != 1 {
		err = errors.New("it has no graph")
	}
	if err != nil {
		return nil, fmt.Errorf("no ONNX model: %w: %w", err, ErrInvalid)
	}
	names := make([]string, 0, len(c.outside))
	for name := range c.outside {
		names = append(names, name)
	}
	return names, nil
}

// fields calls f for each field of a message. What is no number is handed as bytes.
func fields(data []byte, f func(num int, n uint64, sub []byte) error) error {
	for len(data) > 0 {
		tag, size := binary.Uvarint(data)
		if size <= 0 || tag>>3 == 0 || tag>>3 > 1<<29-1 {
			return errors.New("a field has no number")
		}
		data = data[size:]
		var n uint64
		var sub []byte
		switch tag & 7 {
		case 0:
			if n, size = binary.Uvarint(data); size <= 0 {
				return errors.New("a number is cut off")
			}
			data = data[size:]
		case 1, 5:
			size = 8
			if tag&7 == 5 {
				size = 4
			}
			if len(data) < size {
				return errors.New("a number is cut off")
			}
			sub, data = data[:size], data[size:]
		case 2:
			length, size := binary.Uvarint(data)
			if size <= 0 || length > uint64(len(data)-size) {
				return errors.New("a field goes beyond the end")
			}
			sub, data = data[size:size+int(length)], data[size+int(length):]
		default:
			return fmt.Errorf("a field has wire type %d", tag&7)
		}
		if err := f(int(tag>>3), n, sub); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) graph(data []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("graphs lie in each other %d deep", depth)
	}
	return fields(data, func(num int, _ uint64, sub []byte) error {
		switch num {
		case 1: // node
			return c.node(sub, depth)
		case 5: // initializer
			return c.tensor(sub, depth == 0)
		case 15: // sparse_initializer
			return c.sparse(sub)
		}
		return nil
	})
}

func (c *checker) function(data []byte) error {
	return fields(data, func(num int, _ uint64, sub []byte) error {
		switch num {
		case 7: // node
			return c.node(sub, 1)
		case 11: // attribute_proto
			return c.attribute(sub, 1)
		}
		return nil
	})
}

func (c *checker) node(data []byte, depth int) error {
	return fields(data, func(num int, _ uint64, sub []byte) error {
		if num == 5 { // attribute
			return c.attribute(sub, depth)
		}
		return nil
	})
}

func (c *checker) attribute(data []byte, depth int) error {
	return fields(data, func(num int, _ uint64, sub []byte) error {
		switch num {
		case 5, 10: // t, tensors
			return c.tensor(sub, false)
		case 6, 11: // g, graphs
			return c.graph(sub, depth+1)
		case 22, 23: // sparse_tensor, sparse_tensors
			return c.sparse(sub)
		}
		return nil
	})
}

// sparse looks at the two tensors of a sparse one.
func (c *checker) sparse(data []byte) error {
	return fields(data, func(num int, _ uint64, sub []byte) error {
		if num == 1 || num == 2 { // values, indices
			return c.tensor(sub, false)
		}
		return nil
	})
}

// tensor checks a constant. Only those of the main graph may be in other files, as
// ONNX Runtime takes no others from memory and would open a path.
func (c *checker) tensor(data []byte, main bool) error {
	var name string
	var raw []byte
	var elem uint64
	var places []string
	elements, dims, outside := uint64(1), 0, false
	dim := func(n uint64) error {
		if dims++; dims > maxDims || n > math.MaxInt64 {
			return fmt.Errorf("the constant %.60q has a shape that cannot be", name)
		}
		if n != 0 && elements > math.MaxInt64/16/n {
			return fmt.Errorf("the constant %.60q has more elements than there can be", name)
		}
		elements *= n
		return nil
	}
	err := fields(data, func(num int, n uint64, sub []byte) error {
		switch num {
		case 1: // dims, one by one or packed
			if sub == nil {
				return dim(n)
			}
			for len(sub) > 0 {
				n, size := binary.Uvarint(sub)
				if size <= 0 {
					return errors.New("a shape is cut off")
				}
				sub = sub[size:]
				if err := dim(n); err != nil {
					return err
				}
			}
		case 2:
			elem = n
		case 8:
			name = string(sub)
		case 9:
			raw = sub
		case 13: // external_data
			outside = true
			place, err := location(sub)
			places = append(places, place...)
			return err
		case 14: // data_location
			outside = outside || n != 0
		}
		return nil
	})
	if err != nil {
		return err
	}
	if size := uint64(elemSizes[elem]); size > 0 && raw != nil && uint64(len(raw)) != size*elements {
		return fmt.Errorf("the constant %.60q has %d elements of %d bytes and %d bytes of data", name, elements, size, len(raw))
	}
	if !outside {
		return nil
	}
	if !main {
		return fmt.Errorf("the constant %.60q of an inner graph is in another file: %w", name, ErrUnsupported)
	}
	if len(places) != 1 {
		return fmt.Errorf("the constant %.60q does not say once which file it is in", name)
	}
	// A star is ONNX Runtime's mark for an address in memory in the place of a
	// path.
	if place := places[0]; !fs.ValidPath(place) || place == "." || strings.ContainsAny(place, "*\\\x00") {
		return fmt.Errorf("the constant %.60q is in %.100q, which is no path inside the model's folder", name, place)
	}
	c.outside[places[0]] = true
	return nil
}

// location reads one entry of a constant's external data.
func location(data []byte) ([]string, error) {
	var key, value string
	err := fields(data, func(num int, _ uint64, sub []byte) error {
		switch num {
		case 1:
			key = string(sub)
		case 2:
			value = string(sub)
		}
		return nil
	})
	if key != "location" {
		return nil, err
	}
	return []string{value}, err
}

// elemSizes are the bytes of ONNX's element types, by number, 0 for those that
// vary.
var elemSizes = map[uint64]int{1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}

// beside is the path among the files of one that lies beside the model.
func beside(model, place string) string { return path.Join(path.Dir(model), place) }
