package mlflowapi_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
)

func TestDecodeRequestTakesWhatProtobufTakes(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"plain":                  `{"run_id":"r","key":"k","value":1.5,"timestamp":7,"step":3}`,
		"camel case":             `{"runId":"r","key":"k","value":1.5,"timestamp":7,"step":3}`,
		"integers as strings":    `{"run_id":"r","key":"k","value":"1.5","timestamp":"7","step":"3"}`,
		"integers with fraction": `{"run_id":"r","key":"k","value":15e-1,"timestamp":7.0,"step":3e0}`,
		"old name of the run":    `{"run_uuid":"r","key":"k","value":1.5,"timestamp":7,"step":3}`,
		"null is absent":         `{"run_id":"r","run_uuid":null,"key":"k","value":1.5,"timestamp":7,"step":3}`,
		"unknown fields":         `{"run_id":"r","x":[{"y":null}],"key":"k","value":1.5,"timestamp":7,"step":3,"x":1}`,
		"space":                  " {\t\"run_id\" :\r\n\"r\" , \"key\":\"k\",\"value\":1.5,\"timestamp\":7,\"step\":3 } ",
		"encoded twice":          `"{\"run_id\":\"r\",\"key\":\"k\",\"value\":1.5,\"timestamp\":7,\"step\":3}"`,
		"escapes":                `{"run_id":"\u0072","\u006bey":"\u006b","value":1.5,"timestamp":7,"step":3}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var m mlflowapi.LogMetric
			require.NoError(t, mlflowapi.DecodeRequest([]byte(body), &m))
			require.Equal(t, "r", m.RunID)
			require.Equal(t, "k", m.Key)
			require.Equal(t, 1.5, *m.Value)
			require.Equal(t, int64(7), *m.Timestamp)
			require.Equal(t, int64(3), m.Step)
		})
	}
}

func TestDecodeRequestNamesTheFault(t *testing.T) {
	t.Parallel()
	const hint = " See the API docs for more information about request parameters."
	for _, tc := range []struct{ body, want string }{
		{``, `Missing value for required parameter 'run_id'.` + hint},
		{`null`, `Missing value for required parameter 'run_id'.` + hint},
		{`{"run_id":""}`, `Missing value for required parameter 'run_id'.` + hint},
		{`{"run_id":5}`, `Invalid value 5 for parameter 'run_id' supplied: want a string.`},
		{`{"run_id":"r","metrics":{}}`, `Invalid value {} for parameter 'metrics' supplied: want an array.`},
		{`{"run_id":"r","metrics":[1]}`, `Invalid value 1 for parameter 'metrics[0]' supplied: want an object.`},
		{`{"run_id":"r","metrics":[{}]}`, `Missing value for required parameter 'metrics[0].key'.` + hint},
		{`{"run_id":"r","metrics":[{"key":"k","timestamp":1}]}`, `Missing value for required parameter 'metrics[0].value'.` + hint},
		{`{"run_id":"r","metrics":[{"key":"k","value":null,"timestamp":1}]}`, `Missing value for required parameter 'metrics[0].value'.` + hint},
		{`{"run_id":"r","metrics":[{"key":"k","value":1}]}`, `Missing value for required parameter 'metrics[0].timestamp'.` + hint},
		{`{"run_id":"r","metrics":[{"key":"k","value":"x","timestamp":1}]}`, `Invalid value "x" for parameter 'metrics[0].value' supplied: want a number.`},
		{`{"run_id":"r","metrics":[{"key":"k","value":true,"timestamp":1}]}`, `Invalid value true for parameter 'metrics[0].value' supplied: want a number.`},
		{`{"run_id":"r","metrics":[{"key":"k","value":1e400,"timestamp":1}]}`, `Invalid value 1e400 for parameter 'metrics[0].value' supplied: it is out of range; infinity is "Infinity".`},
		{`{"run_id":"r","metrics":[{"key":"k","value":1,"timestamp":1.5}]}`, `Invalid value 1.5 for parameter 'metrics[0].timestamp' supplied: want an integer of 64 bits.`},
		{`{"run_id":"r","metrics":[{"key":"k","value":1,"timestamp":99999999999999999999}]}`, `Invalid value 99999999999999999999 for parameter 'metrics[0].timestamp' supplied: want an integer of 64 bits.`},
		{`{"run_id":"r","metrics":[{"key":"k","key":"l"}]}`, `Request specifies 'metrics[0].key' twice; provide only one of them.`},
		{`{"run_id":"r","runId":"s"}`, `Request specifies 'run_id' twice; provide only one of them.`},
		{`{"run_id":"r","params":[{"value":"v"}]}`, `Missing value for required parameter 'params[0].key'.` + hint},
		{`{"run_id":"r","params":[{"key":"k","value":1}]}`, `Invalid value 1 for parameter 'params[0].value' supplied: want a string.`},
		{`{"run_id":"r","tags":[null]}`, `Invalid value null for parameter 'tags[0]' supplied: want an object.`},
		{`{"run_id":"r"}x`, `Malformed JSON at byte 14 of the request body: want nothing after the value.`},
		{`{"run_id":"r",}`, `Malformed JSON at byte 14 of the request body: want a string.`},
		{`{"run_id":"r"`, `Malformed JSON at byte 13 of the request body: want ',' or '}'.`},
		{`[]`, `Invalid value [] for parameter '' supplied: want an object.`},
		{`{"run_id":"\ud800"}`, `Malformed JSON at byte 11 of the request body: want a valid escape.`},
		{"{\"run_id\":\"\xff\"}", `Malformed JSON at byte 11 of the request body: want valid UTF-8.`},
		{`{"run_id":"a\u0000"}`, `Malformed JSON at byte 12 of the request body: want text without NUL.`},
		{`{"run_id":"r","metrics":[{"key":"k","value":NaN,"timestamp":1}]}`, `Malformed JSON at byte 44 of the request body: want a number; write NaN and Infinity as strings.`},
		{`{"x":` + strings.Repeat("[", 70), `Malformed JSON at byte 69 of the request body: want values nested less deeply.`},
	} {
		var m mlflowapi.LogBatch
		err := mlflowapi.DecodeRequest([]byte(tc.body), &m)
		require.ErrorIs(t, err, errs.ErrInvalid, "%s", tc.body)
		var wire *mlflowapi.Error
		require.ErrorAs(t, err, &wire)
		require.Equal(t, tc.want, wire.Message, "%s", tc.body)
		require.Equal(t, 400, wire.Status())
	}
}

func TestEnumsByNameAndNumber(t *testing.T) {
	t.Parallel()
	for _, value := range []string{`"FINISHED"`, `3`, `"3"`} {
		var m mlflowapi.UpdateRun
		require.NoError(t, mlflowapi.DecodeRequest([]byte(`{"run_id":"r","status":`+value+`}`), &m))
		require.Equal(t, mlflowapi.RunStatus("FINISHED"), m.Status)
	}
	for _, value := range []string{`"BOGUS"`, `9`, `true`, `{}`, `"9"`} {
		var m mlflowapi.UpdateRun
		err := mlflowapi.DecodeRequest([]byte(`{"run_id":"r","status":`+value+`}`), &m)
		require.ErrorContains(t, err, "for parameter 'status' supplied: want one of RUNNING, SCHEDULED, FINISHED, FAILED, KILLED", value)
	}
}

func TestSpecialNumbersSurvive(t *testing.T) {
	t.Parallel()
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 1, -1.5, 0.1, 1e300, 5e-324, math.MaxFloat64, 1 << 53, 123456789.123456789} {
		text := mlflowapi.Append(nil, &mlflowapi.GetMetricHistoryResponse{Metrics: []mlflowapi.Metric{{Key: "k", Value: v}}})
		var back mlflowapi.GetMetricHistoryResponse
		require.NoError(t, mlflowapi.Decode(text, &back), "%s", text)
		require.Equal(t, math.Float64bits(v), math.Float64bits(back.Metrics[0].Value), "%s", text)

		var hot mlflowapi.LogBatch
		text = mlflowapi.Append(nil, &mlflowapi.LogBatch{RunID: "r", Metrics: []mlflowapi.Metric{{Key: "k", Value: v}}})
		require.NoError(t, mlflowapi.DecodeRequest(text, &hot), "%s", text)
		require.Equal(t, math.Float64bits(v), math.Float64bits(hot.Metrics[0].Value), "%s", text)
	}
}

func TestAppend(t *testing.T) {
	t.Parallel()
	run := &mlflowapi.GetRunResponse{Run: mlflowapi.Run{
		Info: mlflowapi.RunInfo{RunID: "r", RunUUID: "r", ExperimentID: "1", RunName: "n\"\n\u00e9\x01", Status: "RUNNING", StartTime: 5, LifecycleStage: "active"},
		Data: mlflowapi.RunData{Metrics: []mlflowapi.Metric{{Key: "m", Value: 1}}, Params: []mlflowapi.Param{{Key: "p"}}},
	}}
	require.Equal(t, `{"run":{"info":{"run_uuid":"r","experiment_id":"1","run_name":"n\"\n`+"\u00e9"+`\u0001","user_id":"","status":"RUNNING",`+
		`"start_time":5,"artifact_uri":"","lifecycle_stage":"active","run_id":"r"},`+
		`"data":{"metrics":[{"key":"m","value":1.0,"timestamp":0,"step":0}],"params":[{"key":"p","value":""}]},"inputs":{},"outputs":{}}}`,
		string(mlflowapi.Append(nil, run)))
	require.Equal(t, `{}`, string(mlflowapi.Append(nil, &mlflowapi.SearchRunsResponse{})))
}

func TestDecodeQuery(t *testing.T) {
	t.Parallel()
	var m mlflowapi.GetMetricHistoryBulkInterval
	require.NoError(t, mlflowapi.DecodeQuery(url.Values{"run_ids": {"a", "b"}, "metric_key": {"k", "ignored"}, "max_results": {"320"}, "other": {"x"}}, &m))
	require.Equal(t, []string{"a", "b"}, m.RunIDs)
	require.Equal(t, "k", m.MetricKey)
	require.Equal(t, int64(320), *m.MaxResults)

	for _, tc := range []struct {
		query url.Values
		want  string
	}{
		{url.Values{"metric_key": {"k"}}, "Missing value for required parameter 'run_ids'"},
		{url.Values{"run_ids": {"a"}, "metric_key": {"k"}, "max_results": {"x"}}, `Invalid value "x" for parameter 'max_results' supplied`},
		{url.Values{"run_ids": {"a"}, "metric_key": {"k\x00"}}, `for parameter 'metric_key' supplied`},
		{url.Values{"run_ids": {"a"}, "metric_key": {"k"}, "metricKey": {"k"}}, `twice`},
	} {
		require.ErrorContains(t, mlflowapi.DecodeQuery(tc.query, new(mlflowapi.GetMetricHistoryBulkInterval)), tc.want)
	}
	var get mlflowapi.GetLoggedModel
	require.NoError(t, mlflowapi.DecodeQuery(url.Values{"allow_deleted": {"True"}}, &get))
	require.True(t, get.AllowDeleted)
	require.ErrorContains(t, mlflowapi.DecodeQuery(url.Values{"allow_deleted": {"yes"}}, &get), "must be 'true' or 'false'"[8:])
}

func TestErrorsMapBothWays(t *testing.T) {
	t.Parallel()
	for kind, code := range map[error]string{
		errs.ErrInvalid: "INVALID_PARAMETER_VALUE", errs.ErrNotFound: "RESOURCE_DOES_NOT_EXIST",
		errs.ErrExists: "RESOURCE_ALREADY_EXISTS", errs.ErrConflict: "RESOURCE_CONFLICT", errs.ErrUnsupported: "NOT_IMPLEMENTED",
	} {
		wire := mlflowapi.FromKind(fmt.Errorf("sqlstore: run %q: %w", "x", kind))
		require.Equal(t, code, wire.Code)
		require.Equal(t, `sqlstore: run "x"`, wire.Message)
		var back mlflowapi.Error
		require.NoError(t, mlflowapi.Decode(mlflowapi.Append(nil, wire), &back))
		require.ErrorIs(t, &back, kind)
	}
	require.Nil(t, mlflowapi.FromKind(errs.ErrUnavailable))
	require.Equal(t, 500, (&mlflowapi.Error{Code: "NEW"}).Status())
}

// batch is a body with values of all digits, or rounded to 1/round.
func batch(points int, round float64) []byte {
	m := &mlflowapi.LogBatch{RunID: "0123456789abcdef0123456789abcdef"}
	for i := range points {
		value := math.Sqrt(float64(i))
		if round > 0 {
			value = math.Round(value*round) / round
		}
		m.Metrics = append(m.Metrics, mlflowapi.Metric{
			Key: fmt.Sprintf("metric_%d", i%10), Value: value, Timestamp: 1_700_000_000_000 + int64(i), Step: int64(i / 10),
		})
	}
	return mlflowapi.Append(nil, m)
}

func TestLogBatchAllocates(t *testing.T) {
	body := batch(1000, 0)
	allocs := testing.AllocsPerRun(20, func() {
		var m mlflowapi.LogBatch
		if mlflowapi.DecodeRequest(body, &m) != nil || len(m.Metrics) != 1000 {
			t.Fatal("the batch was not read")
		}
	})
	require.LessOrEqual(t, allocs, 30.0)

	history := &mlflowapi.GetMetricHistoryResponse{Metrics: make([]mlflowapi.Metric, 1000)}
	buf := make([]byte, 0, 1<<20)
	allocs = testing.AllocsPerRun(20, func() { buf = mlflowapi.Append(buf[:0], history) })
	require.LessOrEqual(t, allocs, 1010.0)
}

func BenchmarkDecodeLogBatch1000(b *testing.B) {
	for name, round := range map[string]float64{"17 digits": 0, "5 digits": 1e4} {
		b.Run(name, func(b *testing.B) {
			body := batch(1000, round)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			var m mlflowapi.LogBatch
			for b.Loop() {
				m.Reset()
				if err := mlflowapi.DecodeRequest(body, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeLogMetric(b *testing.B) {
	body := []byte(`{"run_uuid":"0123456789abcdef0123456789abcdef","run_id":"0123456789abcdef0123456789abcdef","key":"loss","value":0.12345678901,"timestamp":1700000000000,"step":12}`)
	b.ReportAllocs()
	for b.Loop() {
		var m mlflowapi.LogMetric
		if err := mlflowapi.DecodeRequest(body, &m); err != nil {
			b.Fatal(err)
		}
	}
}

// The encoders of their own write what the tags of the fields say.
func TestAppendRegistryAsItsFieldsAreTagged(t *testing.T) {
	t.Parallel()
	const odd = "a \"quoted\" \\ line\nž\u2028"
	version := mlflowapi.ModelVersion{
		Name: odd, Version: "3", CreationTimestamp: 1, LastUpdatedTimestamp: -2, UserID: odd, CurrentStage: "None", Description: odd, Source: "s3://b",
		RunID: "r", Status: mlflowapi.VersionReady, StatusMessage: "m", Tags: []mlflowapi.KeyValue{{Key: "k", Value: odd}, {Key: "l"}},
		RunLink: "http://x", Aliases: []string{"champion", "b"}, ModelID: "m-1",
	}
	for _, m := range []*mlflowapi.RegisteredModel{
		{},
		{
			Name: odd, CreationTimestamp: 1 << 60, LastUpdatedTimestamp: 5, UserID: "u", Description: "d",
			LatestVersions: []mlflowapi.ModelVersion{version, {}}, Tags: version.Tags, Aliases: []mlflowapi.RegisteredModelAlias{{Alias: "a", Version: "1"}, {}},
		},
	} {
		want, err := json.Marshal(m)
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(mlflowapi.Append(nil, m)))
		answer := &mlflowapi.SearchRegisteredModelsResponse{RegisteredModels: []mlflowapi.RegisteredModel{*m}}
		want, err = json.Marshal(answer)
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(mlflowapi.Append(nil, answer)))
	}
}
