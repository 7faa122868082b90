package mlflow_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
	"github.com/millwright-ml/millwright/tracking/sqlstore"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

// source fills a store with what an import has to bring over.
func fillSource(t testing.TB, s *trackingtest.Memory, files tracking.Artifacts) {
	t.Helper()
	ctx := t.Context()
	at := func(ms int64) time.Time { return time.UnixMilli(1_700_000_000_000 + ms).UTC() }
	deleted := true
	for i, name := range []string{"alpha", "beta", "gone"} {
		exp, err := s.CreateExperiment(ctx, tracking.Experiment{Name: name, Created: at(int64(i)), Tags: map[string]string{"team": "a"}})
		require.NoError(t, err)
		for n := range 6 {
			id := tracking.RunID(fmt.Sprintf("%srun%d", name, n))
			run, err := s.CreateRun(ctx, tracking.RunInfo{
				ID: id, Experiment: exp.ID, Name: "run " + string(id), User: "ann", Status: tracking.Finished, Start: at(int64(n)), End: at(int64(n + 1)),
				Tags: map[string]string{"note": "日本 'quoted'"},
			})
			require.NoError(t, err)
			b := tracking.Batch{
				Params: map[string]string{}, Tags: map[string]string{},
				Inputs: []tracking.DatasetInput{{Name: "flights", Version: "7", Digest: "d1", Context: "training", SourceType: "delta", Source: "s3://b/f", Schema: "{}", Profile: "[]", Tags: map[string]string{"x": "y"}}},
			}
			for k := range 90 {
				b.Params[fmt.Sprint("p", k)], b.Tags[fmt.Sprint("t", k)] = fmt.Sprint(k), fmt.Sprint(k)
			}
			require.NoError(t, s.LogBatch(ctx, id, b))
			model, err := s.CreateModel(ctx, tracking.LoggedModel{
				ID: tracking.ModelID("m-" + string(id)), Experiment: exp.ID, Name: "model", Type: "agent", SourceRun: id, Status: tracking.ModelReady,
				Params: map[string]string{"depth": "3"}, Tags: map[string]string{"stage": "new"}, Created: at(1),
			})
			require.NoError(t, err)
			var points []tracking.Metric
			for k := range 2300 {
				points = append(points, tracking.Metric{Key: "loss", Value: float64(k) / 3, Step: int64(k), Time: at(int64(k))})
			}
			points = append(points,
				tracking.Metric{Key: "odd", Value: math.NaN(), Step: 1, Time: at(1)}, tracking.Metric{Key: "odd", Value: math.Inf(-1), Step: 2, Time: at(1)},
				tracking.Metric{Key: "acc", Value: 0.9, Step: 1, Time: at(4), Link: &tracking.MetricLink{Model: model.ID, DatasetName: "flights", DatasetDigest: "d1"}},
			)
			for part := range slices.Chunk(points, 1000) {
				require.NoError(t, s.LogBatch(ctx, id, tracking.Batch{Metrics: part}))
			}
			require.NoError(t, s.LogBatch(ctx, id, tracking.Batch{
				ModelInputs: []tracking.ModelID{model.ID}, Outputs: []tracking.ModelOutput{{Model: model.ID, Step: 2}},
			}))
			for _, place := range []string{run.ArtifactURI, model.ArtifactURI} {
				key, err := tracking.ArtifactKey(place)
				require.NoError(t, err)
				for path, size := range map[string]int{"MLmodel": 10, "data/weights.bin": 70_000, "empty": 0} {
					require.NoError(t, files.Put(ctx, key+"/"+path, strings.NewReader(strings.Repeat(string(id), size/len(id))), -1))
				}
			}
			if n == 5 {
				require.NoError(t, s.UpdateRun(ctx, id, tracking.RunUpdate{Deleted: &deleted}))
			}
		}
		if name == "gone" {
			require.NoError(t, s.UpdateExperiment(ctx, exp.ID, tracking.ExperimentUpdate{Deleted: &deleted}))
		}
	}
}

