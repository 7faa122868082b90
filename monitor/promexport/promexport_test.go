package promexport_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/metrics"
	"github.com/millwright-ml/millwright/monitor/promexport"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file anew")

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
			if strings.HasPrefix(name, "millwright_reference_age_seconds") || strings.HasPrefix(name, "millwright_label_delay_seconds_sum") {
				v = 0
			}
			if strings.HasPrefix(name, "millwright_evaluation_timestamp_seconds") {
				require.InDelta(t, float64(m.Snapshot().Report.To.UnixMilli())/1e3, v, 1e-3)
				v = 0
			}
			line = name + "} " + strconv.FormatFloat(v, 'g', 6, 64) + "\n"
		}
		page.WriteString(line)
	}
	if *rewrite {
		require.NoError(t, os.WriteFile(filepath.Join("testdata", "metrics.txt"), []byte(page.String()), 0o644))
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
	// What doc.go lists is the list.
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	for _, m := range metrics.All() {
		line := "//\tmillwright_" + m.Name
		if len(m.Labels) > 0 {
			line += "{" + strings.Join(m.Labels, ",") + "}"
		}
		require.Contains(t, string(doc), line)
	}
	require.Len(t, metrics.All(), strings.Count(string(doc), "//\tmillwright_"))
}

// TestHandler serves what promhttp serves.
func TestHandler(t *testing.T) {
	t.Parallel()
	m, other := newMonitor(t, 2), newMonitor(t, 1)
	observe(t, m, 2)
	counts := func() map[string]uint64 { return map[string]uint64{"written": 7, "dropped": 1} }
	registry, others := prometheus.NewPedanticRegistry(), prometheus.NewRegistry()
	c := promexport.New(m, &promexport.Options{InferenceLog: counts, Triggers: counts})
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "own"})
	registry.MustRegister(c, gauge)
	others.MustRegister(gauge)
	w := httptest.NewRecorder()
	handler := promexport.Handler(others, c)
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code)
	require.Equal(t, strings.Split(w.Header().Get("Content-Type"), ";")[0], "text/plain")
	ages := regexp.MustCompile(`(?m)^(millwright_reference_age_seconds.*) .*$`)
	sorted := func(page string) []string {
		lines := strings.Split(ages.ReplaceAllString(page, "$1"), "\n")
		slices.Sort(lines)
		return lines
	}
	want, got := sorted(scrape(t, registry)), sorted(w.Body.String())
	for i, line := range want {
		if _, number, ok := strings.Cut(line, "} "); ok {
			v, err := strconv.ParseFloat(number, 64)
			require.NoError(t, err)
			_, number, _ = strings.Cut(got[i], "} ")
			u, err := strconv.ParseFloat(number, 64)
			require.NoError(t, err)
			require.Equal(t, v, u)
			want[i], got[i] = strings.TrimSuffix(line, number), strings.TrimSuffix(got[i], number)
		}
	}
	require.Equal(t, len(want), len(got))
	// Families of several models are not repeated.
	w = httptest.NewRecorder()
	promexport.Handler(nil, c, promexport.New(other, nil)).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	require.NoError(t, err)
	require.Len(t, families["millwright_model_info"].GetMetric(), 2)
	w = httptest.NewRecorder()
	promexport.Handler(nil, promexport.New(nil, nil)).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 500, w.Code)
}

// TestBeforeTheFirstWindow has no report and no labels: no series may stand
// for a number that is not there.
func TestBeforeTheFirstWindow(t *testing.T) {
	t.Parallel()
	m := newMonitor(t, 2)
	c := promexport.New(m, nil)
	bins := 2*11 + 4 // Of two numbers and of two colours.
	require.Equal(t, 1+2+2+3+4+5+1+2+1+1+1+2*bins, testutil.CollectAndCount(c))
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
				if l.GetName() == "version" {
					require.Equal(t, "4", l.GetValue(), f.GetName())
				}
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
	require.Greater(t, all, 2900)
	for _, limit := range []int{150, 151, 1000, 2000, all, all + 100} {
		c := promexport.New(m, &promexport.Options{MaxSeries: limit})
		registry := prometheus.NewPedanticRegistry()
		require.NoError(t, registry.Register(c))
		n, err := testutil.GatherAndCount(registry)
		require.NoError(t, err)
		require.LessOrEqual(t, n, limit)
		require.Greater(t, n, min(limit, all)-100, "room is used")
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

// BenchmarkScrape gathers and writes the text format, by Handler and by a
// registry with promhttp.
func BenchmarkScrape(b *testing.B) {
	for _, numeric := range []int{31, 255} {
		m := newMonitor(b, numeric)
		observe(b, m, numeric)
		c := promexport.New(m, nil)
		registry := prometheus.NewRegistry()
		require.NoError(b, registry.Register(c))
		for _, way := range []struct {
			name    string
			handler http.Handler
		}{{"handler", promexport.Handler(nil, c)}, {"promhttp", promhttp.HandlerFor(registry, promhttp.HandlerOpts{})}} {
			b.Run(fmt.Sprintf("%s/features=%d", way.name, numeric+1), func(b *testing.B) {
				b.ReportAllocs()
				var size int
				for b.Loop() {
					w := httptest.NewRecorder()
					way.handler.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
					size = w.Body.Len()
				}
				b.ReportMetric(float64(size), "bytes")
			})
		}
	}
}
