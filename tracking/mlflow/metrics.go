package mlflow

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

const (
	maxHistory   = 25_000 // points of a page
	allHistory   = 1 << 62
	maxBulkRuns  = 100
	defaultSteps = 2500
)

func (h *Handler) metricRoutes() []route {
	return []route{
		{method: http.MethodGet, path: "2.0/mlflow/metrics/get-history", mark: core, verb: Read,
			scope: byRun(func(m *mlflowapi.GetMetricHistory) string { return m.RunID }), serve: rpcStream(h.getHistory)},
		{method: http.MethodGet, path: "2.0/mlflow/metrics/get-history-bulk-interval", mark: common, verb: Read,
			scope: byRuns(func(m *mlflowapi.GetMetricHistoryBulkInterval) []string { return m.RunIDs }), serve: rpcStream(h.getHistoryInterval)},
		{method: http.MethodGet, path: "2.0/mlflow/metrics/get-history-bulk", mark: niche, verb: Read,
			scope: byRuns(func(m *mlflowapi.GetMetricHistoryBulk) []string { return m.RunIDs }), serve: rpcStream(h.getHistoryBulk)},
	}
}

// addPoint appends one point; run is empty where the request names only one.
func addPoint(s *mlflowhttp.Stream, key string, m *tracking.Metric, run string) {
	s.Next()
	b := append(s.Buf.B, `{"key":`...)
	b = mlflowapi.AppendText(b, key)
	b = append(b, `,"value":`...)
	b = mlflowapi.AppendFloat(b, m.Value)
	b = append(b, `,"timestamp":`...)
	b = strconv.AppendInt(b, m.Time.UnixMilli(), 10)
	b = append(b, `,"step":`...)
	b = strconv.AppendInt(b, m.Step, 10)
	if run != "" {
		b = append(b, `,"run_id":`...)
		b = mlflowapi.AppendText(b, run)
	}
	s.Buf.B = append(b, '}')
	s.FlushFull()
}

// getHistory answers with a page when the client asks for one, else with all
// points, however many: clients that do not ask do not page either.
func (h *Handler) getHistory(c *call, m *mlflowapi.GetMetricHistory) error {
	id, err := runID(m.RunID)
	if err != nil {
		return err
	}
	limit := allHistory
	if m.MaxResults != nil {
		if *m.MaxResults <= 0 {
			return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid value %d for parameter 'max_results' supplied. It must be a positive integer.", *m.MaxResults)
		}
		limit = min(int(*m.MaxResults), maxHistory)
	}
	return mlflowhttp.Pages(mlflowhttp.NewStream(&c.Call, "metrics"), limit, m.PageToken, func(s *mlflowhttp.Stream, limit int, token string) (int, string, error) {
		page, next, err := h.store.History(c.Ctx(), id, m.MetricKey, tracking.Page{Max: min(limit, maxHistory), Token: token})
		if err != nil {
			return 0, "", runErr(id, err)
		}
		for i := range page {
			addPoint(s, m.MetricKey, &page[i], "")
		}
		return len(page), next, nil
	})
}

// bulkRuns checks the runs of a request for several.
func bulkRuns(name, field string, ids []string) ([]tracking.RunID, error) {
	if len(ids) == 0 {
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "%s request must specify at least one %s.", name, field)
	}
	if len(ids) > maxBulkRuns {
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "%s request cannot specify more than %d %ss. Received %d %ss.", name, maxBulkRuns, field, len(ids), field)
	}
	out := make([]tracking.RunID, 0, len(ids))
	for _, text := range ids {
		id, err := runID(text)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out, nil
}

// sampleHistory returns the points of the runs that the request asks for.
func (h *Handler) sampleHistory(c *call, m *mlflowapi.GetMetricHistoryBulkInterval) ([]tracking.RunID, [][]tracking.Metric, error) {
	if n := len(m.RunIDs); n > maxBulkRuns {
		return nil, nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "GetMetricHistoryBulkInterval request must specify at most %d run_ids. Received %d run_ids.", maxBulkRuns, n)
	}
	ids, err := bulkRuns("GetMetricHistoryBulkInterval", "run_id", m.RunIDs)
	if err != nil {
		return nil, nil, err
	}
	if m.MaxResults != nil && (*m.MaxResults < 1 || *m.MaxResults > defaultSteps) {
		return nil, nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "max_results must be between 1 and %d.", defaultSteps)
	}
	if (m.StartStep == nil) != (m.EndStep == nil) {
		return nil, nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "If either start step or end step are specified, both must be specified.")
	}
	if m.StartStep != nil && *m.StartStep > *m.EndStep {
		return nil, nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "end_step must be greater than start_step. Found start_step=%d and end_step=%d.", *m.StartStep, *m.EndStep)
	}
	if h.sampler == nil {
		return nil, nil, unsupported("samples of histories")
	}
	q := tracking.SampleQuery{Runs: ids, Key: m.MetricKey, From: m.StartStep, To: m.EndStep, Max: defaultSteps}
	if m.MaxResults != nil {
		q.Max = int(*m.MaxResults)
	}
	if err := q.Validate(); err != nil {
		return nil, nil, err
	}
	points, err := h.sampler.SampleHistory(c.Ctx(), q)
	return ids, points, err
}

func (h *Handler) getHistoryInterval(c *call, m *mlflowapi.GetMetricHistoryBulkInterval) error {
	ids, points, err := h.sampleHistory(c, m)
	if err != nil {
		return err
	}
	s := mlflowhttp.NewStream(&c.Call, "metrics")
	defer s.Release()
	for i, run := range points {
		for j := range run {
			addPoint(s, m.MetricKey, &run[j], string(ids[i]))
		}
	}
	return s.End("")
}

// getHistoryBulk answers the older charts of the web UI: the first points of
// the runs, ordered by run.
func (h *Handler) getHistoryBulk(c *call, m *mlflowapi.GetMetricHistoryBulk) error {
	ids, err := bulkRuns("GetMetricHistoryBulk", "run_id", m.RunIDs)
	if err != nil {
		return err
	}
	if m.MetricKey == "" {
		return mlflowapi.Errorf(mlflowapi.CodeInvalid, "GetMetricHistoryBulk request must specify a metric_key.")
	}
	left := maxHistory
	if m.MaxResults != nil {
		if *m.MaxResults < 1 {
			return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Invalid value %d for parameter 'max_results' supplied. It must be a positive integer.", *m.MaxResults)
		}
		left = int(min(*m.MaxResults, maxHistory))
	}
	slices.Sort(ids)
	s := mlflowhttp.NewStream(&c.Call, "metrics")
	defer s.Release()
	for _, id := range ids {
		token := ""
		for left > 0 {
			page, next, err := h.store.History(c.Ctx(), id, m.MetricKey, tracking.Page{Max: left, Token: token})
			if err != nil {
				return s.Fail(runErr(id, err))
			}
			for j := range page {
				addPoint(s, m.MetricKey, &page[j], string(id))
			}
			left -= len(page)
			if token = next; token == "" {
				break
			}
		}
	}
	return s.End("")
}
