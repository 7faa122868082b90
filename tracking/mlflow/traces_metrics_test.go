package mlflow_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStatisticsOfTraces(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	for i, name := range []string{"a", "a", "b"} {
		body := started(fmt.Sprintf("tr-%d", i), fmt.Sprintf(`, "tags": {"mlflow.traceName": %q}, "trace_metadata": {"mlflow.trace.session": "s%d",
			"mlflow.trace.tokenUsage": "{\"input_tokens\": %d}"}`, name, i/2, 10*(i+1)))
		body = strings.Replace(body, "0.250s", fmt.Sprintf("%d.100s", i), 1)
		s.ok(http.MethodPost, v3, strings.Replace(body, "03:04:05.678Z", fmt.Sprintf("0%d:59:59Z", i+3), 1))
	}
	s.ok(http.MethodPost, v3+"/tr-0/assessments", `{"assessment": {"assessment_name": "good", "feedback": {"value": true}}}`)
	s.ok(http.MethodPost, v3+"/tr-1/assessments", `{"assessment": {"assessment_name": "good", "feedback": {"value": "no"}}}`)
	s.ok(http.MethodPost, v3+"/tr-1/assessments", `{"assessment": {"assessment_name": "text", "feedback": {"value": "fine"}}}`)
	s.ok(http.MethodPost, spansPath, otlpJSON, "x-mlflow-experiment-id", "0")
	const since = `, "start_time_ms": 1767225600000, "end_time_ms": 1767398400000` // the year 2026
	ask := func(view, metric, aggregation, rest string) string {
		return `{"experiment_ids": ["0"], "view_type": "` + view + `", "metric_name": "` + metric + `", "aggregations": [` + aggregation + `]` + rest + `}`
	}
	const count, numbers = `{"aggregation_type": "COUNT"}`, `{"aggregation_type": "AVG"}, {"aggregation_type": "MIN"}, {"aggregation_type": "MAX"}, {"aggregation_type": "PERCENTILE", "percentile_value": 95}`
	for _, c := range []struct{ request, want string }{
		{ask("TRACES", "trace_count", count, ""), `{"data_points": [{"metric_name": "trace_count", "values": {"COUNT": 4.0}}]}`},
		{ask("TRACES", "trace_count", count, since+`, "filters": ["trace.tag.`+"`mlflow.traceName`"+` = 'a'"]`), `{"data_points": [{"metric_name": "trace_count", "values": {"COUNT": 2.0}}]}`},
		{ask("TRACES", "trace_count", count, `, "filters": ["trace.status = 'ERROR'"]`), `{"data_points": [{"metric_name": "trace_count", "values": {"COUNT": 0.0}}]}`},
		{ask("TRACES", "session_count", count, since), `{"data_points": [{"metric_name": "session_count", "values": {"COUNT": 2.0}}]}`},
		{ask("TRACES", "latency", numbers, since+`, "dimensions": ["trace_name"]`), `{"data_points": [
			{"metric_name": "latency", "dimensions": {"trace_name": "a"}, "values": {"AVG": 600.0, "MIN": 100.0, "MAX": 1100.0, "P95.0": 1050.0}},
			{"metric_name": "latency", "dimensions": {"trace_name": "b"}, "values": {"AVG": 2100.0, "MIN": 2100.0, "MAX": 2100.0, "P95.0": 2100.0}}]}`},
		{ask("TRACES", "input_tokens", `{"aggregation_type": "SUM"}`, since+`, "time_interval_seconds": 7200`), `{"data_points": [
			{"metric_name": "input_tokens", "dimensions": {"time_bucket": "2026-01-02T02:00:00+00:00"}, "values": {"SUM": 10.0}},
			{"metric_name": "input_tokens", "dimensions": {"time_bucket": "2026-01-02T04:00:00+00:00"}, "values": {"SUM": 50.0}}]}`},
		{ask("SPANS", "span_count", count, `, "dimensions": ["span_type", "span_status"]`), `{"data_points": [
			{"metric_name": "span_count", "dimensions": {"span_type": "LLM", "span_status": "OK"}, "values": {"COUNT": 1.0}},
			{"metric_name": "span_count", "dimensions": {"span_type": "UNKNOWN", "span_status": "ERROR"}, "values": {"COUNT": 1.0}}]}`},
		{ask("SPANS", "latency", `{"aggregation_type": "MAX"}`, `, "filters": ["span.name = 'child'"]`), `{"data_points": [{"metric_name": "latency", "values": {"MAX": 100.0}}]}`},
		{ask("ASSESSMENTS", "assessment_value", `{"aggregation_type": "AVG"}`, `, "dimensions": ["assessment_name"]`), `{"data_points": [{"metric_name": "assessment_value", "dimensions": {"assessment_name": "good"}, "values": {"AVG": 0.5}}]}`},
		{ask("ASSESSMENTS", "assessment_count", count, `, "filters": ["assessment.name = 'text'"]`), `{"data_points": [{"metric_name": "assessment_count", "values": {"COUNT": 1.0}}]}`},
		{ask("TRACES", "latency", `{"aggregation_type": "AVG"}`, `, "filters": ["trace.status = 'ERROR'"]`), `{}`},
	} {
		require.JSONEq(t, c.want, s.ok(http.MethodPost, v3+"/metrics", c.request), c.request)
	}
	for _, request := range []string{
		ask("TRACES", "nothing", count, ""), ask("TRACES", "latency", count, ""), ask("NONE", "trace_count", count, ""),
		ask("TRACES", "trace_count", count, `, "dimensions": ["span_name"]`), ask("TRACES", "trace_count", count, `, "time_interval_seconds": 60`),
		ask("TRACES", "latency", `{"aggregation_type": "PERCENTILE"}`, ""), ask("TRACES", "latency", `{"aggregation_type": "PERCENTILE", "percentile_value": 101}`, ""),
		ask("TRACES", "trace_count", count, `, "filters": ["span.name = 'x'"]`), ask("TRACES", "trace_count", count, `, "filters": ["trace.status != 'OK'"]`),
		ask("TRACES", "trace_count", count, `, "filters": ["trace.tag.x = 'a' OR status = 'b'"]`), ask("TRACES", "trace_count", count, `, "max_results": 1001`),
	} {
		s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, v3+"/metrics", request)
	}
}
