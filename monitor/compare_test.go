package monitor_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
)

// window counts rows of a source over the layout of a reference.
func (s *source) window(t testing.TB, ref *profile.Reference, rows int, change func(row []float64)) *profile.Reference {
	t.Helper()
	cur := ref.Empty()
	var row []float64
	for range rows {
		row = s.row(row)
		if change != nil {
			change(row)
		}
		require.NoError(t, cur.Observe(row, s.score()))
	}
	return cur
}

func compare(t testing.TB, ref, cur *profile.Reference, p *monitor.Policy) monitor.Report {
	t.Helper()
	r, err := monitor.Compare(ref, cur, p)
	require.NoError(t, err)
	return r
}

func TestCompareFindsTheShiftedFeature(t *testing.T) {
	t.Parallel()
	src := newSource(30, 8, true)
	ref := src.reference(t, 20_000)
	src.shift = []float64{0, 0, 0, 0.3}
	r := compare(t, ref, src.window(t, ref, 5000, nil), nil)
	require.Equal(t, monitor.Drift, r.Verdict)
	require.Equal(t, 1, r.Alarms())
	w := r.Worst()
	require.Equal(t, "f03", w.Name)
	require.Equal(t, "wasserstein", w.Method)
	require.InDelta(t, 0.3, w.Score, 0.04, "a shift by 0.3 sd is a distance of 0.3")
	require.InDelta(t, 3, w.Severity, 0.4)
	require.Equal(t, 0.1, w.Floor)
	require.True(t, w.Drifted)
	require.Less(t, w.Adjusted, 1e-9)
	require.GreaterOrEqual(t, w.Adjusted, w.PValue)
	require.InDelta(t, 0.3, w.Mean-w.RefMean, 0.05)
	require.Len(t, r.Features, 9)
	for _, f := range r.Features[1:] {
		require.False(t, f.Alarm(), f.Name)
		require.Less(t, f.Score, f.Floor)
	}
	require.NotNil(t, r.Score)
	require.False(t, r.Score.Drifted)
}

// TestCompareNeedsBoth checks that neither significance nor effect is enough.
func TestCompareNeedsBoth(t *testing.T) {
	t.Parallel()
	src := newSource(31, 1, false)
	ref := src.reference(t, 20_000)
	src.shift = []float64{0.05}
	cur := src.window(t, ref, 40_000, nil)
	r := compare(t, ref, cur, nil)
	require.Less(t, r.Worst().Adjusted, 1e-4)
	require.Equal(t, monitor.OK, r.Verdict, "significant, and too small to matter")
	strict := compare(t, ref, cur, &monitor.Policy{Numeric: -1})
	require.Equal(t, monitor.Drift, strict.Verdict, "no floor: significance decides")

	src.shift = []float64{0.2}
	cur = src.window(t, ref, 50, nil)
	r = compare(t, ref, cur, &monitor.Policy{MinRows: 1, Alpha: 1e-6})
	require.Greater(t, r.Worst().Score, 0.1)
	require.Equal(t, monitor.OK, r.Verdict, "large, and likely by chance")
	require.Equal(t, monitor.Insufficient, compare(t, ref, cur, nil).Verdict)
	require.Zero(t, compare(t, ref, cur, nil).Alarms())
}

func TestCompareCategories(t *testing.T) {
	t.Parallel()
	src := newSource(32, 0, true)
	ref := src.reference(t, 20_000)
	r := compare(t, ref, src.window(t, ref, 5000, func(row []float64) {
		if row[0] == 0 && src.rng.Float64() < 0.5 {
			row[0] = 2
		}
	}), nil)
	w := r.Worst()
	require.True(t, w.Drifted)
	require.Equal(t, "jensen-shannon", w.Method)
	require.Equal(t, profile.Categorical, w.Kind)
	require.Greater(t, w.Score, 0.1)
	require.Empty(t, w.Rules)
	require.Zero(t, w.Mean)
}

