package grafana

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/monitor/metrics"
)

// What selects the series of the chosen model.
const (
	ofModel   = `{model="$model"}`
	ofVersion = `{model="$model", version=~"$version"}`
	ofFeature = `{model="$model", version=~"$version", feature=~"$feature"}`
)

// width is that of Grafana's grid.
const width = 24

// board lays panels out from left to right.
type board struct {
	panels []panel
	x, y   int
	height int // Of the line that is being filled.
	id     int
}

func (b *board) row(title string) {
	b.y += b.height
	b.x, b.height = 0, 0
	b.id++
	open := false
	b.panels = append(b.panels, panel{ID: b.id, Type: "row", Title: title, Collapsed: &open, Panels: &[]panel{}, GridPos: place{1, width, 0, b.y}})
	b.y++
}

func (b *board) add(w, h int, p panel) {
	if b.x+w > width {
		b.y += b.height
		b.x, b.height = 0, 0
	}
	b.id++
	p.ID, p.Datasource, p.GridPos = b.id, source, place{h, w, b.x, b.y}
	if p.FieldConfig == nil {
		p.FieldConfig = &fieldConfig{}
	}
	p.FieldConfig.Overrides = []any{}
	for i := range p.Targets {
		t := &p.Targets[i]
		t.RefID, t.Datasource = string(rune('A'+i)), source
		t.Range = !t.Instant
	}
	b.x += w
	b.height = max(b.height, h)
	b.panels = append(b.panels, p)
}

func query(expr, legend string) target { return target{Expr: expr, LegendFormat: legend} }

func instant(expr, legend string) target {
	return target{Expr: expr, LegendFormat: legend, Instant: true}
}

