package onnx_test

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/onnx"
)

// written is a tensor as testdata/graphs.py wrote it; its numbers are texts.
type written struct {
	Name, Datatype string
	Shape          []int64
	Data           []string
}

func (w *written) tensor(t testing.TB) oip.Tensor {
	t.Helper()
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		require.NoError(t, err)
		return v
	}
	switch oip.Datatype(w.Datatype) {
	case oip.FP32:
		return oip.NewFP32(w.Name, w.Shape, each(w.Data, func(s string) float32 { return float32(number(s)) }))
	case oip.FP64:
		return oip.NewFP64(w.Name, w.Shape, each(w.Data, number))
	case oip.INT64:
		return oip.NewINT64(w.Name, w.Shape, each(w.Data, func(s string) int64 { return int64(number(s)) }))
	case oip.INT32:
		return oip.NewINT32(w.Name, w.Shape, each(w.Data, func(s string) int32 { return int32(number(s)) }))
	case oip.BOOL:
		return oip.NewBOOL(w.Name, w.Shape, each(w.Data, func(s string) bool { return s == "True" }))
	}
	return oip.NewStrings(w.Name, w.Shape, w.Data)
}

func each[T any](list []string, f func(string) T) []T {
	out := make([]T, len(list))
	for i, s := range list {
		out[i] = f(s)
	}
	return out
}

// flat returns a tensor's elements as texts, or as numbers.
func flat(t testing.TB, x *oip.Tensor) (texts []string, numbers []float64) {
	t.Helper()
	switch data := x.Data().(type) {
	case []float32:
		for _, v := range data {
			numbers = append(numbers, float64(v))
		}
	case []float64:
		numbers = data
	case []int64:
		for _, v := range data {
			numbers = append(numbers, float64(v))
		}
	case []int32:
		for _, v := range data {
			numbers = append(numbers, float64(v))
		}
	case []bool:
		texts = strings.Fields(strings.Trim(fmt.Sprint(data), "[]"))
	case [][]byte:
		texts = x.Strings()
	default:
		require.Failf(t, "data", "%T", data)
	}
	return texts, numbers
}

// tolerance is what the answers may differ by, of their size or at all: a runtime
// sums in float32.
const tolerance = 2e-5

// TestGraphs answers ONNX's own cases of the operators, and pipelines of
// scikit-learn as ONNX Runtime answered them.
func TestGraphs(t *testing.T) {
	t.Parallel()
	z, err := zip.OpenReader("testdata/graphs.zip")
	require.NoError(t, err)
	t.Cleanup(func() { _ = z.Close() })
	names, err := fs.Glob(z, "*/*")
	require.NoError(t, err)
	require.Greater(t, len(names), 120)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, err := fs.Sub(z, name)
			require.NoError(t, err)
			answer(t, files)
		})
	}
}

func answer(t *testing.T, files fs.FS) {
	raw, err := fs.ReadFile(files, "case.json")
	require.NoError(t, err)
	var c struct{ Inputs, Outputs []written }
	require.NoError(t, json.Unmarshal(raw, &c))
	m, err := onnx.Load(files, nil)
	require.NoError(t, err)
	req := &oip.InferRequest{}
	for i := range c.Inputs {
		req.Inputs = append(req.Inputs, c.Inputs[i].tensor(t))
	}
	resp := &oip.InferResponse{}
	require.NoError(t, m.Infer(t.Context(), req, resp))
	require.Len(t, resp.Outputs, len(c.Outputs))
	for i := range c.Outputs {
		want, got := c.Outputs[i].tensor(t), &resp.Outputs[i]
		require.Equal(t, want.Name, got.Name)
		require.Equal(t, want.Datatype, got.Datatype)
		require.Equal(t, append([]int64{}, want.Shape...), append([]int64{}, got.Shape...))
		texts, numbers := flat(t, &want)
		gotTexts, gotNumbers := flat(t, got)
		require.Equal(t, texts, gotTexts)
		require.Len(t, gotNumbers, len(numbers))
		for j, w := range numbers {
			g := gotNumbers[j]
			if g != w && !(math.IsNaN(g) && math.IsNaN(w)) && !(math.Abs(g-w) <= tolerance*max(1, math.Abs(w))) {
				require.Failf(t, "different", "%s: number %d is %v in the place of %v", want.Name, j, g, w)
			}
		}
	}
}
