package tracking_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

func TestExperimentLifecycle(t *testing.T) {
	t.Parallel()
	client := tracking.New(&trackingtest.Memory{}, nil)
	e, err := client.CreateExperiment(t.Context(), "a", &tracking.ExperimentOptions{
		ArtifactLocation: "s3://bucket/prefix/", Tags: map[string]string{"team": "x"},
	})
	require.NoError(t, err)
	require.Equal(t, "s3://bucket/prefix", e.ArtifactLocation)
	_, err = client.CreateExperiment(t.Context(), "a", nil)
	require.ErrorIs(t, err, tracking.ErrExists)

	require.NoError(t, client.UpdateExperiment(t.Context(), e.ID, tracking.ExperimentUpdate{
		Name: "b", SetTags: map[string]string{"team": "y", "note": "z"},
	}))
	require.NoError(t, client.UpdateExperiment(t.Context(), e.ID, tracking.ExperimentUpdate{DeleteTags: []string{"note"}}))
	byID, err := client.ExperimentByID(t.Context(), e.ID)
	require.NoError(t, err)
	require.Equal(t, "b", byID.Name)
	require.Equal(t, map[string]string{"team": "y"}, byID.Tags)
	_, err = client.ExperimentByName(t.Context(), "a")
	require.ErrorIs(t, err, tracking.ErrNotFound)

	run, err := client.StartRun(t.Context(), e.ID, nil)
	require.NoError(t, err)
	require.NoError(t, client.DeleteExperiment(t.Context(), e.ID))
	_, err = client.Experiment(t.Context(), "b")
	require.ErrorIs(t, err, tracking.ErrInvalid)
	require.ErrorContains(t, err, "deleted")
	require.ErrorIs(t, run.SetTags(t.Context(), map[string]string{"a": "b"}), tracking.ErrInvalid)
	require.NoError(t, client.RestoreExperiment(t.Context(), e.ID))
	require.NoError(t, run.SetTags(t.Context(), map[string]string{"a": "b"}))

	_, err = client.CreateExperiment(t.Context(), "c", &tracking.ExperimentOptions{ArtifactLocation: "/etc"})
	require.ErrorIs(t, err, tracking.ErrInvalid)
	require.ErrorIs(t, client.UpdateExperiment(t.Context(), e.ID, tracking.ExperimentUpdate{SetTags: map[string]string{"/a": ""}}), tracking.ErrInvalid)
}

func TestRunDescribesItself(t *testing.T) {
	t.Parallel()
	type key struct{}
	store := &trackingtest.Memory{}
	client := tracking.New(store, &tracking.Options{Span: func(ctx context.Context) (string, string) {
		id, _ := ctx.Value(key{}).(string)
		return id, "00f067aa0ba902b7"
	}})
	exp, err := client.Experiment(t.Context(), "e")
	require.NoError(t, err)
	ctx := context.WithValue(t.Context(), key{}, "4bf92f3577b34da6a3ce929d0e0e4736")
	parent, err := client.StartRun(ctx, exp.ID, &tracking.RunOptions{
		Description: "the *first*", User: "ann", Tags: tracking.SourceTags(),
	})
	require.NoError(t, err)
	info, err := parent.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, "ann", info.User)
	require.Equal(t, "the *first*", info.Tags[tracking.TagDescription])
	require.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", info.Tags[tracking.TagTraceID])
	require.Equal(t, "00f067aa0ba902b7", info.Tags[tracking.TagSpanID])
	require.Equal(t, "LOCAL", info.Tags[tracking.TagSourceType])

	child, err := parent.StartChild(t.Context(), &tracking.RunOptions{Name: "trial"})
	require.NoError(t, err)
	var children []tracking.RunID
	for info, err := range parent.Children(t.Context()) {
		require.NoError(t, err)
		children = append(children, info.ID)
		require.NotContains(t, info.Tags, tracking.TagTraceID, "there was no span")
	}
	require.Equal(t, []tracking.RunID{child.ID()}, children)

	require.NoError(t, child.Rename(t.Context(), "other"))
	require.NoError(t, child.DeleteTags(t.Context(), tracking.TagParentRun))
	require.ErrorIs(t, child.DeleteTags(t.Context(), tracking.TagParentRun), tracking.ErrNotFound)
	require.NoError(t, client.DeleteRun(t.Context(), child.ID()))
	info, err = child.Info(t.Context())
	require.NoError(t, err)
	require.True(t, info.Deleted)
	require.Equal(t, "other", info.Name)
	require.NoError(t, client.RestoreRun(t.Context(), child.ID()))
	_, err = client.StartRun(t.Context(), exp.ID, &tracking.RunOptions{Parent: "../x"})
	require.ErrorIs(t, err, tracking.ErrInvalid)
}

