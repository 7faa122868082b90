package mlflow_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
)

const (
	spansPath = "/v1/traces"
	v3        = "/api/3.0/mlflow/traces"
	demoTrace = "tr-5b8efff798038103d269b633813fc60c"
)

// export sends spans as protobuf.
func (s *artifactServer) export(data *tracepb.TracesData) {
	s.t.Helper()
	body, err := proto.Marshal(data)
	require.NoError(s.t, err)
	require.Empty(s.t, s.ok(http.MethodPost, spansPath, string(body), "Content-Type", "application/x-protobuf", "x-mlflow-experiment-id", "0"))
}

// traceInfo is the part of a trace's message that tests look at.
type traceInfo struct {
	TraceID  string            `json:"trace_id"`
	Time     string            `json:"request_time"`
	Duration string            `json:"execution_duration"`
	State    string            `json:"state"`
	Request  string            `json:"request_preview"`
	Response string            `json:"response_preview"`
	Metadata map[string]string `json:"trace_metadata"`
	Tags     map[string]string `json:"tags"`
	Location struct {
		Type       string `json:"type"`
		Experiment struct {
			ID string `json:"experiment_id"`
		} `json:"mlflow_experiment"`
	} `json:"trace_location"`
	Assessments []struct {
		ID    string `json:"assessment_id"`
		Name  string `json:"assessment_name"`
		Valid *bool  `json:"valid"`
	} `json:"assessments"`
}

func (s *artifactServer) info(id string) traceInfo {
	s.t.Helper()
	var answer struct {
		Trace struct {
			Info traceInfo `json:"trace_info"`
		} `json:"trace"`
	}
	require.NoError(s.t, json.Unmarshal([]byte(s.ok(http.MethodGet, v3+"/"+id, "")), &answer))
	return answer.Trace.Info
}

