package onnxpb_test

import (
	"archive/zip"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/internal/onnxpb"
)

func model(t testing.TB) []byte {
	t.Helper()
	z, err := zip.OpenReader("../../onnx/testdata/graphs.zip")
	require.NoError(t, err)
	defer func() { _ = z.Close() }() // Only read.
	data, err := fs.ReadFile(z, "pipeline/logistic/model.onnx")
	require.NoError(t, err)
	return data
}

func TestParse(t *testing.T) {
	t.Parallel()
	data := model(t)
	m, err := onnxpb.Parse(data)
	require.NoError(t, err)
	require.Equal(t, int64(17), m.Opsets[""])
	require.Positive(t, m.Opsets["ai.onnx.ml"])
	require.Equal(t, "Scaler", m.Graph.Nodes[0].Op)
	require.Len(t, m.Graph.Inputs, 1)
	require.Equal(t, []int64{-1, 30}, m.Graph.Inputs[0].Dims)
	refused := 0
	for i := range data { // Some ends are those of a field.
		if _, err := onnxpb.Parse(data[:i]); err != nil {
			require.ErrorIs(t, err, errs.ErrInvalid)
			refused++
		}
	}
	require.Greater(t, refused, len(data)*9/10)
}

// Lengths and counts are checked before memory is taken for them.
func TestRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a graph of 10^9 bytes":  "\x3a\x80\x94\xeb\xdc\x03",
		"a length that wraps":    "\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"a number without end":   "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"field 0":                "\x00\x00",
		"a group":                "\x0b\x0c",
		"a graph that is a text": "\x3a\x03abc",
	} {
		_, err := onnxpb.Parse([]byte(text))
		require.ErrorIs(t, err, errs.ErrInvalid, name)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(model(f))
	f.Add([]byte("\x3a\x02\x0a\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := onnxpb.Parse(data); err != nil {
			require.ErrorIs(t, err, errs.ErrInvalid)
		}
	})
}
