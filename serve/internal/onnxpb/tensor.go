package onnxpb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The element types that are read, as numbered in the files.
const (
	Float32 = 1
	Uint8   = 2
	Int8    = 3
	Uint16  = 4
	Int16   = 5
	Int32   = 6
	Int64   = 7
	String  = 8
	Bool    = 9
	Float64 = 11
	Uint32  = 12
	Uint64  = 13
)

// Tensor is a constant.
type Tensor struct {
	Name    string
	Elem    int64
	Dims    []int64
	raw     []byte
	floats  []float32
	doubles []float64
	ints    []int64
	strings [][]byte
	outside bool
}

// maxDims bounds the rank of a tensor.
const maxDims = 16

func readTensor(data []byte) (Tensor, error) {
	var t Tensor
	err := fields(data, func(f field) (err error) {
		switch f.num {
		case 1:
			t.Dims, err = varints(t.Dims, f)
		case 2:
			t.Elem = int64(f.bits)
		case 4:
			t.floats, err = floats(t.floats, f)
		case 5, 7, 11:
			t.ints, err = varints(t.ints, f)
		case 6:
			t.strings = append(t.strings, f.data)
		case 8:
			t.Name = string(f.data)
		case 9:
			t.raw = f.data
		case 10:
			t.doubles, err = doubles(t.doubles, f)
		case 13, 14:
			t.outside = t.outside || f.num == 13 || f.bits != 0
		}
		return err
	})
	if err == nil && t.outside {
		err = fmt.Errorf("the tensor %q is in another file", t.Name)
	}
	if err == nil && len(t.Dims) > maxDims {
		err = fmt.Errorf("the tensor %q has %d dimensions", t.Name, len(t.Dims))
	}
	return t, err
}

// Len returns the number of elements that the dimensions claim.
func (t *Tensor) Len() (int, error) {
	n := int64(1)
	for _, d := range t.Dims {
		if d < 0 || d > math.MaxInt32 || n*d > math.MaxInt32 {
			return 0, fmt.Errorf("the tensor %q has the dimensions %v", t.Name, t.Dims)
		}
		n *= d
	}
	return int(n), nil
}

// Numbers returns the elements of a tensor of numbers as float64, which holds all
// of them but whole numbers beyond 2^53.
func (t *Tensor) Numbers() ([]float64, error) {
	n, err := t.Len()
	if err != nil {
		return nil, err
	}
	if t.raw != nil {
		return t.rawNumbers(n)
	}
	var out []float64
	switch t.Elem {
	case Float32:
		for _, v := range t.floats {
			out = append(out, float64(v))
		}
	case Float64:
		out = append(out, t.doubles...)
	case Bool, Uint8, Int8, Uint16, Int16, Int32, Int64, Uint32, Uint64:
		for _, v := range t.ints {
			out = append(out, float64(v))
		}
	default:
		return nil, fmt.Errorf("the tensor %q has elements of type %d", t.Name, t.Elem)
	}
	return out, t.fits(n, len(out))
}

func (t *Tensor) fits(want, have int) error {
	if want != have {
		return fmt.Errorf("the tensor %q has %d elements for the dimensions %v", t.Name, have, t.Dims)
	}
	return nil
}

// rawNumbers reads elements of fixed width.
func (t *Tensor) rawNumbers(n int) ([]float64, error) {
	width := map[int64]int{
		Float32: 4, Float64: 8, Bool: 1, Uint8: 1, Int8: 1, Uint16: 2, Int16: 2, Int32: 4, Int64: 8, Uint32: 4, Uint64: 8,
	}[t.Elem]
	if width == 0 {
		return nil, fmt.Errorf("the tensor %q has elements of type %d", t.Name, t.Elem)
	}
	if err := t.fits(n*width, len(t.raw)); err != nil {
		return nil, err
	}
	out := make([]float64, n)
	for i := range out {
		b := t.raw[i*width : (i+1)*width]
		switch t.Elem {
		case Float32:
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
		case Float64:
			out[i] = math.Float64frombits(binary.LittleEndian.Uint64(b))
		case Bool, Uint8:
			out[i] = float64(b[0])
		case Int8:
			out[i] = float64(int8(b[0]))
		case Uint16:
			out[i] = float64(binary.LittleEndian.Uint16(b))
		case Int16:
			out[i] = float64(int16(binary.LittleEndian.Uint16(b)))
		case Int32:
			out[i] = float64(int32(binary.LittleEndian.Uint32(b)))
		case Uint32:
			out[i] = float64(binary.LittleEndian.Uint32(b))
		case Int64:
			out[i] = float64(int64(binary.LittleEndian.Uint64(b)))
		case Uint64:
			out[i] = float64(binary.LittleEndian.Uint64(b))
		}
	}
	return out, nil
}

// Texts returns the elements of a tensor of strings.
func (t *Tensor) Texts() ([][]byte, error) {
	n, err := t.Len()
	if err == nil && t.Elem != String {
		err = fmt.Errorf("the tensor %q has elements of type %d", t.Name, t.Elem)
	}
	if err == nil {
		err = t.fits(n, len(t.strings))
	}
	return t.strings, err
}

func readAttr(data []byte) (Attr, error) {
	var a Attr
	err := fields(data, func(f field) (err error) {
		switch f.num {
		case 1:
			a.Name = string(f.data)
		case 2:
			a.Float = math.Float32frombits(uint32(f.bits))
		case 3:
			a.Int = int64(f.bits)
		case 4:
			a.Bytes = f.data
		case 5:
			t, err := readTensor(f.data)
			a.Tensor = &t
			return err
		case 7:
			a.Floats, err = floats(a.Floats, f)
		case 8:
			a.Ints, err = varints(a.Ints, f)
		case 9:
			a.Strings = append(a.Strings, f.data)
		case 20:
			a.Kind = int64(f.bits)
		case 6, 10, 11, 14, 15, 22, 23:
			err = errors.New("an attribute is a graph, a type or a list of tensors")
		}
		return err
	})
	return a, err
}

// readValue reads an input or output with its type.
func readValue(data []byte) (Value, error) {
	var v Value
	err := fields(data, func(f field) error {
		switch f.num {
		case 1:
			v.Name = string(f.data)
		case 2:
			return fields(f.data, func(f field) error {
				switch f.num {
				case 1:
					return v.tensor(f.data)
				case 4:
					v.Sequence = true
				}
				return nil
			})
		}
		return nil
	})
	return v, err
}

func (v *Value) tensor(data []byte) error {
	return fields(data, func(f field) error {
		switch f.num {
		case 1:
			v.Elem = int64(f.bits)
		case 2:
			v.Ranked = true
			return fields(f.data, func(f field) error {
				if len(v.Dims) >= maxDims {
					return fmt.Errorf("%q has more than %d dimensions", v.Name, maxDims)
				}
				dim := int64(-1)
				err := fields(f.data, func(f field) error {
					// A dimension of 0 is an unknown one, by old converters.
					if f.num == 1 && f.wire == 0 && f.bits > 0 && f.bits <= math.MaxInt32 {
						dim = int64(f.bits)
					}
					return nil
				})
				v.Dims = append(v.Dims, dim)
				return err
			})
		}
		return nil
	})
}
