package metrics_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/drift"
	"github.com/millwright-ml/millwright/monitor/metrics"
)

func TestList(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	seen := map[string]bool{}
	for id, m := range metrics.All() {
		require.Regexp(t, name, m.Name)
		require.False(t, seen[m.Name])
		seen[m.Name] = true
		require.Regexp(t, `^[A-Z].*[.]$`, m.Help)
		require.NotEmpty(t, m.Unit)
		require.LessOrEqual(t, len(m.Labels), 3)
		require.Equal(t, m.Kind == metrics.Counter, regexp.MustCompile("_total$").MatchString(m.Name), m.Name)
		require.NotContains(t, m.Labels, "model", id)
	}
}

// reference has skewed, tied, constant and categorical features.
func reference(t testing.TB, rng *rand.Rand) (*profile.Reference, func() []float64) {
	t.Helper()
	row := func() []float64 {
		return []float64{rng.ExpFloat64(), math.Floor(4 * rng.Float64() * rng.Float64()), 1, rng.NormFloat64(), float64(rng.IntN(rng.IntN(14) + 1))}
	}
	columns := make([]profile.Column, 5)
	for range 3000 {
		r := row()
		for j := range 4 {
			columns[j].AddFloat(r[j])
		}
		columns[4].AddString(fmt.Sprint("c", r[4]))
	}
	var features []profile.Feature
	for j := range columns {
		features = append(features, profile.Feature{Name: fmt.Sprint("f", j), Bins: columns[j].Bins(0)})
	}
	ref := profile.NewReference(features, nil)
	for range 3000 {
		require.NoError(t, ref.Observe(row(), 0))
	}
	return ref, row
}

// TestPSI adds up what two monitors show, and computes the index of it.
func TestPSI(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	ref, row := reference(t, rng)
	sums := map[[2]string]uint64{} // By feature and bin.
	shares := map[[2]string]float64{}
	fleet := ref.Window()
	for replica := range 2 {
		m, err := monitor.New(ref, nil)
		require.NoError(t, err)
		for range 500 + 100*replica {
			r := row()
			r[0] += 0.3
			if replica == 1 {
				r[3] = math.NaN()
			}
			m.Observe(r, 0, monitor.ID{})
		}
		metrics.NewReader(m, nil).Read(func(s metrics.Sample) {
			key := [2]string{s.Labels[1], s.Labels[2]}
			switch s.Metric {
			case metrics.FeatureObservations:
				sums[key] += uint64(s.Value)
			case metrics.FeatureReferenceRatio:
				shares[key] = s.Value
			}
		})
		_, observed, err := m.Counts()
		require.NoError(t, err)
		require.NoError(t, fleet.Merge(observed))
		require.NoError(t, m.Shutdown(context.Background()))
	}
	psi, err := metrics.PSI(ref, fleet)
	require.NoError(t, err)
	require.Len(t, psi, 5)
	for name, want := range psi {
		var r, c []uint64
		total := 0.0
		for key, n := range sums {
			if key[0] == name {
				c = append(c, n)
				r = append(r, uint64(math.Round(shares[key]*float64(ref.Rows))))
				total += shares[key]
			}
		}
		require.InDelta(t, 1, total, 1e-12)
		require.LessOrEqual(t, len(c), 11)
		got, err := drift.PSI(r, c)
		require.NoError(t, err)
		require.InDelta(t, want, got.Score, 1e-12, name)
	}
	require.Greater(t, psi["f0"], 0.1)
	require.Zero(t, psi["f2"])
	require.Greater(t, psi["f3"], 1.0, "missing values have a bin")

	_, err = metrics.PSI(ref, nil)
	require.ErrorIs(t, err, metrics.ErrInvalid)
	other, _ := reference(t, rng)
	_, err = metrics.PSI(ref, other)
	require.ErrorIs(t, err, metrics.ErrInvalid)
}

// TestBinsAreAboutTenths holds the shares of the bins of smooth features.
func TestBinsAreAboutTenths(t *testing.T) {
	t.Parallel()
	ref, _ := reference(t, rand.New(rand.NewPCG(3, 4)))
	m, err := monitor.New(ref, nil)
	require.NoError(t, err)
	n := map[string]int{}
	metrics.NewReader(m, nil).Read(func(s metrics.Sample) {
		if s.Metric == metrics.FeatureReferenceRatio && s.Labels[2] != metrics.Null {
			n[s.Labels[1]]++
			if s.Labels[1] == "f0" || s.Labels[1] == "f3" {
				require.InDelta(t, 0.1, s.Value, 0.03)
			}
		}
	})
	require.Equal(t, map[string]int{"f0": 10, "f1": 3, "f2": 1, "f3": 10, "f4": 10}, n)
	require.NoError(t, m.Shutdown(context.Background()))
}
