package inttest_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/monitor/drift"
	"github.com/millwright-ml/millwright/monitor/drift/column"
)

// TestDriftAgainstSciPy asks SciPy for what the package's own test has from a
// file, about columns that are in no file.
func TestDriftAgainstSciPy(t *testing.T) {
	t.Parallel()
	raw, err := inttest.RunMLflowScript(t, "../../../monitor/drift/column/testdata/oracle.py", "20261122")
	require.NoError(t, err, "%s", raw)
	var o struct {
		Cases []struct {
			Name     string
			Ref, Cur []float64
			KS       [2]*float64 `json:"ks"` // The second is none for many ties.
			CvM      *[2]float64 `json:"cvm"`
			AD       [2]float64  `json:"ad"`
			MW       [2]float64  `json:"mw"`
			W1       float64     `json:"w1"`
			Energy   float64     `json:"energy"`
			ES       [2]float64  `json:"es"`
			Welch    [2]float64  `json:"welch"`
		} `json:"cases"`
	}
	require.NoError(t, json.Unmarshal(raw, &o), "%s", raw)
	require.Greater(t, len(o.Cases), 10)
	for _, c := range o.Cases {
		both := func(what string, score, p float64, r drift.Result, err error) {
			t.Helper()
			require.NoError(t, err)
			require.InDelta(t, score, r.Score, 1e-9*math.Abs(score)+1e-12, "%s of %s", what, c.Name)
			require.InDelta(t, p, r.PValue, 1e-9, "%s of %s", what, c.Name)
		}
		r, err := column.KolmogorovSmirnov(c.Ref, c.Cur)
		if c.KS[1] == nil {
			c.KS[1] = &r.PValue
		}
		both("kolmogorov-smirnov", *c.KS[0], *c.KS[1], r, err)
		if c.CvM != nil {
			r, err = column.CramerVonMises(c.Ref, c.Cur)
			both("cramer-von mises", c.CvM[0], c.CvM[1], r, err)
		}
		r, err = column.AndersonDarling(drift.Midrank, c.Ref, c.Cur)
		both("anderson-darling", c.AD[0], r.PValue, r, err) // SciPy interpolates a table.
		r, err = column.MannWhitney(c.Ref, c.Cur)
		both("mann-whitney", c.MW[0], c.MW[1], r, err)
		r, err = column.EppsSingleton(c.Ref, c.Cur)
		both("epps-singleton", c.ES[0], c.ES[1], r, err)
		r, err = column.Welch(c.Ref, c.Cur)
		both("welch", c.Welch[0], c.Welch[1], r, err)
		r, err = column.Energy(c.Ref, c.Cur, 1)
		both("energy", c.Energy, r.PValue, r, err)
		r, err = column.Wasserstein(c.Ref, c.Cur, 1)
		require.NoError(t, err)
		require.InDelta(t, c.W1, r.Score, 1e-9*c.W1, "wasserstein of %s", c.Name)
	}
}
