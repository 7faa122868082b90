package tracking_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

func TestPurge(t *testing.T) {
	t.Parallel()
	files := &blob.Mem{}
	client, keep := startRun(t, &trackingtest.Memory{}, &tracking.Options{Artifacts: files})
	put := func(run *tracking.Run) {
		for _, name := range []string{"a", "b/c"} {
			require.NoError(t, run.Files().Put(t.Context(), name, strings.NewReader("x"), 1))
		}
	}
	put(keep)
	gone, err := client.StartRun(t.Context(), keep.Experiment(), nil)
	require.NoError(t, err)
	put(gone)
	require.NoError(t, client.DeleteRun(t.Context(), gone.ID()))
	whole, err := client.Experiment(t.Context(), "whole")
	require.NoError(t, err)
	inside, err := client.StartRun(t.Context(), whole.ID, nil)
	require.NoError(t, err)
	put(inside)
	_, err = inside.LogModel(t.Context(), "m", fstest.MapFS{"w": {Data: []byte("1")}}, nil)
	require.NoError(t, err)
	require.NoError(t, client.DeleteExperiment(t.Context(), whole.ID))

	report, err := client.Purge(t.Context(), &tracking.PurgeOptions{OlderThan: time.Hour})
	require.NoError(t, err)
	require.Zero(t, report, "nothing is that old")
	calls := 0
	report, err = client.Purge(t.Context(), &tracking.PurgeOptions{Progress: func(tracking.PurgeReport) { calls++ }})
	require.NoError(t, err)
	require.Equal(t, tracking.PurgeReport{Experiments: 1, Runs: 2, Models: 1, Files: 6}, report)
	require.Positive(t, calls)
	report, err = client.Purge(t.Context(), nil)
	require.NoError(t, err)
	require.Zero(t, report)

	require.Len(t, list(t, keep.Files()), 2)
	left := 0
	for _, err := range files.List(t.Context(), "") {
		require.NoError(t, err)
		left++
	}
	require.Equal(t, 2, left)
	_, err = client.Run(t.Context(), gone.ID())
	require.ErrorIs(t, err, tracking.ErrNotFound)
	_, err = client.CreateExperiment(t.Context(), "whole", nil)
	require.NoError(t, err, "the name is free again")
}

func TestPurgeSkipsWhatItCannotReach(t *testing.T) {
	t.Parallel()
	store := &trackingtest.Memory{}
	client := tracking.New(store, &tracking.Options{Artifacts: &blob.Mem{}})
	exp, err := client.CreateExperiment(t.Context(), "far", &tracking.ExperimentOptions{ArtifactLocation: "s3://far/away"})
	require.NoError(t, err)
	run, err := client.StartRun(t.Context(), exp.ID, nil)
	require.NoError(t, err)
	shared, err := store.CreateRun(t.Context(), tracking.RunInfo{
		ID: "shared", Experiment: exp.ID, Name: "shared", Status: tracking.Running, Start: time.UnixMilli(1), ArtifactURI: "mlflow-artifacts:/common",
	})
	require.NoError(t, err)
	require.NoError(t, client.DeleteRun(t.Context(), shared.ID))
	require.NoError(t, client.DeleteRun(t.Context(), run.ID()))
	report, err := client.Purge(t.Context(), nil)
	require.ErrorIs(t, err, tracking.ErrUnsupported)
	require.ErrorContains(t, err, "Options.OpenArtifacts")
	require.ErrorContains(t, err, "no folder of its own")
	require.Equal(t, tracking.PurgeReport{Skipped: 2}, report)
	report, err = client.Purge(t.Context(), &tracking.PurgeOptions{KeepArtifacts: true})
	require.NoError(t, err)
	require.Equal(t, 2, report.Runs)

	_, err = tracking.New(struct{ tracking.Store }{store}, nil).Purge(t.Context(), nil)
	require.True(t, errors.Is(err, tracking.ErrUnsupported))
}

func TestPurgeOfTraces(t *testing.T) {
	t.Parallel()
	files := &blob.Mem{}
	store := &trackingtest.Memory{}
	client, run := startRun(t, store, &tracking.Options{Artifacts: files})
	exp := run.Experiment()
	for id, start := range map[tracking.TraceID]time.Time{"tr-old": time.Now().Add(-48 * time.Hour), "tr-new": time.Now()} {
		_, err := store.PutTrace(t.Context(), tracking.Trace{
			ID: id, Experiment: exp, Start: start, Tags: map[string]string{"mlflow.artifactLocation": run.Files().URI()},
		})
		require.NoError(t, err)
		require.NoError(t, files.Put(t.Context(), string(exp)+"/traces/"+string(id)+"/artifacts/traces.json", strings.NewReader("{}"), 2))
	}
	require.NoError(t, run.Files().Put(t.Context(), "keep", strings.NewReader("x"), 1))
	report, err := client.Purge(t.Context(), &tracking.PurgeOptions{OlderThan: time.Hour, Traces: 24 * time.Hour})
	require.NoError(t, err)
	require.Equal(t, tracking.PurgeReport{Traces: 1, Files: 1}, report)
	require.Len(t, list(t, run.Files()), 1, "a tag does not say what is removed")
	_, err = client.Trace(t.Context(), "tr-old")
	require.ErrorIs(t, err, tracking.ErrNotFound)
	_, err = client.Trace(t.Context(), "tr-new")
	require.NoError(t, err)
}
