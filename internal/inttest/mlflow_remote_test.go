package inttest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
	"github.com/millwright-ml/millwright/tracking/sqlstore"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

func dialMLflow(t testing.TB, server *inttest.MLflow) *mlflow.Conn {
	t.Helper()
	conn, err := mlflow.Dial(server.URL, nil)
	require.NoError(t, err)
	return conn
}

// notOnMLflow has the subtests of the kit that upstream fails as a whole, and
// why. Our own server passes them over the same client.
var notOnMLflow = map[string]string{
	"SearchRuns":        "runs/search leaves out the logged models that runs read",
	"Random0":           "runs/search leaves out the logged models that runs read",
	"Random1":           "runs/search leaves out the logged models that runs read",
	"Random2":           "runs/search leaves out the logged models that runs read",
	"Random3":           "runs/search leaves out the logged models that runs read",
	"ModelLinks":        "the inputs and outputs of a run come in the order of their ids",
	"SearchInputs":      "search-datasets lists what deleted runs read too",
	"SearchErrors":      "filters with clauses that miss or with NUL are taken",
	"FilterExperiments": "filters with clauses that miss are taken",
	"FilterModels":      "a filter by status or by a dataset without digest finds nothing, metrics are compared point by point",
	"ModelMetrics":      "a logged model has one point at each time and step, on whatever dataset, and NaN becomes 0",
	"OrderModels":       "unknown fields and repeated ones are taken",
	"FilterTraces":      "tags and metadata have no IN",
	"Assessments":       "the run of an assessment has to exist",
}

// TestConnOnMLflow runs the conformance kit with our client against upstream's
// server. Every difference that it is allowed is upstream's or the wire's.
func TestConnOnMLflow(t *testing.T) {
	t.Parallel()
	conn := dialMLflow(t, inttest.StartMLflow(t, ""))
	// Pages of upstream shift when other tests write, so that one test runs at
	// a time.
	var one sync.Mutex
	trackingtest.RunExcept(t, func(t testing.TB) tracking.Store {
		if why := notOnMLflow[path.Base(t.Name())]; why != "" {
			t.Skip("upstream: " + why)
		}
		one.Lock()
		t.Cleanup(one.Unlock)
		return conn
	}, trackingtest.Differences{
		// The wire has no place for these, whatever the server.
		Shared:          true, // one server for all tests
		OwnIDs:          true, // requests that create carry no id
		OwnTimes:        true, // nor times
		OwnURIs:         true, // nor the artifact URI of a run or logged model
		OwnTags:         true, // upstream adds mlflow.* tags and metadata
		NoDeletionTimes: true, // life cycles have no times
		NotAtomic:       true, // an update of several kinds is several requests, and upstream's log-batch several transactions
		NoStatusMessage: true, // no request sets it
		RewrittenSpans:  true, // spans travel as OpenTelemetry's
		OnlyTraceTags:   true, // a trace is changed by sending it whole, which makes nothing empty
		ModelsGoForGood: true, // no request lists or restores deleted logged models

		// Upstream's own.
		DeletesOnce:       true, // a deleted experiment is not found by delete
		RestoresAll:       true, // restoring an experiment restores all its runs
		LooseDeletes:      true, // deleting an assessment that is not there is no error
		LooseTokens:       true, // its tokens are offsets; ours around them are tied to the query
		NoLimits:          true, // it has no limits of a run
		ClampedInfinities: true, // it stores ±Inf as ±1.797e308
		LooseFilters:      true, // its filter grammar takes and drops some malformed clauses
		NaNMatchesZero:    true, // it stores NaN as 0 with a flag that filters ignore
		ShortDigests:      true, // its column has 36 characters
		SharedDatasets:    true, // its datasets are unique by experiment, name and digest
		RepeatedOutputs:   true, // its outputs are not deduplicated
		SamplesPoints:     true, // it samples each run on its own
	})
}

