package trees_test

import (
	"archive/zip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/trees"
)

// libraryCase is one folder that testdata/models.py wrote.
type libraryCase struct {
	Model          string
	Features, Rows int
	Labels         []any

	rows  []float64
	files fs.FS
}

func openCase(t testing.TB, files fs.FS) *libraryCase {
	t.Helper()
	c := &libraryCase{files: files}
	raw, err := fs.ReadFile(files, "case.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, c))
	c.rows = numbers(t, files, "rows.f64")
	require.Len(t, c.rows, c.Rows*c.Features)
	return c
}

// numbers reads a file of numbers; its name says their type.
func numbers(t testing.TB, files fs.FS, name string) []float64 {
	t.Helper()
	raw, err := fs.ReadFile(files, name)
	require.NoError(t, err)
	var out []float64
	for len(raw) > 0 {
		if name[len(name)-2:] == "32" {
			out = append(out, float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))))
			raw = raw[4:]
		} else {
			out = append(out, math.Float64frombits(binary.LittleEndian.Uint64(raw)))
			raw = raw[8:]
		}
	}
	return out
}

// answers are what the library said.
func (c *libraryCase) answers(t testing.TB, what string) []float64 {
	t.Helper()
	if _, err := fs.Stat(c.files, what+".f32"); err == nil {
		return numbers(t, c.files, what+".f32")
	}
	return numbers(t, c.files, what+".f64")
}

// catTolerance is how far CatBoost's answers may be off: it has an exponential of
// its own. Its sums are the same to the last bit.
const catTolerance = 1e-14

// same requires that all numbers are the same, to the last bit without a tolerance.
func same(t testing.TB, want, got []float64, tolerance float64) {
	t.Helper()
	require.Len(t, got, len(want))
	different, first := 0, ""
	for i := range want {
		if want[i] != got[i] && !(math.Abs(want[i]-got[i]) <= tolerance*math.Abs(want[i])) {
			if different == 0 {
				first = fmt.Sprintf("number %d is %v in the place of %v", i, got[i], want[i])
			}
			different++
		}
	}
	require.Zero(t, different, first)
}

// TestLibraries compares with what the libraries answered, to the last bit.
func TestLibraries(t *testing.T) {
	t.Parallel()
	packed, err := filepath.Glob("testdata/*.zip")
	require.NoError(t, err)
	require.NotEmpty(t, packed)
	for _, name := range packed {
		z, err := zip.OpenReader(name)
		require.NoError(t, err)
		t.Cleanup(func() { _ = z.Close() })
		cases, err := fs.ReadDir(z, ".")
		require.NoError(t, err)
		for _, c := range cases {
			files, err := fs.Sub(z, c.Name())
			require.NoError(t, err)
			t.Run(filepath.Base(name)+"/"+c.Name(), func(t *testing.T) {
				t.Parallel()
				compare(t, openCase(t, files))
			})
		}
	}
}

// compare has a case answered in one call, and row by row, as sums and as answers.
func compare(t *testing.T, c *libraryCase) {
	for _, what := range []string{"margin", "predict"} {
		if strings.HasSuffix(c.Model, ".onnx") && what == "margin" {
			continue
		}
		m, err := trees.Load(c.files, &trees.Options{File: c.Model, Margin: what == "margin"})
		require.NoError(t, err)
		tolerance := 0.0
		if m.Library() == "catboost" && what == "predict" {
			tolerance = catTolerance
		}
		want := c.answers(t, what)
		got := make([]float64, c.Rows*m.Outputs())
		m.Predict(got, c.rows)
		same(t, want, got, tolerance)
		for i := range c.Rows {
			m.Predict(got[i*m.Outputs():(i+1)*m.Outputs()], c.rows[i*c.Features:(i+1)*c.Features])
		}
		same(t, want, got, tolerance)
	}
}
