package grafana_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/millwright-ml/millwright/monitor/grafana"
	"github.com/millwright-ml/millwright/monitor/metrics"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// options set everything that shows.
func options() *grafana.Options {
	return &grafana.Options{
		Limits: map[string]float64{"auc": 0.8}, Labels: map[string]string{"team": "risk"}, Runbook: "https://runbooks.example/models",
		Namespace: "ml", ObjectLabels: map[string]string{"release": "prometheus"},
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for file, write := range map[string]func(*grafana.Options) ([]byte, error){
		"rules.yml": grafana.RuleFile, "prometheusrule.yml": grafana.PrometheusRule,
		"servicemonitor.yml": grafana.ServiceMonitor, "dashboard.json": grafana.Dashboard,
	} {
		got, err := write(options())
		require.NoError(t, err)
		path := filepath.Join("testdata", file)
		if *rewrite {
			require.NoError(t, os.WriteFile(path, got, 0o644))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "%s: run the test with -rewrite", file)
	}
}

// TestYAML reads what was written as other programs do.
func TestYAML(t *testing.T) {
	t.Parallel()
	o := options()
	o.Labels["odd"] = "a: \"b\"\n# <c> & \\u003c \x80"
	groups, err := grafana.Rules(o)
	require.NoError(t, err)
	data, err := grafana.PrometheusRule(o)
	require.NoError(t, err)
	var read struct {
		APIVersion, Kind string
		Metadata         struct {
			Name, Namespace string
			Labels          map[string]string
		}
		Spec struct {
			Groups []struct {
				Name, Interval string
				Rules          []struct {
					Record, Alert, Expr, For string
					Labels, Annotations      map[string]string
				}
			}
		}
	}
	require.NoError(t, yaml.UnmarshalStrict(data, &read))
	require.Equal(t, "monitoring.coreos.com/v1 PrometheusRule millwright ml", strings.Join([]string{read.APIVersion, read.Kind, read.Metadata.Name, read.Metadata.Namespace}, " "))
	require.Equal(t, o.ObjectLabels, read.Metadata.Labels)
	require.Len(t, read.Spec.Groups, len(groups))
	for i, g := range groups {
		require.Equal(t, g.Name, read.Spec.Groups[i].Name)
		require.Equal(t, "30s", read.Spec.Groups[i].Interval)
		for j, r := range g.Rules {
			got := read.Spec.Groups[i].Rules[j]
			require.Equal(t, []string{r.Record, r.Alert, r.Expr}, []string{got.Record, got.Alert, got.Expr})
			if r.Alert == "" {
				continue
			}
			require.Equal(t, "a: \"b\"\n# <c> & \\u003c \uFFFD", got.Labels["odd"])
			require.Equal(t, r.Annotations, got.Annotations)
			d, err := time.ParseDuration(got.For)
			require.NoError(t, err)
			require.Equal(t, r.For, d)
		}
	}
}

// TestEveryMetricIsShown holds rules and dashboard against the list: they ask
// for nothing that is not there, and leave nothing out.
func TestEveryMetricIsShown(t *testing.T) {
	t.Parallel()
	board, err := grafana.Dashboard(options())
	require.NoError(t, err)
	groups, err := grafana.Rules(options())
	require.NoError(t, err)
	known, recorded := map[string]bool{}, map[string]bool{}
	for _, m := range metrics.All() {
		known[metrics.Prefix+"_"+m.Name] = true
		if m.Kind == metrics.Summary {
			known[metrics.Prefix+"_"+m.Name+"_sum"], known[metrics.Prefix+"_"+m.Name+"_count"] = true, true
		}
	}
	var rules strings.Builder
	for _, g := range groups {
		for _, r := range g.Rules {
			for _, n := range regexp.MustCompile(`millwright:\w+:\w+`).FindAllString(r.Expr, -1) {
				require.True(t, recorded[n], "%s is used before it is recorded", n)
			}
			recorded[r.Record] = true
			rules.WriteString(r.Expr + "\n")
		}
	}
	require.True(t, json.Valid(board))
	for _, n := range regexp.MustCompile(`millwright:\w+:\w+`).FindAllString(string(board), -1) {
		require.True(t, recorded[n], "%s is drawn and not recorded", n)
	}
	for _, n := range regexp.MustCompile(`millwright_\w+`).FindAllString(string(board)+rules.String(), -1) {
		require.True(t, known[n], "%s is not in the list", n)
	}
	for _, m := range metrics.All() {
		require.Contains(t, string(board)+rules.String(), metrics.Prefix+"_"+m.Name, "not drawn, and not recorded")
	}
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	for _, g := range groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				require.Contains(t, string(doc), "//\t"+r.Alert+" ")
				require.Equal(t, "risk", r.Labels["team"])
				require.Contains(t, r.Annotations["runbook_url"], "#millwright")
				require.Positive(t, r.For)
			}
		}
	}
}

// TestPanels lays no two panels over each other.
func TestPanels(t *testing.T) {
	t.Parallel()
	data, err := grafana.Dashboard(nil)
	require.NoError(t, err)
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ H, W, X, Y int }
			Targets []struct{ RefID, Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(data, &board))
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range board.Panels {
		require.False(t, ids[p.ID])
		ids[p.ID] = true
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24)
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				require.Empty(t, taken[at], p.Title)
				taken[at] = p.Title
			}
		}
	}
	require.Greater(t, len(ids), 30)
}

func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := grafana.Rules(&grafana.Options{
		Name: "No Name", Ranges: []string{"1h", "soon"}, MinRows: -1, PSI: -1, NullShift: -1, Limits: map[string]float64{"a\"": 1},
		Stale: time.Millisecond, Labels: map[string]string{"a-b": "c"},
	})
	require.ErrorIs(t, err, grafana.ErrInvalid)
	for _, fault := range []string{"Name", "Ranges", "MinRows", "PSI", "NullShift", "Limits", "Stale", "Labels"} {
		require.ErrorContains(t, err, fault)
	}
	for _, write := range []func(*grafana.Options) ([]byte, error){grafana.RuleFile, grafana.PrometheusRule, grafana.ServiceMonitor, grafana.Dashboard} {
		_, err := write(&grafana.Options{PSI: -1})
		require.ErrorIs(t, err, grafana.ErrInvalid)
	}
	_, err = grafana.FleetPSI("soon")
	require.ErrorIs(t, err, grafana.ErrInvalid)
	groups, err := grafana.Rules(&grafana.Options{PositiveShift: -1})
	require.NoError(t, err)
	for _, r := range groups[len(groups)-1].Rules {
		require.NotEqual(t, "MillwrightPositiveRateShift", r.Alert)
	}
}
