package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// commands are those of the README for a program.
func commands(t *testing.T, program string) [][]string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var out [][]string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(block[1]) {
			if strings.HasPrefix(line, program) {
				out = append(out, strings.Fields(line))
			}
		}
	}
	return out
}

// TestMain makes this test's own program the one that is tested, and that its
// training jobs run.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		main()
	}
	os.Exit(m.Run())
}

// TestStory runs the README's first command, and reads what it says and leaves.
func TestStory(t *testing.T) {
	t.Parallel()
	list := commands(t, "go run ./examples/drift-retrain")
	require.Len(t, list, 2)
	dir := filepath.Join(t.TempDir(), "d")
	program, err := os.Executable()
	require.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), program, append(list[0][3:], "-dir", dir)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	text := string(out)
	for _, line := range []string{
		"a first model", "a trigger: loans/1/", "of a category that the reference does not name", "firing: MillwrightDrift of loans version 1",
		"gate auc against the champion", "1 triggers promoted a version, 0 were refused", "resolved: MillwrightDrift of loans version 1",
		"36000 rows observed, 36000 written, 0 dropped",
	} {
		require.Contains(t, text, line)
	}
	// Four weeks of version 1, of which the last drifts, then calm ones of 2.
	weeks := regexp.MustCompile(`(?m)^   \d+ +(\d) +(ok|drift) `).FindAllStringSubmatch(text, -1)
	require.Len(t, weeks, 9, text)
	for i, week := range weeks {
		want := []string{"1", "ok"}
		switch {
		case i == launch-1:
			want = []string{"1", "drift"}
		case i >= launch:
			want = []string{"2", "ok"}
		}
		require.Equal(t, want, week[1:], "week %d", i+1)
	}
	for _, name := range []string{"report.html", "operations/rules.yml", "operations/prometheus.yml", "operations/dashboard.json", "operations/servicemonitor.yml", "operations/prometheusrule.yml"} {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		require.NoError(t, err)
		require.NotEmpty(t, data)
	}
	log, err := os.ReadFile(filepath.Join(dir, "monitor.log"))
	require.NoError(t, err)
	require.Equal(t, 9, bytes.Count(log, []byte("\n")))
	require.Equal(t, 1, bytes.Count(log, []byte(`"event.kind":"alert"`)))

	out, err = exec.CommandContext(t.Context(), program, "-dir", dir).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "holds an earlier run")
}

// lines is output that can be waited for.
type lines struct {
	mu   sync.Mutex
	text string
	more chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text += string(p)
	select {
	case l.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

// TestServe runs the README's second command in this process, asks its
// addresses, and interrupts it.
func TestServe(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &lines{more: make(chan struct{}, 1)}
	args := commands(t, "go run ./examples/drift-retrain -dir")[0][3:]
	args[1] = filepath.Join(t.TempDir(), args[1])
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		out.mu.Lock()
		text := out.text
		out.mu.Unlock()
		if strings.Contains(text, "Going on with traffic") {
			break
		}
		select {
		case <-out.more:
		case err := <-ended:
			t.Fatalf("it ended: %v\n%s", err, text)
		}
	}
	url := regexp.MustCompile(`served at (\S+),`).FindStringSubmatch(out.text)[1]
	get := func(path string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		require.Equal(t, 200, resp.StatusCode)
		data, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(data)
	}
	metrics := get("/metrics")
	require.Contains(t, metrics, `millwright_model_info{model="loans",version="2"} 1`)
	require.Contains(t, metrics, `millwright_retrain_triggers_total{model="loans",result="promoted"} 1`)
	require.Contains(t, get("/report"), "<title>loans 2: ")
	require.True(t, json.Valid([]byte(get("/report.json"))))
	require.Contains(t, get("/v2/models/loans"), `"2"`)
	cancel() // As a kill: nothing is left that the next test would meet.
	require.Error(t, <-ended, "it was killed")
}

func TestUsage(t *testing.T) {
	t.Parallel()
	var out, stderr bytes.Buffer
	require.Equal(t, 2, realMain(t.Context(), []string{"-nothing"}, &out, &stderr))
	require.Equal(t, 2, realMain(t.Context(), []string{"extra"}, &out, &stderr))
	require.Equal(t, 0, realMain(t.Context(), []string{"-h"}, &out, &stderr))
	require.Equal(t, 1, realMain(t.Context(), []string{"-dir", t.TempDir(), "-addr", "nowhere:x"}, &out, &stderr))
	require.Contains(t, stderr.String(), "choose one with -addr")
	require.Equal(t, 1, realMain(t.Context(), []string{"train", "-data", "absent"}, &out, &stderr))
}