// TestRules checks each limit by its text: rows beyond it are reported, and
// the same share that the reference has is not.
func TestRules(t *testing.T) {
	t.Parallel()
	src := newSource(33, 1, true)
	ref := src.reference(t, 20_000)
	low, high := ref.Features[0].Bins.Low, ref.Features[0].Bins.High
	for name, c := range map[string]struct {
		share  float64
		change func(row []float64)
		policy monitor.Policy
		want   string
	}{
		"nulls":     {0.05, func(row []float64) { row[0] = math.NaN() }, monitor.Policy{}, `5.0 % of rows null, none in the reference`},
		"nulls off": {0.05, func(row []float64) { row[0] = math.NaN() }, monitor.Policy{NullShare: -1}, ""},
		"nulls few": {0.005, func(row []float64) { row[0] = math.NaN() }, monitor.Policy{}, ""},
		"infinite":  {0.05, func(row []float64) { row[0] = math.Inf(-1) }, monitor.Policy{}, `5.0 % of rows infinite, none in the reference`},
		"above":     {0.05, func(row []float64) { row[0] = high + 1 }, monitor.Policy{}, fmt.Sprintf("5.0 %% of rows above the reference maximum %.6g", high)},
		"below":     {0.05, func(row []float64) { row[0] = low - 1 }, monitor.Policy{}, fmt.Sprintf("5.0 %% of rows below the reference minimum %.6g", low)},
		"range off": {0.05, func(row []float64) { row[0] = low - 1 }, monitor.Policy{OutOfRangeShare: -1, Numeric: 1}, ""},
		"unseen":    {0.05, func(row []float64) { row[1] = 3 }, monitor.Policy{}, "5.0 % of rows of a category that the reference does not name, none in the reference"},
		"no change": {0.05, func([]float64) {}, monitor.Policy{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			src := newSource(34, 1, true)
			const rows = 4000
			i := 0
			cur := src.window(t, ref, rows, func(row []float64) {
				if i++; i <= int(c.share*rows) {
					c.change(row)
				}
			})
			r := compare(t, ref, cur, &c.policy)
			if c.want == "" {
				require.Equal(t, monitor.OK, r.Verdict, "%v", r)
				return
			}
			require.Equal(t, monitor.Drift, r.Verdict)
			require.Equal(t, []string{c.want}, r.Worst().Rules)
			require.InDelta(t, 5, r.Worst().Severity, 0.2)
		})
	}
}

// TestRulesAllowForCounting has a reference in which a fifth is missing: clean
// windows then differ by more than the limit of one percent by chance alone.
func TestRulesAllowForCounting(t *testing.T) {
	t.Parallel()
	src := newSource(35, 1, true)
	nulls := func(row []float64) {
		for j := range row {
			if src.rng.Float64() < 0.2 {
				row[j] = math.NaN()
			}
		}
	}
	ref := src.window(t, src.reference(t, 1000), 10_000, nulls)
	alarms := 0
	for range 300 {
		alarms += compare(t, ref, src.window(t, ref, 500, nulls), nil).Alarms()
	}
	require.LessOrEqual(t, alarms, 1)
	rise := compare(t, ref, src.window(t, ref, 500, func(row []float64) { nulls(row); nulls(row) }), nil)
	require.Equal(t, 2, rise.Alarms())
	require.Contains(t, rise.Worst().Rules[0], "% in the reference")
}

// TestFalseAlarms simulates clean windows: with 16 features at a level of 5 %
// at most about 5 % of the windows may alarm, without any floor.
func TestFalseAlarms(t *testing.T) {
	t.Parallel()
	src := newSource(36, 15, true)
	ref := src.reference(t, 20_000)
	const windows = 200
	var alarms, byDefault int
	for range windows {
		cur := src.window(t, ref, 600, nil)
		if compare(t, ref, cur, &monitor.Policy{Alpha: 0.05, Numeric: -1, Categorical: -1}).Verdict == monitor.Drift {
			alarms++
		}
		if compare(t, ref, cur, nil).Verdict == monitor.Drift {
			byDefault++
		}
	}
	require.LessOrEqual(t, alarms, windows*10/100, "5 %% and three standard errors")
	require.Zero(t, byDefault)
}

// TestSaturatedBins moves everything far out of the reference's range, where
// the bins end: the score must still be the true distance.
func TestSaturatedBins(t *testing.T) {
	t.Parallel()
	src := newSource(37, 1, false)
	ref := src.reference(t, 10_000)
	src.shift = []float64{50}
	r := compare(t, ref, src.window(t, ref, 1000, nil), nil)
	require.InDelta(t, 50, r.Worst().Score, 1)
	require.Len(t, r.Worst().Rules, 1)

	// One absurd value among clean ones must not look like a shift.
	src.shift = nil
	first := true
	r = compare(t, ref, src.window(t, ref, 1000, func(row []float64) {
		if first {
			row[0], first = 1e12, false
		}
	}), nil)
	require.Equal(t, monitor.OK, r.Verdict)
	require.Less(t, r.Worst().Score, 0.1)
}

// TestOddReferences has features that cannot be compared by distributions.
func TestOddReferences(t *testing.T) {
	t.Parallel()
	var constant, missing, huge profile.Column
	for i := range 1000 {
		constant.AddFloat(7)
		missing.AddNull()
		huge.AddFloat(math.Copysign(math.MaxFloat64, float64(i&1)-0.5))
	}
	ref := profile.NewReference([]profile.Feature{
		{Name: "constant", Bins: constant.Bins(0)}, {Name: "missing", Bins: missing.Bins(0)}, {Name: "huge", Bins: huge.Bins(0)},
	}, nil)
	nan := math.NaN()
	for i := range 1000 {
		require.NoError(t, ref.Observe([]float64{7, nan, math.Copysign(math.MaxFloat64, float64(i&1)-0.5)}, 0))
	}
	window := func(row ...float64) monitor.Report {
		cur := ref.Empty()
		for i := range 1000 {
			if row[2] != 0 {
				row[2] = math.Copysign(row[2], float64(i&1)-0.5)
			}
			require.NoError(t, cur.Observe(row, 0))
		}
		r := compare(t, ref, cur, nil)
		_, err := json.Marshal(r)
		require.NoError(t, err, "no number that JSON cannot carry")
		require.Nil(t, r.Score)
		return r
	}
	same := window(7, nan, math.MaxFloat64)
	require.Equal(t, monitor.OK, same.Verdict, "%v", same)
	for _, f := range same.Features {
		require.Zero(t, f.Score, f.Name)
	}
	moved := window(8, nan, math.MaxFloat64)
	require.Equal(t, "constant", moved.Worst().Name)
	require.Equal(t, []string{"100.0 % of rows above the reference maximum 7"}, moved.Worst().Rules)
	require.Equal(t, monitor.OK, window(7, 3, math.MaxFloat64).Verdict, "what was never there cannot drift")
	require.Equal(t, "huge", window(7, nan, 0).Worst().Name)
	require.Equal(t, "constant", window(nan, nan, math.MaxFloat64).Worst().Name)
}

