package monitor_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
)

// hostile is one kind of input that nobody wants, and how a monitor is shown
// to take it. What play returns is the result in the documentation.
type hostile struct {
	group, given string
	play         func(t *testing.T) string
}

const hostileRows = 1000

// overRows gives a window in which each row was changed, and what a monitor
// says of it: all of it is fit for JSON, and every row is counted.
func overRows(change func(i int, row []float64) (score float64)) func(t *testing.T) string {
	return func(t *testing.T) string {
		src := newSource(90, 1, true)
		return reported(t, newMonitor(t, src.reference(t, 4000), nil), src, change)
	}
}

func reported(t *testing.T, m *monitor.Monitor, src *source, change func(i int, row []float64) float64) string {
	for i := range hostileRows {
		row := src.row(nil)
		score := change(i, row)
		m.Observe(row, score, monitor.NewID("r", i))
	}
	r, err := m.Cut(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, hostileRows, r.Rows)
	return verdict(t, r)
}

// verdict is a report in words.
func verdict(t *testing.T, r monitor.Report) string {
	_, err := json.Marshal(r)
	require.NoError(t, err, "no number that JSON cannot carry")
	out := []string{"verdict " + string(r.Verdict)}
	for _, f := range r.Features {
		for _, v := range []float64{f.Score, f.Effect, f.NoiseFloor, f.PValue, f.Adjusted, f.Severity, f.Mean, f.RefMean, f.Variance} {
			require.False(t, math.IsNaN(v) || math.IsInf(v, 0), "%+v", f)
		}
		what := f.Rules
		if f.Drifted {
			what = append([]string{"drifted"}, what...)
		}
		if len(what) > 0 {
			out = append(out, fmt.Sprintf("%s: %s", f.Name, strings.Join(what, ", ")))
		}
	}
	return strings.Join(out, "; ")
}

// kind names the sentinel that an error matches.
func kind(t *testing.T, what string, err error) string {
	for name, sentinel := range map[string]error{"ErrInvalid": monitor.ErrInvalid, "ErrConflict": monitor.ErrConflict, "ErrClosed": monitor.ErrClosed} {
		if errors.Is(err, sentinel) {
			return what + ": " + name
		}
	}
	require.FailNow(t, what, "%v", err)
	return ""
}

func slot(feature int, v float64) func(int, []float64) float64 {
	return func(_ int, row []float64) float64 {
		row[feature] = v
		return 0.5
	}
}

// some changes one row in 20.
func some(change func(int, []float64) float64) func(int, []float64) float64 {
	return func(i int, row []float64) float64 {
		if i%20 == 0 {
			return change(i, row)
		}
		return 0.5
	}
}

