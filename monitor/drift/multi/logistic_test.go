package multi

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLogisticAgainstScikitLearn fits the model to all rows, as the public
// function fits it to half of them.
func TestLogisticAgainstScikitLearn(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("testdata", "oracle.json"))
	require.NoError(t, err)
	var o struct {
		Ref, Cur [][]float64
		Logistic []float64
	}
	require.NoError(t, json.Unmarshal(raw, &o))
	scale, err := FitScale(o.Ref)
	require.NoError(t, err)
	var x [2][][]float64
	for side, rows := range [2][][]float64{o.Ref, o.Cur} {
		for _, r := range rows {
			x[side] = append(x[side], inputs(scale, r, false))
		}
	}
	got := logistic(x[0], x[1], 1)
	require.Len(t, got, len(o.Logistic))
	for i, want := range o.Logistic {
		require.InDelta(t, want, got[i], 1e-6) // It stops at its own tolerance.
	}
}
