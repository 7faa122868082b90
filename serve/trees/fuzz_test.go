package trees_test

import (
	"archive/zip"
	"errors"
	"io"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/trees"
)

// seeds adds the small models of a library.
func seeds(f *testing.F, library string) {
	f.Helper()
	z, err := zip.OpenReader("testdata/" + library + ".zip")
	require.NoError(f, err)
	defer func() { _ = z.Close() }() // Only read.
	for _, file := range z.File {
		if strings.HasPrefix(file.Name, "seed") && strings.HasPrefix(path.Base(file.Name), "model.") {
			r, err := file.Open()
			require.NoError(f, err)
			data, err := io.ReadAll(r)
			require.NoError(f, err)
			f.Add(data)
		}
	}
}

// hostile reads what a fuzzer made of a model. It is refused with a reason, or it
// answers.
func hostile(t *testing.T, data []byte) {
	m, err := trees.Parse(data, nil)
	if err != nil {
		if !errors.Is(err, trees.ErrInvalid) && !errors.Is(err, trees.ErrUnsupported) {
			t.Fatalf("an error of no kind: %v", err)
		}
		return
	}
	if m.Features() > 1<<12 || m.Outputs() > 1<<12 {
		return
	}
	const rows = 9
	m.Predict(make([]float64, rows*m.Outputs()), make([]float64, rows*m.Features()))
	m.Predict(make([]float64, m.Outputs()), make([]float64, m.Features()))
}

func FuzzXGBoost(f *testing.F) {
	seeds(f, "xgboost")
	f.Add([]byte(stump))
	f.Fuzz(hostile)
}

func FuzzLightGBM(f *testing.F) {
	seeds(f, "lightgbm")
	f.Fuzz(hostile)
}

func FuzzCatBoost(f *testing.F) {
	seeds(f, "catboost")
	f.Fuzz(hostile)
}

func FuzzONNX(f *testing.F) {
	seeds(f, "onnx")
	f.Fuzz(hostile)
}
