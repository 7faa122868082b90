package inttest

import (
	"archive/zip"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/onnx"
)

// onnxTensor is a tensor as serve/onnx/testdata/graphs.py wrote it; its numbers are
// texts.
type onnxTensor struct {
	Name, Datatype string
	Shape          []int64
	Data           []string
}

// TestONNX has scikit-learn train pipelines, skl2onnx convert them and ONNX Runtime
// answer all rows, and compares what serve/onnx answers to the same files.
func TestONNX(t *testing.T) {
	t.Parallel()
	python := TreesPython(t)
	archive := filepath.Join(t.TempDir(), "fresh.zip")
	script := filepath.Join(repository(t), "serve", "onnx", "testdata", "graphs.py")
	cmd := exec.CommandContext(t.Context(), python, script, archive, "fresh")
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.WaitDelay = 10 * time.Second
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, string(said))
	z, err := zip.OpenReader(archive)
	require.NoError(t, err)
	t.Cleanup(func() { _ = z.Close() })
	names, err := fs.Glob(z, "pipeline/*")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(names), 20)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, err := fs.Sub(z, name)
			require.NoError(t, err)
			onnxCase(t, files)
		})
	}
}

func onnxCase(t *testing.T, files fs.FS) {
	raw, err := fs.ReadFile(files, "case.json")
	require.NoError(t, err)
	var c struct{ Inputs, Outputs []onnxTensor }
	require.NoError(t, json.Unmarshal(raw, &c))
	m, err := onnx.Load(files, nil)
	require.NoError(t, err)
	req, resp := &oip.InferRequest{}, &oip.InferResponse{}
	for _, in := range c.Inputs {
		if in.Datatype == "BYTES" {
			req.Inputs = append(req.Inputs, oip.NewStrings(in.Name, in.Shape, in.Data))
			continue
		}
		require.Equal(t, "FP32", in.Datatype)
		data := make([]float32, len(in.Data))
		for i, v := range onnxNumbers(t, in.Data) {
			data[i] = float32(v)
		}
		req.Inputs = append(req.Inputs, oip.NewFP32(in.Name, in.Shape, data))
	}
	require.NoError(t, m.Infer(t.Context(), req, resp))
	require.Len(t, resp.Outputs, len(c.Outputs))
	// The scores come last. A class whose score is another's, but for the rounding,
	// may be either.
	last := len(c.Outputs) - 1
	scores := onnxNumbers(t, c.Outputs[last].Data)
	for i, want := range c.Outputs {
		got := &resp.Outputs[i]
		require.Equal(t, want.Name, got.Name)
		require.Equal(t, oip.Datatype(want.Datatype), got.Datatype)
		require.Equal(t, want.Shape, got.Shape)
		switch data := got.Data().(type) {
		case []float32:
			for k, w := range onnxNumbers(t, want.Data) {
				require.InDelta(t, w, float64(data[k]), 2e-5*max(1, math.Abs(w)), "%s: number %d", want.Name, k)
			}
		case []int64:
			for k, v := range data {
				onnxLabel(t, want.Data[k], strconv.FormatInt(v, 10), scores, k, len(data))
			}
		case [][]byte:
			for k, v := range data {
				onnxLabel(t, want.Data[k], string(v), scores, k, len(data))
			}
		default:
			require.Failf(t, "data", "%s: %T", want.Name, data)
		}
	}
}

func onnxNumbers(t *testing.T, texts []string) []float64 {
	t.Helper()
	out := make([]float64, len(texts))
	for i, s := range texts {
		v, err := strconv.ParseFloat(s, 64)
		require.NoError(t, err)
		out[i] = v
	}
	return out
}

// onnxLabel compares the class of a row. Where it is another one, the two best
// scores are the same but for the rounding.
func onnxLabel(t *testing.T, want, got string, scores []float64, row, rows int) {
	t.Helper()
	if want == got {
		return
	}
	best, second := math.Inf(-1), math.Inf(-1)
	width := len(scores) / rows
	for _, v := range scores[row*width : (row+1)*width] {
		best, second = max(best, v), max(second, min(best, v))
	}
	require.InDelta(t, best, second, 1e-4, "row %d is %s in the place of %s", row, got, want)
}