func TestSpansMakeATrace(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	require.Equal(t, "{}", s.ok(http.MethodPost, spansPath, otlpJSON, "x-mlflow-experiment-id", "0"))
	info := s.info(demoTrace)
	require.Equal(t, "2023-11-14T22:13:20Z", info.Time)
	require.Equal(t, "1s", info.Duration)
	require.Equal(t, "OK", info.State)
	require.Equal(t, `"hello"`, info.Request)
	require.Equal(t, `{"a": 1}`, info.Response)
	require.Equal(t, "MLFLOW_EXPERIMENT", info.Location.Type)
	require.Equal(t, "0", info.Location.Experiment.ID)
	require.Equal(t, map[string]string{
		"mlflow.artifactLocation": "mlflow-artifacts:/0/traces/" + demoTrace + "/artifacts", "mlflow.trace.spansLocation": "TRACKING_STORE", "service.name": "svc",
	}, info.Tags)
	require.Equal(t, map[string]string{
		"mlflow.trace.session": "S1", "mlflow.trace.user": "U1", "mlflow.trace.tokenUsage": `{"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}`,
	}, info.Metadata)

	var got struct {
		Trace struct {
			Spans []json.RawMessage `json:"spans"`
		} `json:"trace"`
	}
	require.NoError(t, json.Unmarshal([]byte(s.ok(http.MethodGet, v3+"/get?trace_id="+demoTrace, "")), &got))
	require.Len(t, got.Trace.Spans, 2)
	require.JSONEq(t, rootWire, string(got.Trace.Spans[0]))

	status, header, body := s.do(http.MethodGet, "/ajax-api/2.0/mlflow/get-trace-artifact?request_id="+demoTrace, "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "attachment; filename=traces.json", header.Get("Content-Disposition"))
	require.True(t, strings.HasPrefix(body, `{"spans":[`+rootContent+","), body)

	// The same spans again change nothing.
	s.ok(http.MethodPost, spansPath, otlpJSON, "x-mlflow-experiment-id", "0")
	require.Equal(t, info, s.info(demoTrace))
}

// usage is the attribute of a span that used tokens.
func usage(in, out int64) *commonpb.KeyValue {
	return attr("mlflow.chat.tokenUsage", str(fmt.Sprintf(`{"input_tokens": %d, "output_tokens": %d, "total_tokens": %d}`, in, out, in+out)))
}

func TestTokensOfSpansThatComeApart(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	const id = "tr-74747474747474747474747474747474"
	child := span(usage(10, 5))
	child.SpanId, child.ParentSpanId = []byte("child--1"), []byte("spanspan")
	s.export(request(child))
	info := s.info(id)
	require.Equal(t, "IN_PROGRESS", info.State)
	require.JSONEq(t, `{"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}`, info.Metadata["mlflow.trace.tokenUsage"])
	other := span(usage(1, 1), attr("mlflow.llm.cost", str(`{"input_cost": 0.5, "output_cost": 0.25, "total_cost": 0.75}`)))
	other.SpanId, other.ParentSpanId = []byte("child--2"), []byte("spanspan")
	s.export(request(other))
	info = s.info(id)
	require.JSONEq(t, `{"input_tokens": 11, "output_tokens": 6, "total_tokens": 17}`, info.Metadata["mlflow.trace.tokenUsage"])
	require.JSONEq(t, `{"input_cost": 0.5, "output_cost": 0.25, "total_cost": 0.75}`, info.Metadata["mlflow.trace.cost"])

	// A root that sums up replaces its children.
	root := span(usage(11, 7), attr("mlflow.spanInputs", str(`{"q": 1}`)), attr("mlflow.traceTag.team", str("a")), attr("mlflow.traceTag.mlflow.trace.spansLocation", str("x")))
	s.export(request(root))
	info = s.info(id)
	require.JSONEq(t, `{"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}`, info.Metadata["mlflow.trace.tokenUsage"])
	require.Equal(t, "OK", info.State, "also of a root without a status")
	require.Equal(t, `{"q": 1}`, info.Request)
	require.Equal(t, "a", info.Tags["team"])
	require.Equal(t, "TRACKING_STORE", info.Tags["mlflow.trace.spansLocation"])
}

// started is a trace as a client tells it.
func started(id, extra string) string {
	return `{"trace": {"trace_info": {"trace_id": "` + id + `", "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}},
		"request_time": "2026-01-02T03:04:05.678Z", "execution_duration": "0.250s", "state": "OK"` + extra + `}}}`
}

func TestClientTellsOfATrace(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	answer := s.ok(http.MethodPost, v3, started(demoTrace, `, "client_request_id": "c1", "request_preview": "hi", "trace_metadata": {"mlflow.trace.tokenUsage": "{}", "m": "v"},
		"tags": {"mlflow.traceName": "n", "mlflow.trace.spansLocation": "forged"}, "assessments": [{"assessment_name": "good", "trace_id": "x", "feedback": {"value": true}, "source": {"source_type": "CODE"}}]`))
	require.JSONEq(t, `{"trace": {"trace_info": {"trace_id": "`+demoTrace+`", "client_request_id": "c1",
		"trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}},
		"request_time": "2026-01-02T03:04:05.678Z", "execution_duration": "0.250s", "state": "OK", "request_preview": "hi",
		"trace_metadata": {"mlflow.trace.tokenUsage": "{}", "m": "v", "mlflow.trace.infoFinalized": "true"},
		"tags": {"mlflow.traceName": "n", "mlflow.artifactLocation": "mlflow-artifacts:/0/traces/`+demoTrace+`/artifacts"},
		"assessments": [{"assessment_id": "`+s.info(demoTrace).Assessments[0].ID+`", "assessment_name": "good", "trace_id": "`+demoTrace+`", "source": {"source_type": "CODE"},
			"create_time": "`+created(answer)+`", "last_update_time": "`+created(answer)+`", "feedback": {"value": true}, "valid": true}]}}}`, answer)

	// What the client said of the whole stays when spans come.
	s.ok(http.MethodPost, spansPath, otlpJSON, "x-mlflow-experiment-id", "0")
	info := s.info(demoTrace)
	require.Equal(t, "2026-01-02T03:04:05.678Z", info.Time)
	require.Equal(t, "0.250s", info.Duration)
	require.Equal(t, "hi", info.Request)
	require.Equal(t, `{"a": 1}`, info.Response)
	require.Equal(t, "{}", info.Metadata["mlflow.trace.tokenUsage"])
	require.Equal(t, "S1", info.Metadata["mlflow.trace.session"])
	require.Equal(t, "TRACKING_STORE", info.Tags["mlflow.trace.spansLocation"])

	for name, body := range map[string]string{
		"no trace":       `{}`,
		"no id":          started("", ""),
		"slash":          started("a/b", ""),
		"long id":        started(strings.Repeat("x", 51), ""),
		"no experiment":  `{"trace": {"trace_info": {"trace_id": "x", "trace_location": {}}}}`,
		"bad experiment": strings.Replace(started("x", ""), `"0"`, `"../1"`, 1),
		"bad time":       strings.Replace(started("x", ""), "2026-01-02T", "yesterday", 1),
		"bad duration":   strings.Replace(started("x", ""), "0.250s", "fast", 1),
		"bad state":      strings.Replace(started("x", ""), `"OK"`, `"FINE"`, 1),
		"no kind":        started("x", `, "assessments": [{"assessment_name": "a"}]`),
		"NUL":            started("x", `, "tags": {"a": "\u0000"}`),
		"wrong type":     started("x", `, "tags": {"a": 1}`),
		"twice":          started("x", `, "state": "OK"`),
	} {
		status, _, answer := s.do(http.MethodPost, v3, body)
		require.Equal(t, http.StatusBadRequest, status, "%s: %s", name, answer)
	}
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodPost, v3, strings.Replace(started("x", ""), `"0"`, `"77"`, 1))
}