// fillTraces adds traces to the experiment.
func fillTraces(t testing.TB, s tracking.TraceStore, exp tracking.ExperimentID, count int) (ids []tracking.TraceID) {
	t.Helper()
	for n := range count {
		id := tracking.TraceID(fmt.Sprintf("tr-%032x", n+1))
		ids = append(ids, id)
		start := time.UnixMilli(1_700_000_000_000 + int64(n)).UTC()
		_, err := s.PutTrace(t.Context(), tracking.Trace{
			ID: id, Experiment: exp, State: tracking.TraceOK, Start: start, Duration: 5 * time.Millisecond, RequestPreview: "in", ResponsePreview: "out",
			Metadata: map[string]string{"m": "1"}, Tags: map[string]string{"t": "1"},
			Assessments: []tracking.Assessment{{
				ID: fmt.Sprintf("a-%032x", n+1), Trace: id, Name: "good", Kind: tracking.Feedback, Value: []byte("true"), SourceType: "HUMAN", SourceID: "ann", Valid: true,
				Created: start, Updated: start,
			}},
		})
		require.NoError(t, err)
		var spans []tracking.Span
		for k := range 3 {
			span := tracking.Span{Trace: id, ID: fmt.Sprintf("%016x", k+1), Name: fmt.Sprint("step ", k), Type: "TOOL", Status: tracking.TraceOK,
				Start: start.UnixNano() + int64(k), End: start.UnixNano() + int64(k) + 5}
			if k > 0 {
				span.Parent = fmt.Sprintf("%016x", 1)
			}
			encode := func(hexed string) string {
				raw, _ := hex.DecodeString(hexed)
				return base64.StdEncoding.EncodeToString(raw)
			}
			parent := "null"
			if span.Parent != "" {
				parent = fmt.Sprintf("%q", encode(span.Parent))
			}
			span.Content = fmt.Appendf(nil, `{"trace_id": %q, "span_id": %q, "parent_span_id": %s, "name": %q, "start_time_unix_nano": %d, "end_time_unix_nano": %d, "events": [], "status": {"code": "STATUS_CODE_OK", "message": ""}, "attributes": {"mlflow.spanType": "\"TOOL\"", "mlflow.spanInputs": "{\"x\": [1, 2.5, null]}", "mlflow.traceRequestId": "\"%s\""}, "links": []}`,
				encode(strings.TrimPrefix(string(id), "tr-")), encode(span.ID), parent, span.Name, span.Start, span.End, id)
			spans = append(spans, span)
		}
		require.NoError(t, s.PutSpans(t.Context(), exp, spans))
	}
	return ids
}

func TestImportTraces(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := &trackingtest.Memory{}
	address := serveStore(t, store, nil)
	exp, err := store.CreateExperiment(ctx, tracking.Experiment{Name: "traced"})
	require.NoError(t, err)
	ids := fillTraces(t, store, exp.ID, 45)
	dst := importStore(t)
	opts := &mlflow.ImportOptions{Traces: true}
	for range 2 { // the second time changes nothing
		result, err := mlflow.Import(ctx, dial(t, address), dst, opts)
		require.NoError(t, err)
		require.Equal(t, 45, result.Traces)
		want, err := store.Traces(ctx, ids, true)
		require.NoError(t, err)
		got, err := dst.Traces(ctx, ids, true)
		require.NoError(t, err)
		require.Len(t, got, len(want))
		for i := range want {
			want[i].Experiment = got[i].Experiment
			for key := range got[i].Tags {
				if strings.HasPrefix(key, "mlflow.") {
					delete(got[i].Tags, key)
				}
			}
			require.Equal(t, want[i], got[i])
		}
	}
}

func importStore(t testing.TB) *sqlstore.Store {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "mw.db"), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

// sameRun compares a run of both sides, ids of experiments and the tags of the
// import aside.
func sameRun(t testing.TB, src, dst tracking.Store, id tracking.RunID) {
	t.Helper()
	want, err := src.Run(t.Context(), id)
	require.NoError(t, err)
	got, err := dst.Run(t.Context(), id)
	require.NoError(t, err)
	maps.DeleteFunc(got.Tags, func(key, _ string) bool { return strings.HasPrefix(key, "millwright.import.") })
	for key := range want.Metrics {
		require.Equal(t, fmt.Sprint(history(t, src, id, key)), fmt.Sprint(history(t, dst, id, key)), key)
	}
	require.Equal(t, fmt.Sprint(want.Metrics), fmt.Sprint(got.Metrics)) // NaN equals itself as a text
	want.Metrics, got.Metrics = nil, nil
	want.Experiment, want.ArtifactURI, want.DeletedAt = got.Experiment, got.ArtifactURI, got.DeletedAt
	require.Equal(t, want, got)
}

func history(t testing.TB, s tracking.Store, id tracking.RunID, key string) (all []tracking.Metric) {
	t.Helper()
	for token := ""; ; {
		page, next, err := s.History(t.Context(), id, key, tracking.Page{Token: token})
		require.NoError(t, err)
		all = append(all, page...)
		if next == "" {
			return all
		}
		token = next
	}
}

