package tracking_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
)

// faultsOf checks that one error lists all the texts.
func faultsOf(t *testing.T, err error, texts ...string) {
	t.Helper()
	require.ErrorIs(t, err, tracking.ErrInvalid)
	for _, text := range texts {
		require.ErrorContains(t, err, text)
	}
}

func TestValidateBatchOfModels(t *testing.T) {
	t.Parallel()
	now := time.Now()
	good := tracking.Batch{
		Metrics:     []tracking.Metric{{Key: "m", Time: now, Link: &tracking.MetricLink{Model: "m-1", DatasetName: "d", DatasetDigest: "x"}}},
		ModelInputs: []tracking.ModelID{"m-1"},
		Outputs:     []tracking.ModelOutput{{Model: "m-2", Step: -1}},
		Inputs:      []tracking.DatasetInput{{Name: "d", Digest: "x", Tags: map[string]string{"any (key)": ""}}},
	}
	require.NoError(t, good.Validate())
	many := map[string]string{}
	for i := range 21 {
		many[fmt.Sprint(i)] = ""
	}
	faultsOf(t, tracking.Batch{
		Metrics: []tracking.Metric{
			{Key: "a", Time: now, Link: &tracking.MetricLink{}},
			{Key: "b", Time: now, Link: &tracking.MetricLink{Model: "m-1", DatasetDigest: "x"}},
			{Key: "c", Time: now, Link: &tracking.MetricLink{Model: "m-1", DatasetName: strings.Repeat("n", 501)}},
		},
		ModelInputs: []tracking.ModelID{"../x"},
		Outputs:     []tracking.ModelOutput{{Model: ""}},
		Inputs: []tracking.DatasetInput{
			{Name: "d", Digest: "x", Tags: many},
			{Name: "d", Digest: "x", Tags: map[string]string{"": "", strings.Repeat("k", 256): "", "v": strings.Repeat("v", 501)}},
		},
	}.Validate(),
		`metric "a" at step 0, its link: "" is no model id`, `metric "b" at step 0, its link: DatasetDigest without`, `metric "c" at step 0, its link's DatasetName`,
		`model input 0: "../x"`, `output 0: ""`, "input 0 has 21 tags", `input 1, tag key ""`, `input 1, tag key "kkk`, `input 1, tag "v", its value`)
	faultsOf(t, tracking.Batch{ModelInputs: make([]tracking.ModelID, 101)}.Validate(), "101 model inputs")
	faultsOf(t, tracking.Batch{Outputs: make([]tracking.ModelOutput, 101)}.Validate(), "101 outputs")
}

func TestValidateExperimentAndRun(t *testing.T) {
	t.Parallel()
	require.NoError(t, tracking.Experiment{Name: "Default", ID: "0"}.Validate())
	faultsOf(t, tracking.Experiment{
		Name: "\n", ID: "a/b", ArtifactLocation: "s3://b/", Tags: map[string]string{"/": "", "long": strings.Repeat("x", 20_001)}, Created: time.UnixMilli(-1),
	}.Validate(), "name", `id "a/b"`, "ends with a slash", `tag key "/"`, `tag "long"`, "created time")
	require.NoError(t, tracking.ExperimentUpdate{}.Validate())
	faultsOf(t, tracking.ExperimentUpdate{Name: "\x00", SetTags: map[string]string{"..": ""}, DeleteTags: []string{""}}.Validate(), "name", `tag key ".."`, `tag to delete ""`)

	run := tracking.RunInfo{ID: "r", Experiment: "1", Name: "n", Status: tracking.Scheduled, Start: time.Now()}
	require.NoError(t, run.Validate())
	faultsOf(t, tracking.RunInfo{
		ID: "", Experiment: "", User: strings.Repeat("u", 257), Status: "running", Start: time.UnixMilli(-5), ArtifactURI: "/etc", Tags: map[string]string{"": ""},
	}.Validate(), "id", "experiment id", "name", "user", `status "running"`, "start time", `artifact URI "/etc"`, `tag key ""`)
	faultsOf(t, tracking.RunUpdate{Status: "BOGUS", End: time.UnixMilli(-1), Name: "\n"}.Validate(), "BOGUS", "end time", "name")
	require.NoError(t, tracking.Page{Max: 10}.Validate(10))
	faultsOf(t, tracking.Page{Max: 11}.Validate(10), "page of 11")
	faultsOf(t, tracking.SampleQuery{From: new(int64(2)), To: new(int64(1))}.Validate(), "0 runs", "key", "Max is 0", "From 2 is above To 1")
	require.NoError(t, tracking.SampleQuery{Runs: []tracking.RunID{"a"}, Key: "m", Max: 320}.Validate())
}

