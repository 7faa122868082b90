package mlflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/tracking"
)

const (
	// maxSpanTraces bounds the traces whose spans a statistic reads.
	maxSpanTraces = 20_000
	maxSamples    = 2_000_000
	maxPoints     = 1000
	timeBucket    = "time_bucket"
)

// statistic is what a metric of the dashboards allows.
type statistic struct {
	aggregations string // "count", "numbers" or "all", which is with the sum
	dimensions   []string
}

var (
	modelDimensions = []string{"span_model_name", "span_model_provider"}
	tokenStatistic  = statistic{"all", []string{"trace_name"}}
	costStatistic   = statistic{"all", modelDimensions}
)

var statistics = map[mlflowapi.MetricViewType]map[string]statistic{
	mlflowapi.ViewTraces: {
		"trace_count":   {"count", []string{"trace_name", "trace_status"}},
		"session_count": {"count", nil},
		"latency":       {"numbers", []string{"trace_name"}},
		"input_tokens":  tokenStatistic, "output_tokens": tokenStatistic, "total_tokens": tokenStatistic,
		"cache_read_input_tokens": tokenStatistic, "cache_creation_input_tokens": tokenStatistic,
	},
	mlflowapi.ViewSpans: {
		"span_count": {"count", append([]string{"span_name", "span_type", "span_status"}, modelDimensions...)},
		"latency":    {"numbers", []string{"span_name", "span_status"}},
		"input_cost": costStatistic, "output_cost": costStatistic, "total_cost": costStatistic,
	},
	mlflowapi.ViewAssessments: {
		"assessment_count": {"count", []string{"assessment_name", "assessment_value"}},
		"assessment_value": {"numbers", []string{"assessment_name"}},
	},
}

func (s statistic) allows(a mlflowapi.AggregationType) bool {
	switch a {
	case mlflowapi.AggregateCount:
		return s.aggregations == "count"
	case mlflowapi.AggregateSum:
		return s.aggregations == "all"
	}
	return s.aggregations != "count"
}

// sample is one trace, span or assessment that counts.
type sample struct {
	value float64
	at    int64 // milliseconds
	// dimension tells in which group it is; false where it is in none.
	dimension func(name string) (string, bool)
	session   string // counted once
}