func TestResume(t *testing.T) {
	t.Parallel()
	store := &trackingtest.Memory{}
	client, first := startRun(t, store, nil)
	opts := &tracking.RunOptions{ID: "job-7", Resume: true, Name: "nightly", Tags: map[string]string{"attempt": "1"}}
	run, err := client.StartRun(t.Context(), first.Experiment(), opts)
	require.NoError(t, err)
	run.Metric("loss", 1, 1)
	require.NoError(t, run.Finish(t.Context(), tracking.Failed))

	opts.Tags, opts.Name = map[string]string{"attempt": "2"}, "ignored"
	again, err := client.StartRun(t.Context(), first.Experiment(), opts)
	require.NoError(t, err)
	again.Metric("loss", 0.5, 2)
	require.NoError(t, again.Flush(t.Context()))
	info, err := again.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, tracking.RunID("job-7"), info.ID)
	require.Equal(t, "nightly", info.Name)
	require.Equal(t, tracking.Running, info.Status)
	require.Equal(t, "2", info.Tags["attempt"])
	require.Equal(t, 2, points(t, again, "loss"))

	other, err := client.Experiment(t.Context(), "other")
	require.NoError(t, err)
	_, err = client.StartRun(t.Context(), other.ID, opts)
	require.ErrorIs(t, err, tracking.ErrInvalid)
}

func TestEndSaysHow(t *testing.T) {
	t.Parallel()
	client, first := startRun(t, &trackingtest.Memory{}, nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx   context.Context
		cause error
		want  tracking.Status
		text  string
	}{
		"well":      {t.Context(), nil, tracking.Finished, ""},
		"badly":     {t.Context(), errors.New("the loss is NaN"), tracking.Failed, "the loss is NaN"},
		"cancelled": {ended, ended.Err(), tracking.Killed, "context canceled"},
		"deadline":  {ended, errors.New("some query failed"), tracking.Killed, "some query failed"},
		"timeout":   {t.Context(), context.DeadlineExceeded, tracking.Failed, "context deadline exceeded"},
		"garbage":   {t.Context(), errors.New("\x00\xff" + strings.Repeat("é", 9000)), tracking.Failed, "\uFFFD\uFFFD" + strings.Repeat("é", 7997) + "…"},
	} {
		run, err := client.StartRun(t.Context(), first.Experiment(), nil)
		require.NoError(t, err)
		run.Metric("m", 1, 1)
		require.NoError(t, run.End(c.ctx, c.cause), name)
		info, err := run.Info(t.Context())
		require.NoError(t, err)
		require.Equal(t, c.want, info.Status, name)
		require.Equal(t, c.text, info.Tags[tracking.TagError], name)
		require.False(t, info.End.IsZero(), name)
		require.Contains(t, info.Metrics, "m", "End flushes")
	}
}