func TestArtifactsOnMLflow(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	conn := dialMLflow(t, inttest.StartMLflow(t, ""))
	client := tracking.New(conn, &tracking.Options{Artifacts: conn.Artifacts()})
	t.Cleanup(func() { require.NoError(t, client.Shutdown(context.WithoutCancel(ctx))) })
	exp, err := client.Experiment(ctx, "artifacts")
	require.NoError(t, err)
	run, err := client.StartRun(ctx, exp.ID, nil)
	require.NoError(t, err)
	files := run.Files()
	for name, text := range map[string]string{"model/MLmodel": "0123456789", "model.pkl": "pickle", "empty": "", "sp ace+/é": "odd"} {
		require.NoError(t, files.Put(ctx, name, strings.NewReader(text), int64(len(text))), name)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	require.NoError(t, files.Put(ctx, "large", bytes.NewReader(large), -1))

	key, err := tracking.ArtifactKey(files.URI())
	require.NoError(t, err)
	store := conn.Artifacts()
	read := func(name string, off, n int64) string {
		body, err := store.Get(ctx, key+"/"+name, off, n)
		require.NoError(t, err)
		data, err := io.ReadAll(body)
		require.NoError(t, err)
		require.NoError(t, body.Close())
		return string(data)
	}
	require.Equal(t, "3456", read("model/MLmodel", 3, 4))
	require.Equal(t, "89", read("model/MLmodel", 8, -1))
	require.Empty(t, read("model/MLmodel", 10, -1))
	require.Empty(t, read("empty", 0, -1))
	require.Equal(t, "odd", read("sp ace+/é", 0, -1))
	require.Equal(t, string(large), read("large", 0, -1))
	_, err = store.Get(ctx, key+"/model/MLmodel", 11, -1)
	require.ErrorIs(t, err, fs.ErrInvalid)

	var names []string
	for info, err := range files.List(ctx, "") {
		require.NoError(t, err)
		names = append(names, fmt.Sprint(info.Name(), " ", info.Size()))
	}
	require.Equal(t, []string{"empty 0", fmt.Sprint("large ", len(large)), "model.pkl 6", "model/MLmodel 10", "sp ace+/é 3"}, names)
	info, err := store.Stat(ctx, key+"/large")
	require.NoError(t, err)
	require.Equal(t, int64(len(large)), info.Size())

	require.NoError(t, store.Delete(ctx, key+"/model"), "a folder is no file")
	require.NoError(t, store.Delete(ctx, key+"/absent"))
	require.NoError(t, store.Delete(ctx, key+"/model.pkl"))
	for _, absent := range []string{"model", "model.pkl", "absent"} {
		_, err = store.Stat(ctx, key+"/"+absent)
		require.ErrorIs(t, err, fs.ErrNotExist, absent)
		_, err = store.Get(ctx, key+"/"+absent, 0, -1)
		require.ErrorIs(t, err, fs.ErrNotExist, absent)
	}
	_, err = store.Stat(ctx, key+"/model/MLmodel")
	require.NoError(t, err)
}

// session is what an unmodified Python client leaves on a server.
const session = `
import sys, math, mlflow, mlflow.sklearn, numpy as np
from mlflow.tracking import MlflowClient
from sklearn.linear_model import LogisticRegression
mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()
x = np.array([[0.0], [1.0], [2.0], [3.0]]); y = np.array([0, 0, 1, 1])
for name in ("first", "second"):
    exp = mlflow.set_experiment(name)
    client.set_experiment_tag(exp.experiment_id, "team", "a")
    for n in range(3):
        with mlflow.start_run(run_name=f"{name} {n}") as run:
            mlflow.log_params({"c": n, "text": "日本 'quoted' \"x\""})
            mlflow.set_tag("note", "line\nbreak")
            data = mlflow.data.from_numpy(x, targets=y, name="points")
            mlflow.log_input(data, context="training", tags={"split": "all"})
            if n == 0:
                model = LogisticRegression(C=n + 1).fit(x, y)
                info = mlflow.sklearn.log_model(model, name="classifier", pip_requirements=["scikit-learn"])
                mlflow.log_metric("accuracy", model.score(x, y), model_id=info.model_id, dataset=data)
            for key in ("loss", "lr"):
                client.log_batch(run.info.run_id, metrics=[
                    mlflow.entities.Metric(key, 1 / (i + 1), 1700000000000 + i, i) for i in range(900)])
            mlflow.log_metric("odd", math.nan, step=-1)
            mlflow.log_metric("odd", math.inf, step=3)
            mlflow.log_text("hello", "notes/readme.txt")
            mlflow.log_text("", "empty")
            if n == 0:
                with mlflow.start_span("root") as span:
                    span.set_inputs({"q": "why"})
                    with mlflow.start_span("child"):
                        pass
                    span.set_outputs("because")
                trace = mlflow.get_last_active_trace_id()
    client.delete_run(run.info.run_id)
mlflow.flush_trace_async_logging()
mlflow.log_feedback(trace_id=trace, name="good", value=True, rationale="it is")
running = client.create_run(exp.experiment_id, run_name="still running")
client.log_metric(running.info.run_id, "m", 1)
client.delete_experiment(mlflow.set_experiment("gone").experiment_id)
`

// TestImportFromMLflow copies what a Python session left on upstream's server,
// scikit-learn models included.
func TestImportFromMLflow(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := inttest.StartMLflow(t, "")
	cmd := exec.CommandContext(ctx, inttest.MLflowPython(t), "-c", session, server.URL)
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, string(said))

	src := dialMLflow(t, server)
	files, err := dirblob.Open(filepath.Join(t.TempDir(), "files"))
	require.NoError(t, err)
	dst, err := sqlstore.Open(ctx, "sqlite://"+filepath.Join(t.TempDir(), "mw.db"), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, dst.Close()) })

	// Broken off by its context in the middle, then gone on with.
	short, cancel := context.WithCancel(ctx)
	opts := &mlflow.ImportOptions{To: files, Deleted: true, Traces: true, OnProgress: func(p mlflow.ImportProgress) {
		if p.Runs == 2 {
			cancel()
		}
	}}
	_, err = mlflow.Import(short, src, dst, opts)
	require.ErrorIs(t, err, context.Canceled)
	opts.OnProgress = nil
	start := time.Now()
	result, err := mlflow.Import(ctx, src, dst, opts)
	require.NoError(t, err)
	t.Logf("%d runs (%d before), %d models, %d points, %d files of %d bytes, %d traces in %v",
		result.Runs, result.SkippedRuns, result.Models, result.Points, result.Files, result.Bytes, result.Traces, time.Since(start))
	require.Len(t, result.Experiments, 4) // and Default
	require.Equal(t, 7, result.Runs+result.SkippedRuns)
	require.Equal(t, 2, result.Models)
	require.Equal(t, 2, result.Traces)

	for _, name := range []string{"first", "second"} {
		page, _, err := dst.SearchExperiments(ctx, tracking.ExperimentQuery{Name: name})
		require.NoError(t, err)
		require.Len(t, page, 1)
		require.Equal(t, "a", page[0].Tags["team"])
		runs, _, err := dst.SearchRuns(ctx, tracking.RunQuery{
			Experiments: []tracking.ExperimentID{page[0].ID}, View: tracking.All, Filter: "params.text LIKE '%quoted%'",
		})
		require.NoError(t, err)
		require.Len(t, runs, 3)
		for _, run := range runs {
			require.Equal(t, tracking.Finished, run.Status)
			require.Equal(t, run.Params["c"] == "2", run.Deleted)
			points, _, err := dst.History(ctx, run.ID, "loss", tracking.Page{Max: 10_000})
			require.NoError(t, err)
			require.Len(t, points, 900)
			if run.Params["c"] != "0" {
				require.Empty(t, run.Outputs)
				continue
			}
			require.Len(t, run.Outputs, 1)
			model, err := dst.Model(ctx, run.Outputs[0].Model)
			require.NoError(t, err)
			require.Equal(t, tracking.ModelReady, model.Status)
			require.Len(t, model.Metrics, 1)
			require.Equal(t, "points", model.Metrics[0].DatasetName)
			key, err := tracking.ArtifactKey(model.ArtifactURI)
			require.NoError(t, err)
			for _, file := range []string{"MLmodel", "requirements.txt"} {
				info, err := files.Stat(ctx, key+"/"+file)
				require.NoError(t, err, file)
				require.Positive(t, info.Size(), file)
			}
		}
	}

	// The third time only the run that has not ended is looked at again.
	opts.Recheck = true
	result, err = mlflow.Import(ctx, src, dst, opts)
	require.NoError(t, err)
	require.Equal(t, 6, result.SkippedRuns)
	require.Equal(t, 1, result.Runs, fmt.Sprint(result))
}
