package remote_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/remote"
)

// doubler doubles numbers, unless they are negative.
type doubler struct{}

func (doubler) Signature() serve.Signature {
	return serve.Signature{
		Inputs:  []oip.TensorMetadata{{Name: "x", Datatype: oip.FP32, Shape: []int64{-1}}},
		Outputs: []oip.TensorMetadata{{Name: "y", Datatype: oip.FP32, Shape: []int64{-1}}, {Name: "word", Datatype: oip.BYTES, Shape: []int64{-1}}},
	}
}

func (doubler) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	x := req.Input("x").FP32()
	y, words := make([]float32, len(x)), make([]string, len(x))
	for i, v := range x {
		if v < 0 {
			return serve.ErrInvalid
		}
		y[i], words[i] = 2*v, "big"
	}
	shape := []int64{int64(len(x))}
	resp.Outputs = append(resp.Outputs, oip.NewFP32("y", shape, y), oip.NewStrings("word", shape, words))
	return nil
}

func (doubler) Close() error { return nil }

// upstream is a server of ours with the model "double".
func upstream(t testing.TB) *serve.Server {
	t.Helper()
	s := serve.New(nil)
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "double", Version: "4", Model: doubler{}}))
	t.Cleanup(func() { require.NoError(t, s.Shutdown(context.Background())) })
	return s
}

func listen(t testing.TB, s *serve.Server) string {
	t.Helper()
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	return web.URL
}

func dial(t testing.TB, url string, opts *remote.Options) *remote.Model {
	t.Helper()
	m, err := remote.Dial(t.Context(), url, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

func numbers(v ...float32) *oip.InferRequest {
	return &oip.InferRequest{ID: "q", Inputs: []oip.Tensor{oip.NewFP32("x", []int64{int64(len(v))}, v)}}
}

// ask is one Infer.
func ask(ctx context.Context, m serve.Model, v ...float32) ([]float32, error) {
	var resp oip.InferResponse
	if err := m.Infer(ctx, numbers(v...), &resp); err != nil {
		return nil, err
	}
	return resp.Output("y").FP32(), nil
}
