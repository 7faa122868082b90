package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
)

// build makes the program once for all tests of it.
func build(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGTERM")
	}
	program := filepath.Join(t.TempDir(), "mlflow-server")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// server is a running program.
type server struct {
	url  string
	stop func() // SIGTERM, and the program ends well
}

var served = regexp.MustCompile(`msg=serving url=(\S+)`)

func start(t *testing.T, program, dir string, env []string, args ...string) *server {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, append([]string{"--port", "0"}, args...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stderr)
	var text strings.Builder
	s := &server{}
	for s.url == "" && lines.Scan() {
		text.WriteString(lines.Text() + "\n")
		if m := served.FindStringSubmatch(lines.Text()); m != nil {
			s.url = m[1]
		}
	}
	require.NotEmpty(t, s.url, "%s", &text)
	rest := make(chan string)
	go func() {
		data, _ := io.ReadAll(stderr)
		rest <- string(data)
	}()
	s.stop = func() {
		t.Helper()
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		said := <-rest
		require.NoError(t, cmd.Wait(), "%s", said)
		require.Contains(t, said, "msg=stopped")
	}
	require.Equal(t, "OK", get(t, s.url+"/health"))
	return s
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s: %s", url, body)
	return string(body)
}

// client reaches the server as a program elsewhere does.
func client(t *testing.T, s *server, opts *mlflow.DialOptions) *tracking.Client {
	t.Helper()
	conn, err := mlflow.Dial(s.url, opts)
	require.NoError(t, err)
	c := tracking.New(conn, &tracking.Options{Artifacts: conn.Artifacts()})
	t.Cleanup(func() { _ = c.Shutdown(context.WithoutCancel(t.Context())) })
	return c
}

