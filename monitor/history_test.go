package monitor_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
)

// play observes windows of rows, each with a shift of the first feature, and
// returns their reports.
func play(t testing.TB, m *monitor.Monitor, src *source, rows int, shifts ...float64) []monitor.Report {
	t.Helper()
	var out []monitor.Report
	for _, shift := range shifts {
		src.shift = []float64{shift}
		for range rows {
			m.Observe(src.row(nil), src.score(), monitor.ID{})
		}
		r, err := m.Cut(t.Context())
		require.NoError(t, err)
		out = append(out, r)
	}
	return out
}

func states(reports []monitor.Report) string {
	var s strings.Builder
	for _, r := range reports {
		s.WriteByte(r.State[0])
		if r.Trigger != nil && r.Trigger.New {
			s.WriteByte('!')
		}
	}
	return s.String()
}

func TestStates(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy monitor.Policy
		shifts []float64
		want   string
	}{
		"one window":   {monitor.Policy{}, []float64{0, 1, 1, 0, 1}, "od!dod!"},
		"two of three": {monitor.Policy{K: 2, N: 3}, []float64{0, 1, 0, 0, 0, 1, 0, 1, 1, 0, 0, 0, 0}, "owwwowwd!dddoo"},
		"leave": {
			// 0.11 is no drift of its own (floor 0.12), but above the lower
			// threshold of 0.096.
			monitor.Policy{Numeric: 0.12, Leave: 0.8}, []float64{1, 0.11, 0.11, 0.03, 0.11, 1}, "d!ddood!",
		},
		"cooldown": {monitor.Policy{Cooldown: time.Hour}, []float64{1, 0, 1, 1, 0}, "d!cccc"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := newSource(50, 2, false)
			m := newMonitor(t, src.reference(t, 20_000), &monitor.Options{Model: "m", Version: "3", Policy: c.policy})
			reports := play(t, m, src, 4000, c.shifts...)
			require.Equal(t, c.want, states(reports))
			for _, r := range reports {
				require.Equal(t, r.State == monitor.StateDrift, r.Trigger != nil)
			}
		})
	}
}

func TestTriggers(t *testing.T) {
	t.Parallel()
	src := newSource(51, 2, false)
	ref := src.reference(t, 20_000)
	m := newMonitor(t, ref, &monitor.Options{Model: "m", Version: "3"})
	reports := play(t, m, src, 2000, 0, 1, 1)
	require.Nil(t, reports[0].Trigger)
	first := reports[1].Trigger
	require.True(t, first.New)
	require.Equal(t, 2, first.Window)
	require.Equal(t, reports[1].To, first.Opened)
	require.Contains(t, first.Causes[0], `"f00" has moved by`)
	require.Contains(t, first.Causes[0], "instead of")
	require.NotEmpty(t, reports[1].Worst().Moved)
	require.False(t, reports[2].Trigger.New, "one trigger at a time")
	require.Equal(t, first.Key, reports[2].Trigger.Key)

	require.ErrorIs(t, m.Resolve("other"), monitor.ErrNotFound)
	require.NoError(t, m.Resolve(first.Key))
	require.ErrorIs(t, m.Resolve(first.Key), monitor.ErrNotFound)
	second := play(t, m, src, 2000, 1)[0].Trigger
	require.True(t, second.New)
	require.NotEqual(t, first.Key, second.Key)

	// A replica of the same version comes to the same key, another version not.
	replica := newMonitor(t, ref, &monitor.Options{Model: "m", Version: "3"})
	require.Equal(t, first.Key, play(t, replica, src, 1000, 1)[0].Trigger.Key)
	require.NoError(t, m.Reset(ref, "4"))
	fresh := play(t, m, src, 2000, 1)[0].Trigger
	require.True(t, fresh.New)
	require.NotContains(t, []string{first.Key, second.Key}, fresh.Key)
}

