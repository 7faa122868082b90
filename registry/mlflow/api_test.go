package mlflow_test

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/mlflow"
	"github.com/millwright-ml/millwright/registry/registrytest"
	"github.com/millwright-ml/millwright/registry/sqlstore"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

// api calls a handler without a network.
type api struct {
	t     testing.TB
	h     *mlflow.Handler
	reg   *registry.Registry
	runs  *trackingtest.Memory
	files *blob.Mem // artifacts of the runs
	kept  *blob.Mem // files of the registry
}

func newAPI(t testing.TB, store registry.Store, change func(*mlflow.Options)) *api {
	t.Helper()
	a := &api{t: t, runs: new(trackingtest.Memory), files: new(blob.Mem), kept: new(blob.Mem)}
	a.reg = registry.New(store, a.kept, nil)
	opts := &mlflow.Options{Tracking: a.runs, Artifacts: a.files}
	if change != nil {
		change(opts)
	}
	var err error
	a.h, err = mlflow.NewHandler(a.reg, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.h.Shutdown(context.WithoutCancel(t.Context()))) })
	return a
}

// eachStore runs a test on the store in memory and on SQLite.
func eachStore(t *testing.T, test func(t *testing.T, a *api)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, newAPI(t, new(registrytest.Mem), nil))
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		store, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.ToSlash(filepath.Join(t.TempDir(), "api.db")), nil)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		test(t, newAPI(t, store, nil))
	})
}

// send returns the whole answer. The target "model-versions/get?x" is short for
// the path /api/2.0/mlflow/model-versions/get?x.
func (a *api) send(method, target, body string, header ...string) *http.Response {
	a.t.Helper()
	if !strings.HasPrefix(target, "/") {
		target = "/api/2.0/mlflow/" + target
	}
	r := httptest.NewRequestWithContext(a.t.Context(), method, target, strings.NewReader(body))
	r.Host = "localhost"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	w := httptest.NewRecorder()
	a.h.ServeHTTP(w, r)
	resp := w.Result()
	require.Equal(a.t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
	require.Equal(a.t, "SAMEORIGIN", resp.Header.Get("X-Frame-Options"))
	return resp
}

// do returns the status and the body.
func (a *api) do(method, target, body string, header ...string) (int, string) {
	a.t.Helper()
	resp := a.send(method, target, body, header...)
	text, err := io.ReadAll(resp.Body)
	require.NoError(a.t, err)
	return resp.StatusCode, string(text)
}

// ok sends what must succeed and decodes the answer.
func ok[M any](a *api, method, target, body string) M {
	a.t.Helper()
	status, text := a.do(method, target, body)
	require.Equal(a.t, 200, status, "%s %s: %s", method, target, text)
	var m M
	require.NoError(a.t, mlflowapi.Decode([]byte(text), &m), "%s", text)
	return m
}

// fails sends what must be refused with a code, and returns the message.
func (a *api) fails(status int, code, method, target, body string) string {
	a.t.Helper()
	have, text := a.do(method, target, body)
	require.Equal(a.t, status, have, "%s %s %s: %s", method, target, body, text)
	var e mlflowapi.Error
	require.NoError(a.t, json.Unmarshal([]byte(text), &e), "%s", text)
	require.Equal(a.t, code, e.Code, "%s", text)
	return e.Message
}

type (
	modelAnswer   = mlflowapi.RegisteredModelResponse
	versionAnswer = mlflowapi.ModelVersionResponse
	empty         = mlflowapi.Empty
)

func (a *api) model(name string) {
	ok[modelAnswer](a, "POST", "registered-models/create", `{"name":"`+name+`"}`)
}

// version makes one of a place that only clients read.
func (a *api) version(name string) mlflowapi.ModelVersion {
	a.t.Helper()
	return ok[versionAnswer](a, "POST", "model-versions/create", `{"name":"`+name+`","source":"s3://bucket/`+name+`"}`).ModelVersion
}

// run makes a run with files among its artifacts.
func (a *api) run(files map[string]string) tracking.RunInfo {
	a.t.Helper()
	exp := a.experiment()
	run, err := a.runs.CreateRun(a.t.Context(), tracking.RunInfo{ID: tracking.NewRunID(), Experiment: exp, Status: tracking.Running, Start: time.Now()})
	require.NoError(a.t, err)
	a.put(run.ArtifactURI, files)
	return run
}

func (a *api) put(location string, files map[string]string) {
	a.t.Helper()
	base, err := tracking.ArtifactKey(location)
	require.NoError(a.t, err)
	for name, text := range files {
		require.NoError(a.t, a.files.Put(a.t.Context(), base+"/"+name, strings.NewReader(text), int64(len(text))))
	}
}

func (a *api) experiment() tracking.ExperimentID {
	a.t.Helper()
	page, _, err := a.runs.SearchExperiments(a.t.Context(), tracking.ExperimentQuery{})
	require.NoError(a.t, err)
	if len(page) > 0 {
		return page[0].ID
	}
	exp, err := a.runs.CreateExperiment(a.t.Context(), tracking.Experiment{Name: "e"})
	require.NoError(a.t, err)
	return exp.ID
}

// logged makes a logged model with files.
func (a *api) logged(run tracking.RunID, files map[string]string) tracking.LoggedModel {
	a.t.Helper()
	m, err := a.runs.CreateModel(a.t.Context(), tracking.LoggedModel{
		ID: tracking.NewModelID(), Experiment: a.experiment(), Name: "model", SourceRun: run, Status: tracking.ModelReady,
	})
	require.NoError(a.t, err)
	a.put(m.ArtifactURI, files)
	return m
}

// opened reads a version's files as a Go program does.
func (a *api) opened(ref string) map[string]string {
	a.t.Helper()
	v, err := a.reg.Resolve(a.t.Context(), ref)
	require.NoError(a.t, err)
	files, err := a.reg.Open(a.t.Context(), v)
	require.NoError(a.t, err)
	out := map[string]string{}
	for _, f := range v.Files {
		text, err := fs.ReadFile(files, f.Path)
		require.NoError(a.t, err)
		out[f.Path] = string(text)
	}
	return out
}