var hostiles = []hostile{
	{"Numbers", "NaN in one row of 20", overRows(some(slot(0, math.NaN())))},
	{"Numbers", "+Inf in one row of 20", overRows(some(slot(0, math.Inf(1))))},
	{"Numbers", "-Inf in one row of 20", overRows(some(slot(0, math.Inf(-1))))},
	{"Numbers", "±1.8e308, the largest there are, whose sum of squares overflows", overRows(func(i int, row []float64) float64 {
		row[0] = math.Copysign(math.MaxFloat64, float64(i&1)-0.5)
		return 0.5
	})},
	{"Numbers", "one 1e300 among good rows", overRows(func(i int, row []float64) float64 {
		if i == 7 {
			row[0] = 1e300
		}
		return 0.5
	})},
	{"Numbers", "denormals and both zeros in one row of 20", overRows(some(func(i int, row []float64) float64 {
		row[0] = []float64{math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, math.Copysign(0, -1), 0}[i/20%4]
		return 0.5
	}))},
	{"Numbers", "a column of nulls only", overRows(slot(0, math.NaN()))},
	{"Numbers", "a column of infinities only", overRows(slot(0, math.Inf(1)))},
	{"Numbers", "a column of one constant", overRows(slot(0, 0.25))},
	{"Numbers", "every slot of every row NaN", overRows(func(_ int, row []float64) float64 {
		row[0], row[1] = math.NaN(), math.NaN()
		return 0.5
	})},

	{"Categories", "a code below, above and between the known in one row of 20", overRows(some(func(i int, row []float64) float64 {
		row[1] = []float64{-1, 1e18, 0.5, math.Inf(1)}[i/20%4]
		return 0.5
	}))},
	{"Categories", "a column of nulls only", overRows(slot(1, math.NaN()))},
	{"Categories", "a million new ones", millionCategories},
	{"Categories", "empty, not UTF-8, with a NUL, and a megabyte long", func(t *testing.T) string {
		src := newSource(90, 0, true)
		m := newMonitor(t, src.reference(t, 4000), nil)
		odd := []string{"", "\xff\xfe", profile.NullText, strings.Repeat("x", 1<<20)}
		out := reported(t, m, src, func(i int, row []float64) float64 {
			row[0] = m.EncodeString(0, odd[i%len(odd)])
			return 0.5
		})
		return out
	}},

	{"Scores and labels", "a score of NaN or infinity", func(t *testing.T) string {
		src := newSource(90, 1, false)
		m := newMonitor(t, src.reference(t, 4000), nil)
		reported(t, m, src, func(i int, _ []float64) float64 { return []float64{math.NaN(), math.Inf(1)}[i&1] })
		s := m.Snapshot()
		return fmt.Sprintf("%d rows counted, %d predictions wait for a label; a label is %q",
			s.Predictions, s.Labels.Pending, m.Label(monitor.NewID("r", 0), 1))
	}},
	{"Scores and labels", "a label of NaN or infinity", func(t *testing.T) string {
		src := newSource(90, 1, false)
		m := newMonitor(t, src.reference(t, 4000), nil)
		reported(t, m, src, func(int, []float64) float64 { return 0.5 })
		one, two := m.Label(monitor.NewID("r", 1), math.NaN()), m.Label(monitor.NewID("r", 2), math.Inf(1))
		return fmt.Sprintf("%q and %q; %d labels of %d rows", one, two, m.Overall().Labelled, m.Overall().Rows)
	}},
	{"Scores and labels", "the label of a prediction, again", func(t *testing.T) string {
		src := newSource(90, 1, false)
		m := newMonitor(t, src.reference(t, 4000), nil)
		reported(t, m, src, func(int, []float64) float64 { return 0.5 })
		return fmt.Sprintf("%q, then %q", m.Label(monitor.NewID("r", 1), 1), m.Label(monitor.NewID("r", 1), 0))
	}},

	{"Schema", "rows that are longer, shorter and empty", func(t *testing.T) string {
		src := newSource(90, 1, true)
		m := newMonitor(t, src.reference(t, 4000), nil)
		for range 20 {
			m.Observe([]float64{1}, 0.5, monitor.ID{})
			m.Observe([]float64{1, 0, 1}, 0.5, monitor.ID{})
			m.Observe(nil, 0.5, monitor.ID{})
		}
		reported(t, m, src, func(int, []float64) float64 { return 0.5 })
		r := m.Snapshot().Report
		return fmt.Sprintf("%d of them rejected, %d rows counted; %s: %s", m.Snapshot().Rejected, m.Snapshot().Predictions, r.Quality[0].Rule, r.Quality[0].Text)
	}},
	{"Schema", "a batch with too few scores", func(t *testing.T) string {
		src := newSource(90, 2, false)
		m := newMonitor(t, src.reference(t, 4000), nil)
		m.ObserveBatch([]float64{1, 2, 3, 4}, []float64{0.5}, nil)
		return fmt.Sprintf("%d rows rejected, %d counted", m.Snapshot().Rejected, m.Snapshot().Predictions)
	}},
	{"Schema", "rows of the next version's width, before and after Reset", func(t *testing.T) string {
		src, wide := newSource(90, 1, false), newSource(91, 2, false)
		m := newMonitor(t, src.reference(t, 4000), nil)
		m.Observe([]float64{1, 2}, 0.5, monitor.ID{})
		before := m.Snapshot().Predictions
		require.NoError(t, m.Reset(wide.reference(t, 4000), "2"))
		m.Observe([]float64{1, 2}, 0.5, monitor.ID{})
		m.Observe([]float64{1}, 0.5, monitor.ID{})
		s := m.Snapshot()
		return fmt.Sprintf("before: %d counted; after: %d, and the old width is rejected (%d in all)", before, s.Predictions, s.Rejected)
	}},

	{"Windows", "no row at all", func(t *testing.T) string {
		m := newMonitor(t, newSource(90, 1, false).reference(t, 4000), nil)
		m.ObserveBatch(nil, nil, nil)
		_, err := m.Cut(t.Context())
		return kind(t, "Cut", err) + fmt.Sprintf("; %d rows", m.Snapshot().Predictions)
	}},
	{"Windows", "no row since the last window, with WindowTime", emptyByTime},
	{"Windows", "fewer rows than Policy.MinRows", func(t *testing.T) string {
		src := newSource(90, 1, false)
		m := newMonitor(t, src.reference(t, 4000), nil)
		m.Observe([]float64{1e9}, 0.5, monitor.ID{})
		r, err := m.Cut(t.Context())
		require.NoError(t, err)
		return verdict(t, r)
	}},
	{"Windows", "rows after Shutdown", func(t *testing.T) string {
		src := newSource(90, 1, false)
		m := newMonitor(t, src.reference(t, 4000), nil)
		require.NoError(t, m.Shutdown(t.Context()))
		m.Observe(src.row(nil), 0.5, monitor.ID{})
		_, err := m.Cut(t.Context())
		return fmt.Sprintf("%d dropped; %s", m.Snapshot().Dropped, kind(t, "Cut", err))
	}},
	{"Windows", "times of the year 1, 1969 and 9999, for Seasonal", func(*testing.T) string {
		var hours []string
		for _, year := range []int{1, 1969, 9999} {
			hours = append(hours, strconv.Itoa(profile.HourOf(time.Date(year, 1, 1, 5, 0, 0, 0, time.UTC))))
		}
		return "the hour of the week is " + strings.Join(hours, ", ")
	}},

	{"References", "none", func(t *testing.T) string {
		_, err := monitor.New(nil, nil)
		return kind(t, "New", err)
	}},
	{"References", "without a row", func(t *testing.T) string {
		_, err := monitor.New(newSource(90, 1, false).reference(t, 100).Empty(), nil)
		return kind(t, "New", err)
	}},
	{"References", "with a column of nulls, and numbers come", func(t *testing.T) string {
		return ofColumn(t, func(c *profile.Column) { c.AddNull() }, math.NaN(), 3)
	}},
	{"References", "with a constant, and the same comes", func(t *testing.T) string {
		return ofColumn(t, func(c *profile.Column) { c.AddFloat(7) }, 7, 7)
	}},
	{"References", "with a constant, and another comes", func(t *testing.T) string {
		return ofColumn(t, func(c *profile.Column) { c.AddFloat(7) }, 7, 7.5)
	}},
	{"References", "of another model, for a window", func(t *testing.T) string {
		ref, other := newSource(90, 1, false).reference(t, 4000), newSource(91, 2, false).reference(t, 4000)
		_, err := monitor.Compare(ref, other, nil)
		return kind(t, "Compare", err)
	}},
	{"References", "of another model, for counts from elsewhere", func(t *testing.T) string {
		m := newMonitor(t, newSource(90, 1, false).reference(t, 4000), nil)
		return kind(t, "Add", m.Add(newSource(91, 1, false).reference(t, 4000))) + fmt.Sprintf("; %d rows counted", m.Snapshot().Predictions)
	}},
	{"References", "of another model, for a saved state", func(t *testing.T) string {
		store := &memory{}
		m := newMonitor(t, newSource(90, 1, true).reference(t, 4000), persistent(store, "1"))
		m.Observe([]float64{1, 1}, 0.5, monitor.ID{})
		require.NoError(t, m.Save(t.Context()))
		other := newMonitor(t, newSource(91, 1, true).reference(t, 4000), persistent(store, "1"))
		return kind(t, "Restore", other.Restore(t.Context())) + fmt.Sprintf("; %d rows taken over", other.Snapshot().Predictions)
	}},
	{"References", "of another model, for Merge and Sub", func(t *testing.T) string {
		a, b := newSource(90, 1, false).reference(t, 4000), newSource(91, 1, false).reference(t, 4000)
		require.ErrorIs(t, a.Merge(b), profile.ErrInvalid)
		require.ErrorIs(t, a.Sub(b), profile.ErrInvalid)
		return fmt.Sprintf("ErrInvalid, and nothing is changed (%d rows)", a.Rows)
	}},
}

