package promexport_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/promexport"
)

// reference has numeric features with the values 0 to 99, and one of colours.
func reference(t testing.TB, numeric int) *profile.Reference {
	t.Helper()
	columns := make([]profile.Column, numeric)
	var colour, score profile.Column
	for i := range 1000 {
		for j := range columns {
			columns[j].AddFloat(float64(i % 100))
		}
		colour.AddString([]string{"red", "green"}[i%2])
		score.AddFloat(float64(i) / 1000)
	}
	var features []profile.Feature
	for j := range columns {
		features = append(features, profile.Feature{Name: fmt.Sprintf("f%03d", j), Bins: columns[j].Bins(0)})
	}
	features = append(features, profile.Feature{Name: "colour", Bins: colour.Bins(0)})
	ref := profile.NewReference(features, score.Bins(0))
	for i := range 1000 {
		require.NoError(t, ref.Observe(row(numeric, i), float64(i)/1000))
	}
	return ref
}

func row(numeric, i int) []float64 {
	r := make([]float64, numeric+1)
	for j := range numeric {
		r[j] = float64(i % 100)
	}
	r[numeric] = float64(i % 2)
	return r
}

func newMonitor(t testing.TB, numeric int) *monitor.Monitor {
	t.Helper()
	m, err := monitor.New(reference(t, numeric), &monitor.Options{Model: "fraud", Version: "3"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Shutdown(context.Background())) })
	return m
}

// observe sends a drifted window: f000 is shifted by 50, a tenth of the
// colours is not known, and 900 of the 1000 rows get their label.
func observe(t testing.TB, m *monitor.Monitor, numeric int) {
	t.Helper()
	for i := range 1000 {
		r := row(numeric, i)
		r[0] += 50
		if i%10 == 0 {
			r[numeric] = m.EncodeString(numeric, "mauve")
			r[1] = math.NaN()
		}
		m.Observe(r, float64(i)/1000, monitor.NewID("r", i))
	}
	m.Observe(nil, 0, monitor.ID{})
	for i := range 900 {
		y := 0.0
		if i >= 500 {
			y = 1
		}
		require.Equal(t, monitor.Matched, m.Label(monitor.NewID("r", i), y))
	}
	require.Equal(t, monitor.Unknown, m.Label(monitor.NewID("s", 0), 1))
	_, err := m.Cut(t.Context())
	require.NoError(t, err)
}

// TestGolden compares a whole scrape. Numbers are rounded to six digits: sums
// depend on the order in which shards were counted, logarithms on the
// processor.
func TestGolden(t *testing.T) {
	t.Parallel()
	m := newMonitor(t, 2)
	observe(t, m, 2)
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(promexport.New(m, nil)))
	var page strings.Builder
	for line := range strings.Lines(scrape(t, registry)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && !strings.HasPrefix(line, "#") {
			v, err := strconv.ParseFloat(value, 64)
			require.NoError(t, err, line)
			if strings.HasPrefix(name, "millwright_evaluation_timestamp_seconds") {
				require.InDelta(t, float64(m.Snapshot().Report.To.UnixMilli())/1e3, v, 1e-3)
				v = 0
			}
			line = name + "} " + strconv.FormatFloat(v, 'g', 6, 64) + "\n"
		}
		page.WriteString(line)
	}
	golden, err := os.ReadFile(filepath.Join("testdata", "metrics.txt"))
	require.NoError(t, err)
	require.Equal(t, string(golden), page.String())
}

func TestLint(t *testing.T) {
	t.Parallel()
	m := newMonitor(t, 2)
	observe(t, m, 2)
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(promexport.New(m, nil)))
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)
	// What doc.go lists is what is there.
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		require.Contains(t, string(doc), f.GetName())
	}
	require.Len(t, families, strings.Count(string(doc), "//\tmillwright_"))
}

// TestBeforeTheFirstWindow has no report and no labels: no series may stand
// for a number that is not there.
func TestBeforeTheFirstWindow(t *testing.T) {
	t.Parallel()
	m := newMonitor(t, 2)
	c := promexport.New(m, nil)
	require.Equal(t, 1+1+2+5+2+1+1, testutil.CollectAndCount(c))
	require.Zero(t, testutil.CollectAndCount(c, "millwright_drift_state", "millwright_realized_metric", "millwright_feature_drift_score"))
}

func TestVersionsDoNotPileUp(t *testing.T) {
	t.Parallel()
	m := newMonitor(t, 2)
	observe(t, m, 2)
	c := promexport.New(m, nil)
	before := testutil.CollectAndCount(c)
	require.NoError(t, m.Reset(reference(t, 2), "4"))
	require.Less(t, testutil.CollectAndCount(c), before)
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(c))
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				require.NotEqual(t, "3", l.GetValue(), f.GetName())
			}
		}
	}
}

func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	const numeric = 100
	m := newMonitor(t, numeric)
	observe(t, m, numeric)
	all := testutil.CollectAndCount(promexport.New(m, &promexport.Options{MaxSeries: -1}))
	require.Greater(t, all, 600)
	for _, limit := range []int{60, 61, 100, all, all + 1} {
		c := promexport.New(m, &promexport.Options{MaxSeries: limit})
		registry := prometheus.NewPedanticRegistry()
		require.NoError(t, registry.Register(c))
		n, err := testutil.GatherAndCount(registry)
		require.NoError(t, err)
		require.LessOrEqual(t, n, limit)
		require.Greater(t, n, min(limit, all)-6, "room is used")
		families, err := registry.Gather()
		require.NoError(t, err)
		worst := false
		for _, f := range families {
			switch f.GetName() {
			case "millwright_series_truncated":
				require.EqualValues(t, all-n, f.GetMetric()[0].GetGauge().GetValue())
			case "millwright_feature_drift_score":
				for _, m := range f.GetMetric() {
					for _, l := range m.GetLabel() {
						worst = worst || l.GetValue() == "f000"
					}
				}
			}
		}
		require.True(t, worst, "the worst feature stays")
	}
}

func TestSeveralModels(t *testing.T) {
	t.Parallel()
	other, err := monitor.New(reference(t, 1), &monitor.Options{Model: "churn \xff"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Shutdown(context.Background())) })
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(promexport.New(newMonitor(t, 1), nil)))
	require.NoError(t, registry.Register(promexport.New(other, nil)))
	_, err = registry.Gather()
	require.NoError(t, err)
	bad := prometheus.NewPedanticRegistry()
	require.NoError(t, bad.Register(promexport.New(nil, nil)))
	_, err = bad.Gather()
	require.ErrorContains(t, err, "promexport: collect: the monitor is nil")
}

// BenchmarkScrape gathers and writes the text format of 32 features.
func BenchmarkScrape(b *testing.B) {
	for _, numeric := range []int{31, 255} {
		b.Run(fmt.Sprintf("features=%d", numeric+1), func(b *testing.B) {
			m := newMonitor(b, numeric)
			observe(b, m, numeric)
			registry := prometheus.NewRegistry()
			require.NoError(b, registry.Register(promexport.New(m, nil)))
			b.ReportAllocs()
			var size int
			for b.Loop() {
				size = len(scrape(b, registry))
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}
