package grafana

import (
	"encoding/json"
	"fmt"

	"github.com/millwright-ml/millwright/monitor/metrics"
)

// Dashboard returns the dashboard in Grafana's JSON, for its import dialogue or
// a provisioned folder. It asks for a data source of Prometheus, and shows one
// model: its state, its traffic, the drift of its features as each replica and
// as the fleet sees it, its quality, its performance, and what monitoring
// itself does. Panels of the fleet's drift need the recording rules.
func Dashboard(opts *Options) ([]byte, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &board{}
	b.row("State")
	b.overview(&o)
	b.row("Traffic")
	b.traffic()
	b.row("Drift of features")
	b.drift(&o)
	b.row("Quality of features")
	b.quality()
	b.row("Performance")
	b.performance(&o)
	b.row("Monitoring itself")
	b.itself()
	return json.MarshalIndent(dashboard{
		UID: o.Name, Title: o.Title, Description: "Written by monitor/grafana: change its options, not this file.",
		Tags: []string{"machine-learning", "millwright"}, Timezone: "browser", Editable: true, GraphTooltip: 1,
		SchemaVersion: 39, Version: 1, Refresh: "30s", Time: span{"now-24h", "now"},
		Templating:  templating{List: variables()},
		Annotations: templating{List: []variable{triggers()}},
		Panels:      b.panels,
	}, "", "  ")
}

// The part of Grafana's model that is used here.
type (
	dashboard struct {
		UID           string     `json:"uid"`
		Title         string     `json:"title"`
		Description   string     `json:"description"`
		Tags          []string   `json:"tags"`
		Timezone      string     `json:"timezone"`
		Editable      bool       `json:"editable"`
		GraphTooltip  int        `json:"graphTooltip"`
		SchemaVersion int        `json:"schemaVersion"`
		Version       int        `json:"version"`
		Refresh       string     `json:"refresh"`
		Time          span       `json:"time"`
		Templating    templating `json:"templating"`
		Annotations   templating `json:"annotations"`
		Panels        []panel    `json:"panels"`
	}
	span struct {
		From string `json:"from"`
		To   string `json:"to"`
	}
	templating struct {
		List []variable `json:"list"`
	}
	// variable is a variable of the dashboard, or an annotation.
	variable struct {
		Name       string      `json:"name"`
		Label      string      `json:"label,omitempty"`
		Type       string      `json:"type,omitempty"`
		Query      any         `json:"query,omitempty"`
		Datasource *datasource `json:"datasource,omitempty"`
		Refresh    int         `json:"refresh,omitempty"`
		Sort       int         `json:"sort,omitempty"`
		Multi      bool        `json:"multi,omitempty"`
		IncludeAll bool        `json:"includeAll,omitempty"`
		AllValue   string      `json:"allValue,omitempty"`
		Enable     bool        `json:"enable,omitempty"`
		Hide       any         `json:"hide,omitempty"`
		IconColor  string      `json:"iconColor,omitempty"`
		Expr       string      `json:"expr,omitempty"`
		Step       string      `json:"step,omitempty"`
		TitleText  string      `json:"titleFormat,omitempty"`
	}
	datasource struct {
		Type string `json:"type"`
		UID  string `json:"uid"`
	}
	panel struct {
		ID          int            `json:"id"`
		Type        string         `json:"type"`
		Title       string         `json:"title"`
		Description string         `json:"description,omitempty"`
		Datasource  *datasource    `json:"datasource,omitempty"`
		GridPos     place          `json:"gridPos"`
		Collapsed   *bool          `json:"collapsed,omitempty"`
		Targets     []target       `json:"targets,omitempty"`
		FieldConfig *fieldConfig   `json:"fieldConfig,omitempty"`
		Options     map[string]any `json:"options,omitempty"`
		Panels      *[]panel       `json:"panels,omitempty"` // Of a row, which has none of its own when it is open.
	}
	place struct {
		H int `json:"h"`
		W int `json:"w"`
		X int `json:"x"`
		Y int `json:"y"`
	}
	target struct {
		RefID        string      `json:"refId"`
		Datasource   *datasource `json:"datasource"`
		Expr         string      `json:"expr"`
		LegendFormat string      `json:"legendFormat"`
		Instant      bool        `json:"instant,omitempty"`
		Range        bool        `json:"range,omitempty"`
		Format       string      `json:"format,omitempty"`
	}
	fieldConfig struct {
		Defaults  fieldDefaults `json:"defaults"`
		Overrides []any         `json:"overrides"`
	}
	fieldDefaults struct {
		Unit       string         `json:"unit,omitempty"`
		Decimals   *int           `json:"decimals,omitempty"`
		Min        *float64       `json:"min,omitempty"`
		Max        *float64       `json:"max,omitempty"`
		NoValue    string         `json:"noValue,omitempty"`
		Mappings   []any          `json:"mappings,omitempty"`
		Thresholds *thresholds    `json:"thresholds,omitempty"`
		Custom     map[string]any `json:"custom,omitempty"`
	}
	thresholds struct {
		Mode  string  `json:"mode"`
		Steps []level `json:"steps"`
	}
	level struct {
		Color string   `json:"color"`
		Value *float64 `json:"value"`
	}
)

var source = &datasource{Type: "prometheus", UID: "${datasource}"}

func variables() []variable {
	query := func(label, metric, by string) variable {
		return variable{
			Name: label, Label: label, Type: "query", Datasource: source, Refresh: 2, Sort: 1,
			Query: map[string]any{"qryType": 1, "query": fmt.Sprintf("label_values(%s{%s}, %s)", metric, by, label), "refId": "variable-" + label},
		}
	}
	model := query("model", name(metrics.ModelInfo), "")
	version := query("version", name(metrics.ModelInfo), `model="$model"`)
	feature := query("feature", name(metrics.FeatureReferenceRatio), `model="$model"`)
	for _, v := range []*variable{&version, &feature} {
		v.Multi, v.IncludeAll, v.AllValue = true, true, ".*"
	}
	return []variable{{Name: "datasource", Label: "data source", Type: "datasource", Query: "prometheus"}, model, version, feature}
}

// triggers marks the moments when a trigger was opened.
func triggers() variable {
	return variable{
		Name: "triggers", Datasource: source, Enable: true, IconColor: "orange", Step: "60s", TitleText: "trigger",
		Expr: fmt.Sprintf(`sum by (model) (changes(%s{model="$model", result="opened"}[2m])) > 0`, name(metrics.RetrainTriggers)),
	}
}