// ofColumn has a reference of one column that is always the same, and a window
// of another value.
func ofColumn(t *testing.T, add func(*profile.Column), was, now float64) string {
	var c profile.Column
	for range 1000 {
		add(&c)
	}
	ref := profile.NewReference([]profile.Feature{{Name: "f00", Bins: c.Bins(0)}}, nil)
	for range 1000 {
		require.NoError(t, ref.Observe([]float64{was}, 0))
	}
	return reported(t, newMonitor(t, ref, nil), newSource(90, 1, false), slot(0, now))
}

// millionCategories has a text of its own in every row, and looks at the
// memory that stays.
func millionCategories(t *testing.T) string {
	const n = 1_000_000
	src := newSource(90, 0, true)
	m := newMonitor(t, src.reference(t, 4000), &monitor.Options{MaxPending: -1})
	buf, row := []byte("category "), []float64{0}
	for i := range n {
		row[0] = m.Encoder().CategoryBytes(0, strconv.AppendInt(buf, int64(i), 10))
		m.Observe(row, 0.5, monitor.ID{})
	}
	r, err := m.Cut(t.Context())
	require.NoError(t, err)
	f := r.Worst()
	require.EqualValues(t, n, r.Rows)
	require.InEpsilon(t, n, f.UnseenDistinct, 0.05)
	require.LessOrEqual(t, len(f.UnseenTop), 5)
	runtime.KeepAlive(m)
	return verdict(t, r) + fmt.Sprintf("; about %.1f million told apart, %d named, at most 1,024 kept", math.Round(float64(f.UnseenDistinct)/1e5)/10, len(f.UnseenTop))
}

