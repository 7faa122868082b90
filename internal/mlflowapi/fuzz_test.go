package mlflowapi_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
)

// messages returns an empty message of each kind that is decoded from outside.
func messages() []any {
	return []any{
		new(mlflowapi.CreateExperiment), new(mlflowapi.SearchExperiments), new(mlflowapi.GetExperiment), new(mlflowapi.GetExperimentByName),
		new(mlflowapi.DeleteExperiment), new(mlflowapi.UpdateExperiment), new(mlflowapi.SetExperimentTag), new(mlflowapi.DeleteExperimentTag),
		new(mlflowapi.SearchDatasets), new(mlflowapi.CreateRun), new(mlflowapi.UpdateRun), new(mlflowapi.DeleteRun), new(mlflowapi.GetRun),
		new(mlflowapi.LogParam), new(mlflowapi.SetTag), new(mlflowapi.DeleteTag), new(mlflowapi.LogInputs), new(mlflowapi.LogOutputs),
		new(mlflowapi.LogModel), new(mlflowapi.SearchRuns), new(mlflowapi.LogMetric), new(mlflowapi.LogBatch), new(mlflowapi.GetMetricHistory),
		new(mlflowapi.GetMetricHistoryBulkInterval), new(mlflowapi.GetMetricHistoryBulk), new(mlflowapi.CreateLoggedModel),
		new(mlflowapi.FinalizeLoggedModel), new(mlflowapi.GetLoggedModel), new(mlflowapi.SearchLoggedModels), new(mlflowapi.SetLoggedModelTags),
		new(mlflowapi.LogLoggedModelParams),
		new(mlflowapi.SearchExperimentsResponse), new(mlflowapi.GetExperimentResponse), new(mlflowapi.CreateRunResponse), new(mlflowapi.UpdateRunResponse),
		new(mlflowapi.SearchRunsResponse), new(mlflowapi.GetMetricHistoryResponse), new(mlflowapi.GetMetricHistoryBulkResponse),
		new(mlflowapi.LoggedModelResponse), new(mlflowapi.SearchLoggedModelsResponse), new(mlflowapi.ListArtifactsResponse),
		new(mlflowapi.SearchDatasetsResponse), new(mlflowapi.Error),
	}
}

// FuzzDecode decodes any text as each message: what is accepted is valid JSON
// and survives encoding and decoding again.
func FuzzDecode(f *testing.F) {
	for i, m := range messages() {
		f.Add(byte(i), mlflowapi.Append(nil, m))
		f.Add(byte(i), []byte(`{"run_id":"r","metrics":[{"key":"k","value":"-Infinity","timestamp":"5","step":1e3}],"tags":[{"key":"é\ud83d\ude00","value":null}],"status":2,"max_results":7}`))
	}
	f.Add(byte(0), []byte(`"{\"name\":\"x\"}"`))
	f.Fuzz(func(t *testing.T, n byte, body []byte) {
		list := messages()
		m := list[int(n)%len(list)]
		if mlflowapi.DecodeRequest(body, m) == nil && len(bytes.TrimSpace(body)) > 0 {
			require.True(t, json.Valid(body), "%q", body)
		}
		m = messages()[int(n)%len(list)]
		if mlflowapi.Decode(body, m) != nil {
			return
		}
		require.True(t, json.Valid(body), "%q", body)
		text := mlflowapi.Append(nil, m)
		require.True(t, json.Valid(text), "%s", text)
		again := reflect.New(reflect.TypeOf(m).Elem()).Interface()
		if err := mlflowapi.Decode(text, again); err != nil {
			require.ErrorContains(t, err, "one of", "an enum that is not set")
			return
		}
		require.Equal(t, string(text), string(mlflowapi.Append(nil, again)))
	})
}

func FuzzDecodeQuery(f *testing.F) {
	f.Add(byte(0), "run_id=x&max_results=5&run_ids=a&run_ids=b&allow_deleted=true&metric_key=k&status=1")
	f.Fuzz(func(t *testing.T, n byte, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		list := messages()
		m := list[int(n)%len(list)]
		if mlflowapi.DecodeQuery(values, m) == nil {
			require.True(t, json.Valid(mlflowapi.Append(nil, m)))
		}
	})
}