func TestServerKeepsEverything(t *testing.T) {
	t.Parallel()
	program, dir := build(t), t.TempDir()
	t.Run("restart", func(t *testing.T) {
		t.Parallel()
		s := start(t, program, dir, nil, "--static-prefix", "/ml")
		c := client(t, s, nil)
		exp, err := c.Experiment(t.Context(), "delay model")
		require.NoError(t, err)
		run, err := c.StartRun(t.Context(), exp.ID, &tracking.RunOptions{Name: "first"})
		require.NoError(t, err)
		require.NoError(t, run.Params(t.Context(), map[string]string{"lr": "0.1"}))
		for step := range int64(2000) {
			run.Metric("loss", 1/float64(step+1), step)
		}
		_, err = run.Files().Upload(t.Context(), "out", os.DirFS("."), nil)
		require.NoError(t, err)
		m, err := run.LogModel(t.Context(), "classifier", os.DirFS("."), nil)
		require.NoError(t, err)
		require.NoError(t, run.End(t.Context(), nil))
		metrics := get(t, strings.TrimSuffix(s.url, "/ml")+"/metrics")
		require.Contains(t, metrics, `route="/ml/api/2.0/mlflow/runs/create",status="200"`)
		require.Contains(t, metrics, "go_goroutines")
		require.NotContains(t, metrics, string(run.ID()))
		s.stop()

		s = start(t, program, dir, []string{"MLFLOW_BACKEND_STORE_URI=sqlite:///" + dir + "/millwright.db"})
		defer s.stop()
		c = client(t, s, nil)
		again, err := c.Run(t.Context(), run.ID())
		require.NoError(t, err)
		info, err := again.Info(t.Context())
		require.NoError(t, err)
		require.Equal(t, tracking.Finished, info.Status)
		require.Equal(t, "0.1", info.Params["lr"])
		history, err := again.History(t.Context(), "loss")
		require.NoError(t, err)
		require.Len(t, history, 2000)
		files, err := c.Files(t.Context(), "models:/"+string(m.ID))
		require.NoError(t, err)
		to := t.TempDir()
		_, err = files.Download(t.Context(), "", to, nil)
		require.NoError(t, err)
		want, err := os.ReadFile("main_test.go")
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(to, "main_test.go"))
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.FileExists(t, filepath.Join(dir, "mlartifacts", string(exp.ID), string(run.ID()), "artifacts", "out", "main.go"))
	})
	t.Run("folder without proxy", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		s := start(t, program, dir, []string{"MLFLOW_SERVE_ARTIFACTS=false"}, "--default-artifact-root", "runs")
		defer s.stop()
		c := client(t, s, nil)
		exp, err := c.Experiment(t.Context(), "e")
		require.NoError(t, err)
		run, err := c.StartRun(t.Context(), exp.ID, nil)
		require.NoError(t, err)
		location := strings.TrimPrefix(run.Files().URI(), "file://")
		require.True(t, strings.HasPrefix(location, dir), location)
		require.NoError(t, os.MkdirAll(location, 0o750))
		require.NoError(t, os.WriteFile(filepath.Join(location, "a.txt"), []byte("by the client itself"), 0o600))
		require.Contains(t, get(t, s.url+"/api/2.0/mlflow/artifacts/list?run_id="+string(run.ID())), `"a.txt"`)
		require.Equal(t, "by the client itself", get(t, s.url+"/get-artifact?path=a.txt&run_id="+string(run.ID())))
	})
	t.Run("models", func(t *testing.T) { testModels(t, program) })
	t.Run("users of models", func(t *testing.T) { testModelUsers(t, program) })
	t.Run("basic-auth", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		env := []string{"MLFLOW_AUTH_ADMIN_PASSWORD=correct horse battery"}
		s := start(t, program, dir, env, "--app-name", "basic-auth", "--users", "users.json")
		_, err := client(t, s, nil).Experiment(t.Context(), "e")
		require.Error(t, err)
		require.Contains(t, err.Error(), "401")
		admin := &mlflow.DialOptions{Username: "admin", Password: "correct horse battery"}
		exp, err := client(t, s, admin).Experiment(t.Context(), "e")
		require.NoError(t, err)
		s.stop()
		data, err := os.ReadFile(filepath.Join(dir, "users.json"))
		require.NoError(t, err)
		require.NotContains(t, string(data), "horse")
		require.Contains(t, string(data), `"`+string(exp.ID)+`": "MANAGE"`)

		s = start(t, program, dir, nil, "--app-name", "basic-auth", "--users", "users.json") // the file has it all
		defer s.stop()
		_, err = client(t, s, admin).Experiment(t.Context(), "e")
		require.NoError(t, err)
	})
	t.Run("retention", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		s := start(t, program, dir, nil)
		c := client(t, s, nil)
		exp, err := c.Experiment(t.Context(), "e")
		require.NoError(t, err)
		run, err := c.StartRun(t.Context(), exp.ID, nil)
		require.NoError(t, err)
		require.NoError(t, run.Files().Put(t.Context(), "a", strings.NewReader("x"), 1))
		require.NoError(t, c.DeleteRun(t.Context(), run.ID()))
		s.stop()
		s = start(t, program, dir, nil, "--retention", "1ns")
		defer s.stop()
		require.Eventually(t, func() bool {
			_, err := client(t, s, nil).Run(t.Context(), run.ID())
			return err != nil
		}, 10*time.Second, 10*time.Millisecond)
		require.NoFileExists(t, filepath.Join(dir, "mlartifacts", string(exp.ID), string(run.ID()), "artifacts", "a"))
	})
}

