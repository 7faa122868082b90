package mlflow

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/tracking"
)

// Values beyond these lengths, in characters, are cut as MLflow does: its
// clients expect that such a write succeeds.
const (
	maxParamValue = 6000
	maxTagValue   = 8000
)

func (h *Handler) batchRoutes() []route {
	return []route{
		{method: http.MethodPost, path: "2.0/mlflow/runs/log-batch", mark: core, verb: Write,
			scope: byRunAndModels(func(m *mlflowapi.LogBatch) string { return m.RunID }, modelsOfBatch), serve: rpc(h.logBatch)},
		{method: http.MethodPost, path: "2.0/mlflow/runs/log-metric", mark: core, verb: Write,
			scope: byRunAndModels(func(m *mlflowapi.LogMetric) string { return m.RunID }, modelOfMetric), serve: rpc(h.logMetric)},
	}
}

// modelsOfBatch returns the logged models that the points of a batch measure.
func modelsOfBatch(m *mlflowapi.LogBatch) (ids []string) {
	for i := range m.Metrics {
		if id := m.Metrics[i].ModelID; id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

func modelOfMetric(m *mlflowapi.LogMetric) []string {
	if m.ModelID == "" {
		return nil
	}
	return []string{m.ModelID}
}

// cut returns at most limit characters of s.
func cut(s string, limit int) string {
	if len(s) <= limit || utf8.RuneCountInString(s) <= limit {
		return s
	}
	n := 0
	for i := range s {
		if n == limit {
			return s[:i]
		}
		n++
	}
	return s
}

func (h *Handler) logBatch(c *call, m *mlflowapi.LogBatch) (any, error) {
	if err := batchLimits(len(m.Metrics), len(m.Params), len(m.Tags)); err != nil {
		return nil, err
	}
	id, err := runID(m.RunID)
	if err != nil {
		return nil, err
	}
	b := tracking.Batch{Metrics: make([]tracking.Metric, len(m.Metrics))}
	for i := range m.Metrics {
		if b.Metrics[i], err = metricOf(&m.Metrics[i], i); err != nil {
			return nil, err
		}
	}
	if b.Params, err = paramsOf(m.Params); err != nil {
		return nil, err
	}
	for i, tag := range m.Tags {
		if err := checkKey("tags", i, tag.Key); err != nil {
			return nil, err
		}
	}
	var rename tracking.RunUpdate
	b.Tags, rename.Name = splitName(m.Tags)
	if err := b.Validate(); err != nil {
		return nil, err
	}
	if err := rename.Validate(); err != nil {
		return nil, err
	}
	if len(m.Metrics)+len(b.Params)+len(b.Tags) > 0 || rename.Name == "" {
		if err := h.store.LogBatch(c.Ctx(), id, b); err != nil {
			return nil, runErr(id, err)
		}
	}
	if rename.Name != "" {
		return nil, runErr(id, h.store.UpdateRun(c.Ctx(), id, rename))
	}
	return nil, nil
}

// batchLimits checks how much is in a batch.
func batchLimits(metrics, params, tags int) error {
	for _, part := range [...]struct {
		name        string
		have, limit int
	}{
		{"metrics", metrics, tracking.MaxBatchMetrics},
		{"params", params, tracking.MaxBatchParams},
		{"tags", tags, tracking.MaxBatchTags},
		{"metrics, params, and tags", metrics + params + tags, tracking.MaxBatchMetrics},
	} {
		if part.have > part.limit {
			return mlflowapi.Errorf(mlflowapi.CodeInvalid,
				"A batch logging request can contain at most %d %s. Got %d %s. Please split up %s across multiple requests and try again.",
				part.limit, part.name, part.have, part.name, part.name)
		}
	}
	return nil
}

// paramsOf returns the params of a batch. Two of the same key are refused even
// when they are equal.
func paramsOf(pairs []mlflowapi.Param) (map[string]string, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	params := make(map[string]string, len(pairs))
	var twice []string
	for i, p := range pairs {
		if err := checkKey("params", i, p.Key); err != nil {
			return nil, err
		}
		if _, dup := params[p.Key]; dup && !slices.Contains(twice, "'"+p.Key+"'") {
			twice = append(twice, "'"+p.Key+"'")
		}
		params[p.Key] = cut(p.Value, maxParamValue)
	}
	if len(twice) > 0 {
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid,
			"Duplicate parameter keys have been submitted: [%s]. Please ensure the request contains only one param value per param key.",
			strings.Join(twice, ", "))
	}
	return params, nil
}

// checkKey checks the key of an entry of a batch; i < 0 is a single entry.
func checkKey(list string, i int, key string) error {
	err := tracking.ValidateKey(key)
	if err == nil {
		return nil
	}
	field := "key"
	if i >= 0 {
		field = list + "[" + strconv.Itoa(i) + "]." + field
		if list == "metrics" {
			field = list + "[" + strconv.Itoa(i) + "].name"
		}
	} else if list == "metrics" {
		field = "name"
	}
	return mlflowapi.InvalidValue(field, string(mlflowapi.AppendText(nil, key)), keyHint(err))
}

// keyHint is the part of a validation's text that says what is wrong.
func keyHint(err error) string {
	text := strings.TrimSuffix(err.Error(), ": "+tracking.ErrInvalid.Error())
	if i := strings.LastIndex(text, `": `); i >= 0 {
		text = text[i+len(`": `):]
	}
	return text + "."
}

// metricOf checks one point of a batch.
func metricOf(m *mlflowapi.Metric, i int) (tracking.Metric, error) {
	if err := checkKey("metrics", i, m.Key); err != nil {
		return tracking.Metric{}, err
	}
	if m.Timestamp < 0 || m.Timestamp > maxMillis {
		field := "timestamp"
		if i >= 0 {
			field = "metrics[" + strconv.Itoa(i) + "].timestamp"
		}
		return tracking.Metric{}, mlflowapi.InvalidValue(field, strconv.FormatInt(m.Timestamp, 10),
			fmt.Sprintf("metric '%s' (value=%s). Timestamp must be a nonnegative long (64-bit integer) ", m.Key, mlflowapi.AppendFloat(nil, m.Value)))
	}
	out := tracking.Metric{Key: m.Key, Value: m.Value, Step: m.Step, Time: fromMillis(m.Timestamp)}
	if m.ModelID != "" {
		out.Link = &tracking.MetricLink{Model: tracking.ModelID(m.ModelID), DatasetName: m.DatasetName, DatasetDigest: m.DatasetDigest}
	}
	return out, nil
}

func (h *Handler) logMetric(c *call, m *mlflowapi.LogMetric) (any, error) {
	point, err := metricOf(&mlflowapi.Metric{
		Key: m.Key, Value: *m.Value, Timestamp: *m.Timestamp, Step: m.Step,
		ModelID: m.ModelID, DatasetName: m.DatasetName, DatasetDigest: m.DatasetDigest,
	}, -1)
	if err != nil {
		return nil, err
	}
	return nil, h.logAll(c, m.RunID, tracking.Batch{Metrics: []tracking.Metric{point}})
}

func (h *Handler) logParam(c *call, m *mlflowapi.LogParam) (any, error) {
	if err := checkKey("params", -1, m.Key); err != nil {
		return nil, err
	}
	return nil, h.logAll(c, m.RunID, tracking.Batch{Params: map[string]string{m.Key: cut(m.Value, maxParamValue)}})
}

func (h *Handler) setTag(c *call, m *mlflowapi.SetTag) (any, error) {
	if m.Key == tagRunName {
		if m.Value == "" {
			return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "The tag mlflow.runName is the name of the run and cannot be empty.")
		}
		id, err := h.changeRun(c, m.RunID, tracking.RunUpdate{Name: m.Value})
		return nil, runErr(id, err)
	}
	if err := checkKey("tags", -1, m.Key); err != nil {
		return nil, err
	}
	return nil, h.logAll(c, m.RunID, tracking.Batch{Tags: map[string]string{m.Key: cut(m.Value, maxTagValue)}})
}
