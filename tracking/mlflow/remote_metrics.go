package mlflow

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"strconv"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/tracking"
)

const maxHistoryPage = 25_000 // points, what upstream's own client asks for

// History implements tracking.Store.
func (c *Conn) History(ctx context.Context, id tracking.RunID, key string, p tracking.Page) ([]tracking.Metric, string, error) {
	query := fmt.Sprintf("history %q %q", id, key)
	token, err := openToken(query, p.Token)
	if err != nil {
		return nil, "", fmt.Errorf("mlflow: read history: %w", err)
	}
	size := *pageSize[int64](p.Max, 1000, maxHistoryPage)
	arguments := url.Values{
		"run_id": {string(id)}, "metric_key": {key}, "max_results": {strconv.FormatInt(size, 10)},
	}
	if token != "" {
		arguments.Set("page_token", token)
	}
	var answer mlflowapi.GetMetricHistoryResponse
	if err := c.call(ctx, apiGet("read history of run", string(id), "metrics/get-history", arguments), &answer); err != nil {
		return nil, "", err
	}
	if len(answer.Metrics) == 0 && token == "" {
		// Upstream says nothing of a run that does not exist.
		if _, err := c.Run(ctx, id); err != nil {
			return nil, "", err
		}
	}
	points := make([]tracking.Metric, len(answer.Metrics))
	for i := range answer.Metrics {
		points[i] = remoteMetric(&answer.Metrics[i])
	}
	return points, sealToken(query, answer.NextPageToken), nil
}

// SampleHistory implements tracking.Sampler.
func (c *Conn) SampleHistory(ctx context.Context, q tracking.SampleQuery) ([][]tracking.Metric, error) {
	out := make([][]tracking.Metric, len(q.Runs))
	if len(q.Runs) == 0 {
		return out, nil
	}
	arguments := url.Values{"metric_key": {q.Key}, "max_results": {strconv.Itoa(q.Max)}}
	places := make(map[string][]int, len(q.Runs))
	for i, id := range q.Runs {
		if places[string(id)] == nil {
			arguments.Add("run_ids", string(id))
		}
		places[string(id)] = append(places[string(id)], i)
	}
	if q.From != nil || q.To != nil { // upstream wants both or none
		from, to := int64(math.MinInt64), int64(math.MaxInt64)
		if q.From != nil {
			from = *q.From
		}
		if q.To != nil {
			to = *q.To
		}
		if from > to {
			return out, nil
		}
		arguments.Set("start_step", strconv.FormatInt(from, 10))
		arguments.Set("end_step", strconv.FormatInt(to, 10))
	}
	var answer mlflowapi.GetMetricHistoryBulkResponse
	if err := c.call(ctx, apiGet("sample history of metric", q.Key, "metrics/get-history-bulk-interval", arguments), &answer); err != nil {
		return nil, err
	}
	for i := range answer.Metrics {
		for _, place := range places[answer.Metrics[i].RunID] {
			out[place] = append(out[place], remoteMetric(&answer.Metrics[i]))
		}
	}
	return out, nil
}
