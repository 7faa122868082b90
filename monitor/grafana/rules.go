package grafana

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/monitor/metrics"
)

// Group is a group of rules, which Prometheus computes one after the other.
type Group struct {
	Name     string
	Interval time.Duration
	Rules    []Rule
}

// Rule is a recording or an alert rule.
type Rule struct {
	// Record or Alert is its name, the other empty.
	Record, Alert string
	// Expr is in PromQL.
	Expr string
	// For is how long an alert must hold.
	For time.Duration
	// Labels and Annotations are those of an alert.
	Labels, Annotations map[string]string
}

// name is a metric's, as Prometheus knows it.
func name(id metrics.ID) string { return metrics.Prefix + "_" + metrics.All()[id].Name }

func num(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// Rules returns the groups. It returns ErrInvalid with every fault of opts.
func Rules(opts *Options) ([]Group, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	group := func(name string, rules []Rule) Group {
		return Group{Name: o.Name + "-" + name, Interval: o.Interval, Rules: rules}
	}
	groups := []Group{group("traffic", traffic())}
	for i, span := range o.Ranges {
		steps := psi(fmt.Sprintf("increase(%s[%s])", name(metrics.FeatureObservations), span), span)
		if i > 0 {
			steps = steps[1:] // The reference's rows are the same.
		}
		var rules []Rule
		for _, s := range steps {
			rules = append(rules, Rule{Record: s.name, Expr: s.expr})
		}
		groups = append(groups, group("psi-"+span, rules))
	}
	return append(groups, group("alerts", alerts(&o))), nil
}

// traffic records rates and the share of positive predictions.
func traffic() []Rule {
	rules := []Rule{{
		Record: metrics.Prefix + ":predictions:rate5m",
		Expr:   fmt.Sprintf("sum by (model) (rate(%s[5m]))", name(metrics.Predictions)),
	}}
	for _, span := range []string{"5m", "1h", "1d"} {
		rules = append(rules, Rule{
			Record: metrics.Prefix + ":positive_ratio:" + span,
			Expr: fmt.Sprintf("sum by (model) (rate(%[1]s{class=\"positive\"}[%[2]s]))\n/\nsum by (model) (rate(%[1]s[%[2]s]))",
				name(metrics.Predictions), span),
		})
	}
	return rules
}

// alert is a rule before the options are put in.
type alert struct {
	name, severity, expr, summary, description string
	hold                                       time.Duration // 0 is Options.For.
}

func alerts(o *Options) []Rule {
	rows := fmt.Sprintf("\nand on (model, version)\nmax by (model, version) (%s) >= %d", name(metrics.WindowRows), o.MinRows)
	first := o.Ranges[0]
	index, noise, count := metrics.Prefix+":feature_psi:"+first, metrics.Prefix+":feature_psi_noise:"+first, metrics.Prefix+":feature_rows:"+first
	list := []alert{
		{
			"Drift", "warning",
			fmt.Sprintf("max by (model, version) (%s) == 2%s", name(metrics.DriftState), rows),
			"{{ $labels.model }} {{ $labels.version }} has drifted",
			"The monitor's state is drift. Its report names the features; feature_alarm shows them.", 0,
		},
		{
			"FleetDrift", "warning",
			fmt.Sprintf("%s > %s\nand\n%s > 3 * %s\nand\n%s >= %d", index, num(o.PSI), index, noise, count, o.MinRows),
			"{{ $labels.feature }} of {{ $labels.model }} {{ $labels.version }} has drifted",
			"Over all replicas the population stability index of the last " + first + " is {{ $value | humanize }}, above " + num(o.PSI) + " and three times what chance makes of it.", 3 * o.For,
		},
		{
			"NullRatio", "warning",
			fmt.Sprintf("max by (model, version, feature) (%s)\n- on (model, version, feature)\nmax by (model, version, feature) (%s{bin=%q})\n> %s%s",
				name(metrics.FeatureNullRatio), name(metrics.FeatureReferenceRatio), metrics.Null, num(o.NullShift), rows),
			"{{ $labels.feature }} of {{ $labels.model }} {{ $labels.version }} is missing more often",
			"The share of missing values is {{ $value | humanizePercentage }} above that of the reference.", 0,
		},
		{
			"UnseenCategories", "warning",
			fmt.Sprintf("max by (model, version, feature) (%s) > %s%s", name(metrics.FeatureUnseenRatio), num(o.UnseenShare), rows),
			"{{ $labels.feature }} of {{ $labels.model }} {{ $labels.version }} has new categories",
			"{{ $value | humanizePercentage }} of the rows have a category that the reference does not name.", 0,
		},
		{
			"WindowLimit", "warning",
			fmt.Sprintf("max by (model, version, rule) (%s) == 1", name(metrics.WindowLimitExceeded)),
			"{{ $labels.rule }} of {{ $labels.model }} {{ $labels.version }} is beyond its limit",
			"The last window exceeds the policy's limit of {{ $labels.rule }}.", 0,
		},
		{
			"ObservationsLost", "warning",
			fmt.Sprintf("sum by (model, reason) (increase(%s{reason!=\"closed\"}[10m])) > 0", name(metrics.ObservationsDropped)),
			"{{ $labels.model }} loses observations",
			"{{ $value | humanize }} rows of the last ten minutes were not observed: {{ $labels.reason }}.", 0,
		},
		{
			"InferenceLogDrops", "warning",
			fmt.Sprintf("sum by (model) (increase(%s{result=~\"dropped|unlogged\"}[10m])) > 0", name(metrics.InferenceLogRows)),
			"The inference log of {{ $labels.model }} drops rows",
			"{{ $value | humanize }} rows of the last ten minutes are not in the log.", 0,
		},
		{
			"NoTraffic", "warning",
			fmt.Sprintf("sum by (model) (increase(%s[%s])) == 0", name(metrics.Predictions), seconds(o.Silence)),
			"{{ $labels.model }} has no traffic",
			"No row was observed for " + seconds(o.Silence) + ".", 0,
		},
		{
			"StaleEvaluation", "warning",
			fmt.Sprintf("time() - max by (model, version) (%s) > %s", name(metrics.EvaluationTimestamp), num(o.Stale.Seconds())),
			"The windows of {{ $labels.model }} {{ $labels.version }} are not closed",
			"The last window was closed {{ $value | humanizeDuration }} ago. Does the program still call Cut, or has it no rows?", 0,
		},
		{
			"ReferenceMissing", "critical",
			fmt.Sprintf("max by (model, version) (%s)\nunless on (model, version)\nmax by (model, version) (%s) > 0", name(metrics.ModelInfo), name(metrics.ReferenceRows)),
			"{{ $labels.model }} {{ $labels.version }} has no reference",
			"Without rows in the reference nothing can be compared.", 0,
		},
		{
			"SeriesTruncated", "info",
			fmt.Sprintf("max by (model) (%s) > 0", name(metrics.SeriesTruncated)),
			"{{ $labels.model }} has more features than are shown",
			"{{ $value | humanize }} series are left out because of MaxSeries.", 0,
		},
	}
	if o.PositiveShift > 0 {
		list = append(list, alert{
			"PositiveRateShift", "warning",
			fmt.Sprintf("abs(%[1]s:positive_ratio:1h - %[1]s:positive_ratio:1d offset 1h) > %[2]s\nand on (model)\nsum by (model) (increase(%[3]s[1h])) >= %[4]d",
				metrics.Prefix, num(o.PositiveShift), name(metrics.Predictions), o.MinRows),
			"{{ $labels.model }} says yes more or less often",
			"The share of positive predictions of the last hour is {{ $value | humanizePercentage }} away from that of the day before.", 3 * o.For,
		})
	}
	for _, metric := range slices.Sorted(maps.Keys(o.Limits)) {
		limit := num(o.Limits[metric])
		list = append(list, alert{
			"EstimatedMetric", "warning",
			fmt.Sprintf("min by (model, version, metric) (%s{metric=%q}) < %s%s", name(metrics.EstimatedMetric), metric, limit, rows),
			"{{ $labels.model }} {{ $labels.version }} is expected to do badly",
			"{{ $labels.metric }} is expected to be {{ $value | humanize }}, below " + limit + "; no label has come yet.", 0,
		}, alert{
			"RealizedMetric", "critical",
			fmt.Sprintf("min by (model, version, metric) (%s{metric=%q, scope=\"window\"}) < %s", name(metrics.RealizedMetric), metric, limit),
			"{{ $labels.model }} {{ $labels.version }} does badly",
			"{{ $labels.metric }} of the newest mature window is {{ $value | humanize }}, below " + limit + ".", 0,
		})
	}
	var rules []Rule
	for _, a := range list {
		rules = append(rules, a.rule(o))
	}
	return rules
}

func (a alert) rule(o *Options) Rule {
	r := Rule{
		Alert: "Millwright" + a.name, Expr: a.expr, For: a.hold,
		Labels: map[string]string{"severity": a.severity}, Annotations: map[string]string{"summary": a.summary, "description": a.description},
	}
	if r.For == 0 {
		r.For = o.For
	}
	maps.Copy(r.Labels, o.Labels)
	if o.Runbook != "" {
		r.Annotations["runbook_url"] = o.Runbook + "#" + strings.ToLower(r.Alert)
	}
	return r
}