// lines is a graph over time. A limit above 0 is drawn.
func lines(title, about, unit string, limit float64, targets ...target) panel {
	d := fieldDefaults{Unit: unit, Custom: map[string]any{"drawStyle": "line", "lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "spanNulls": false}}
	if limit > 0 {
		d.Thresholds = levels("transparent", "red", limit)
		d.Custom["thresholdsStyle"] = map[string]any{"mode": "line"}
	}
	return panel{
		Type: "timeseries", Title: title, Description: about, Targets: targets, FieldConfig: &fieldConfig{Defaults: d},
		Options: map[string]any{
			"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}},
			"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
		},
	}
}

func levels(low, high string, at float64) *thresholds {
	return &thresholds{Mode: "absolute", Steps: []level{{low, nil}, {high, &at}}}
}

// stat is one number.
func stat(title, about, unit string, t *thresholds, mappings []any, targets ...target) panel {
	colour := "value"
	if t == nil {
		t, colour = &thresholds{Mode: "absolute", Steps: []level{{"text", nil}}}, "none"
	}
	return panel{
		Type: "stat", Title: title, Description: about, Targets: targets,
		FieldConfig: &fieldConfig{Defaults: fieldDefaults{Unit: unit, NoValue: "none", Thresholds: t, Mappings: mappings}},
		Options: map[string]any{
			"colorMode": colour, "graphMode": "none", "justifyMode": "auto", "textMode": "auto", "orientation": "auto", "wideLayout": true,
			"showPercentChange": false, "percentChangeColorMode": "standard",
			"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
		},
	}
}

// states are the texts and colours of drift_state.
func states() []any {
	options := map[string]any{}
	for i, s := range []struct{ text, colour string }{{"ok", "green"}, {"warn", "yellow"}, {"drift", "red"}, {"cooldown", "blue"}} {
		options[fmt.Sprint(i)] = map[string]any{"text": s.text, "color": s.colour, "index": i}
	}
	return []any{map[string]any{"type": "value", "options": options}}
}

func timeline(title, about string, mappings []any, targets ...target) panel {
	return panel{
		Type: "state-timeline", Title: title, Description: about, Targets: targets,
		FieldConfig: &fieldConfig{Defaults: fieldDefaults{
			Mappings: mappings, Thresholds: levels("green", "red", 1), Custom: map[string]any{"lineWidth": 0, "fillOpacity": 70},
		}},
		Options: map[string]any{
			"mergeValues": true, "showValue": "never", "alignValue": "left", "rowHeight": 0.9,
			"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": false, "calcs": []string{}},
			"tooltip": map[string]any{"mode": "single", "sort": "none"},
		},
	}
}

func (b *board) overview(o *Options) {
	m := name
	b.add(4, 4, stat("State", "What the windows come to; the worst replica.", "", nil, states(),
		instant("max by (version) ("+m(metrics.DriftState)+ofVersion+")", "{{version}}")))
	b.add(4, 4, stat("Features with an alarm", "Of the last window; the worst replica.", "", levels("green", "red", 1), nil,
		instant("max by (version) ("+m(metrics.DriftFeatures)+ofVersion+")", "{{version}}")))
	b.add(4, 4, stat("Rows in the last window", "Over all replicas.", "short", nil, nil,
		instant("sum by (version) ("+m(metrics.WindowRows)+ofVersion+")", "{{version}}")))
	b.add(4, 4, stat("Age of the last window", "", "s", levels("green", "orange", o.Stale.Seconds()), nil,
		instant("time() - max by (version) ("+m(metrics.EvaluationTimestamp)+ofVersion+")", "{{version}}")))
	b.add(4, 4, stat("Age of the reference", "How long it is watched against.", "s", nil, nil,
		instant("max by (version) ("+m(metrics.ReferenceAge)+ofVersion+")", "{{version}}")))
	b.add(4, 4, stat("Triggers", "By what became of them.", "short", nil, nil,
		instant("sum by (result) ("+m(metrics.RetrainTriggers)+ofModel+")", "{{result}}")))
	b.add(24, 5, timeline("State over time", "", states(), query("max by (version) ("+m(metrics.DriftState)+ofVersion+")", "{{version}}")))
}

func (b *board) traffic() {
	p := metrics.Prefix
	b.add(12, 8, lines("Predictions", "Rows a second, by version of the class predicted.", "ops", 0,
		query("sum by (class) (rate("+name(metrics.Predictions)+ofModel+"[$__rate_interval]))", "{{class}}")))
	b.add(12, 8, lines("Share of positive predictions", "", "percentunit", 0,
		query(p+":positive_ratio:5m"+ofModel, "5m"), query(p+":positive_ratio:1h"+ofModel, "1h"), query(p+":positive_ratio:1d"+ofModel, "1d")))
	b.add(12, 8, lines("Mean of the output", "Of each replica's last window.", "short", 0,
		query("avg by (version) ("+name(metrics.PredictionMean)+ofVersion+")", "{{version}}")))
	b.add(12, 8, lines("Drift of the output", "Predictions may move for a good reason: this decides nothing.", "short", 0,
		query("max by (version, method) ("+name(metrics.PredictionDriftScore)+ofVersion+")", "{{version}} {{method}}")))
}

func (b *board) drift(o *Options) {
	first := o.Ranges[0]
	index := metrics.Prefix + ":feature_psi:" + first
	b.add(12, 9, lines("Fleet: population stability index, "+first, "Of the rows of all replicas together.", "short", o.PSI,
		query("topk(10, "+index+ofFeature+")", "{{feature}} {{version}}")))
	b.add(12, 9, lines("Fleet: index less what chance makes of it", "Above 0 there is more than chance.", "short", 0,
		query("topk(10, "+index+ofFeature+" - "+metrics.Prefix+":feature_psi_noise:"+first+ofFeature+")", "{{feature}} {{version}}")))
	b.add(12, 9, lines("Replicas: score", "Difference from the reference in the last window; the worst replica.", "short", 0,
		query("topk(10, max by (version, feature, method) ("+name(metrics.FeatureDriftScore)+ofFeature+"))", "{{feature}} {{version}}")))
	b.add(12, 9, lines("Replicas: score over what chance makes of it", "", "short", 0,
		query("topk(10, max by (version, feature, method) ("+name(metrics.FeatureDriftScore)+ofFeature+" / ("+name(metrics.FeatureDriftNoiseFloor)+ofFeature+" > 0)))", "{{feature}} {{version}}")))
	b.add(12, 9, timeline("Alarms of features", "Drifted, or beyond a limit; any replica.", nil,
		query("max by (feature) ("+name(metrics.FeatureAlarm)+ofFeature+")", "{{feature}}")))
	b.add(12, 9, lines("Shares of the bins now and in the reference", "Choose one feature.", "percentunit", 0,
		query("sum by (bin) ("+metrics.Prefix+":feature_share:"+first+ofFeature+")", "{{bin}}"),
		query("max by (bin) ("+name(metrics.FeatureReferenceRatio)+ofFeature+")", "{{bin}}, reference")))
	b.add(24, 7, lines("p-values", "Before correction for many features.", "short", 0,
		query("bottomk(10, min by (version, feature) ("+name(metrics.FeatureDriftPValue)+ofFeature+"))", "{{feature}} {{version}}")))
}

func (b *board) quality() {
	for _, g := range []struct {
		title, about, unit string
		metric             metrics.ID
	}{
		{"Missing values", "Share of rows.", "percentunit", metrics.FeatureNullRatio},
		{"Outside the reference's range", "Share of rows.", "percentunit", metrics.FeatureOutOfRangeRatio},
		{"New categories", "Share of rows.", "percentunit", metrics.FeatureUnseenRatio},
		{"Means", "", "short", metrics.FeatureMean},
		{"Variances", "", "short", metrics.FeatureVariance},
	} {
		b.add(8, 8, lines(g.title, g.about, g.unit, 0,
			query("topk(10, max by (version, feature) ("+name(g.metric)+ofFeature+"))", "{{feature}} {{version}}")))
	}
	b.add(8, 8, lines("Values that do not fit the reference", "A second, by kind.", "ops", 0,
		query("sum by (kind) (rate("+name(metrics.SchemaMismatches)+ofModel+"[$__rate_interval]))", "{{kind}}")))
	b.add(24, 5, timeline("Limits of windows", "Volume, freshness, schema.", nil,
		query("max by (rule) ("+name(metrics.WindowLimitExceeded)+ofVersion+")", "{{rule}}")))
}

func (b *board) performance(o *Options) {
	names := []string{"accuracy", "auc", "f1", "precision", "recall", "rmse", "mae"}
	chosen := strings.Join(append(names, slices.Sorted(maps.Keys(o.Limits))...), "|")
	with := func(id metrics.ID, more string) string {
		return fmt.Sprintf(`%s{model="$model", version=~"$version", metric=~"%s"%s}`, name(id), chosen, more)
	}
	b.add(12, 9, lines("Expected, before labels come", "Of the last window's scores, if they mean what they meant in the reference.", "short", 0,
		query("avg by (version, metric) ("+with(metrics.EstimatedMetric, "")+")", "{{metric}} {{version}}")))
	b.add(12, 9, lines("Realized, of the newest mature window", "", "short", 0,
		query("avg by (version, metric) ("+with(metrics.RealizedMetric, `, scope="window"`)+")", "{{metric}} {{version}}")))
	b.add(12, 9, lines("Realized, of all rows of the version", "", "short", 0,
		query("avg by (version, metric) ("+with(metrics.RealizedMetric, `, scope="version"`)+")", "{{metric}} {{version}}")))
	b.add(12, 9, lines("Labelled rows", "Share of the rows.", "percentunit", 0,
		query("avg by (version, scope) ("+name(metrics.LabelCoverage)+ofVersion+")", "{{version}}, {{scope}}")))
	b.add(12, 8, lines("Labels", "A second, by what became of them.", "ops", 0,
		query("sum by (result) (rate("+name(metrics.Labels)+ofModel+"[$__rate_interval]))", "{{result}}")))
	b.add(12, 8, lines("Time from a prediction to its label", "Mean of those that came.", "s", 0,
		query(fmt.Sprintf("sum by (model) (rate(%[1]s_sum%[2]s[$__rate_interval]))\n/\nsum by (model) (rate(%[1]s_count%[2]s[$__rate_interval]))", name(metrics.LabelDelay), ofModel), "mean")))
}

func (b *board) itself() {
	b.add(8, 7, lines("Rows not observed", "A second, by reason.", "ops", 0,
		query("sum by (reason) (rate("+name(metrics.ObservationsDropped)+ofModel+"[$__rate_interval]))", "{{reason}}")))
	b.add(8, 7, lines("Inference log", "Rows a second, by what became of them.", "ops", 0,
		query("sum by (result) (rate("+name(metrics.InferenceLogRows)+ofModel+"[$__rate_interval]))", "{{result}}")))
	b.add(8, 7, lines("Predictions that wait for a label", "", "short", 0,
		query("sum by (model) ("+name(metrics.PendingPredictions)+ofModel+")", "waiting"),
		query("sum by (model) (increase("+name(metrics.PendingForgotten)+ofModel+"[1h]))", "forgotten in an hour")))
	b.add(8, 7, lines("Replicas", "That watch the version.", "short", 0,
		query("count by (version) ("+name(metrics.ModelInfo)+ofVersion+")", "{{version}}")))
	b.add(8, 7, lines("Rows of the reference", "", "short", 0,
		query("max by (version) ("+name(metrics.ReferenceRows)+ofVersion+")", "{{version}}")))
	b.add(8, 7, lines("Series left out", "Because of MaxSeries.", "short", 0,
		query("max by (model) ("+name(metrics.SeriesTruncated)+ofModel+")", "left out")))
}