func TestImport(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, from, to := &trackingtest.Memory{}, &blob.Mem{}, &blob.Mem{}
	fillSource(t, store, from)
	src := dial(t, serveStore(t, store, from))
	dst := importStore(t)
	// The destination has an experiment already, so that ids differ.
	own, err := dst.CreateExperiment(ctx, tracking.Experiment{Name: "own", ID: "1"})
	require.NoError(t, err)

	var last mlflow.ImportProgress
	opts := &mlflow.ImportOptions{To: to, Deleted: true, Source: "test", OnProgress: func(p mlflow.ImportProgress) { last = p }}
	result, err := mlflow.Import(ctx, src, dst, opts)
	require.NoError(t, err)
	require.Empty(t, result.Differences)
	require.Len(t, result.Experiments, 4) // and Default
	require.Equal(t, 18, result.Runs)
	require.Zero(t, result.SkippedRuns)
	require.Equal(t, 18, result.Models)
	require.Equal(t, int64(18*2303), result.Points)
	require.Equal(t, int64(2*18*3), result.Files)
	require.Equal(t, result.Bytes, last.Bytes)
	require.Equal(t, 18, last.Runs)

	for _, name := range []string{"alpha", "beta", "gone"} {
		page, _, err := dst.SearchExperiments(ctx, tracking.ExperimentQuery{Name: name, View: tracking.All})
		require.NoError(t, err)
		require.Len(t, page, 1)
		require.Equal(t, name == "gone", page[0].Deleted)
		require.Equal(t, "a", page[0].Tags["team"])
		require.NotEqual(t, own.ID, page[0].ID)
		for n := range 6 {
			sameRun(t, store, dst, tracking.RunID(fmt.Sprintf("%srun%d", name, n)))
		}
	}
	want, err := store.Model(ctx, "m-alpharun0")
	require.NoError(t, err)
	got, err := dst.Model(ctx, "m-alpharun0")
	require.NoError(t, err)
	require.Equal(t, want.Metrics, got.Metrics)
	require.Equal(t, want.Params, got.Params)
	require.Equal(t, tracking.ModelReady, got.Status)
	key, err := tracking.ArtifactKey(got.ArtifactURI)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("alpharun0", 70_000/9), readArtifact(t, to, key+"/data/weights.bin", 0, -1))

	// Again: nothing to do.
	result, err = mlflow.Import(ctx, src, dst, opts)
	require.NoError(t, err)
	require.Equal(t, 12, result.SkippedRuns, "all but those of the deleted experiment, which was finished")
	require.Zero(t, result.Runs)
	require.Zero(t, result.Points)

	// A run that changed in the source, and points that were lost in between.
	require.NoError(t, store.LogBatch(ctx, "alpharun1", tracking.Batch{Metrics: []tracking.Metric{{Key: "loss", Value: 1, Step: 9999, Time: time.UnixMilli(5)}}}))
	opts.Recheck = true
	result, err = mlflow.Import(ctx, src, dst, opts)
	require.NoError(t, err)
	require.Equal(t, 1, result.Runs)
	require.Equal(t, 11, result.SkippedRuns)
	sameRun(t, store, dst, "alpharun1")
}

