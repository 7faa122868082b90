package servetest_test

import (
	"context"
	"iter"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// echo answers with its inputs: one of each datatype, or a matrix.
type echo struct{ list []oip.TensorMetadata }

// everything has an input of each datatype.
func everything() echo {
	var e echo
	for _, d := range []oip.Datatype{
		oip.BOOL, oip.UINT8, oip.UINT16, oip.UINT32, oip.UINT64, oip.INT8, oip.INT16, oip.INT32, oip.INT64,
		oip.FP16, oip.BF16, oip.FP32, oip.FP64, oip.BYTES,
	} {
		e.list = append(e.list, oip.TensorMetadata{Name: "x_" + string(d), Datatype: d, Shape: []int64{-1}})
	}
	return e
}

// matrices has two inputs of rows.
func matrices() echo {
	return echo{[]oip.TensorMetadata{
		{Name: "x", Datatype: oip.FP32, Shape: []int64{-1, 3}},
		{Name: "s", Datatype: oip.BYTES, Shape: []int64{-1, 1}},
	}}
}

func (e echo) Signature() serve.Signature { return serve.Signature{Inputs: e.list, Outputs: e.list} }

func (echo) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	resp.Outputs = append(resp.Outputs, req.Inputs...)
	return nil
}

func (echo) Close() error { return nil }

// words streams the letters of a text.
type words struct{}

func (words) Signature() serve.Signature {
	return serve.Signature{
		Inputs:  []oip.TensorMetadata{{Name: "text_input", Datatype: oip.BYTES, Shape: []int64{1}}},
		Outputs: []oip.TensorMetadata{{Name: "text_output", Datatype: oip.BYTES, Shape: []int64{1}}},
	}
}

func (words) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	resp.Outputs = append(resp.Outputs, oip.NewStrings("text_output", []int64{1}, req.Inputs[0].Strings()))
	return nil
}

func (words) Stream(_ context.Context, req *oip.InferRequest) iter.Seq2[*oip.InferResponse, error] {
	return func(yield func(*oip.InferResponse, error) bool) {
		for _, r := range req.Inputs[0].Strings()[0] {
			if !yield(&oip.InferResponse{Outputs: []oip.Tensor{oip.NewStrings("text_output", []int64{1}, []string{string(r)})}}, nil) {
				return
			}
		}
	}
}

func (words) Close() error { return nil }

// shelf is a repository with one model, which may be loaded.
type shelf struct{}

func (shelf) Index(context.Context) ([]oip.ModelIndex, error) {
	return []oip.ModelIndex{{Name: "matrices", Version: "1", State: oip.StateReady}}, nil
}

func (shelf) Load(_ context.Context, name string, _ map[string]any) error {
	if name != "matrices" {
		return serve.ErrNotFound
	}
	return nil
}

func (shelf) Unload(context.Context, string, map[string]any) error { return nil }