func TestParse(t *testing.T) {
	t.Parallel()
	env := map[string]string{"MLFLOW_PORT": "7000", "MLFLOW_HOST": "0.0.0.0", "MLFLOW_SERVER_ALLOWED_HOSTS": "a.example, b"}
	c, err := parse([]string{"-p", "7001"}, func(k string) string { return env[k] }, io.Discard)
	require.NoError(t, err)
	require.Equal(t, "0.0.0.0:7001", c.address(), "a flag is stronger than the environment")
	require.Equal(t, []string{"a.example", "b"}, c.hosts)
	require.Equal(t, "./mlartifacts", c.destination)
	require.Empty(t, c.root)

	for uri, want := range map[string]string{
		"sqlite:////var/lib/ml flow.db":       "sqlite:///var/lib/ml%20flow.db",
		"postgresql://u:p@db/x":               "postgresql://u:p@db/x",
		"postgresql+psycopg2://u:p@db:5432/x": "postgresql+psycopg2://u:p@db:5432/x",
		"sqlite:////var/../lib/a.db":          "sqlite:///lib/a.db",
	} {
		got, err := backendURL(uri)
		require.NoError(t, err, uri)
		require.Equal(t, want, got)
	}
	here, err := os.Getwd()
	require.NoError(t, err)
	got, err := backendURL("sqlite:///a.db")
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(got, filepath.ToSlash(here)+"/a.db"), got)

	var out bytes.Buffer
	_, err = parse([]string{"--port", "x", "--app-name", "other", "--backend-store-uri", "mysql://h/d", "--static-prefix", "ml", "extra"}, func(string) string { return "" }, &out)
	for _, fault := range []string{"extra", `--port "x"`, "--app-name", "mysql", "--static-prefix"} {
		require.ErrorContains(t, err, fault)
	}
	for _, bad := range []string{"./mlruns", "sqlite://", "sqlite:///:memory:", "C:/x"} {
		_, err := backendURL(bad)
		require.Error(t, err, bad)
	}
	c, err = parse([]string{"-h", "::1"}, func(string) string { return "" }, &out)
	require.NoError(t, err)
	require.Equal(t, "[::1]:5000", c.address())
	_, err = parse([]string{"-h"}, func(string) string { return "" }, &out)
	require.ErrorIs(t, err, flag.ErrHelp)
	require.Contains(t, out.String(), "-backend-store-uri")
}

func TestForeignDatabaseIsNoticed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a b.db")
	backend, err := backendURL("sqlite:///" + path)
	require.NoError(t, err)
	require.False(t, holdsMLflow(t.Context(), backend))
	require.NoFileExists(t, path)
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "CREATE TABLE alembic_version(version_num TEXT); INSERT INTO alembic_version VALUES('1')")
	require.NoError(t, errors.Join(err, db.Close()))
	require.True(t, holdsMLflow(t.Context(), backend))
}

func TestLocationsStayBelowTheRoot(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	l, err := newLocations("file://" + root)
	require.NoError(t, err)
	defer func() { require.NoError(t, l.close()) }()
	_, err = l.at(t.Context(), "file://"+root+"/1/run/artifacts")
	require.NoError(t, err)
	for _, bad := range []string{"file:///etc", "file://" + root + "/../x", "file://host" + root, "gs://bucket/x", "file:" + root + "x"} {
		_, err := l.at(t.Context(), bad)
		require.ErrorIs(t, err, tracking.ErrUnsupported, bad)
	}
	none, err := newLocations("")
	require.NoError(t, err)
	_, err = none.at(t.Context(), "file:///etc")
	require.ErrorIs(t, err, tracking.ErrUnsupported)
}

func TestRouteNamesAreBounded(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	require.Equal(t, "/api/2.0/mlflow/runs/create", m.route("/api/2.0/mlflow/runs/create", 200))
	require.Equal(t, "/api/2.0/mlflow/logged-models/{id}/tags", m.route("/api/2.0/mlflow/logged-models/m-0123/tags", 200))
	require.Equal(t, "/api/2.0/mlflow-artifacts/artifacts/…", m.route("/api/2.0/mlflow-artifacts/artifacts/1/secret/name", 200))
	require.Equal(t, "none", m.route("/../../etc", 404))
	for i := range 1000 {
		m.route("/"+strings.Repeat("x", 1+i%40)+"/"+strings.Repeat("y", 1+i/40), 200)
	}
	require.Equal(t, "other", m.route("/one/more", 200))
	require.Len(t, m.routes, 300)
}