func TestCompareErrors(t *testing.T) {
	t.Parallel()
	src := newSource(38, 2, false)
	ref := src.reference(t, 100)
	other := newSource(39, 2, false).reference(t, 100)
	other.Features[0].Name = "x"
	other.Rows = 99
	_, err := monitor.Compare(nil, ref, nil)
	require.ErrorIs(t, err, monitor.ErrInvalid)
	_, err = monitor.Compare(ref, nil, nil)
	require.EqualError(t, err, "monitor: compare: the current window is nil: invalid")
	_, err = monitor.Compare(ref, ref.Empty(), nil)
	require.EqualError(t, err, "monitor: compare: the current window has no rows: invalid")
	_, err = monitor.Compare(ref, other, nil)
	require.EqualError(t, err, `monitor: compare: feature 0 is "x", in the reference "f00"; feature "f00" has other bins than in the reference; `+
		`feature "f01" has other bins than in the reference; score has other bins than in the reference: invalid`)
	_, err = monitor.Compare(ref, src.window(t, ref, 10, nil), &monitor.Policy{Alpha: -1})
	require.ErrorIs(t, err, monitor.ErrInvalid)
}

func TestReportTexts(t *testing.T) {
	t.Parallel()
	r := monitor.Report{
		Model: "fraud", Version: "3", Window: 17, Rows: 10_000, Verdict: monitor.Drift,
		From: time.Unix(1, 0).UTC(), To: time.Unix(2, 0).UTC(),
		Features: []monitor.FeatureReport{
			{Name: "amount", Kind: profile.Numeric, Method: "wasserstein", Score: 0.84, Floor: 0.1, PValue: 3.1e-12, Drifted: true, Rules: []string{"12.1 % of rows above the reference maximum 4962"}},
			{Name: "country", Kind: profile.Categorical, Method: "jensen-shannon", PValue: 1},
		},
		Labels: monitor.LabelReport{Rows: 10_000, Labelled: 1, AUC: math.NaN(), LogLoss: 0.5, Brier: 0.2, Accuracy: 1, PositiveRate: 1},
	}
	require.Equal(t, `fraud/3 window 17 drift: 1 of 2 features in 10000 rows, worst "amount" wasserstein 0.840 (floor 0.100, p 3.1e-12): `+
		`12.1 % of rows above the reference maximum 4962`, r.String())
	data, err := json.Marshal(r)
	require.NoError(t, err)
	var back monitor.Report
	require.NoError(t, json.Unmarshal(data, &back))
	require.True(t, math.IsNaN(back.Labels.AUC))
	back.Labels.AUC, r.Labels.AUC = 0, 0
	require.Equal(t, r, back)
	r.Verdict, r.Features = monitor.OK, r.Features[1:]
	require.Equal(t, `fraud/3 window 17 ok: 10000 rows, nearest "country" jensen-shannon 0.000 (floor 0.000, p 1)`, r.String())
	require.Equal(t, "insufficient: 0 rows are too few to decide", monitor.Report{Verdict: monitor.Insufficient}.String())
	require.Zero(t, monitor.Report{}.Worst())
}

// TestKey: the same counts of the same window have the same key, whatever the
// order and the clock; another count, window or version has another.
func TestKey(t *testing.T) {
	t.Parallel()
	src := newSource(40, 3, false)
	ref := src.reference(t, 1000)
	rows := src.rows(1000)
	key := func(version string, rows [][]float64, seed uint64) string {
		m := newMonitor(t, ref, &monitor.Options{Model: "m", Version: version})
		for _, i := range rand.New(rand.NewPCG(seed, 1)).Perm(len(rows)) {
			m.Observe(rows[i], 0.5, monitor.ID{})
		}
		r, err := m.Cut(t.Context())
		require.NoError(t, err)
		return r.Key
	}
	first := key("1", rows, 1)
	require.Regexp(t, `^m/1/1/[0-9a-f]{16}$`, first)
	require.Equal(t, first, key("1", rows, 2))
	require.NotEqual(t, first[len("m/1"):], key("2", rows[1:], 1)[len("m/2"):])
	require.NotEqual(t, first, key("2", rows, 1))
}