// TestSpans checks that a longer window is exactly the sum of its windows, and
// that it finds what is too small for any of them.
func TestSpans(t *testing.T) {
	t.Parallel()
	src := newSource(52, 1, true)
	ref := src.reference(t, 50_000)
	m := newMonitor(t, ref, &monitor.Options{
		Spans:  []monitor.Span{{Name: "short", Windows: 2}, {Name: "long", Windows: 15}},
		Policy: monitor.Policy{Numeric: 0.05, Alpha: 1e-8, DesignEffect: 1, MinRows: 100},
	})
	var windows []*profile.Reference
	src.shift = []float64{0.16}
	var found []int
	for i := range 20 {
		w := ref.Window()
		for range 300 {
			row, s := src.row(nil), src.score()
			require.NoError(t, w.Observe(row, s))
			m.Observe(row, s, monitor.ID{})
		}
		windows = append(windows, w)
		r, err := m.Cut(t.Context())
		require.NoError(t, err)
		require.Equal(t, monitor.OK, r.Verdict, "%v", r.Causes)
		want := 0
		for _, n := range []int{2, 15} {
			if i+1 < n {
				continue
			}
			l := r.Longer[want]
			want++
			sum := ref.Window()
			for _, w := range windows[i+1-n:] {
				require.NoError(t, sum.Merge(w))
			}
			direct, err := monitor.Compare(ref, sum, &monitor.Policy{Numeric: 0.05, DesignEffect: 1})
			require.NoError(t, err)
			require.EqualValues(t, 300*n, l.Rows)
			require.Equal(t, n, l.Windows)
			require.Equal(t, direct.Features[0].Score, l.Features[0].Score)
			require.Equal(t, direct.Score.Score, l.Score.Score)
			require.Equal(t, (i+1)%n == 0, l.Decides)
			require.Empty(t, l.State)
		}
		require.Len(t, r.Longer, want)
		if r.Trigger != nil && r.Trigger.New {
			require.Equal(t, "long", r.Trigger.Span)
			found = append(found, i+1)
		}
	}
	require.Equal(t, []int{15}, found)
}

// TestSeasonal has traffic whose level depends on the hour: a whole reference
// sees drift all day, that of the hours none.
func TestSeasonal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(53, 1, false)
		level := func(at time.Time) float64 { return math.Sin(float64(at.Hour()) / 24 * 2 * math.Pi) }
		b, err := profile.NewBuilder([]profile.Input{{Name: "x", Kind: profile.Numeric}}, &profile.BuilderOptions{Hours: true, LayoutRows: 100_000, ChunkRows: -1})
		require.NoError(t, err)
		monday := time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC)
		for i := range 7 * 24 * 400 {
			at := monday.Add(time.Duration(i) * time.Hour / 400)
			require.NoError(t, b.Add(&profile.Record{Numbers: []float64{level(at) + src.rng.NormFloat64()}, At: at}))
		}
		ref, err := b.Reference()
		require.NoError(t, err)
		monitors := map[bool]*monitor.Monitor{}
		for _, seasonal := range []bool{false, true} {
			monitors[seasonal] = newMonitor(t, ref, &monitor.Options{Seasonal: seasonal, Policy: monitor.Policy{DesignEffect: 1, MinRows: 300}})
		}
		<-time.After(time.Until(time.Date(2030, 1, 7, 0, 0, 0, 0, time.UTC))) // A Monday.
		alarms := map[bool]int{}
		for hour := range 24 {
			start := time.Now().UTC()
			for seasonal, m := range monitors {
				for range 300 {
					m.Observe([]float64{level(start) + src.rng.NormFloat64()}, 0, monitor.ID{})
				}
				_ = seasonal
			}
			<-time.After(time.Hour)
			for seasonal, m := range monitors {
				r, err := m.Cut(t.Context())
				require.NoError(t, err)
				if seasonal {
					require.Equal(t, strconv.Itoa(hour), r.Season, fmt.Sprint(r.From, r.To))
				} else {
					require.Empty(t, r.Season)
				}
				if r.Verdict == monitor.Drift {
					alarms[seasonal]++
				}
			}
		}
		require.Greater(t, alarms[false], 15)
		require.Zero(t, alarms[true])
	})
}

