package drift_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor/drift"
)

// oracle is testdata/oracle.json, which testdata/oracle.py makes.
type oracle struct {
	Student [][3]float64 `json:"student"` // Degrees of freedom, t, tail.
	Chi2ISF [][3]float64 `json:"chi2_isf"`
	Omega   [][2]float64 `json:"omega"`
	Fits    []struct {
		Ref, Cur []uint64
		GOF      [2]float64 `json:"gof"`
		GOFG     [2]float64 `json:"gof_g"`
		Chi2     [2]float64 `json:"chi2"`
		G        [2]float64 `json:"g"`
	} `json:"fits"`
	Binary []struct {
		Ref, Cur []uint64
		Z        [2]float64 `json:"z"`
		Fisher   float64    `json:"fisher"`
	} `json:"binary"`
	Multiple []struct {
		P, BH, BY, Holm, Bonferroni []float64
	} `json:"multiple"`
	Means []struct {
		Ref, Cur, Student, Welch []float64
	} `json:"means"`
}

func loadOracle(t *testing.T) oracle {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "oracle.json"))
	require.NoError(t, err)
	var o oracle
	require.NoError(t, json.Unmarshal(raw, &o))
	return o
}

func TestLawsAgainstSciPy(t *testing.T) {
	t.Parallel()
	o := loadOracle(t)
	require.NotEmpty(t, o.Student)
	for _, c := range o.Student {
		near(t, c[2], drift.StudentTail(-c[1], c[0]), "%v", c)
	}
	for _, c := range o.Chi2ISF {
		near(t, c[2], drift.ChiSquareCritical(c[1], int(c[0])), "%v", c)
	}
	for _, c := range o.Omega {
		near(t, c[1], drift.CramerVonMisesTail(c[0]), "%v", c)
	}
}

func TestTestsAgainstSciPy(t *testing.T) {
	t.Parallel()
	o := loadOracle(t)
	require.NotEmpty(t, o.Fits)
	pair := func(want [2]float64, r drift.Result, err error) {
		t.Helper()
		require.NoError(t, err)
		require.InEpsilon(t, want[0]+1, r.Score+1, 1e-9)
		near(t, want[1], r.PValue)
	}
	for _, c := range o.Fits {
		r, err := drift.ChiSquareFit(c.Ref, c.Cur)
		pair(c.GOF, r, err)
		r, err = drift.GFit(c.Ref, c.Cur)
		pair(c.GOFG, r, err)
		r, err = drift.ChiSquare(c.Ref, c.Cur)
		pair(c.Chi2, r, err)
		r, err = drift.G(c.Ref, c.Cur)
		pair(c.G, r, err)
	}
	for _, c := range o.Binary {
		r, err := drift.TwoProportions(c.Ref, c.Cur)
		pair(c.Z, r, err)
		r, err = drift.Fisher(c.Ref, c.Cur)
		require.NoError(t, err)
		near(t, c.Fisher, r.PValue, "%v %v", c.Ref, c.Cur)
	}
	for _, c := range o.Means {
		ref, cur := drift.Moments{Rows: c.Ref[0], Mean: c.Ref[1], Variance: c.Ref[2]}, drift.Moments{Rows: c.Cur[0], Mean: c.Cur[1], Variance: c.Cur[2]}
		r, err := drift.Student(ref, cur)
		pair([2]float64{math.Abs(c.Student[0]), c.Student[1]}, r, err)
		r, err = drift.Welch(ref, cur)
		pair([2]float64{math.Abs(c.Welch[0]), c.Welch[1]}, r, err)
	}
}

func TestCorrectionsAgainstStatsmodels(t *testing.T) {
	t.Parallel()
	for _, c := range loadOracle(t).Multiple {
		require.InDeltaSlice(t, c.BH, drift.BenjaminiHochberg(c.P), 1e-12)
		require.InDeltaSlice(t, c.BY, drift.BenjaminiYekutieli(c.P), 1e-12)
		require.InDeltaSlice(t, c.Holm, drift.Holm(c.P), 1e-12)
		require.InDeltaSlice(t, c.Bonferroni, drift.Bonferroni(c.P), 1e-12)
	}
}

