package estimate_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor/drift/estimate"
)

// TestAgainstNannyML reads testdata/nannyml.json, which
// testdata/nannyml_oracle.py makes.
func TestAgainstNannyML(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("testdata", "nannyml.json"))
	require.NoError(t, err)
	var o struct {
		Windows []struct {
			P         []float64
			Threshold float64
			Estimated map[estimate.Metric]float64
			AUC       float64
			Cells     [4]float64 // TP, FP, FN, TN of labels.
			Rows      float64
			Errors    map[estimate.Metric]float64
		}
	}
	require.NoError(t, json.Unmarshal(raw, &o))
	require.NotEmpty(t, o.Windows)
	for _, w := range o.Windows {
		var c estimate.CBPE
		for _, p := range w.P {
			c.Add(p, p >= w.Threshold)
		}
		require.Len(t, w.Estimated, 5)
		for m, want := range w.Estimated {
			require.InDelta(t, want, c.Confusion().Metric(m), 1e-9, m)
		}
		auc, err := estimate.ExpectedAUC(w.P, w.P)
		require.NoError(t, err)
		require.InDelta(t, w.AUC, auc, 2e-5, "it rounds to five digits")
		require.InDelta(t, auc, c.AUC(), 1e-4, "of bins")
		labelled := estimate.Confusion{TP: w.Cells[0], FP: w.Cells[1], FN: w.Cells[2], TN: w.Cells[3]}
		require.Len(t, w.Errors, 4)
		for m, want := range w.Errors {
			require.InEpsilon(t, want, labelled.StandardError(m, w.Rows), 1e-9, m)
		}
	}
}
