package drift_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor/drift"
)

// TestEvidentlyFit is the part of the contract of Evidently's
// test_stattests.py that takes the reference as a law.
func TestEvidentlyFit(t *testing.T) {
	t.Parallel()
	ref, cur := []uint64{16, 18, 16, 14, 12, 12}, []uint64{16, 16, 16, 16, 16, 8}
	r, err := drift.ChiSquareFit(ref, cur)
	require.NoError(t, err)
	near(t, 4./18+4./14+16./12+16./12, r.Score)
	require.InDelta(t, 0.673088, r.PValue, 5e-7)
	r, err = drift.GFit(ref, cur)
	require.NoError(t, err)
	require.InDelta(t, 0.665752, r.PValue, 5e-7)
}

// TestNewCategory is what makes other tools' p-values 0.
func TestNewCategory(t *testing.T) {
	t.Parallel()
	for _, f := range []func(ref, cur []uint64) (drift.Result, error){drift.ChiSquare, drift.ChiSquareFit, drift.G, drift.GFit} {
		r, err := f([]uint64{500, 300, 200, 0}, []uint64{50, 30, 19, 1})
		require.NoError(t, err)
		require.Greater(t, r.PValue, 0.5)
		r, err = f([]uint64{500, 300, 200, 0}, []uint64{50, 30, 19, 60})
		require.NoError(t, err)
		require.Less(t, r.PValue, 1e-6)
	}
}

func TestFisherOfTheDocs(t *testing.T) {
	t.Parallel()
	r, err := drift.Fisher([]uint64{8, 2}, []uint64{1, 5})
	require.NoError(t, err)
	near(t, 10./286, r.PValue)
}
