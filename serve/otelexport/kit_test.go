package otelexport_test

import (
	"context"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// double is a model of one number a row. Its call is made in each Infer.
type double struct {
	call func(ctx context.Context) error
}

func (*double) Signature() serve.Signature {
	return serve.Signature{
		Inputs:  []oip.TensorMetadata{{Name: "x", Datatype: oip.FP64, Shape: []int64{-1, 1}}},
		Outputs: []oip.TensorMetadata{{Name: "y", Datatype: oip.FP64, Shape: []int64{-1}}},
	}
}

func (m *double) Infer(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	if m.call != nil {
		if err := m.call(ctx); err != nil {
			return err
		}
	}
	x := req.Inputs[0].FP64()
	y := make([]float64, len(x))
	for i := range x {
		y[i] = 2 * x[i]
	}
	resp.Outputs = append(resp.Outputs, oip.NewFP64("y", []int64{int64(len(y))}, y))
	return nil
}

func (*double) Close() error { return nil }

// rows is a request of n rows.
func rows(n int) *oip.InferRequest {
	return &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP64("x", []int64{int64(n), 1}, make([]float64, n))}}
}
