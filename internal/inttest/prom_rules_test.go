package inttest_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/monitor/drift"
	"github.com/millwright-ml/millwright/monitor/grafana"
)

// minutes is how long the traffic of the rules' tests is.
const minutes = 100

// healthy are the series of a model that nothing is wrong with, one point a
// minute in promtool's notation. %[1]d is minutes.
func healthy() map[string]string {
	series := map[string]string{
		`millwright_model_info{V}`:                                        "1x%d",
		`millwright_reference_rows{V}`:                                    "10000x%d",
		`millwright_predictions_total{M,class="positive"}`:                "0+30x%d",
		`millwright_predictions_total{M,class="negative"}`:                "0+70x%d",
		`millwright_window_rows{V}`:                                       "1000x%d",
		`millwright_evaluation_timestamp_seconds{V}`:                      "0+60x%d",
		`millwright_drift_state{V}`:                                       "0x%d",
		`millwright_feature_null_ratio{V,feature="f"}`:                    "0.01x%d",
		`millwright_feature_unseen_category_ratio{V,feature="g"}`:         "0.01x%d",
		`millwright_feature_reference_ratio{V,feature="f",bin="0"}`:       "0.5x%d",
		`millwright_feature_reference_ratio{V,feature="f",bin="1"}`:       "0.3x%d",
		`millwright_feature_reference_ratio{V,feature="f",bin="2"}`:       "0.2x%d",
		`millwright_feature_reference_ratio{V,feature="f",bin="null"}`:    "0x%d",
		`millwright_feature_observations_total{V,feature="f",bin="0"}`:    "0+50x%d",
		`millwright_feature_observations_total{V,feature="f",bin="1"}`:    "0+31x%d",
		`millwright_feature_observations_total{V,feature="f",bin="2"}`:    "0+19x%d",
		`millwright_feature_observations_total{V,feature="f",bin="null"}`: "0x%d",
		`millwright_window_limit_exceeded{V,rule="volume"}`:               "0x%d",
		`millwright_observations_dropped_total{M,reason="rejected"}`:      "0x%d",
		`millwright_inference_log_rows_total{M,result="written"}`:         "0+100x%d",
		`millwright_inference_log_rows_total{M,result="dropped"}`:         "0x%d",
		`millwright_series_truncated{M}`:                                  "0x%d",
		`millwright_estimated_metric{V,metric="auc"}`:                     "0.9x%d",
		`millwright_realized_metric{V,metric="auc",scope="window"}`:       "0.9x%d",
	}
	for k, v := range series {
		series[k] = fmt.Sprintf(v, minutes)
	}
	return series
}

// ruleTest is one of promtool's.
type ruleTest struct {
	Name     string         `json:"name"`
	Interval string         `json:"interval"`
	Input    []inputSeries  `json:"input_series"`
	Tests    []promqlSample `json:"promql_expr_test"`
}

type inputSeries struct {
	Series string `json:"series"`
	Values string `json:"values"`
}

type promqlSample struct {
	Expr     string     `json:"expr"`
	EvalTime string     `json:"eval_time"`
	Samples  []expected `json:"exp_samples"`
}

type expected struct {
	Labels string  `json:"labels"`
	Value  float64 `json:"value"`
}

func series(values map[string]string) []inputSeries {
	var out []inputSeries
	for k, v := range values {
		k = strings.NewReplacer("{V", `{model="m",version="1",instance="a"`, "{M", `{model="m",instance="a"`).Replace(k)
		out = append(out, inputSeries{k, v})
	}
	return out
}