func TestValidateModel(t *testing.T) {
	t.Parallel()
	m := tracking.LoggedModel{ID: tracking.NewModelID(), Experiment: "1", Name: "model", Tags: map[string]string{"a=b (c)": "x"}}
	require.NoError(t, m.Validate())
	for _, c := range `/:.%"'` {
		require.ErrorIs(t, tracking.ValidateModelName("a"+string(c)), tracking.ErrInvalid)
	}
	require.NoError(t, tracking.ValidateModelName("my model_1-ü"))
	faultsOf(t, tracking.LoggedModel{
		ID: "/", Experiment: "/", Name: "a.b", Type: "\x00", SourceRun: "/", Status: "DONE", StatusMessage: strings.Repeat("x", 501), ArtifactURI: "x",
		Params: map[string]string{"": "", "p": strings.Repeat("x", 6001)}, Tags: map[string]string{strings.Repeat("k", 256): ""},
	}.Validate(), `id "/"`, "experiment id", `name "a.b"`, "type", "source run", `status "DONE"`, "status message", "artifact URI", `param key ""`, `param "p"`, `tag key "kkk`)
	faultsOf(t, tracking.ModelUpdate{Status: "x", SetTags: map[string]string{"": ""}, DeleteTags: []string{"\x00"}}.Validate(), "status", "tag key", "tag to delete")
}

func TestValidateTrace(t *testing.T) {
	t.Parallel()
	span := tracking.Span{Trace: "tr-1", ID: "00f067aa0ba902b7", Name: "s", Content: json.RawMessage(`{"a":1}`)}
	require.NoError(t, tracking.Trace{ID: "tr-1", Experiment: "1", Duration: -1, Spans: []tracking.Span{span}}.Validate())
	for _, bad := range []tracking.TraceID{"", "a b", "a/b", "a'b", "é", tracking.TraceID(strings.Repeat("a", 51))} {
		require.ErrorIs(t, tracking.ValidateTraceID(bad), tracking.ErrInvalid, "%q", bad)
	}
	long := strings.Repeat("x", 10_001)
	faultsOf(t, tracking.Trace{
		ID: "", Experiment: "", State: "GOOD", ClientRequestID: long, Duration: 1 << 60, RequestPreview: long, Tags: map[string]string{"": ""}, Metadata: map[string]string{"k": long},
		Assessments: []tracking.Assessment{{Kind: "opinion", Value: json.RawMessage("{"), RunID: "/"}},
		Spans:       []tracking.Span{{Start: -1, Content: json.RawMessage("[]")}, {Content: nil}},
	}.Validate(), "is no trace id", "experiment id", "GOOD", "client request id", "duration", "request preview", `tag key ""`, `metadata "k"`,
		"assessment 0: name", `assessment 0: kind "opinion"`, "assessment 0: its value is no JSON", "assessment 0: run", "before 1970", "no JSON object")
	faultsOf(t, tracking.ValidateSpans(make([]tracking.Span, tracking.MaxTraceSpans+1)), "10001 spans")
	faultsOf(t, tracking.TraceUpdate{State: "x", ResponsePreview: &long, SetMetadata: map[string]string{"": ""}}.Validate(), "state", "response preview", "metadata key")
	require.NoError(t, tracking.Assessment{Trace: "tr-1", Name: "n", Kind: tracking.IssueRef}.Validate())
	faultsOf(t, tracking.Assessment{Trace: "tr-1", Name: "n", Kind: tracking.Feedback}.Validate(), "neither a value nor an error")
}

func TestNewIDsAreValid(t *testing.T) {
	t.Parallel()
	require.NoError(t, tracking.ValidateRunID(tracking.NewRunID()))
	require.NoError(t, tracking.ValidateModelID(tracking.NewModelID()))
	require.NoError(t, tracking.ValidateModelName(tracking.RandomName()))
}
