package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/rollout"
)

func TestDemo(t *testing.T) {
	t.Parallel()
	var out, log bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-demo"}, &out, &log), "%s", log.String())
	text := out.String()
	// On a machine that stalls the latencies may look worse, by design: both
	// verdicts are a run that went well.
	require.Regexp(t, `version 2: (promote|rollback)`, text)
	require.Contains(t, text, ", 0 failed, 9")
	require.Contains(t, text, "by rollout tumour-1-2")
	require.Contains(t, text, `millwright_serve_requests_total{code="200",model="tumour",version="2"}`)
	require.Contains(t, text, `millwright_serve_rollout_decisions_total{model="tumour",verdict=`)
	require.Empty(t, log.String())
}

func TestFlags(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, run(t.Context(), []string{"now"}, io.Discard, io.Discard), `"now" is no flag`)
	require.Error(t, run(t.Context(), []string{"-dir", t.TempDir(), "-store", "mysql://x"}, io.Discard, io.Discard))
}

// patience is for a machine that is busy with other things.
const patience = 3 * time.Minute

// running is a service in this process.
type running struct {
	*service
	url string
	log *bytes.Buffer
	end func() error
}

func start(t *testing.T, dir string) *running {
	t.Helper()
	log := new(bytes.Buffer)
	reg, closeRegistry, err := openRegistry(t.Context(), "", filepath.Join(dir, "registry"))
	require.NoError(t, err)
	s, err := newService(reg, &config{dir: dir, share: 0.5, drain: patience}, slog.New(slog.NewJSONHandler(log, nil)))
	require.NoError(t, err)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.serve(ctx, listener) }()
	ended := false
	r := &running{service: s, url: "http://" + listener.Addr().String(), log: log}
	r.end = func() error {
		if ended {
			return nil
		}
		ended = true
		cancel()
		err := <-done
		return errors.Join(err, closeRegistry())
	}
	t.Cleanup(func() { _ = r.end() })
	client, err := oip.NewClient(r.url, nil)
	require.NoError(t, err)
	require.NoError(t, awaitReady(t.Context(), client))
	return r
}

func (r *running) get(t *testing.T, path string) (string, int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+path, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return string(text), resp.StatusCode
}

// A challenger that fails is taken back, the champion's users see nothing of it,
// and a restart goes on where the verdict has left it.
func TestRollback(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, dir)
	verdict := rollout.Event{
		Kind: rollout.Decided, Experiment: "tumour-1-2", Model: modelName, Champion: "1", Challenger: "2",
		Verdict: rollout.Rollback, Reason: "it was worse",
		Evidence: []rollout.Evidence{{Guard: "errors", HarmLogE: 9, HarmLimit: 3, PassLimit: 3}},
	}
	for range 2 { // A replica may record it again after it died in it.
		require.NoError(t, r.record(t.Context(), verdict))
	}
	champion, challenger, err := r.aliases(t.Context())
	require.NoError(t, err)
	require.Equal(t, "1", champion)
	require.Empty(t, challenger)
	require.NoError(t, r.end())

	r = start(t, dir)
	y, err := score(t.Context(), r.url, "ann", []float32{16.46, 25.44, 0.1142, 0.07828})
	require.NoError(t, err)
	require.Less(t, y, float32(0.5))
	// It may begin with what it served last, and then follows the registry.
	require.Eventually(t, func() bool {
		text, code := r.get(t, "/v2/models/tumour")
		return code == http.StatusOK && strings.Contains(text, `"versions":["1"]`)
	}, patience, 10*time.Millisecond)
	text, code := r.get(t, "/metrics")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, text, `millwright_serve_requests_total{code="200",model="tumour",version="1"} 1`)
	require.Contains(t, text, "go_goroutines")
	require.NoError(t, r.end())
	found := false
	for line := range strings.Lines(r.log.String()) {
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		if m["msg"] == "request" {
			found = true
			require.Equal(t, "tumour", m["model"])
			require.Equal(t, "1", m["version"])
			require.NotEmpty(t, m["digest"])
			require.Equal(t, 1.0, m["rows"])
			require.NotContains(t, line, "16.46")
		}
	}
	require.True(t, found, "the access log has the request")
}

// The embedded versions answer what XGBoost did, or would not be deployed; a
// version with other answers is not.
func TestGolden(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, dir)
	files := os.DirFS("model/2")
	copied := t.TempDir()
	require.NoError(t, os.CopyFS(copied, files))
	text, err := os.ReadFile(filepath.Join(copied, "model.json"))
	require.NoError(t, err)
	changed := strings.Replace(string(text), `"base_score":"[3.`, `"base_score":"[2.`, 1)
	require.NotEqual(t, string(text), changed)
	require.NoError(t, os.WriteFile(filepath.Join(copied, "model.json"), []byte(changed), 0o600))
	v, err := r.registry.Register(t.Context(), modelName, registry.Draft{Files: os.DirFS(copied), Golden: "golden.json"})
	require.NoError(t, err)
	require.NoError(t, r.registry.SetAlias(t.Context(), modelName, "champion", v.Number, &registry.AliasOptions{Expect: 1}))
	require.Eventually(t, func() bool { return r.server.FailedDeploys() > 0 }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { return strings.Contains(r.reason(t), "is not reproduced") }, patience, 10*time.Millisecond)
	y, err := score(t.Context(), r.url, "", []float32{16.46, 25.44, 0.1142, 0.07828})
	require.NoError(t, err)
	require.Less(t, y, float32(0.5))
	require.Error(t, r.server.ModelReady(modelName, "3"))
}

func (r *running) reason(t *testing.T) string {
	t.Helper()
	list, err := r.keeper.Index(t.Context())
	require.NoError(t, err)
	for _, m := range list {
		if m.Reason != "" {
			return m.Reason
		}
	}
	return ""
}

// What the README tells to type works: here its requests go to a service of the
// test's own. The demo is TestDemo.
func TestReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	require.Contains(t, string(text), "go run ./examples/scoring-service -demo\n")
	require.Contains(t, string(text), "go run ./examples/scoring-service &\n")
	r := start(t, t.TempDir())
	requests := regexp.MustCompile(`curl -s localhost:8826(\S+)(?: -H '(\S+): (\S+)' \\\n  -d '(.*)')?\n`).FindAllStringSubmatch(string(text), -1)
	require.Len(t, requests, strings.Count(string(text), "curl "))
	for _, m := range requests {
		method := http.MethodGet
		if m[4] != "" {
			method = http.MethodPost
		}
		req, err := http.NewRequestWithContext(t.Context(), method, r.url+m[1], strings.NewReader(m[4]))
		require.NoError(t, err)
		if m[2] != "" {
			req.Header.Set(m[2], m[3])
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode, "%s", answer)
		if method == http.MethodPost {
			require.Contains(t, string(answer), `"malignant"`)
			require.Contains(t, resp.Header.Get("Millwright-Model"), "tumour/")
			require.NotEmpty(t, resp.Header.Get("Millwright-Digest"))
		}
	}
	for _, file := range regexp.MustCompile("\\| `([a-z.A-Z]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		require.FileExists(t, file[1])
	}
}
