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

// fixture holds numbers computed once with SciPy 1.17.1 (the tails also with
// mpmath at 40 digits). A triple is the score, its mean by chance, the p-value.
type fixture struct {
	Chi2          [][3]float64 `json:"chi2"` // Degrees of freedom, x, tail.
	Kolmogorov    [][2]float64 `json:"kolmogorov"`
	KolmogorovISF [][2]float64 `json:"kolmogorov_isf"`
	Cases         []struct {
		Ref, Cur    []uint64
		Positions   []float64
		PSI         [3]float64
		KL          [3]float64
		JS          [3]float64
		Hellinger   [3]float64
		KS          [3]float64
		Chi2        [3]float64
		TV          float64
		LInf        float64
		Wasserstein float64
	} `json:"cases"`
	BH []struct {
		P, Adjusted []float64
	} `json:"bh"`
	AUC []struct {
		Scores   []float64
		Positive []bool
		AUC      float64
	} `json:"auc"`
}

func loadFixture(t *testing.T) fixture {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "scipy.json"))
	require.NoError(t, err)
	var f fixture
	require.NoError(t, json.Unmarshal(raw, &f))
	return f
}

// near requires equality to a relative 1e-9, or an absolute 1e-15 near zero.
func near(t *testing.T, want, got float64, msg ...any) {
	t.Helper()
	require.InDelta(t, want, got, 1e-9*math.Abs(want)+1e-15, msg...)
}

func nearResult(t *testing.T, want [3]float64, got drift.Result, err error, msg ...any) {
	t.Helper()
	require.NoError(t, err, msg...)
	near(t, want[0], got.Score, msg...)
	near(t, want[1], got.NoiseFloor, msg...)
	near(t, want[2], got.PValue, msg...)
}

func TestChiSquareTail(t *testing.T) {
	t.Parallel()
	for _, c := range loadFixture(t).Chi2 {
		require.InEpsilon(t, c[2], drift.ChiSquareTail(c[1], int(c[0])), 1e-9, "%g degrees of freedom above %g", c[0], c[1])
	}
	for _, df := range []int{0, -1, 5} {
		require.EqualValues(t, 1, drift.ChiSquareTail(0, df))
		require.EqualValues(t, 1, drift.ChiSquareTail(-3, df))
	}
	require.EqualValues(t, 1, drift.ChiSquareTail(7, 0))
	require.Zero(t, drift.ChiSquareTail(math.Inf(1), 5))
	require.Zero(t, drift.ChiSquareTail(1e6, 5))
	require.True(t, math.IsNaN(drift.ChiSquareTail(math.NaN(), 5)))
}

func TestKolmogorovTail(t *testing.T) {
	t.Parallel()
	f := loadFixture(t)
	for _, c := range f.Kolmogorov {
		near(t, c[1], drift.KolmogorovTail(c[0]), "above %g", c[0])
	}
	for _, c := range f.KolmogorovISF {
		near(t, c[0], drift.KolmogorovTail(c[1]))
	}
	require.EqualValues(t, 1, drift.KolmogorovTail(0))
	require.EqualValues(t, 1, drift.KolmogorovTail(-1))
	require.Zero(t, drift.KolmogorovTail(math.Inf(1)))
	require.True(t, math.IsNaN(drift.KolmogorovTail(math.NaN())))
	last := 1.0
	for x := 0.0; x < 4; x += 0.001 {
		p := drift.KolmogorovTail(x)
		require.LessOrEqual(t, p, last)
		last = p
	}
}

func TestMeasuresAgainstSciPy(t *testing.T) {
	t.Parallel()
	cases := loadFixture(t).Cases
	require.NotEmpty(t, cases)
	for i, c := range cases {
		got, err := drift.PSI(c.Ref, c.Cur)
		nearResult(t, c.PSI, got, err, "psi of case %d", i)
		got, err = drift.KL(c.Ref, c.Cur)
		nearResult(t, c.KL, got, err, "kl of case %d", i)
		got, err = drift.JensenShannon(c.Ref, c.Cur)
		nearResult(t, c.JS, got, err, "jensen-shannon of case %d", i)
		got, err = drift.Hellinger(c.Ref, c.Cur)
		nearResult(t, c.Hellinger, got, err, "hellinger of case %d", i)
		got, err = drift.KolmogorovSmirnov(c.Ref, c.Cur)
		if small(c.Ref, c.Cur) {
			c.KS[2] = got.PValue // The file has the limit law; exact_test.go has the exact one.
		}
		nearResult(t, [3]float64{c.KS[0], min(c.KS[1], 1), c.KS[2]}, got, err, "kolmogorov-smirnov of case %d", i)
		got, err = drift.ChiSquare(c.Ref, c.Cur)
		nearResult(t, c.Chi2, got, err, "chi-square of case %d", i)
		got, err = drift.TotalVariation(c.Ref, c.Cur)
		require.NoError(t, err)
		near(t, c.TV, got.Score, "total variation of case %d", i)
		got, err = drift.LInf(c.Ref, c.Cur)
		require.NoError(t, err)
		near(t, c.LInf, got.Score, "l-infinity of case %d", i)
		got, err = drift.Wasserstein(c.Ref, c.Cur, c.Positions, 2)
		require.NoError(t, err)
		near(t, c.Wasserstein/2, got.Score, "wasserstein of case %d", i)
	}
}

func TestBenjaminiHochbergAgainstSciPy(t *testing.T) {
	t.Parallel()
	for _, c := range loadFixture(t).BH {
		for i, got := range drift.BenjaminiHochberg(c.P) {
			near(t, c.Adjusted[i], got)
		}
	}
}

func TestAUCAgainstSciPy(t *testing.T) {
	t.Parallel()
	for _, c := range loadFixture(t).AUC {
		got, err := drift.AUC(c.Scores, c.Positive)
		require.NoError(t, err)
		near(t, c.AUC, got)

		bins := map[bool][]uint64{true: make([]uint64, 4000), false: make([]uint64, 4000)}
		for i, s := range c.Scores {
			bins[c.Positive[i]][int(4*s)]++
		}
		got, err = drift.AUCBinned(bins[true], bins[false])
		require.NoError(t, err)
		near(t, c.AUC, got)
	}
}

// small says whether the p-value of two samples is exact.
func small(ref, cur []uint64) bool {
	var n, m uint64
	for i := range ref {
		n += ref[i]
		m += cur[i]
	}
	return n*m <= 10_000
}