// created finds the time of the first assessment in an answer.
func created(answer string) string {
	_, rest, _ := strings.Cut(answer, `"create_time":"`)
	text, _, _ := strings.Cut(rest, `"`)
	return text
}

func TestBadExportsAreTheClientsFault(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	data, err := mlflow.ParseOTLP([]byte(otlpJSON), "application/json")
	require.NoError(t, err)
	body, err := proto.Marshal(data)
	require.NoError(t, err)
	pack := func(b []byte) string {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, err := w.Write(b)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return out.String()
	}
	const kind, exp = "Content-Type", "x-mlflow-experiment-id"
	for name, c := range map[string]struct {
		status int
		body   string
		header []string
	}{
		"gzip":            {200, pack(body), []string{kind, "application/x-protobuf", exp, "0", "Content-Encoding", "gzip"}},
		"gzip of JSON":    {200, pack([]byte(otlpJSON)), []string{kind, "application/json; charset=utf-8", exp, "0", "Content-Encoding", "GZIP"}},
		"no experiment":   {400, string(body), []string{kind, "application/x-protobuf"}},
		"bad experiment":  {400, string(body), []string{kind, "application/x-protobuf", exp, "x"}},
		"none such":       {404, string(body), []string{kind, "application/x-protobuf", exp, "99"}},
		"no type":         {400, string(body), []string{kind, "", exp, "0"}},
		"text":            {400, string(body), []string{kind, "text/plain", exp, "0"}},
		"empty":           {400, "", []string{kind, "application/x-protobuf", exp, "0"}},
		"no protobuf":     {400, "\xff\xff", []string{kind, "application/x-protobuf", exp, "0"}},
		"no JSON":         {400, "{", []string{kind, "application/json", exp, "0"}},
		"no spans":        {400, "{}", []string{kind, "application/json", exp, "0"}},
		"unknown packing": {400, string(body), []string{kind, "application/x-protobuf", exp, "0", "Content-Encoding", "br"}},
		"no gzip":         {400, string(body), []string{kind, "application/x-protobuf", exp, "0", "Content-Encoding", "gzip"}},
		"cut gzip":        {400, pack(body)[:40], []string{kind, "application/x-protobuf", exp, "0", "Content-Encoding", "gzip"}},
		"bomb":            {413, pack(make([]byte, 70<<20)), []string{kind, "application/x-protobuf", exp, "0", "Content-Encoding", "gzip"}},
		"short id":        {400, strings.ReplaceAll(otlpJSON, "5b8efff798038103d269b633813fc60c", "5b8e"), []string{kind, "application/json", exp, "0"}},
		"base64 id":       {400, strings.ReplaceAll(otlpJSON, "5b8efff798038103d269b633813fc60c", "W47/95gDgQPSabYzgT/GDA=="), []string{kind, "application/json", exp, "0"}},
		"deep":            {400, `{"resourceSpans": [{"resource": {"attributes": [{"key": "x", "value": ` + strings.Repeat(`{"arrayValue": {"values": [`, 5000) + strings.Repeat("]}}", 5000) + `}]}}]}`, []string{kind, "application/json", exp, "0"}},
		"no such run":     {404, string(body), []string{kind, "application/x-protobuf", exp, "0", "x-mlflow-run-id", strings.Repeat("0", 32)}},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, answer := s.do(http.MethodPost, spansPath, c.body, c.header...)
			require.Equal(t, c.status, status, answer)
		})
	}
}

