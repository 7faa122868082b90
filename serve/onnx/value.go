package onnx

import (
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/internal/onnxpb"
	"github.com/millwright-ml/millwright/serve/oip"
)

// maxElements bounds each value of a run: the shapes in a file may multiply.
const maxElements = 1 << 24

// value is a tensor on its way through the graph. Numbers of all types are kept
// as float64, and rounded to their own type after each operator; that gives for
// one addition, multiplication or division what float32 arithmetic gives.
type value struct {
	elem  int64
	shape []int
	num   []float64
	str   [][]byte
}

func (v *value) isText() bool { return v.elem == onnxpb.String }

// length is the number of elements.
func (v *value) length() int {
	if v.isText() {
		return len(v.str)
	}
	return len(v.num)
}

// rows and columns take a value for a table; one dimension is one row.
func (v *value) table() (rows, columns int) {
	switch len(v.shape) {
	case 0:
		return 1, 1
	case 1:
		return 1, v.shape[0]
	}
	columns = 1
	for _, d := range v.shape[1:] {
		columns *= d
	}
	return v.shape[0], columns
}

// product is the number of elements of a shape.
func product(shape []int) (int, error) {
	n := 1
	for _, d := range shape {
		if d < 0 || d > maxElements || n*d > maxElements {
			return 0, fmt.Errorf("a value of the shape %v has more than %d elements: %w", shape, maxElements, errs.ErrInvalid)
		}
		n *= d
	}
	return n, nil
}

// numbers makes a value of zeros.
func numbers(elem int64, shape ...int) (*value, error) {
	n, err := product(shape)
	if err != nil {
		return nil, err
	}
	return &value{elem: elem, shape: append([]int{}, shape...), num: make([]float64, n)}, nil
}

// like makes a value of zeros of another's type and shape.
func like(v *value) *value {
	return &value{elem: v.elem, shape: v.shape, num: make([]float64, len(v.num))}
}

// round brings the numbers to what the type can hold.
func (v *value) round() *value {
	switch v.elem {
	case onnxpb.Float32:
		for i, x := range v.num {
			v.num[i] = float64(float32(x))
		}
	case onnxpb.Float64:
	default:
		for i, x := range v.num {
			v.num[i] = math.Trunc(x)
		}
	}
	return v
}

// constant makes a value of a tensor of the file.
func constant(t *onnxpb.Tensor) (*value, error) {
	v := &value{elem: t.Elem, shape: []int{}}
	for _, d := range t.Dims {
		v.shape = append(v.shape, int(d))
	}
	var err error
	if t.Elem == onnxpb.String {
		v.str, err = t.Texts()
	} else {
		v.num, err = t.Numbers()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, errs.ErrInvalid)
	}
	return v, nil
}

// datatypes are the wire's names of the types.
var datatypes = map[int64]oip.Datatype{
	onnxpb.Float32: oip.FP32, onnxpb.Float64: oip.FP64, onnxpb.Int64: oip.INT64, onnxpb.Int32: oip.INT32,
	onnxpb.String: oip.BYTES, onnxpb.Bool: oip.BOOL,
}

// fromTensor makes a value of an input.
func fromTensor(t *oip.Tensor, elem int64) *value {
	v := &value{elem: elem, shape: make([]int, len(t.Shape))}
	for i, d := range t.Shape {
		v.shape[i] = int(d)
	}
	switch elem {
	case onnxpb.String:
		v.str = t.BYTES()
	case onnxpb.Float64:
		v.num = t.FP64()
	case onnxpb.Float32:
		v.num = widen(t.FP32())
	case onnxpb.Int64:
		v.num = widen(t.INT64())
	case onnxpb.Int32:
		v.num = widen(t.INT32())
	case onnxpb.Bool:
		for _, b := range t.BOOL() {
			v.num = append(v.num, truth(b))
		}
	}
	return v
}

func widen[T float32 | int64 | int32](list []T) []float64 {
	out := make([]float64, len(list))
	for i, x := range list {
		out[i] = float64(x)
	}
	return out
}

func narrow[T float32 | int64 | int32](list []float64) []T {
	out := make([]T, len(list))
	for i, x := range list {
		out[i] = T(x)
	}
	return out
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// tensor makes an output of a value.
func (v *value) tensor(name string) (oip.Tensor, error) {
	shape := make([]int64, len(v.shape))
	for i, d := range v.shape {
		shape[i] = int64(d)
	}
	switch v.elem {
	case onnxpb.String:
		return oip.NewBYTES(name, shape, v.str), nil
	case onnxpb.Float64:
		return oip.NewFP64(name, shape, append([]float64{}, v.num...)), nil
	case onnxpb.Float32:
		return oip.NewFP32(name, shape, narrow[float32](v.num)), nil
	case onnxpb.Int64:
		return oip.NewINT64(name, shape, narrow[int64](v.num)), nil
	case onnxpb.Int32:
		return oip.NewINT32(name, shape, narrow[int32](v.num)), nil
	case onnxpb.Bool:
		out := make([]bool, len(v.num))
		for i, x := range v.num {
			out[i] = x != 0
		}
		return oip.NewBOOL(name, shape, out), nil
	}
	return oip.Tensor{}, fmt.Errorf("the output %q has elements of type %d: %w", name, v.elem, errs.ErrUnsupported)
}
