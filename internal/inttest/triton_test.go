package inttest_test

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// sums adds up the columns of x, and gives n and s back.
type sums struct{}

func (sums) Signature() serve.Signature {
	return serve.Signature{
		Inputs: []oip.TensorMetadata{
			{Name: "x", Datatype: "FP64", Shape: []int64{-1, 2}},
			{Name: "n", Datatype: "INT64", Shape: []int64{-1}},
			{Name: "s", Datatype: "BYTES", Shape: []int64{-1}},
		},
		Outputs: []oip.TensorMetadata{
			{Name: "sum", Datatype: "FP64", Shape: []int64{-1}},
			{Name: "n", Datatype: "INT64", Shape: []int64{-1}},
			{Name: "s", Datatype: "BYTES", Shape: []int64{-1}},
		},
	}
}

func (sums) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	x, n, s := req.Input("x").FP64(), req.Input("n").INT64(), req.Input("s").Strings()
	sum := make([]float64, len(n))
	for i := range sum {
		sum[i] = x[2*i] + x[2*i+1]
	}
	shape := []int64{int64(len(n))}
	resp.Outputs = append(resp.Outputs, oip.NewFP64("sum", shape, sum), oip.NewINT64("n", shape, n), oip.NewStrings("s", shape, s))
	return nil
}

func (sums) Close() error { return nil }

func TestTritonClient(t *testing.T) {
	t.Parallel()
	inttest.Python(t)
	server := serve.New(&serve.Options{Name: "millwright", Version: "test"})
	t.Cleanup(func() { require.NoError(t, server.Shutdown(context.WithoutCancel(t.Context()))) })
	require.NoError(t, server.Deploy(t.Context(), serve.Deployment{Name: "sums", Version: "3", Model: sums{}}))
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	address := strings.TrimPrefix(web.URL, "http://")

	request := filepath.Join(t.TempDir(), "request.json")
	require.NoError(t, os.WriteFile(request, []byte(`{"id": "7", "inputs": [
		{"name": "x", "datatype": "FP64", "shape": [2, 2], "data": [0.1, 0.2, 1e300, -3]},
		{"name": "n", "datatype": "INT64", "shape": [2], "data": [9007199254740993, -1]},
		{"name": "s", "datatype": "BYTES", "shape": [2], "data": ["ünï", ""]}]}`), 0o600))
	for _, version := range []string{"", "3"} {
		out, status := inttest.RunScript(t, "infer_triton.py", address, "sums", request, "--model-version", version)
		require.Zero(t, status, "%s", out)
		require.JSONEq(t, `{"live": true, "ready": true, "model_ready": true,
			"server": {"name": "millwright", "version": "test", "extensions": ["binary_tensor_data", "generate", "model_configuration", "statistics"]},
			"model": {"name": "sums", "versions": ["3"], "platform": "millwright",
				"inputs": [{"name": "x", "datatype": "FP64", "shape": [-1, 2]}, {"name": "n", "datatype": "INT64", "shape": [-1]}, {"name": "s", "datatype": "BYTES", "shape": [-1]}],
				"outputs": [{"name": "sum", "datatype": "FP64", "shape": [-1]}, {"name": "n", "datatype": "INT64", "shape": [-1]}, {"name": "s", "datatype": "BYTES", "shape": [-1]}]},
			"response": {"model_name": "sums", "model_version": "3", "id": "7", "outputs": [
				{"name": "sum", "datatype": "FP64", "shape": [2], "data": [0.30000000000000004, 1e300]},
				{"name": "n", "datatype": "INT64", "shape": [2], "data": [9007199254740993, -1]},
				{"name": "s", "datatype": "BYTES", "shape": [2], "data": ["ünï", ""]}]}}`, string(out))
		require.Contains(t, string(out), "9007199254740993", "JSONEq compares as float64")
	}

	out, status := inttest.RunScript(t, "infer_triton.py", address, "nobody", request)
	require.Equal(t, 3, status)
	require.Contains(t, string(out), `"status": "404"`)
	require.Contains(t, string(out), "nobody")
}