func TestSearchAndBatchOfTraces(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	for i := range 3 {
		s.ok(http.MethodPost, v3, started(fmt.Sprintf("tr-%d", i), fmt.Sprintf(`, "tags": {"n": "%d"}`, i)))
	}
	s.ok(http.MethodPost, spansPath, otlpJSON, "x-mlflow-experiment-id", "0")
	const where = `"locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}]`
	type page struct {
		Traces []traceInfo `json:"traces"`
		Next   string      `json:"next_page_token"`
	}
	search := func(rest string) (p page) {
		require.NoError(t, json.Unmarshal([]byte(s.ok(http.MethodPost, v3+"/search", `{`+where+rest+`}`)), &p))
		return p
	}
	require.Len(t, search("").Traces, 4)
	require.Len(t, search(`, "filter": "tag.n = '1'"`).Traces, 1)
	require.Equal(t, demoTrace, search(`, "filter": "span.type = 'LLM'"`).Traces[0].TraceID)
	first := search(`, "max_results": 3, "order_by": ["timestamp_ms ASC"]`)
	require.Len(t, first.Traces, 3)
	require.Equal(t, demoTrace, first.Traces[0].TraceID)
	rest := search(`, "max_results": 3, "order_by": ["timestamp_ms ASC"], "page_token": "` + first.Next + `"`)
	require.Len(t, rest.Traces, 1)
	require.Empty(t, rest.Next)
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, v3+"/search", `{`+where+`, "max_results": 501}`)
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, v3+"/search", `{`+where+`, "filter": "nonsense"}`)
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, v3+"/search", `{`+where+`, "page_token": "x"}`)
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, v3+"/search", `{}`)

	var batch struct {
		Traces []struct {
			Info  traceInfo         `json:"trace_info"`
			Spans []json.RawMessage `json:"spans"`
		} `json:"traces"`
	}
	require.NoError(t, json.Unmarshal([]byte(s.ok(http.MethodGet, v3+"/batchGet?trace_ids=tr-0&trace_ids="+demoTrace+"&trace_ids=none&trace_ids="+demoTrace, "")), &batch))
	require.Len(t, batch.Traces, 1, "only traces with their spans")
	require.Len(t, batch.Traces[0].Spans, 2)
	var infos struct {
		Infos []traceInfo `json:"trace_infos"`
	}
	require.NoError(t, json.Unmarshal([]byte(s.ok(http.MethodPost, v3+"/batchGetInfos", `{"trace_ids": ["none", "tr-1", "`+demoTrace+`"]}`)), &infos))
	require.Len(t, infos.Infos, 2)
	require.Equal(t, "tr-1", infos.Infos[0].TraceID)
	require.Equal(t, "{}", s.ok(http.MethodPost, v3+"/batchGetInfos", `{"trace_ids": ["tr-1"], "experiment_ids": ["5"]}`))
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, v3+"/batchGetInfos", `{}`)
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, v3+"/batchGetInfos", `{"trace_ids": [`+strings.TrimSuffix(strings.Repeat(`"x",`, 501), ",")+`]}`)

	require.JSONEq(t, `{"npmi": 1.0, "npmi_smoothed": 0.584962500721156, "filter1_count": 1, "filter2_count": 1, "joint_count": 1, "total_count": 4}`,
		s.ok(http.MethodPost, v3+"/calculate-filter-correlation", `{"experiment_ids": ["0"], "filter_string1": "tag.n = '1'", "filter_string2": "request_id = 'tr-1'"}`))
}

func TestTraceThatIsNotWhole(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	s.ok(http.MethodPost, v3, started(demoTrace, `, "trace_metadata": {"mlflow.trace.sizeStats": "{\"num_spans\": 2}"}`))
	require.Contains(t, s.ok(http.MethodGet, v3+"/get?allow_partial=true&trace_id="+demoTrace, ""), demoTrace)
	require.JSONEq(t, `{}`, s.ok(http.MethodGet, v3+"/batchGet?trace_ids="+demoTrace, ""))
	done := make(chan string, 1)
	go func() { done <- s.ok(http.MethodGet, v3+"/get?trace_id="+demoTrace, "") }()
	s.ok(http.MethodPost, spansPath, otlpJSON, "x-mlflow-experiment-id", "0")
	require.Contains(t, <-done, `"spans"`, "the request waits for the spans")
}

