package tracking_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

func TestTraces(t *testing.T) {
	t.Parallel()
	client, run := startRun(t, &trackingtest.Memory{}, nil)
	start := time.UnixMilli(1_700_000_000_000)
	span := tracking.Span{
		Trace: "tr-4bf92f3577b34da6a3ce929d0e0e4736", ID: "00f067aa0ba902b7", Name: "answer", Type: "CHAIN", Status: tracking.TraceOK,
		Start: start.UnixNano(), End: start.Add(time.Second).UnixNano(), Content: json.RawMessage(`{"name":"answer"}`),
	}
	require.NoError(t, client.LogSpans(t.Context(), run.Experiment(), []tracking.Span{span}))
	require.NoError(t, client.UpdateTrace(t.Context(), span.Trace, tracking.TraceUpdate{SetTags: map[string]string{"team": "a"}}))
	require.NoError(t, run.LinkTraces(t.Context(), span.Trace))
	a, err := client.Assess(t.Context(), tracking.Assessment{
		Trace: span.Trace, Name: "correct", Kind: tracking.Feedback, Value: json.RawMessage(`true`), SourceType: "HUMAN", SourceID: "ann",
	})
	require.NoError(t, err)
	require.NotEmpty(t, a.ID)
	require.True(t, a.Valid)

	trace, err := client.Trace(t.Context(), span.Trace)
	require.NoError(t, err)
	require.Len(t, trace.Spans, 1)
	require.Len(t, trace.Assessments, 1)
	require.Equal(t, "a", trace.Tags["team"])
	require.Equal(t, time.Second, trace.Duration)
	for filter, want := range map[string]int{"": 1, "tags.team = 'a'": 1, "tags.team = 'b'": 0, "run_id = '" + string(run.ID()) + "'": 1} {
		n := 0
		for trace, err := range client.Traces(t.Context(), tracking.TraceQuery{Experiments: []tracking.ExperimentID{run.Experiment()}, Filter: filter}) {
			require.NoError(t, err)
			require.Empty(t, trace.Spans)
			n++
		}
		require.Equal(t, want, n, filter)
	}
	require.NoError(t, client.DeleteAssessment(t.Context(), span.Trace, a.ID))

	_, err = client.Trace(t.Context(), "tr-none")
	require.ErrorIs(t, err, tracking.ErrNotFound)
	span.Content = nil
	require.ErrorIs(t, client.LogSpans(t.Context(), run.Experiment(), []tracking.Span{span}), tracking.ErrInvalid)
	_, err = client.Assess(t.Context(), tracking.Assessment{Trace: span.Trace})
	require.ErrorIs(t, err, tracking.ErrInvalid)
	require.ErrorIs(t, run.LinkTraces(t.Context(), "a/b"), tracking.ErrInvalid)
	for _, err := range client.Traces(t.Context(), tracking.TraceQuery{}) {
		require.ErrorIs(t, err, tracking.ErrInvalid)
	}
}

func TestAStoreThatCannot(t *testing.T) {
	t.Parallel()
	client, run := startRun(t, struct{ tracking.Store }{&trackingtest.Memory{}}, nil)
	_, errModel := client.Model(t.Context(), "m-1")
	_, errTrace := client.Trace(t.Context(), "tr-1")
	_, errSample := client.SampleHistory(t.Context(), tracking.SampleQuery{})
	_, errLog := run.LogModel(t.Context(), "m", nil, nil)
	for _, err := range []error{errModel, errTrace, errSample, errLog, run.LinkTraces(t.Context(), "tr-1")} {
		require.ErrorIs(t, err, tracking.ErrUnsupported)
	}
}

func TestSampleHistory(t *testing.T) {
	t.Parallel()
	client, run := startRun(t, &trackingtest.Memory{}, nil)
	for step := range int64(100) {
		run.Metric("m", float64(step), step)
	}
	require.NoError(t, run.Flush(t.Context()))
	sampled, err := client.SampleHistory(t.Context(), tracking.SampleQuery{Runs: []tracking.RunID{run.ID()}, Key: "m", Max: 10})
	require.NoError(t, err)
	require.Len(t, sampled, 1)
	require.GreaterOrEqual(t, len(sampled[0]), 10)
	require.LessOrEqual(t, len(sampled[0]), 12)
	_, err = client.SampleHistory(t.Context(), tracking.SampleQuery{})
	require.ErrorIs(t, err, tracking.ErrInvalid)
}