// traceMetrics is the API of the dashboards of MLflow's UI. It reads the traces
// and adds up here, as stores have no statistics of their own.
func (h *Handler) traceMetrics(c *call, m *mlflowapi.QueryTraceMetrics) (any, error) {
	if h.traces == nil {
		return nil, unsupported("traces")
	}
	limit, err := checkStatistic(m)
	if err != nil {
		return nil, err
	}
	filter, keep, err := statisticFilter(m)
	if err != nil {
		return nil, err
	}
	ids, err := experimentIDs(m.ExperimentIDs)
	if err != nil {
		return nil, err
	}
	if ids, err = c.readable(ids); err != nil {
		return nil, err
	}
	g := groups{m: m, byKey: map[string]*group{}}
	err = h.eachTrace(c, ids, filter, m.ViewType == mlflowapi.ViewSpans, func(t *tracking.Trace) error {
		switch m.ViewType {
		case mlflowapi.ViewSpans:
			for i := range t.Spans {
				if s, ok := spanSample(t, &t.Spans[i], m); ok && keep(s.dimension) {
					g.add(s)
				}
			}
		case mlflowapi.ViewAssessments:
			for i := range t.Assessments {
				if s, ok := assessmentSample(t, &t.Assessments[i], m.MetricName); ok && keep(s.dimension) {
					g.add(s)
				}
			}
		default:
			if s, ok := traceSample(t, m.MetricName); ok {
				g.add(s)
			}
		}
		if g.n > maxSamples {
			return errManySamples
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &mlflowapi.QueryTraceMetricsResponse{DataPoints: g.points(limit)}, nil
}

var errManySamples = mlflowapi.Errorf(mlflowapi.CodeInvalid, "There is too much to add up: ask for a shorter time.")

// checkStatistic checks the request and returns how many points it wants.
func checkStatistic(m *mlflowapi.QueryTraceMetrics) (int, error) {
	s, ok := statistics[m.ViewType][m.MetricName]
	if !ok {
		return 0, mlflowapi.InvalidValue("metric_name", string(mlflowapi.AppendText(nil, m.MetricName)), "the view has no such metric")
	}
	for _, a := range m.Aggregations {
		if !s.allows(a.AggregationType) {
			return 0, mlflowapi.InvalidValue("aggregations", string(mlflowapi.AppendText(nil, string(a.AggregationType))), "not of this metric")
		}
		p := a.PercentileValue
		if a.AggregationType == mlflowapi.AggregatePercentile && (p == nil || !(*p >= 0 && *p <= 100)) {
			return 0, mlflowapi.Errorf(mlflowapi.CodeInvalid, "percentile_value must be between 0 and 100.")
		}
	}
	for _, d := range m.Dimensions {
		if !slices.Contains(s.dimensions, d) {
			return 0, mlflowapi.InvalidValue("dimensions", string(mlflowapi.AppendText(nil, d)), "not of this metric")
		}
	}
	if i := m.TimeIntervalSeconds; i != nil && *i != 0 {
		if *i < 0 || *i > math.MaxInt32 {
			return 0, mlflowapi.InvalidValue("time_interval_seconds", fmt.Sprint(*i), "")
		}
		if m.StartTimeMs == nil || m.EndTimeMs == nil {
			return 0, mlflowapi.Errorf(mlflowapi.CodeInvalid, "start_time_ms and end_time_ms are required if time_interval_seconds is set")
		}
	}
	return pageMax(m.MaxResults, maxPoints, maxPoints)
}

// eachTrace calls f with the traces that filter selects.
func (h *Handler) eachTrace(c *call, ids []tracking.ExperimentID, filter string, spans bool, f func(*tracking.Trace) error) error {
	q := tracking.TraceQuery{Experiments: ids, Filter: filter, Page: tracking.Page{Max: maxTraces}}
	bound := maxCounted
	if spans {
		bound = maxSpanTraces
	}
	for n := 0; ; {
		page, next, err := h.traces.SearchTraces(c.Ctx(), q)
		if err != nil {
			return err
		}
		if n += len(page); n > bound {
			return errManySamples
		}
		for chunk := range slices.Chunk(page, traceSpanChunk) {
			if spans {
				list := make([]tracking.TraceID, len(chunk))
				for i := range chunk {
					list[i] = chunk[i].ID
				}
				if chunk, err = h.traces.Traces(c.Ctx(), list, true); err != nil {
					return err
				}
			}
			for i := range chunk {
				if err := f(&chunk[i]); err != nil {
					return err
				}
			}
		}
		if next == "" {
			return nil
		}
		q.Page.Token = next
	}
}

func traceSample(t *tracking.Trace, metric string) (sample, bool) {
	s := sample{at: t.Start.UnixMilli(), dimension: func(name string) (string, bool) {
		if name == "trace_status" {
			return string(t.State), true
		}
		text, ok := t.Tags[tagTraceName]
		return text, ok
	}}
	switch metric {
	case "trace_count":
	case "session_count":
		s.session = t.Metadata[metaSession]
		return s, s.session != ""
	case "latency":
		s.value = float64(t.Duration.Milliseconds())
		return s, t.Duration >= 0
	default:
		v, ok := parseSums(t.Metadata[metaUsage])[metric]
		s.value = v
		return s, ok
	}
	return s, true
}

func spanSample(t *tracking.Trace, span *tracking.Span, m *mlflowapi.QueryTraceMetrics) (sample, bool) {
	var content struct {
		Attributes map[string]string `json:"attributes"`
	}
	_ = json.Unmarshal(span.Content, &content) // of a form that has no attributes
	s := sample{at: t.Start.UnixMilli(), dimension: func(name string) (string, bool) {
		switch name {
		case "span_name":
			return span.Name, true
		case "span_type":
			return span.Type, true
		case "span_status":
			if span.Status == tracking.TraceUnspecified || span.Status == "" {
				return "UNSET", true
			}
			return string(span.Status), true
		case "span_model_name":
			text, ok := content.Attributes[attrModel]
			return textOf(text), ok
		}
		text, ok := content.Attributes[attrProvider]
		return textOf(text), ok
	}}
	switch m.MetricName {
	case "span_count":
	case "latency":
		s.value = float64((span.End - span.Start) / int64(time.Millisecond))
		return s, span.End >= span.Start
	default:
		v, ok := parseSums(content.Attributes[attrCost])[m.MetricName]
		s.value, s.at = v, span.Start/int64(time.Millisecond)
		return s, ok
	}
	return s, true
}

func assessmentSample(t *tracking.Trace, a *tracking.Assessment, metric string) (sample, bool) {
	s := sample{at: t.Start.UnixMilli(), dimension: func(name string) (string, bool) {
		switch name {
		case "assessment_name":
			return a.Name, true
		case "assessment_type":
			return string(a.Kind), true
		}
		return string(a.Value), true
	}}
	if !a.Valid || metric == "assessment_count" {
		return s, a.Valid
	}
	switch text := strings.ToLower(strings.TrimSpace(textOf(string(a.Value)))); {
	case text == "true" || text == "yes":
		s.value = 1
	case text == "false" || text == "no":
	case len(a.Value) > 0 && a.Value[0] != '"' && json.Unmarshal(a.Value, &s.value) == nil && string(a.Value) != "null":
	default:
		return s, false
	}
	return s, true
}

var errStatisticFilter = errors.New("want trace.status, trace.tag.<key>, trace.metadata.<key>, span.name, span.type, span.status, assessment.name or assessment.type = '<value>'")

// statisticFilter turns the filters and the time of a request into a filter of
// traces, and what is about spans or assessments into a function.
func statisticFilter(m *mlflowapi.QueryTraceMetrics) (string, func(func(string) (string, bool)) bool, error) {
	var clauses []string
	if m.StartTimeMs != nil {
		clauses = append(clauses, fmt.Sprintf("timestamp_ms >= %d", *m.StartTimeMs))
	}
	if m.EndTimeMs != nil {
		clauses = append(clauses, fmt.Sprintf("timestamp_ms <= %d", *m.EndTimeMs))
	}
	want := map[string]string{}
	for _, f := range m.Filters {
		left, value, ok := strings.Cut(f, "=")
		left, value = strings.TrimSpace(left), strings.TrimSpace(value)
		if !ok || len(value) < 2 || value[0] != '\'' && value[0] != '"' || strings.IndexByte(value[1:], value[0]) != len(value)-2 {
			return "", nil, mlflowapi.InvalidValue("filters", string(mlflowapi.AppendText(nil, f)), errStatisticFilter.Error())
		}
		key, hasKey := strings.CutPrefix(left, "trace.")
		switch {
		case hasKey && key == "status":
			clauses = append(clauses, "status = "+value)
		case hasKey && strings.Trim(strings.TrimPrefix(key, "metadata."), "`") == "mlflow.sourceRun":
			clauses = append(clauses, "run_id = "+value)
		case hasKey && (strings.HasPrefix(key, "tag.") || strings.HasPrefix(key, "metadata.")):
			clauses = append(clauses, key+" = "+value)
		case m.ViewType == mlflowapi.ViewSpans && slices.Contains([]string{"span.name", "span.type", "span.status"}, left),
			m.ViewType == mlflowapi.ViewAssessments && slices.Contains([]string{"assessment.name", "assessment.type"}, left):
			want[strings.Replace(left, ".", "_", 1)] = value[1 : len(value)-1]
		default:
			return "", nil, mlflowapi.InvalidValue("filters", string(mlflowapi.AppendText(nil, f)), errStatisticFilter.Error())
		}
	}
	keep := func(dimension func(string) (string, bool)) bool {
		for name, value := range want {
			if text, _ := dimension(name); text != value {
				return false
			}
		}
		return true
	}
	return strings.Join(clauses, " AND "), keep, nil
}

// groups collects samples by their dimensions.
type groups struct {
	m     *mlflowapi.QueryTraceMetrics
	byKey map[string]*group
	n     int
}

type group struct {
	bucket   int64
	names    []string
	values   []float64
	sessions map[string]bool
}

func (g *groups) add(s sample) {
	var key strings.Builder
	bucket := int64(0)
	if i := g.m.TimeIntervalSeconds; i != nil && *i > 0 {
		width := *i * 1000
		bucket = s.at - ((s.at%width)+width)%width
		fmt.Fprint(&key, bucket)
	}
	names := make([]string, len(g.m.Dimensions))
	for i, d := range g.m.Dimensions {
		name, ok := s.dimension(d)
		if !ok {
			return
		}
		names[i] = name
		key.WriteByte(0)
		key.WriteString(name)
	}
	one := g.byKey[key.String()]
	if one == nil {
		one = &group{bucket: bucket, names: names, sessions: map[string]bool{}}
		g.byKey[key.String()] = one
	}
	if s.session != "" {
		if one.sessions[s.session] {
			return
		}
		one.sessions[s.session] = true
	}
	one.values = append(one.values, s.value)
	g.n++
}

// points returns the numbers of the groups, by time and then by name.
func (g *groups) points(limit int) []mlflowapi.MetricDataPoint {
	var list []*group
	for _, one := range g.byKey {
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b *group) int {
		if a.bucket != b.bucket {
			if a.bucket < b.bucket {
				return -1
			}
			return 1
		}
		return slices.Compare(a.names, b.names)
	})
	if len(list) == 0 && len(g.m.Dimensions) == 0 && (g.m.TimeIntervalSeconds == nil || *g.m.TimeIntervalSeconds == 0) && statistics[g.m.ViewType][g.m.MetricName].aggregations == "count" {
		list = []*group{{}} // nothing is counted as none
	}
	var out []mlflowapi.MetricDataPoint
	for _, one := range list[:min(limit, len(list))] {
		p := mlflowapi.MetricDataPoint{MetricName: g.m.MetricName, Dimensions: map[string]string{}, Values: map[string]float64{}}
		if i := g.m.TimeIntervalSeconds; i != nil && *i > 0 {
			p.Dimensions[timeBucket] = time.UnixMilli(one.bucket).UTC().Format("2006-01-02T15:04:05-07:00")
		}
		for i, d := range g.m.Dimensions {
			p.Dimensions[d] = one.names[i]
		}
		slices.Sort(one.values)
		for _, a := range g.m.Aggregations {
			label := string(a.AggregationType)
			if a.AggregationType == mlflowapi.AggregatePercentile {
				label = "P" + string(valueWriter{}.double(nil, *a.PercentileValue))
			}
			p.Values[label] = aggregate(one.values, a)
		}
		out = append(out, p)
	}
	return out
}

// aggregate makes one number of ordered ones.
func aggregate(values []float64, a mlflowapi.MetricAggregation) float64 {
	n := len(values)
	if a.AggregationType == mlflowapi.AggregateCount {
		return float64(n)
	}
	switch a.AggregationType {
	case mlflowapi.AggregateMin:
		return values[0]
	case mlflowapi.AggregateMax:
		return values[n-1]
	case mlflowapi.AggregatePercentile:
		at := *a.PercentileValue / 100 * float64(n-1)
		below := int(at)
		return values[below] + (values[min(below+1, n-1)]-values[below])*(at-float64(below))
	}
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	if a.AggregationType == mlflowapi.AggregateAvg {
		return sum / float64(n)
	}
	return sum
}