func TestTagsOfTraces(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	s.ok(http.MethodPost, v3, started("tr-1", ""))
	for _, path := range []string{"/api/2.0/mlflow/traces/tr-1/tags", v3 + "/tr-1/tags", "/ajax-api/3.0/mlflow/traces/tr-1/tags"} {
		require.Equal(t, "{}", s.ok(http.MethodPatch, path, `{"key": "color", "value": "red"}`))
		require.Equal(t, "red", s.info("tr-1").Tags["color"])
		require.Equal(t, "{}", s.ok(http.MethodDelete, path, `{"key": "color"}`))
		require.NotContains(t, s.info("tr-1").Tags, "color")
		s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodDelete, path, `{"key": "color"}`)
		s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPatch, path, `{"key": "mlflow.trace.spansLocation", "value": "x"}`)
		s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPatch, path, `{"value": "x"}`)
		s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPatch, path, `{"key": "`+strings.Repeat("k", 251)+`", "value": "x"}`)
	}
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodPatch, v3+"/none/tags", `{"key": "a", "value": "b"}`)
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodGet, v3+"/none", "")
}

func TestDeletionOfTraces(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	for i := range 5 {
		at := time.UnixMilli(int64(1000 * (i + 1))).UTC().Format(time.RFC3339)
		s.ok(http.MethodPost, v3, strings.Replace(started(fmt.Sprintf("tr-%d", i), ""), "2026-01-02T03:04:05.678Z", at, 1))
	}
	const path = "/api/2.0/mlflow/traces/delete-traces"
	require.JSONEq(t, `{"traces_deleted": 1}`, s.ok(http.MethodPost, path, `{"experiment_id": "0", "request_ids": ["tr-4", "none"]}`))
	require.JSONEq(t, `{"traces_deleted": 1}`, s.ok(http.MethodPost, path, `{"experiment_id": "0", "max_timestamp_millis": 3000, "max_traces": 1}`))
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodGet, v3+"/tr-0", "")
	require.JSONEq(t, `{"traces_deleted": 2}`, s.ok(http.MethodPost, "/api/3.0/mlflow/traces/delete-traces", `{"experiment_id": "0", "max_timestamp_millis": "3000"}`))
	require.Equal(t, "tr-3", s.info("tr-3").TraceID)
	for _, body := range []string{
		`{"experiment_id": "0"}`, `{"max_timestamp_millis": 1}`, `{"experiment_id": "0", "max_timestamp_millis": 1, "request_ids": ["x"]}`,
		`{"experiment_id": "0", "max_traces": 1, "request_ids": ["x"]}`, `{"experiment_id": "0", "max_timestamp_millis": 1, "max_traces": 0}`,
		`{"experiment_id": "x", "max_timestamp_millis": 1}`,
	} {
		s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, path, body)
	}
}

func TestLinksOfTraces(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	run := s.run()
	s.ok(http.MethodPost, v3, started("tr-1", ""))
	const link, prompts = "/api/2.0/mlflow/traces/link-to-run", "/api/2.0/mlflow/traces/link-prompts"
	require.Equal(t, "{}", s.ok(http.MethodPost, link, `{"run_id": "`+string(run.ID)+`", "trace_ids": ["tr-1"]}`))
	found, _, err := s.store.SearchTraces(t.Context(), tracking.TraceQuery{Experiments: []tracking.ExperimentID{"0"}, Filter: "run_id = '" + string(run.ID) + "'"})
	require.NoError(t, err)
	require.Len(t, found, 1)
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodPost, link, `{"run_id": "`+string(run.ID)+`", "trace_ids": ["tr-2"]}`)
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodPost, link, `{"run_id": "none", "trace_ids": ["tr-1"]}`)
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, link, `{"run_id": "x", "trace_ids": [`+strings.TrimSuffix(strings.Repeat(`"x",`, 101), ",")+`]}`)

	s.ok(http.MethodPost, prompts, `{"trace_id": "tr-1", "prompt_versions": [{"name": "p", "version": "1"}]}`)
	s.ok(http.MethodPost, prompts, `{"trace_id": "tr-1", "prompt_versions": [{"name": "p", "version": "1"}, {"name": "q", "version": "2"}]}`)
	require.JSONEq(t, `[{"name": "p", "version": "1"}, {"name": "q", "version": "2"}]`, s.info("tr-1").Tags["mlflow.linkedPrompts"])
	found, _, err = s.store.SearchTraces(t.Context(), tracking.TraceQuery{Experiments: []tracking.ExperimentID{"0"}, Filter: "prompt = 'q/2'"})
	require.NoError(t, err)
	require.Len(t, found, 1)
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, prompts, `{"trace_id": "tr-1", "prompt_versions": [{"name": "p", "version": "x"}]}`)
}

