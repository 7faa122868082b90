package serve

import (
	"slices"

	"github.com/millwright-ml/millwright/serve/oip"
)

// slice returns the rows of a tensor from one to before another, without a copy
// of the data.
func slice(t *oip.Tensor, from, to int64) oip.Tensor {
	shape := slices.Clone(t.Shape)
	shape[0] = to - from
	n := max(t.Shape[0], 1)
	switch t.Datatype {
	case oip.FP32:
		return cut(t, shape, t.FP32(), from, to, n)
	case oip.FP64:
		return cut(t, shape, t.FP64(), from, to, n)
	case oip.INT64:
		return cut(t, shape, t.INT64(), from, to, n)
	case oip.INT32:
		return cut(t, shape, t.INT32(), from, to, n)
	case oip.INT16:
		return cut(t, shape, t.INT16(), from, to, n)
	case oip.INT8:
		return cut(t, shape, t.INT8(), from, to, n)
	case oip.UINT64:
		return cut(t, shape, t.UINT64(), from, to, n)
	case oip.UINT32:
		return cut(t, shape, t.UINT32(), from, to, n)
	case oip.UINT16:
		return cut(t, shape, t.UINT16(), from, to, n)
	case oip.UINT8:
		return cut(t, shape, t.UINT8(), from, to, n)
	case oip.FP16:
		return cut(t, shape, t.FP16(), from, to, n)
	case oip.BF16:
		return cut(t, shape, t.BF16(), from, to, n)
	case oip.BOOL:
		return cut(t, shape, t.BOOL(), from, to, n)
	}
	return cut(t, shape, t.BYTES(), from, to, n)
}

// cut cuts rows out of a tensor of n rows.
func cut[T any](t *oip.Tensor, shape []int64, data []T, from, to, n int64) oip.Tensor {
	width := int64(len(data)) / n
	out := oip.New(t.Name, t.Datatype, shape, data[from*width:to*width:to*width])
	out.Parameters, out.Binary = t.Parameters, t.Binary
	return out
}

// join puts the rows of tensors, which agree in all but their number, into one.
func join(list []*oip.Tensor) oip.Tensor {
	first := list[0]
	if len(list) == 1 {
		return *first
	}
	shape := slices.Clone(first.Shape)
	shape[0] = 0
	for _, t := range list {
		shape[0] += t.Shape[0]
	}
	var data any
	switch first.Datatype {
	case oip.FP32:
		data = concat(list, (*oip.Tensor).FP32)
	case oip.FP64:
		data = concat(list, (*oip.Tensor).FP64)
	case oip.INT64:
		data = concat(list, (*oip.Tensor).INT64)
	case oip.INT32:
		data = concat(list, (*oip.Tensor).INT32)
	case oip.INT16:
		data = concat(list, (*oip.Tensor).INT16)
	case oip.INT8:
		data = concat(list, (*oip.Tensor).INT8)
	case oip.UINT64:
		data = concat(list, (*oip.Tensor).UINT64)
	case oip.UINT32:
		data = concat(list, (*oip.Tensor).UINT32)
	case oip.UINT16:
		data = concat(list, (*oip.Tensor).UINT16)
	case oip.UINT8:
		data = concat(list, (*oip.Tensor).UINT8)
	case oip.FP16:
		data = concat(list, (*oip.Tensor).FP16)
	case oip.BF16:
		data = concat(list, (*oip.Tensor).BF16)
	case oip.BOOL:
		data = concat(list, (*oip.Tensor).BOOL)
	default:
		data = concat(list, (*oip.Tensor).BYTES)
	}
	out := oip.New(first.Name, first.Datatype, shape, data)
	out.Parameters = first.Parameters
	return out
}

func concat[T any](list []*oip.Tensor, view func(*oip.Tensor) []T) []T {
	n := 0
	for _, t := range list {
		n += len(view(t))
	}
	all := make([]T, 0, n)
	for _, t := range list {
		all = append(all, view(t)...)
	}
	return all
}

// sliceRequest returns rows of a checked request whose inputs all have rows.
func sliceRequest(r *oip.InferRequest, from, to int64) *oip.InferRequest {
	part := *r
	part.Inputs = make([]oip.Tensor, len(r.Inputs))
	for i := range r.Inputs {
		part.Inputs[i] = slice(&r.Inputs[i], from, to)
	}
	return &part
}

// joinRequests makes one request of several that are mergeable.
func joinRequests(list []*oip.InferRequest) *oip.InferRequest {
	all := *list[0]
	all.Inputs = make([]oip.Tensor, len(all.Inputs))
	tensors := make([]*oip.Tensor, len(list))
	for i := range all.Inputs {
		for j, r := range list {
			tensors[j] = input(r, list[0].Inputs[i].Name, i)
		}
		all.Inputs[i] = join(tensors)
	}
	for _, r := range list[1:] {
		// Outputs that are not the same for all are all outputs.
		if !slices.EqualFunc(all.Outputs, r.Outputs, func(o, p oip.RequestedOutput) bool { return o.Name == p.Name }) {
			all.Outputs = nil
			break
		}
	}
	return &all
}

// joinResponses makes the answer to a request of the answers to its parts.
func joinResponses(resp *oip.InferResponse, list []oip.InferResponse) {
	tensors := make([]*oip.Tensor, len(list))
	for i := range list[0].Outputs {
		for j := range list {
			tensors[j] = list[j].Output(list[0].Outputs[i].Name)
		}
		// One that was not asked for may be missing in some parts.
		if !slices.Contains(tensors, nil) {
			resp.Outputs = append(resp.Outputs, join(tensors))
		}
	}
	resp.Parameters = list[0].Parameters
}
