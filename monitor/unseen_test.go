package monitor_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor"
)

// TestUnseenCategories has new categories by the hundred thousand, of which one
// is frequent: the report names it, and nothing grows without bound.
func TestUnseenCategories(t *testing.T) {
	t.Parallel()
	src := newSource(80, 1, true)
	m := newMonitor(t, src.reference(t, 2000), nil)
	const rows = 100_000
	for i := range rows {
		name := "red"
		switch {
		case i%2 == 0:
			name = fmt.Sprintf("new-%d", i)
		case i%5 == 0:
			name = "mauve"
		}
		m.Observe([]float64{0, m.EncodeString(1, name)}, 0.5, monitor.ID{})
	}
	m.Observe([]float64{0, m.Encoder().CategoryBytes(1, []byte("bytes"))}, 0.5, monitor.ID{})
	r, err := m.Cut(t.Context())
	require.NoError(t, err)
	f := r.Worst()
	require.Equal(t, "colour", f.Name)
	require.InDelta(t, 0.6, f.Unseen, 1e-3)
	require.Equal(t, "mauve", f.UnseenTop[0])
	require.LessOrEqual(t, len(f.UnseenTop), 5)
	require.InEpsilon(t, rows/2+2, f.UnseenDistinct, 0.08)
	require.Contains(t, r.Causes[0], `the reference does not name ["mauve"`)

	m.Observe([]float64{0, 0}, 0.5, monitor.ID{})
	r, err = m.Cut(t.Context())
	require.NoError(t, err)
	for _, f := range r.Features {
		require.Empty(t, f.UnseenTop, "those of the last window are gone")
	}
}

// TestOddValues has each kind of value that is no number, or hardly one: rows
// are counted and reports carry numbers only.
func TestOddValues(t *testing.T) {
	t.Parallel()
	src := newSource(81, 1, true)
	m := newMonitor(t, src.reference(t, 2000), &monitor.Options{SliceBy: []string{"colour"}, Spans: []monitor.Span{{Name: "two", Windows: 2}}})
	odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, math.Copysign(0, -1), 1e300, -7, 0.5}
	for range 3 {
		for i := range 1000 {
			v := odd[i%len(odd)]
			id := monitor.NewID("r", i)
			m.Observe([]float64{v, odd[(i/10)%len(odd)]}, v, id)
			m.Label(id, odd[(i/7)%len(odd)])
		}
		r, err := m.Cut(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1000, r.Rows)
		require.Equal(t, monitor.Drift, r.Verdict)
		stripped(t, r) // JSON carries no NaN.
		by := map[string]monitor.FeatureReport{}
		for _, f := range r.Features {
			by[f.Name] = f
		}
		require.InDelta(t, 0.1, by["f00"].Nulls, 1e-9)
		require.InDelta(t, 0.2, by["f00"].NonFinite, 1e-9)
		require.InDelta(t, 0.4, by["f00"].OutOfRange, 0.11)
		require.InDelta(t, 0.1, by["colour"].Nulls, 1e-9)
	}
}