func TestAttachmentsOfTraces(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	s.ok(http.MethodPost, v3, started("tr-1", ""))
	s.ok(http.MethodPut, proxied+"/0/traces/tr-1/artifacts/attachments/pic.png", "png")
	s.ok(http.MethodPut, proxied+"/0/traces/tr-1/artifacts/traces.json", `{"spans": []}`)
	const get = "/ajax-api/3.0/mlflow/get-trace-artifact"
	require.Equal(t, "png", s.ok(http.MethodGet, get+"?request_id=tr-1&path=pic.png", ""))
	require.Equal(t, `{"spans": []}`, s.ok(http.MethodGet, get+"?request_id=tr-1", ""), "of a client that keeps its spans as a file")
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodGet, get+"?request_id=tr-1&path=none", "")
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodGet, get+"?request_id=none", "")
	s.fails(http.StatusBadRequest, "BAD_REQUEST", http.MethodGet, get, "")

	// The tag that says where the files are can be set by anyone who may tag.
	s.ok(http.MethodPut, proxied+"/5/other/attachments/secret", "s3cret")
	s.ok(http.MethodPatch, v3+"/tr-1/tags", `{"key": "mlflow.artifactLocation", "value": "mlflow-artifacts:/5/other"}`)
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodGet, get+"?request_id=tr-1&path=secret", "")
}

func TestTracesInVersionTwo(t *testing.T) {
	t.Parallel()
	s := serveArtifacts(t, nil)
	const v2 = "/api/2.0/mlflow/traces"
	type message struct {
		Info struct {
			ID       string `json:"request_id"`
			Time     int64  `json:"timestamp_ms"`
			Duration int64  `json:"execution_time_ms"`
			Status   string `json:"status"`
			Tags     []struct {
				Key, Value string
			} `json:"tags"`
			Metadata []struct {
				Key, Value string
			} `json:"request_metadata"`
		} `json:"trace_info"`
	}
	read := func(text string) (m message) {
		require.NoError(t, json.Unmarshal([]byte(text), &m))
		return m
	}
	m := read(s.ok(http.MethodPost, v2, `{"experiment_id": "0", "timestamp_ms": 1700000000000, "request_metadata": [{"key": "a", "value": "b"}], "tags": [{"key": "mlflow.traceName", "value": "old"}]}`))
	require.Equal(t, "IN_PROGRESS", m.Info.Status)
	require.Len(t, m.Info.Tags, 2)
	id := m.Info.ID
	m = read(s.ok(http.MethodPatch, v2+"/"+id, `{"timestamp_ms": 1700000000500, "status": "ERROR", "request_metadata": [{"key": "c", "value": "d"}], "tags": [{"key": "x", "value": "y"}]}`))
	require.EqualValues(t, 500, m.Info.Duration)
	require.Equal(t, "ERROR", m.Info.Status)
	require.Len(t, m.Info.Tags, 3)
	require.Len(t, m.Info.Metadata, 2)
	require.Equal(t, m, read(s.ok(http.MethodGet, v2+"/"+id+"/info", "")))
	require.Contains(t, s.ok(http.MethodGet, v2+"?experiment_ids=0&max_results=5", ""), id)
	s.fails(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", http.MethodPost, v2, `{"experiment_id": "0"}`)
	s.fails(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", http.MethodPatch, v2+"/none", `{"timestamp_ms": 1, "status": "OK"}`)
}