func emptyByTime(t *testing.T) (out string) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(90, 1, false)
		reports := make(chan monitor.Report, 10)
		m, err := monitor.New(src.reference(t, 500), &monitor.Options{WindowTime: time.Minute, OnReport: func(r monitor.Report) { reports <- r }})
		require.NoError(t, err)
		m.Observe(src.row(nil), 0.5, monitor.ID{})
		<-reports
		r := <-reports
		require.Zero(t, r.Rows)
		out = fmt.Sprintf("a report of %d rows, ", r.Rows) + verdict(t, r)
		require.NoError(t, m.Shutdown(t.Context()))
	})
	return out
}

// TestHostileInput plays all of it, and holds what is documented to what
// happened. With GOLDEN=write it writes the documentation anew.
func TestHostileInput(t *testing.T) {
	t.Parallel()
	var doc strings.Builder
	doc.WriteString("# What a monitor makes of odd input\n\nMade by `TestHostileInput` of package `monitor`, out of what happened.\n" +
		"`f00` is a number that was drawn from a normal distribution, `colour` one of three\n" +
		"categories, and a window has 1,000 rows, if nothing else is said. Every row given\n" +
		"is counted, and every report is fit for JSON: no score is NaN or infinite.\n")
	group := ""
	for _, h := range hostiles {
		var result string
		t.Run(h.group+"/"+h.given, func(t *testing.T) { result = h.play(t) })
		if h.group != group {
			group = h.group
			fmt.Fprintf(&doc, "\n## %s\n\n| given | result |\n|---|---|\n", group)
		}
		fmt.Fprintf(&doc, "| %s | %s |\n", h.given, strings.ReplaceAll(result, "|", "\\|"))
	}
	path := filepath.Join("..", "docs", "monitor-odd-input.md")
	if os.Getenv("GOLDEN") == "write" {
		require.NoError(t, os.WriteFile(path, []byte(doc.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), doc.String(), "run with GOLDEN=write")
}
