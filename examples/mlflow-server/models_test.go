package main

import (
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/registry"
	registrystore "github.com/millwright-ml/millwright/registry/sqlstore"
	"github.com/millwright-ml/millwright/tracking/mlflow"
)

// post sends a JSON body as a user and returns the status and the answer.
func post(t *testing.T, url, body, user, password string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, string(text)
}

// A version that a client registers of a run outlives the run's files and a
// restart, is served by the server and opened by a Go program.
func testModels(t *testing.T, program string) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, program, dir, nil)
	c := client(t, s, nil)
	exp, err := c.Experiment(t.Context(), "e")
	require.NoError(t, err)
	run, err := c.StartRun(t.Context(), exp.ID, nil)
	require.NoError(t, err)
	require.NoError(t, run.Files().Put(t.Context(), "model/weights", strings.NewReader("0.7"), 3))
	const api = "/api/2.0/mlflow/"
	status, text := post(t, s.url+api+"registered-models/create", `{"name":"fraud"}`, "", "")
	require.Equal(t, 200, status, text)
	id := string(run.ID())
	status, text = post(t, s.url+api+"model-versions/create", `{"name":"fraud","source":"runs:/`+id+`/model","run_id":"`+id+`"}`, "", "")
	require.Equal(t, 200, status, text)
	require.NoError(t, run.Files().Delete(t.Context(), "model/weights"))
	s.stop()

	s = start(t, program, dir, nil)
	require.Contains(t, get(t, s.url+api+"model-versions/get-download-uri?name=fraud&version=1"), "mlflow-artifacts:/model-registry/fraud/1")
	require.Contains(t, get(t, s.url+"/api/2.0/mlflow-artifacts/artifacts?path=model-registry/fraud/1"), "weights")
	require.Equal(t, "0.7", get(t, s.url+"/api/2.0/mlflow-artifacts/artifacts/model-registry/fraud/1/weights"))
	s.stop()

	store, err := registrystore.Open(t.Context(), "sqlite:"+filepath.ToSlash(filepath.Join(dir, "millwright.db")), nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	files, err := dirblob.Open(filepath.Join(dir, "mlartifacts-models"))
	require.NoError(t, err)
	defer func() { require.NoError(t, files.Close()) }()
	reg := registry.New(store, files, nil)
	v, err := reg.Resolve(t.Context(), "fraud/1")
	require.NoError(t, err)
	opened, err := reg.Open(t.Context(), v)
	require.NoError(t, err)
	weights, err := fs.ReadFile(opened, "weights")
	require.NoError(t, err)
	require.Equal(t, "0.7", string(weights))
}

// Users have rights for models of their own.
func testModelUsers(t *testing.T, program string) {
	t.Parallel()
	dir := t.TempDir()
	hash, err := mlflow.HashPassword("a long password")
	require.NoError(t, err)
	users := `{"users":[{"name":"ann","password":"` + hash + `"},{"name":"bob","password":"` + hash + `"}]}`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "users.json"), []byte(users), 0o600))
	s := start(t, program, dir, nil, "--app-name", "basic-auth", "--users", "users.json")
	defer s.stop()
	for _, tc := range []struct {
		user, path, body string
		want             int
	}{
		{"", "registered-models/create", `{"name":"fraud"}`, 401},
		{"ann", "registered-models/create", `{"name":"fraud"}`, 200},
		{"bob", "model-versions/create", `{"name":"fraud","source":"s3://b/k"}`, 403},
		{"ann", "model-versions/create", `{"name":"fraud","source":"s3://b/k"}`, 200},
		{"bob", "registered-models/rename", `{"name":"fraud","new_name":"mine"}`, 403},
		{"ann", "registered-models/rename", `{"name":"fraud","new_name":"scam"}`, 200},
		{"ann", "registered-models/set-tag", `{"name":"scam","key":"k","value":"v"}`, 200},
		{"ann", "webhooks", `{"name":"w","url":"https://example.com","events":[{"entity":"REGISTERED_MODEL","action":"CREATED"}]}`, 403},
	} {
		status, text := post(t, s.url+"/api/2.0/mlflow/"+tc.path, tc.body, tc.user, "a long password")
		require.Equal(t, tc.want, status, "%s %s: %s", tc.user, tc.path, text)
	}
}
