package trees_test

import (
	"archive/zip"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/trees"
)

func open(t testing.TB, library, name string) (*trees.Model, *libraryCase) {
	t.Helper()
	z, err := zip.OpenReader("testdata/" + library + ".zip")
	require.NoError(t, err)
	t.Cleanup(func() { _ = z.Close() })
	files, err := fs.Sub(z, name)
	require.NoError(t, err)
	c := openCase(t, files)
	m, err := trees.Load(files, &trees.Options{File: c.Model})
	require.NoError(t, err)
	return m, c
}

// A prediction allocates nothing, whatever the model's type and answer.
func TestPredictAllocations(t *testing.T) {
	for _, c := range [][2]string{
		{"xgboost", "logistic"}, {"xgboost", "sets"}, {"xgboost", "reg_squarederror"},
		{"lightgbm", "multiclass"}, {"catboost", "onehot"}, {"onnx", "forest"},
	} {
		m, data := open(t, c[0], c[1])
		out := make([]float64, data.Rows*m.Outputs())
		narrow, narrowOut := make([]float32, m.Features()), make([]float32, m.Outputs())
		for name, call := range map[string]func(){
			"a row":             func() { m.Predict(out[:m.Outputs()], data.rows[:m.Features()]) },
			"many rows":         func() { m.Predict(out, data.rows) },
			"a row of float32s": func() { m.Predict32(narrowOut, narrow) },
		} {
			call() // The first one takes the memory that the others use again.
			allocations := testing.AllocsPerRun(50, call)
			if !raceEnabled { // It throws away some of what is pooled.
				require.Zero(t, allocations, "%s/%s: %s", c[0], c[1], name)
			}
		}
	}
}

func BenchmarkPredict(b *testing.B) {
	for _, c := range [][2]string{{"xgboost", "sets"}, {"lightgbm", "multiclass"}, {"catboost", "logloss"}, {"onnx", "forest"}} {
		m, data := open(b, c[0], c[1])
		out := make([]float64, data.Rows*m.Outputs())
		b.Run(c[0]+"/row", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r := i % data.Rows
				m.Predict(out[:m.Outputs()], data.rows[r*m.Features():(r+1)*m.Features()])
			}
		})
		b.Run(c[0]+"/rows", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Predict(out, data.rows)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*data.Rows), "ns/row")
		})
	}
}