func TestQuality(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(54, 1, false)
		m := newMonitor(t, src.reference(t, 1000), &monitor.Options{Policy: monitor.Policy{
			MinVolume: 100, MaxVolume: 1000, MaxSilence: time.Minute,
		}})
		enc, err := monitor.NewMapEncoder(m)
		require.NoError(t, err)
		texts := func(r monitor.Report) (out []string) {
			for _, f := range r.Quality {
				out = append(out, string(f.Rule)+": "+f.Text)
			}
			return out
		}
		r := play(t, m, src, 500, 0)[0]
		require.Empty(t, r.Quality)
		for range 50 {
			enc.Observe(map[string]any{"f00": "text", "f99": 1}, 0, monitor.ID{})
		}
		m.Observe([]float64{1, 2}, 0, monitor.ID{})
		<-time.After(90 * time.Second)
		r, err = m.Cut(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{
			"volume: 50 rows, want at least 100",
			"freshness: the last row came 1m30s before the end of the window, want at most 1m0s",
			"schema: 2.0 % of rows have a wrong length",
			"schema: 100.0 % of rows have a value of a wrong type",
			"schema: 100.0 % of rows have values that are no feature",
		}, texts(r))
		require.Equal(t, monitor.Insufficient, r.Verdict)
		r = play(t, m, src, 1500, 0)[0]
		require.Equal(t, []string{"volume: 1500 rows, want at most 1000"}, texts(r))
	})
}

// TestSlices shifts one feature for one colour only.
func TestSlices(t *testing.T) {
	t.Parallel()
	src := newSource(55, 2, true)
	b, err := profile.NewBuilder([]profile.Input{{Name: "a", Kind: profile.Numeric}, {Name: "b", Kind: profile.Numeric}, {Name: "colour", Kind: profile.Categorical}},
		&profile.BuilderOptions{SliceBy: []string{"colour"}, Score: true})
	require.NoError(t, err)
	names := []string{"red", "green", "blue"}
	draw := func(shift float64) ([]float64, string) {
		row := src.row(nil)
		name := names[int(row[2])]
		if name == "blue" {
			row[1] += shift
		}
		return row, name
	}
	for range 30_000 {
		row, name := draw(0)
		require.NoError(t, b.Add(&profile.Record{Numbers: row[:2], Texts: []string{name}, Score: src.score(), Outcome: math.NaN()}))
	}
	ref, err := b.Reference()
	require.NoError(t, err)
	m := newMonitor(t, ref, &monitor.Options{SliceBy: []string{"colour"}})
	for range 8000 {
		row, name := draw(2)
		row[2] = m.EncodeString(2, name)
		m.Observe(row, src.score(), monitor.ID{})
	}
	r, err := m.Cut(t.Context())
	require.NoError(t, err)
	require.Len(t, r.Slices, 3)
	s := r.Slices[0]
	require.Equal(t, "blue", s.Value)
	require.Equal(t, monitor.Drift, s.Verdict)
	require.Equal(t, "b", s.Features[0].Name)
	require.InDelta(t, 2, s.Features[0].Effect, 0.3)
	require.InDelta(t, s.Reference, s.Share, 0.02)
	total := uint64(0)
	for i, s := range r.Slices {
		total += s.Rows
		require.Equal(t, i == 0, s.Verdict == monitor.Drift)
	}
	require.EqualValues(t, 8000, total)
	_, err = monitor.New(ref, &monitor.Options{SliceBy: []string{"a", "x"}})
	require.ErrorIs(t, err, monitor.ErrInvalid)
}
