package onnx_test

import (
	"archive/zip"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/onnx"
)

// FuzzParse: a hostile file is refused with a reason, or it answers or refuses the
// request.
func FuzzParse(f *testing.F) {
	z, err := zip.OpenReader("testdata/graphs.zip")
	require.NoError(f, err)
	names, err := fs.Glob(z, "*/*/model.onnx")
	require.NoError(f, err)
	for _, name := range names {
		data, err := fs.ReadFile(z, name)
		require.NoError(f, err)
		if len(data) < 3000 {
			f.Add(data)
		}
	}
	require.NoError(f, z.Close())
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := onnx.Parse(data, nil)
		if err != nil {
			if !errors.Is(err, onnx.ErrInvalid) && !errors.Is(err, onnx.ErrUnsupported) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		req := &oip.InferRequest{}
		for _, in := range m.Signature().Inputs {
			shape, n := []int64{}, 1
			for _, d := range in.Shape {
				if d < 0 {
					d = 2
				}
				if n *= int(d); n > 1<<16 {
					return
				}
				shape = append(shape, d)
			}
			if in.Datatype == oip.BYTES {
				req.Inputs = append(req.Inputs, oip.NewStrings(in.Name, shape, strings.Split(strings.Repeat("a ", n), " ")[:n]))
			} else {
				req.Inputs = append(req.Inputs, oip.NewFP32(in.Name, shape, make([]float32, n)))
			}
		}
		_ = m.Infer(t.Context(), req, &oip.InferResponse{})
	})
}
