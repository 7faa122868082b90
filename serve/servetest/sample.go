package servetest

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"

	"github.com/millwright-ml/millwright/serve/oip"
)

// madeUp is a request that fits the model's metadata.
func madeUp(m *oip.ModelMetadata) (*oip.InferRequest, error) {
	if len(m.Inputs) == 0 {
		return nil, fmt.Errorf("the metadata has no inputs, set Options.Sample: %w", ErrInvalid)
	}
	r := &oip.InferRequest{ID: "servetest"}
	for _, in := range m.Inputs {
		shape := make([]int64, len(in.Shape))
		n := int64(1)
		for i, d := range in.Shape {
			if d < 0 {
				d = 2
			}
			shape[i] = d
			if n *= d; n > 1<<20 {
				return nil, fmt.Errorf("input %q has shape %v, which is large, set Options.Sample: %w", in.Name, in.Shape, ErrInvalid)
			}
		}
		t, err := filled(in.Name, in.Datatype, shape, int(n))
		if err != nil {
			return nil, err
		}
		r.Inputs = append(r.Inputs, t)
	}
	return r, nil
}

// filled is a tensor of small numbers, exact in each datatype.
func filled(name string, d oip.Datatype, shape []int64, n int) (oip.Tensor, error) {
	data := make([]byte, 0, n)
	switch d {
	case oip.BYTES:
		text := make([]string, n)
		for i := range text {
			text[i] = fmt.Sprint("text ", i)
		}
		return oip.NewStrings(name, shape, text), nil
	case oip.FP32:
		list := make([]float32, n)
		for i := range list {
			list[i] = float32(i%7) / 4
		}
		return oip.NewFP32(name, shape, list), nil
	case oip.FP64:
		list := make([]float64, n)
		for i := range list {
			list[i] = float64(i%7) / 4
		}
		return oip.NewFP64(name, shape, list), nil
	}
	size := d.Size()
	if size == 0 {
		return oip.Tensor{}, fmt.Errorf("input %q has datatype %q, which the protocol does not have: %w", name, d, ErrInvalid)
	}
	for i := range n {
		// The lowest byte first: 0 and 1 are good for bools as well.
		data = append(data, byte(i&1))
		data = append(data, make([]byte, size-1)...)
	}
	return oip.FromRaw(name, d, shape, data, nil)
}

// extremes are the values of a datatype that are lost first, two rows of two for
// the shape [-1,-1]. binary has those that JSON cannot carry.
func extremes(name string, d oip.Datatype, dims int, binary bool) (oip.Tensor, bool) {
	shape := []int64{4}
	if dims == 2 {
		shape = []int64{2, 2}
	}
	var data any
	switch d {
	case oip.BOOL:
		data = []bool{true, false, false, true}
	case oip.UINT8:
		data = []uint8{0, 1, 127, 255}
	case oip.UINT16:
		data = []uint16{0, 1, 32768, math.MaxUint16}
	case oip.UINT32:
		data = []uint32{0, 1, 1 << 31, math.MaxUint32}
	case oip.UINT64:
		data = []uint64{0, 1<<53 + 1, 1 << 63, math.MaxUint64}
	case oip.INT8:
		data = []int8{0, -1, -128, 127}
	case oip.INT16:
		data = []int16{0, -1, math.MinInt16, math.MaxInt16}
	case oip.INT32:
		data = []int32{0, -1, math.MinInt32, math.MaxInt32}
	case oip.INT64:
		data = []int64{-1, 1<<53 + 1, math.MinInt64, math.MaxInt64}
	case oip.FP32:
		data = []float32{0.1, -math.MaxFloat32, math.SmallestNonzeroFloat32, 16777217}
		if binary {
			data = []float32{0.1, float32(math.Inf(-1)), float32(math.NaN()), float32(math.Copysign(0, -1))}
		}
	case oip.FP64:
		data = []float64{0.1, -math.MaxFloat64, math.SmallestNonzeroFloat64, 1<<53 - 1}
		if binary {
			data = []float64{0.1, math.Inf(-1), math.NaN(), math.Copysign(0, -1)}
		}
	case oip.FP16, oip.BF16:
		data = []uint16{0x0001, 0x3c00, 0xfc00, 0x7bff}
	case oip.BYTES:
		data = [][]byte{{}, []byte("ünï \"\\\n\x01 😀"), []byte("plain"), []byte(" ")}
		if binary {
			data = [][]byte{{}, {0xff, 0, 0xfe}, []byte("plain"), {0}}
		}
	default:
		return oip.Tensor{}, false
	}
	return oip.New(name, d, shape, data), binary || d.HasJSON()
}

// nested is the JSON of a request with data nested as the shape says.
func nested(r *oip.InferRequest) ([]byte, error) {
	type tensor struct {
		Name     string       `json:"name"`
		Shape    []int64      `json:"shape"`
		Datatype oip.Datatype `json:"datatype"`
		Data     any          `json:"data"`
	}
	list := make([]tensor, len(r.Inputs))
	for i := range r.Inputs {
		t := &r.Inputs[i]
		flat := make([]any, t.Len())
		v := reflect.ValueOf(t.Data())
		for j := range flat {
			flat[j] = v.Index(j).Interface()
			if b, ok := flat[j].([]byte); ok {
				flat[j] = string(b)
			}
		}
		data := any(flat)
		if len(t.Shape) > 1 {
			data, _ = nest(flat, t.Shape)
		}
		list[i] = tensor{t.Name, t.Shape, t.Datatype, data}
	}
	return json.Marshal(map[string]any{"id": r.ID, "inputs": list})
}

// nest takes as many elements as the shape has, and returns the rest.
func nest(flat []any, shape []int64) (any, []any) {
	if len(shape) == 0 {
		return flat[0], flat[1:]
	}
	list := make([]any, shape[0])
	for i := range list {
		list[i], flat = nest(flat, shape[1:])
	}
	return list, flat
}
