package column_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor/drift"
	"github.com/millwright-ml/millwright/monitor/drift/column"
)

// oracle is testdata/oracle.json, which testdata/oracle.py makes. A pair is a
// score and its p-value.
type oracle struct {
	Cases []struct {
		Name     string
		Ref, Cur []float64
		Tied     bool
		KS       [2]*float64 `json:"ks"` // Without a p-value for many ties.
		CvM      *[2]float64 `json:"cvm"`
		AD       [2]float64  `json:"ad"` // With midranks, and at the right ends.
		ADP      float64     `json:"ad_p"`
		MW       [2]float64  `json:"mw"`
		W1       float64     `json:"w1"`
		Energy   float64     `json:"energy"`
		ES       [2]float64  `json:"es"`
		T        [2]float64  `json:"t"`
		Welch    [2]float64  `json:"welch"`
		SD       float64     `json:"sd"`
	} `json:"cases"`
	Weighted []struct {
		Ref, Cur   []float64
		RefWeights []float64 `json:"ref_weights"`
		CurWeights []float64 `json:"cur_weights"`
		W1         float64   `json:"w1"`
		Energy     float64   `json:"energy"`
	} `json:"weighted"`
}

func loadOracle(t *testing.T) oracle {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "oracle.json"))
	require.NoError(t, err)
	var o oracle
	require.NoError(t, json.Unmarshal(raw, &o))
	return o
}

func near(t *testing.T, want, got float64, msg ...any) {
	t.Helper()
	require.InDelta(t, want, got, 1e-9*math.Abs(want)+1e-13, msg...)
}

func TestAgainstSciPy(t *testing.T) {
	t.Parallel()
	o := loadOracle(t)
	require.NotEmpty(t, o.Cases)
	for _, c := range o.Cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			r, err := column.KolmogorovSmirnov(c.Ref, c.Cur)
			require.NoError(t, err)
			near(t, *c.KS[0], r.Score)
			if c.KS[1] != nil {
				near(t, *c.KS[1], r.PValue, "kolmogorov-smirnov")
			}
			if c.CvM != nil {
				r, err = column.CramerVonMises(c.Ref, c.Cur)
				require.NoError(t, err)
				near(t, c.CvM[0], r.Score, "cramer-von mises")
				require.InDelta(t, c.CvM[1], r.PValue, 1e-9, "cramer-von mises")
			}
			for i, ties := range []drift.Ties{drift.Midrank, drift.RightEnd} {
				r, err = column.AndersonDarling(ties, c.Ref, c.Cur)
				require.NoError(t, err)
				near(t, c.AD[i], r.Score, "anderson-darling")
			}
			r, err = column.AndersonDarling(drift.Midrank, c.Ref, c.Cur)
			require.NoError(t, err)
			switch { // SciPy interpolates a table, and stops at its ends.
			case c.ADP <= 0.001:
				require.Less(t, r.PValue, 0.0011)
			case c.ADP >= 0.25:
				require.Greater(t, r.PValue, 0.24)
			default:
				require.InEpsilon(t, c.ADP, r.PValue, 0.06)
			}
			r, err = column.MannWhitney(c.Ref, c.Cur)
			require.NoError(t, err)
			near(t, c.MW[0], r.Score, "mann-whitney")
			near(t, c.MW[1], r.PValue, "mann-whitney")
			r, err = column.Wasserstein(c.Ref, c.Cur, 0)
			require.NoError(t, err)
			near(t, c.W1, r.Score, "wasserstein")
			sd := column.StandardDeviation(c.Ref)
			near(t, c.SD, sd)
			r, err = column.Wasserstein(c.Ref, c.Cur, sd)
			require.NoError(t, err)
			near(t, c.W1/sd, r.Score, "wasserstein")
			r, err = column.Energy(c.Ref, c.Cur, 0)
			require.NoError(t, err)
			near(t, c.Energy, r.Score, "energy")
			r, err = column.EppsSingleton(c.Ref, c.Cur)
			require.NoError(t, err)
			require.InEpsilon(t, c.ES[0], r.Score, 1e-9, "epps-singleton")
			require.InDelta(t, c.ES[1], r.PValue, 1e-9, "epps-singleton")
			r, err = column.Student(c.Ref, c.Cur)
			require.NoError(t, err)
			near(t, c.T[0], r.Score, "student")
			near(t, c.T[1], r.PValue, "student")
			r, err = column.Welch(c.Ref, c.Cur)
			require.NoError(t, err)
			near(t, c.Welch[0], r.Score, "welch")
			near(t, c.Welch[1], r.PValue, "welch")
		})
	}
	for _, c := range o.Weighted {
		w, err := column.WassersteinWeighted(c.Ref, c.RefWeights, c.Cur, c.CurWeights, 1)
		require.NoError(t, err)
		near(t, c.W1, w)
		e, err := column.EnergyWeighted(c.Ref, c.RefWeights, c.Cur, c.CurWeights, 1)
		require.NoError(t, err)
		near(t, c.Energy, e)
	}
}