func TestLinkedMetricsReachTheModel(t *testing.T) {
	t.Parallel()
	client, run := startRun(t, &trackingtest.Memory{}, &tracking.Options{Artifacts: &blob.Mem{}})
	m, err := run.LogModel(t.Context(), "model", fstest.MapFS{}, nil)
	require.NoError(t, err)
	run.LinkedMetric("auc", 0.9, 1, tracking.MetricLink{Model: m.ID, DatasetName: "holdout", DatasetDigest: "d1"})
	run.LinkedMetric("auc", 0.9, 1, tracking.MetricLink{Model: "../x"})
	err = run.Flush(t.Context())
	require.ErrorIs(t, err, tracking.ErrInvalid, "a bad link is dropped, and told")
	require.ErrorContains(t, err, `"../x" is no model id`)
	require.EqualValues(t, 1, run.Dropped())
	m, err = client.Model(t.Context(), m.ID)
	require.NoError(t, err)
	require.Len(t, m.Metrics, 1)
	require.Equal(t, "holdout", m.Metrics[0].DatasetName)
	require.Equal(t, run.ID(), m.Metrics[0].Run)
	info, err := run.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, 0.9, info.Metrics["auc"].Value)
}

func TestLogModel(t *testing.T) {
	t.Parallel()
	client, run := startRun(t, &trackingtest.Memory{}, &tracking.Options{Artifacts: &blob.Mem{}})
	files := fstest.MapFS{"MLmodel": {Data: []byte("flavors: {}\n")}, "data/weights": {Data: []byte("123")}}
	m, err := run.LogModel(t.Context(), "classifier", files, &tracking.ModelOptions{
		Type: "tree", Params: map[string]string{"depth": "3"}, Tags: map[string]string{"any (key)": "v"}, Step: 7,
	})
	require.NoError(t, err)
	require.Equal(t, tracking.ModelReady, m.Status)
	stored, err := client.Model(t.Context(), m.ID)
	require.NoError(t, err)
	require.Equal(t, tracking.ModelReady, stored.Status)
	require.Equal(t, run.ID(), stored.SourceRun)
	require.Equal(t, "3", stored.Params["depth"])
	info, err := run.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, []tracking.ModelOutput{{Model: m.ID, Step: 7}}, info.Outputs)

	for _, uri := range []string{"models:/" + string(m.ID), "models:/" + string(m.ID) + "/", "runs:/" + string(run.ID()) + "/classifier", m.ArtifactURI} {
		folder, err := client.Files(t.Context(), uri)
		require.NoError(t, err)
		require.Equal(t, []string{"MLmodel", "SHA256SUMS", "data/weights"}, list(t, folder), uri)
	}
	folder, err := client.Files(t.Context(), "runs:/"+string(run.ID())+"/classifier/data")
	require.NoError(t, err)
	require.Equal(t, []string{"weights"}, list(t, folder))
	require.Empty(t, list(t, run.Files()))

	var names []string
	for m, err := range client.Models(t.Context(), tracking.ModelQuery{Experiments: []tracking.ExperimentID{run.Experiment()}}) {
		require.NoError(t, err)
		names = append(names, m.Name)
	}
	require.Equal(t, []string{"classifier"}, names)
	require.ErrorIs(t, client.UpdateModel(t.Context(), m.ID, tracking.ModelUpdate{SetParams: map[string]string{"depth": "4"}}), tracking.ErrConflict)
	require.NoError(t, client.DeleteModel(t.Context(), m.ID))
	require.NoError(t, client.RestoreModel(t.Context(), m.ID))
}

func TestLogModelThatFails(t *testing.T) {
	t.Parallel()
	store := &trackingtest.Memory{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client, run := startRun(t, store, &tracking.Options{Artifacts: &blob.Mem{}})
	files := fstest.MapFS{"a": {Data: make([]byte, 10)}, "b": {Data: make([]byte, 10)}}
	m, err := run.LogModel(ctx, "m", files, &tracking.ModelOptions{
		Transfer: &tracking.TransferOptions{Parallel: 1, Progress: func(p tracking.Progress) {
			if p.Files == 1 {
				cancel()
			}
		}},
	})
	require.ErrorIs(t, err, context.Canceled)
	stored, err := client.Model(t.Context(), m.ID)
	require.NoError(t, err)
	require.Equal(t, tracking.ModelFailed, stored.Status)
	require.Contains(t, stored.StatusMessage, "canceled")

	_, err = run.LogModel(t.Context(), "a/b", files, nil)
	require.ErrorIs(t, err, tracking.ErrInvalid)
}