// TestAndersonDarlingLaw holds the law against its closed form for three
// samples, where it is a sum of exponentials, and for two against the points of
// Marsaglia and Marsaglia 2004.
func TestAndersonDarlingLaw(t *testing.T) {
	t.Parallel()
	for _, x := range []float64{0.6, 1, 2, 5, 12, 60} {
		var sum float64
		for j := 60.0; j >= 1; j-- {
			sum -= math.Cos(math.Pi*j) * (2*j + 1) * math.Exp(-x*j*(j+1)/2)
		}
		require.InEpsilon(t, sum, drift.AndersonDarlingTail(x, 3), 1e-9, "above %g", x)
	}
	for alpha, want := range map[float64]float64{0.05: 2.492367, 0.01: 3.878125} {
		require.InDelta(t, want, drift.AndersonDarlingCritical(alpha, 2), 1e-6)
	}
	for k := 2; k < 6; k++ {
		last := 1.0
		for x := 0.0; x < 30; x += 1.5 {
			p := drift.AndersonDarlingTail(x, k)
			require.LessOrEqual(t, p, last)
			last = p
		}
		require.Less(t, last, 1e-5)
		require.Positive(t, last)
	}
}

func TestLawsAtTheirEnds(t *testing.T) {
	t.Parallel()
	tails := map[string]func(float64) float64{
		"normal": drift.NormalTail, "kolmogorov": drift.KolmogorovTail, "cvm": drift.CramerVonMisesTail,
		"student":   func(x float64) float64 { return drift.StudentTail(x, 7) },
		"chi2":      func(x float64) float64 { return drift.ChiSquareTail(x, 7) },
		"anderson2": func(x float64) float64 { return drift.AndersonDarlingTail(x, 2) },
		"anderson4": func(x float64) float64 { return drift.AndersonDarlingTail(x, 4) },
	}
	for name, tail := range tails {
		require.EqualValues(t, 1, tail(0), name)
		require.Zero(t, tail(math.Inf(1)), name)
		require.True(t, math.IsNaN(tail(math.NaN())), name)
	}
	criticals := map[string]func(float64) float64{
		"normal": drift.NormalCritical, "kolmogorov": drift.KolmogorovCritical, "cvm": drift.CramerVonMisesCritical,
		"chi2":      func(a float64) float64 { return drift.ChiSquareCritical(a, 7) },
		"anderson2": func(a float64) float64 { return drift.AndersonDarlingCritical(a, 2) },
		"anderson4": func(a float64) float64 { return drift.AndersonDarlingCritical(a, 4) },
	}
	for name, critical := range criticals {
		require.Zero(t, critical(1), name)
		require.Zero(t, critical(1.5), name)
		require.True(t, math.IsInf(critical(0), 1), name)
		require.True(t, math.IsNaN(critical(-1)), name)
		require.True(t, math.IsNaN(critical(math.NaN())), name)
		alphas := []float64{0.9, 0.5, 0.05, 1e-4, 1e-9}
		if name == "anderson4" { // The slow one.
			alphas = alphas[2:3]
		}
		for _, alpha := range alphas {
			require.InEpsilon(t, alpha, tails[name](critical(alpha)), 1e-6, "%s at %g", name, alpha)
		}
	}
	require.InDelta(t, 1.959963984540054, drift.NormalCritical(0.05), 1e-12)
	require.InDelta(t, drift.NormalTail(1.3), drift.StudentTail(1.3, math.Inf(1)), 0)
	require.True(t, math.IsNaN(drift.StudentTail(1, 0)))
	require.Zero(t, drift.ChiSquareCritical(0.05, 0))
	require.Zero(t, drift.AndersonDarlingCritical(0.05, 1))
	require.EqualValues(t, 1, drift.AndersonDarlingTail(3, 1))
}
