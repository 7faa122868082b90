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

// TestAgainstEvidently reads testdata/evidently.json, which
// testdata/evidently_oracle.py makes.
func TestAgainstEvidently(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("testdata", "evidently.json"))
	require.NoError(t, err)
	type counts struct {
		Ref, Cur []uint64
		Want     map[string]float64
	}
	var o struct {
		Numbers []struct {
			Ref, Cur []float64
			Want     map[string]float64
		}
		Categories, Binary []counts
	}
	require.NoError(t, json.Unmarshal(raw, &o))
	require.NotEmpty(t, o.Numbers)
	result := func(r drift.Result, err error) drift.Result {
		t.Helper()
		require.NoError(t, err)
		return r
	}
	for _, c := range o.Numbers {
		near(t, c.Want["ks"], result(column.KolmogorovSmirnov(c.Ref, c.Cur)).PValue)
		near(t, c.Want["wasserstein"], result(column.Wasserstein(c.Ref, c.Cur, column.StandardDeviation(c.Ref))).Score)
		near(t, c.Want["cramer_von_mises"], result(column.CramerVonMises(c.Ref, c.Cur)).PValue)
		near(t, c.Want["ed"], result(column.Energy(c.Ref, c.Cur, 1)).Score)
		near(t, c.Want["es"], result(column.EppsSingleton(c.Ref, c.Cur)).PValue)
		near(t, c.Want["t_test"], result(column.Student(c.Ref, c.Cur)).PValue)
	}
	for _, c := range o.Categories {
		near(t, c.Want["psi"], result(drift.PSI(c.Ref, c.Cur)).Score)
		near(t, c.Want["kl_div"], result(drift.KL(c.Cur, c.Ref)).Score, "it takes the reference from the window")
		near(t, c.Want["jensenshannon"], result(drift.JensenShannon(c.Ref, c.Cur)).Score*math.Sqrt(math.Ln2), "it is in nats")
		near(t, c.Want["hellinger"], result(drift.Hellinger(c.Ref, c.Cur)).Score)
		near(t, c.Want["chisquare"], result(drift.ChiSquareFit(c.Ref, c.Cur)).PValue)
	}
	for _, c := range o.Binary {
		near(t, c.Want["z"], result(drift.TwoProportions(c.Ref, c.Cur)).PValue)
		near(t, c.Want["fisher_exact"], result(drift.Fisher(c.Ref, c.Cur)).PValue)
	}
}
