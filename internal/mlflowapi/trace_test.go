package mlflowapi_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
)

// traceText is a trace as MLflow's client sends it.
const traceText = `{"trace":{"trace_info":{"trace_id":"tr-2d6b26cb15f2488e285a62063d7bc59f","client_request_id":"cr-1",` +
	`"trace_location":{"type":"MLFLOW_EXPERIMENT","mlflow_experiment":{"experiment_id":"1"}},"request_preview":"héllo",` +
	`"request_time":"2026-11-21T11:22:23.116Z","execution_duration":"0.127s","state":"OK","trace_metadata":{"a":"b"},` +
	`"assessments":[{"assessment_name":"correct","trace_id":"tr-1","source":{"source_type":"HUMAN","source_id":"bob"},` +
	`"create_time":"2026-11-21T11:22:23.873Z","last_update_time":"2026-11-21T11:22:23.873Z",` +
	`"feedback":{"value":null,"error":{"error_code":"E"}},"rationale":"ok","valid":false}],"tags":{"team":"a"}}}}`

func TestTraceKeepsItsText(t *testing.T) {
	t.Parallel()
	var m mlflowapi.TraceMessage
	require.NoError(t, mlflowapi.DecodeRequest([]byte(traceText), &m))
	require.Equal(t, traceText, string(mlflowapi.Append(nil, &m)))
	require.Equal(t, time.Date(2026, 11, 21, 11, 22, 23, 116e6, time.UTC), m.Trace.TraceInfo.RequestTime.Time)
	require.Equal(t, 127*time.Millisecond, m.Trace.TraceInfo.ExecutionDuration.Duration)
	require.False(t, *m.Trace.TraceInfo.Assessments[0].Valid)
	require.Equal(t, "null", string(m.Trace.TraceInfo.Assessments[0].Feedback.Value))
}

func TestTimesAndDurations(t *testing.T) {
	t.Parallel()
	type message struct {
		At   mlflowapi.Timestamp `json:"at,omitzero"`
		Took *mlflowapi.Duration `json:"took,omitempty"`
	}
	for text, want := range map[string]string{
		`{"at":"2026-01-02T03:04:05Z"}`:           `{"at":"2026-01-02T03:04:05Z"}`,
		`{"at":"2026-01-02T03:04:05.1+02:00"}`:    `{"at":"2026-01-02T01:04:05.100Z"}`,
		`{"at":"2026-01-02T03:04:05.123456789Z"}`: `{"at":"2026-01-02T03:04:05.123456789Z"}`,
		`{"at":"1970-01-01T00:00:00Z"}`:           `{"at":"1970-01-01T00:00:00Z"}`,
		`{"took":"0s"}`:                           `{"took":"0s"}`,
		`{"took":"1.5s"}`:                         `{"took":"1.500s"}`,
		`{"took":"-0.000001s"}`:                   `{"took":"-0.000001s"}`,
		`{"took":"9223372035.999999999s"}`:        `{"took":"9223372035.999999999s"}`,
		`{"at":null,"took":null}`:                 `{}`,
	} {
		var m message
		require.NoError(t, mlflowapi.Decode([]byte(text), &m), text)
		require.Equal(t, want, string(mlflowapi.Append(nil, &m)))
	}
	for _, text := range []string{
		`{"at":1}`, `{"at":""}`, `{"at":"2026-01-02"}`, `{"at":"12026-01-02T03:04:05Z"}`, `{"at":"2026-13-02T03:04:05Z"}`,
		`{"took":1}`, `{"took":"1"}`, `{"took":"s"}`, `{"took":".5s"}`, `{"took":"1.s"}`, `{"took":"1e3s"}`, `{"took":"9223372037s"}`, `{"took":"--1s"}`, `{"took":"1.0000000001s"}`,
	} {
		var m message
		err := mlflowapi.Decode([]byte(text), &m)
		require.ErrorContains(t, err, "Invalid value", text)
	}
}

func TestFieldMaskNamesFields(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`"assessmentName,feedback"`, `"assessment_name,feedback"`} {
		var m mlflowapi.UpdateAssessment
		require.NoError(t, mlflowapi.DecodeRequest([]byte(`{"assessment":{"trace_id":"t"},"update_mask":`+text+`}`), &m))
		require.Equal(t, []string{"assessment_name", "feedback"}, m.UpdateMask.Paths)
		require.Equal(t, `{"assessment":{"trace_id":"t"},"update_mask":"assessmentName,feedback"}`, string(mlflowapi.Append(nil, &m)))
	}
	var m mlflowapi.UpdateAssessment
	require.ErrorContains(t, mlflowapi.DecodeRequest([]byte(`{"assessment":{},"update_mask":{"paths":[]}}`), &m), "update_mask")
}

func FuzzTraceMessages(f *testing.F) {
	f.Add([]byte(traceText))
	f.Add([]byte(`{"assessment":{"expectation":{"serialized_value":{"serialization_format":"JSON_FORMAT","value":"{}"}}},"update_mask":"a,B"}`))
	f.Add([]byte(`{"trace":{"trace_info":{"execution_duration":"-1.5s"}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, fresh := range []func() any{
			func() any { return new(mlflowapi.TraceMessage) },
			func() any { return new(mlflowapi.UpdateAssessment) },
		} {
			first, second := fresh(), fresh()
			if mlflowapi.Decode(body, first) != nil {
				continue
			}
			text := mlflowapi.Append(nil, first)
			require.NoError(t, mlflowapi.Decode(text, second), "%s", text)
			require.Equal(t, string(text), string(mlflowapi.Append(nil, second)))
		}
	})
}