// TestPrometheusRules has promtool check the generated rules and fire each of
// the alerts, by itself.
func TestPrometheusRules(t *testing.T) {
	t.Parallel()
	promtool := inttest.Tool(t, "promtool")
	dir := t.TempDir()
	options := &grafana.Options{Limits: map[string]float64{"auc": 0.8}, Labels: map[string]string{"team": "risk"}, Runbook: "https://runbooks.example/models", Ranges: []string{"1h"}, Stale: 30 * time.Minute}
	rules, err := grafana.RuleFile(options)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yml"), rules, 0o600))
	said, err := exec.CommandContext(t.Context(), promtool, "check", "rules", "--lint-fatal", filepath.Join(dir, "rules.yml")).CombinedOutput()
	require.NoError(t, err, "%s", said)

	const gone = "-"
	type fault struct {
		alert   string // Empty where none may fire.
		name    string
		changes map[string]string
	}
	always := func(v string) string { return fmt.Sprintf("%sx%d", v, minutes) }
	faults := []fault{
		{"", "healthy", nil},
		{"Drift", "state", map[string]string{`millwright_drift_state{V}`: always("2")}},
		{"", "state of few rows", map[string]string{`millwright_drift_state{V}`: always("2"), `millwright_window_rows{V}`: always("100")}},
		{"", "state for a moment", map[string]string{`millwright_drift_state{V}`: fmt.Sprintf("0x%d 2x1", minutes-2)}},
		{"FleetDrift", "a second replica", map[string]string{
			`millwright_feature_observations_total{model="m",version="1",instance="b",feature="f",bin="0"}`: always("0+5"),
			`millwright_feature_observations_total{model="m",version="1",instance="b",feature="f",bin="2"}`: always("0+95"),
		}},
		{"", "a fleet of few rows", map[string]string{
			`millwright_feature_observations_total{V,feature="f",bin="0"}`: always("0+1"),
			`millwright_feature_observations_total{V,feature="f",bin="1"}`: always("0+1"),
			`millwright_feature_observations_total{V,feature="f",bin="2"}`: always("0+5"),
		}},
		{"PositiveRateShift", "positives", map[string]string{`millwright_predictions_total{M,class="positive"}`: "0+30x50 1580+80x50"}},
		{"NullRatio", "nulls", map[string]string{`millwright_feature_null_ratio{V,feature="f"}`: always("0.2")}},
		{"", "nulls as ever", map[string]string{
			`millwright_feature_null_ratio{V,feature="f"}`: always("0.2"), `millwright_feature_reference_ratio{V,feature="f",bin="null"}`: always("0.18"),
			`millwright_feature_observations_total{V,feature="f",bin="null"}`: always("0+20"),
		}},
		{"UnseenCategories", "categories", map[string]string{`millwright_feature_unseen_category_ratio{V,feature="g"}`: always("0.2")}},
		{"EstimatedMetric", "expected", map[string]string{`millwright_estimated_metric{V,metric="auc"}`: always("0.7")}},
		{"RealizedMetric", "realized", map[string]string{`millwright_realized_metric{V,metric="auc",scope="window"}`: always("0.7")}},
		{"WindowLimit", "volume", map[string]string{`millwright_window_limit_exceeded{V,rule="volume"}`: always("1")}},
		{"ObservationsLost", "rejected", map[string]string{`millwright_observations_dropped_total{M,reason="rejected"}`: always("0+1")}},
		{"InferenceLogDrops", "log", map[string]string{`millwright_inference_log_rows_total{M,result="dropped"}`: always("0+1")}},
		{"NoTraffic", "silence", map[string]string{
			`millwright_predictions_total{M,class="positive"}`: always("30"), `millwright_predictions_total{M,class="negative"}`: always("70"),
		}},
		{"StaleEvaluation", "stuck", map[string]string{`millwright_evaluation_timestamp_seconds{V}`: always("0")}},
		{"ReferenceMissing", "no reference", map[string]string{`millwright_reference_rows{V}`: gone}},
		{"SeriesTruncated", "too many", map[string]string{`millwright_series_truncated{M}`: always("12")}},
	}
	fired := map[string]bool{}
	var tests []ruleTest
	for _, f := range faults {
		values := healthy()
		for k, v := range f.changes {
			if values[k] = v; v == gone {
				delete(values, k)
			}
		}
		test := promqlSample{Expr: `count by (alertname, team) (ALERTS{alertstate="firing"})`, EvalTime: fmt.Sprintf("%dm", minutes)}
		if f.alert != "" {
			fired["Millwright"+f.alert] = true
			test.Samples = []expected{{fmt.Sprintf(`{alertname="Millwright%s", team="risk"}`, f.alert), 1}}
		}
		tests = append(tests, ruleTest{f.name, "1m", series(values), []promqlSample{test}})
	}
	groups, err := grafana.Rules(options)
	require.NoError(t, err)
	for _, r := range groups[len(groups)-1].Rules {
		require.True(t, fired[r.Alert], "%s has no test", r.Alert)
	}
	tests = append(tests, indices(t))
	file, err := json.Marshal(map[string]any{"rule_files": []string{"rules.yml"}, "evaluation_interval": "1m", "tests": tests})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tests.yml"), file, 0o600)) // JSON is YAML.
	said, err = exec.CommandContext(t.Context(), promtool, "test", "rules", filepath.Join(dir, "tests.yml")).CombinedOutput()
	require.NoError(t, err, "%s", said)
}

// indices holds the recorded index of features with and without empty bins
// against drift.PSI.
func indices(t *testing.T) ruleTest {
	t.Helper()
	const reference = 1000
	values := map[string]string{
		`millwright_model_info{V}`:     fmt.Sprintf("1x%d", minutes),
		`millwright_reference_rows{V}`: fmt.Sprintf("%dx%d", reference, minutes),
	}
	test := ruleTest{Name: "index", Interval: "1m"}
	query, err := grafana.FleetPSI("1h")
	require.NoError(t, err)
	whole := []promqlSample{{Expr: "round(" + query + ", 1e-6)"}, {Expr: "round(millwright:feature_psi:1h, 1e-6)"}}
	noise := promqlSample{Expr: "round(millwright:feature_psi_noise:1h, 1e-6)"}
	for name, counts := range map[string][2][]uint64{
		"plain":    {{100, 200, 300, 400}, {4, 3, 2, 1}},
		"emptied":  {{100, 200, 300, 400}, {4, 0, 2, 1}},
		"filled":   {{300, 700, 0, 0}, {4, 3, 2, 0}},
		"the same": {{500, 500, 0, 0}, {3, 3, 0, 0}},
	} {
		var hour []uint64
		for bin, n := range counts[1] {
			labels := fmt.Sprintf(`{V,feature=%q,bin="%d"}`, name, bin)
			values["millwright_feature_observations_total"+labels] = fmt.Sprintf("0+%dx%d", n, minutes)
			values["millwright_feature_reference_ratio"+labels] = fmt.Sprintf("%vx%d", float64(counts[0][bin])/reference, minutes)
			hour = append(hour, 60*n)
		}
		want, err := drift.PSI(counts[0], hour)
		require.NoError(t, err)
		labels := fmt.Sprintf(`model="m", version="1", feature=%q}`, name)
		round := func(v float64) float64 { return math.Floor(v*1e6+0.5) / 1e6 }
		whole[0].Samples = append(whole[0].Samples, expected{"{" + labels, round(want.Score)})
		whole[1].Samples = append(whole[1].Samples, expected{"{" + labels, round(want.Score)})
		noise.Samples = append(noise.Samples, expected{"{" + labels, round(want.NoiseFloor)})
	}
	test.Input = series(values)
	for _, s := range append(whole, noise) {
		s.EvalTime = fmt.Sprintf("%dm", minutes)
		test.Tests = append(test.Tests, s)
	}
	return test
}
