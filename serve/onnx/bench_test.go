package onnx_test

import (
	"archive/zip"
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/onnx"
)

// pipeline opens a case of testdata/graphs.zip with its request.
func pipeline(t testing.TB, name string) (*onnx.Model, *oip.InferRequest) {
	t.Helper()
	z, err := zip.OpenReader("testdata/graphs.zip")
	require.NoError(t, err)
	defer func() { _ = z.Close() }() // Only read.
	files, err := fs.Sub(z, "pipeline/"+name)
	require.NoError(t, err)
	raw, err := fs.ReadFile(files, "case.json")
	require.NoError(t, err)
	var c struct{ Inputs []written }
	require.NoError(t, json.Unmarshal(raw, &c))
	m, err := onnx.Load(files, nil)
	require.NoError(t, err)
	return m, &oip.InferRequest{Inputs: []oip.Tensor{c.Inputs[0].tensor(t)}}
}

// What a request costs in allocations depends on the graph, not on the rows.
func TestInferAllocations(t *testing.T) {
	for name, most := range map[string]float64{"logistic": 60, "net": 160} {
		m, req := pipeline(t, name)
		allocations := testing.AllocsPerRun(50, func() {
			if err := m.Infer(t.Context(), req, &oip.InferResponse{}); err != nil {
				t.Fatal(err)
			}
		})
		require.LessOrEqual(t, allocations, most, name)
	}
}

func BenchmarkInfer(b *testing.B) {
	for _, name := range []string{"logistic", "net"} {
		b.Run(name, func(b *testing.B) {
			m, req := pipeline(b, name)
			rows := float64(req.Inputs[0].Shape[0])
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Infer(b.Context(), req, &oip.InferResponse{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
		})
	}
}
