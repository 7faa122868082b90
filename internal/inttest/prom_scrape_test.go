package inttest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/grafana"
	"github.com/millwright-ml/millwright/monitor/metrics"
	"github.com/millwright-ml/millwright/monitor/promexport"
)

// promValues asks Prometheus for a vector, by a label.
func promValues(t *testing.T, base, query, label string) map[string]float64 {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/v1/query?query="+url.QueryEscape(query), nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	require.Empty(t, answer.Error, query)
	out := map[string]float64{}
	for _, r := range answer.Data.Result {
		v, err := strconv.ParseFloat(r.Value[1].(string), 64)
		require.NoError(t, err)
		out[r.Metric[label]] = v
	}
	return out
}

// eventually waits for a condition, for as long as a slow machine may take.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), inttest.Patience)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatal(what + " does not come")
		case <-ticker.C:
		}
	}
}

// TestPrometheusFleet has a real Prometheus scrape two replicas. The drift of
// the two together, which no process computes, is the library's of the merged
// counts; the drift makes an alert.
func TestPrometheusFleet(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	columns := make([]profile.Column, 3)
	row := func(shift float64) []float64 {
		return []float64{rng.NormFloat64() + shift, rng.ExpFloat64(), float64(rng.IntN(4))}
	}
	for range 5000 {
		r := row(0)
		columns[0].AddFloat(r[0])
		columns[1].AddFloat(r[1])
		columns[2].AddString(fmt.Sprint("c", r[2]))
	}
	var features []profile.Feature
	for i, name := range []string{"shifted", "calm", "kind"} {
		features = append(features, profile.Feature{Name: name, Bins: columns[i].Bins(0)})
	}
	ref := profile.NewReference(features, nil)
	for range 20_000 {
		require.NoError(t, ref.Observe(row(0), 0))
	}
	fleet := ref.Window()
	var targets []string
	for replica := range 2 {
		m, err := monitor.New(ref, &monitor.Options{Model: "fraud", Version: "3"})
		require.NoError(t, err)
		defer func() { require.NoError(t, m.Shutdown(context.WithoutCancel(t.Context()))) }()
		server := httptest.NewServer(promexport.Handler(nil, promexport.New(m, nil)))
		defer server.Close()
		targets = append(targets, strings.TrimPrefix(server.URL, "http://"))
		// One replica alone drifts: the fleet does by half.
		for range 3000 + 1000*replica {
			m.Observe(row(1.5*float64(replica)), 0, monitor.ID{})
		}
		_, err = m.Cut(t.Context())
		require.NoError(t, err)
		_, observed, err := m.Counts()
		require.NoError(t, err)
		require.NoError(t, fleet.Merge(observed))
	}
	want, err := metrics.PSI(ref, fleet)
	require.NoError(t, err)

	targets = append(targets, servedModel(t))

	dir := t.TempDir()
	rules, err := grafana.RuleFile(&grafana.Options{Interval: time.Second, For: time.Second})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yml"), rules, 0o600))
	config, err := json.Marshal(map[string]any{
		"global":         map[string]any{"scrape_interval": "1s", "evaluation_interval": "1s"},
		"rule_files":     []string{"rules.yml"},
		"scrape_configs": []any{map[string]any{"job_name": "models", "static_configs": []any{map[string]any{"targets": targets}}}},
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), config, 0o600))
	base := inttest.StartPrometheus(t, filepath.Join(dir, "prometheus.yml"))

	query, err := grafana.FleetPSI("")
	require.NoError(t, err)
	eventually(t, "the scrape of both replicas", func() bool {
		return promValues(t, base, `count by (model) (millwright_model_info)`, "model")["fraud"] == 2
	})
	got := promValues(t, base, query, "feature")
	require.Len(t, got, len(want))
	for name, v := range want {
		require.InEpsilon(t, v, got[name], 1e-9, name)
	}
	require.Greater(t, got["shifted"], 0.25)
	require.Less(t, got["calm"], 0.01)
	eventually(t, "the alert of the drifted replica", func() bool {
		return promValues(t, base, `ALERTS{alertstate="firing"}`, "alertname")["MillwrightDrift"] == 1
	})
	servedScraped(t, base)
	up := promValues(t, base, `max(scrape_samples_scraped)`, "")
	require.Less(t, up[""], 200.0)
	require.Empty(t, promValues(t, base, `prometheus_rule_evaluation_failures_total > 0`, "rule_group"))
	require.False(t, math.IsNaN(got["kind"]))
}
