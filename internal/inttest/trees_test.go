package inttest

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/trees"
)

// TreesPython returns the interpreter of the environment with XGBoost, LightGBM,
// CatBoost, scikit-learn, skl2onnx and ONNX Runtime.
func TreesPython(t testing.TB) string {
	t.Helper()
	return provisioned(t, "the Python environment of the tree libraries", filepath.Join("trees-venv", "bin", "python"))
}

// TestTrees has the libraries train models on real data and compares what they
// answer to thousands of rows, with holes and categories: sums to the last bit,
// answers as well, but for CatBoost's, which has an exponential of its own.
func TestTrees(t *testing.T) {
	t.Parallel()
	python := TreesPython(t)
	dir := t.TempDir()
	script := filepath.Join(repository(t), "serve", "trees", "testdata", "models.py")
	cmd := exec.CommandContext(t.Context(), python, script, dir, "fresh")
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.WaitDelay = 10 * time.Second
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, string(said))
	cases, err := filepath.Glob(filepath.Join(dir, "*", "*", "case.json"))
	require.NoError(t, err)
	require.Greater(t, len(cases), 70)
	for _, c := range cases {
		folder := filepath.Dir(c)
		name, err := filepath.Rel(dir, folder)
		require.NoError(t, err)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			treesCase(t, folder)
		})
	}
}

func treesCase(t *testing.T, folder string) {
	var c struct {
		Model          string
		Rows, Features int
	}
	raw, err := os.ReadFile(filepath.Join(folder, "case.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &c))
	rows, found := treesNumbers(t, filepath.Join(folder, "rows"))
	require.True(t, found)
	for _, what := range []string{"margin", "predict"} {
		want, found := treesNumbers(t, filepath.Join(folder, what))
		if !found { // ONNX has no sums.
			continue
		}
		m, err := trees.Load(os.DirFS(folder), &trees.Options{File: c.Model, Margin: what == "margin"})
		require.NoError(t, err)
		got := make([]float64, c.Rows*m.Outputs())
		m.Predict(got, rows)
		treesSame(t, what, m.Library(), want, got)
		for i := range c.Rows {
			m.Predict(got[i*m.Outputs():(i+1)*m.Outputs()], rows[i*c.Features:(i+1)*c.Features])
		}
		treesSame(t, what, m.Library(), want, got)
	}
}

func treesSame(t *testing.T, what, library string, want, got []float64) {
	t.Helper()
	require.Len(t, got, len(want))
	tolerance := 0.0
	if library == "catboost" && what == "predict" {
		tolerance = 1e-14
	}
	for i, w := range want {
		if got[i] != w && !(math.Abs(got[i]-w) <= tolerance*math.Abs(w)) {
			require.Failf(t, "different", "%s: number %d is %v in the place of %v", what, i, got[i], w)
		}
	}
}

// treesNumbers reads a file of numbers; its name ends with their type.
func treesNumbers(t *testing.T, path string) (out []float64, found bool) {
	t.Helper()
	if raw, err := os.ReadFile(path + ".f32"); err == nil {
		for ; len(raw) > 0; raw = raw[4:] {
			out = append(out, float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))))
		}
		return out, true
	}
	raw, err := os.ReadFile(path + ".f64")
	for ; len(raw) > 0; raw = raw[8:] {
		out = append(out, math.Float64frombits(binary.LittleEndian.Uint64(raw)))
	}
	return out, err == nil
}