func TestImportReportsDifferences(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, from, to := &trackingtest.Memory{}, &blob.Mem{}, &blob.Mem{}
	fillSource(t, store, from)
	src := dial(t, serveStore(t, store, from))
	dst := importStore(t)
	opts := &mlflow.ImportOptions{To: to, Experiments: []tracking.ExperimentID{"1", "77"}}
	exp, err := dst.CreateExperiment(ctx, tracking.Experiment{Name: "alpha"})
	require.NoError(t, err)
	// The run is there with another value of a param.
	_, err = dst.CreateRun(ctx, tracking.RunInfo{ID: "alpharun0", Experiment: exp.ID, Name: "x", Status: tracking.Running})
	require.NoError(t, err)
	require.NoError(t, dst.LogBatch(ctx, "alpharun0", tracking.Batch{Params: map[string]string{"p3": "other"}}))

	result, err := mlflow.Import(ctx, src, dst, opts)
	require.ErrorIs(t, err, tracking.ErrConflict)
	require.ErrorContains(t, err, "differences, the first: ")
	var about []string
	for _, d := range result.Differences {
		about = append(about, string(d.Experiment)+" "+string(d.Run)+" "+d.What)
		require.NotEmpty(t, d.String())
	}
	require.ElementsMatch(t, []string{`77  experiment`, `1 alpharun0 param "p3"`, `1 alpharun0 user`, `1 alpharun0 start`}, about)
	info, err := dst.Run(ctx, "alpharun0")
	require.NoError(t, err)
	require.Equal(t, "other", info.Params["p3"])
	require.Len(t, info.Params, 90, "the others came")
	require.NotContains(t, info.Tags, "millwright.import.done")

	// What is changed afterwards is found by a recheck.
	opts.Recheck, opts.Experiments = true, []tracking.ExperimentID{"1"}
	require.NoError(t, dst.LogBatch(ctx, "alpharun1", tracking.Batch{Metrics: []tracking.Metric{{Key: "loss", Value: 7, Step: 1, Time: time.UnixMilli(9)}}}))
	info, err = dst.Run(ctx, "alpharun2")
	require.NoError(t, err)
	key, err := tracking.ArtifactKey(info.ArtifactURI)
	require.NoError(t, err)
	require.NoError(t, to.Put(ctx, key+"/MLmodel", strings.NewReader("changed"), -1))
	result, err = mlflow.Import(ctx, src, dst, opts)
	require.ErrorIs(t, err, tracking.ErrConflict)
	about = nil
	for _, d := range result.Differences {
		about = append(about, string(d.Run)+" "+d.What)
	}
	require.ElementsMatch(t, []string{`alpharun0 param "p3"`, `alpharun0 user`, `alpharun0 start`, `alpharun1 metrics`, `alpharun2 artifacts`}, about)

	_, err = mlflow.Import(ctx, nil, nil, &mlflow.ImportOptions{Concurrency: -1, Source: "it's"})
	require.ErrorIs(t, err, tracking.ErrInvalid)
	for _, part := range []string{"source is nil", "destination is nil", "Concurrency", "Source"} {
		require.ErrorContains(t, err, part)
	}
}

// failing stands before a server and fails all requests from the nth on, some
// by a status and some by breaking off in the middle of the answer.
func failing(t testing.TB, target string, n *atomic.Int64) string {
	t.Helper()
	u, err := url.Parse(target)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch left := n.Add(-1); {
		case left >= 0:
			proxy.ServeHTTP(w, r)
		case left%3 == 0:
			w.WriteHeader(http.StatusBadGateway)
		case left%3 == -1: // half of an answer
			whole := httptest.NewRecorder()
			proxy.ServeHTTP(whole, r)
			maps.Copy(w.Header(), whole.Header())
			w.Header().Set("Content-Length", fmt.Sprint(whole.Body.Len()+1))
			w.WriteHeader(whole.Code)
			_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
			panic(http.ErrAbortHandler)
		default:
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// An import that is broken off again and again ends with everything there.
func TestImportGoesOn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, from, to := &trackingtest.Memory{}, &blob.Mem{}, &blob.Mem{}
	fillSource(t, store, from)
	var left atomic.Int64
	src, err := mlflow.Dial(failing(t, serveStore(t, store, from), &left), &mlflow.DialOptions{Retries: 1, Backoff: 1})
	require.NoError(t, err)
	dst := importStore(t)
	opts := &mlflow.ImportOptions{To: to, Deleted: true, Source: "test"}
	broken := 0
	var result mlflow.ImportResult
	for requests := int64(5); ; requests += 40 {
		left.Store(requests)
		if result, err = mlflow.Import(ctx, src, dst, opts); err == nil {
			break
		}
		require.ErrorIs(t, err, tracking.ErrUnavailable)
		broken++
	}
	require.Greater(t, broken, 3)
	require.Positive(t, result.SkippedRuns, "later attempts go on where earlier ones ended")
	for _, name := range []string{"alpha", "beta", "gone"} {
		for n := range 6 {
			sameRun(t, store, dst, tracking.RunID(fmt.Sprintf("%srun%d", name, n)))
		}
	}
	t.Logf("broken off %d times", broken)
}

func TestImportIsCancelled(t *testing.T) {
	t.Parallel()
	store, from := &trackingtest.Memory{}, &blob.Mem{}
	fillSource(t, store, from)
	src := dial(t, serveStore(t, store, from))
	ctx, cancel := context.WithCancel(t.Context())
	opts := &mlflow.ImportOptions{To: &blob.Mem{}, OnProgress: func(p mlflow.ImportProgress) {
		if p.Runs == 2 {
			cancel()
		}
	}}
	_, err := mlflow.Import(ctx, src, &trackingtest.Memory{}, opts)
	require.ErrorIs(t, err, context.Canceled)
}
