package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/train"
	"github.com/millwright-ml/millwright/train/checkpoint"
)

// build makes the program once for all tests of it.
func build(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("jobs are process groups of Unix")
	}
	program := filepath.Join(t.TempDir(), "train-gpu-job")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// start runs the service and returns its address and how to kill it.
func start(t *testing.T, program, dir, tokens string, args ...string) (*client, func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, append([]string{"-addr", "127.0.0.1:0", "-dir", dir}, args...)...)
	cmd.Env = append(os.Environ(), "TRAIN_TOKENS="+tokens)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	kill := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	return &client{url: strings.TrimSpace(strings.TrimPrefix(line, "Training at "))}, kill
}

// refused is the answer to a request that is not granted.
func refused(t *testing.T, c *client, method, path, body string, header map[string]string) string {
	t.Helper()
	resp, err := c.do(t.Context(), method, path, body, header)
	if err == nil {
		_ = resp.Body.Close()
	}
	require.Error(t, err)
	return err.Error()
}

func TestService(t *testing.T) {
	t.Parallel()
	program := build(t)

	t.Run("the tour of the README", func(t *testing.T) {
		t.Parallel()
		cmd := exec.CommandContext(t.Context(), program, "-demo", "-addr", "127.0.0.1:0", "-dir", t.TempDir())
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		for _, part := range []string{
			"attempt 0: training 300 steps from step 0 as rank 0 of 1", "suspended: suspended", "asked to stop at step",
			"attempt 1: training 300 steps from step 1", "attempt 1: learnt y = 2.464 x + 1.283", "succeeded in attempt 1; it cost 0.",
		} {
			require.Contains(t, string(out), part)
		}
		require.Equal(t, 1, strings.Count(string(out), "step 100:"), "no line is read twice: %s", out)
	})

	// The service is killed while a job runs: the next one finds it, attaches to
	// it by its key, and a reader goes on behind the last line that it has.
	t.Run("kill -9", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		c, kill := start(t, program, dir, "")
		body := `{"name":"line","env":{"STEPS":"400","PAUSE":"5ms"}}`
		submit := func() view {
			resp, err := c.do(t.Context(), http.MethodPost, "/jobs", body, map[string]string{"Idempotency-Key": "order-7"})
			require.NoError(t, err)
			defer func() { _ = resp.Body.Close() }()
			require.Equal(t, http.StatusCreated, resp.StatusCode)
			var v view
			require.NoError(t, json.NewDecoder(resp.Body).Decode(&v))
			require.Equal(t, "/jobs/"+v.ID, resp.Header.Get("Location"))
			return v
		}
		job := submit()
		require.Contains(t, refused(t, c, http.MethodPost, "/jobs", `{"name":"other"}`, map[string]string{"Idempotency-Key": "order-7"}), "409")
		var texts []string
		cursor, err := c.follow(t.Context(), "/jobs/"+job.ID, "", func(l train.Line) bool {
			texts = append(texts, l.Text)
			return !strings.Contains(l.Text, "step 100:")
		})
		require.NoError(t, err)
		require.NotEmpty(t, cursor)
		kill()

		c, _ = start(t, program, dir, "")
		require.Equal(t, job.ID, submit().ID, "the same key is the same job")
		_, err = c.follow(t.Context(), "/jobs/"+job.ID, cursor, func(l train.Line) bool {
			texts = append(texts, l.Text)
			return true
		})
		require.NoError(t, err)
		require.Len(t, texts, 10, "%q", texts)
		for i, text := range texts[1:9] {
			require.Contains(t, text, "step "+[]string{"50", "100", "150", "200", "250", "300", "350", "400"}[i]+":")
		}

		var done view
		require.NoError(t, c.call(t.Context(), http.MethodGet, "/jobs/"+job.ID, "", &done))
		require.Equal(t, train.Succeeded, done.Status.Phase)
		require.EqualValues(t, 400, done.Progress.Step)
		require.NotNil(t, done.Progress.Checkpoint)
		var list struct{ Jobs []view }
		require.NoError(t, c.call(t.Context(), http.MethodGet, "/jobs", "", &list))
		require.Len(t, list.Jobs, 1)
		var bill struct {
			Teams    []usageView
			Complete bool
		}
		require.NoError(t, c.call(t.Context(), http.MethodGet, "/usage", "", &bill))
		require.True(t, bill.Complete)
		require.Equal(t, 1, bill.Teams[0].Jobs)

		resp, err := c.do(t.Context(), http.MethodGet, "/jobs/"+job.ID+"/logs?tail=1", "", nil)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, cmp.Or(err, resp.Body.Close()))
		require.Contains(t, string(text), "0.0 learnt y = ")
		resp, err = c.do(t.Context(), http.MethodGet, "/jobs/"+job.ID+"/events", "", map[string]string{"Accept": "application/x-ndjson"})
		require.NoError(t, err)
		var first eventView
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&first))
		require.NoError(t, resp.Body.Close())
		require.NotEmpty(t, first.Reason)

		resp, err = c.do(t.Context(), http.MethodDelete, "/jobs/"+job.ID, "", nil)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Contains(t, refused(t, c, http.MethodGet, "/jobs/"+job.ID, "", nil), "404")
	})

	t.Run("teams and bad input", func(t *testing.T) {
		t.Parallel()
		c, _ := start(t, program, t.TempDir(), "team-a=secret-of-a,team-b=secret-of-b,*=secret-of-all")
		require.Contains(t, refused(t, c, http.MethodGet, "/jobs", "", nil), "401")
		c.token = "secret-of-c"
		require.Contains(t, refused(t, c, http.MethodPost, "/jobs", "{}", nil), "401")

		c.token = "secret-of-a"
		for body, want := range map[string]string{
			`{"name":"x","comand":["ls"]}`: "400",
			`{"name":"x"} {}`:              "400",
			`{`:                            "400",
			`{}`:                           "name is empty",
			`{"name":"x","nodes":-1}`:      "nodes",
			`{"name":"x","command":["sh","-c","cat /etc/passwd"]}`:      "jobs run the service's program here",
			`{"name":"x","env":{"LD_PRELOAD":"/tmp/x.so"}}`:             "env LD_PRELOAD cannot be set here",
			`{"name":"x","team":"team-b"}`:                              `team \"team-b\" is not yours`,
			`{"name":"x","dir":"/etc"}`:                                 "leave dir out",
			`{"name":"x","secrets":[{"env":"A","name":"b","key":"c"}]}`: "secrets cannot be read here",
			`{"name":"x","volumes":[{"path":"/x","hostPath":"/"}]}`:     "cannot be mounted here",
			`{"name":"` + strings.Repeat("x", maxBody) + `"}`:           "413",
		} {
			require.Contains(t, refused(t, c, http.MethodPost, "/jobs", body, nil), want, "%.80s", body)
		}
		require.Contains(t, refused(t, c, http.MethodPost, "/jobs", "{}", map[string]string{"Idempotency-Key": strings.Repeat("k", 201)}), "400")
		require.Contains(t, refused(t, c, http.MethodPost, "/jobs", "{}", map[string]string{"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}), "403")
		require.Contains(t, refused(t, c, http.MethodGet, "/jobs/none", "", nil), "404")

		var job view
		require.NoError(t, c.call(t.Context(), http.MethodPost, "/jobs", `{"name":"long","env":{"STEPS":"1000000"}}`, &job))
		require.Equal(t, "team-a", job.Team)
		path := "/jobs/" + job.ID
		for _, query := range []string{"?rank=x", "?tail=x", "?since=x", "?after=x"} {
			text := refused(t, c, http.MethodGet, path+"/logs"+query, "", nil)
			require.True(t, strings.Contains(text, "400") || strings.Contains(text, "422"), text)
		}
		require.Contains(t, refused(t, c, http.MethodDelete, path, "", nil), "409", "it runs")
		a := c.token
		c.token = "secret-of-b"
		for _, get := range []string{"", "/logs", "/why", "/usage", "/events"} {
			require.Contains(t, refused(t, c, http.MethodGet, path+get, "", nil), "404", "another team's job is not there")
		}
		require.Contains(t, refused(t, c, http.MethodPost, path+"/cancel", "", nil), "404")
		var list struct{ Jobs []view }
		require.NoError(t, c.call(t.Context(), http.MethodGet, "/jobs?team=team-a", "", &list))
		require.Empty(t, list.Jobs)

		c.token = a
		require.NoError(t, c.call(t.Context(), http.MethodPost, path+"/cancel", "", &job))
		require.Equal(t, train.Cancelled, job.Status.Phase)
		var why whyView
		require.NoError(t, c.call(t.Context(), http.MethodGet, path+"/why", "", &why))
		require.NotEmpty(t, why.Text)
		var plan train.Plan
		require.NoError(t, c.call(t.Context(), http.MethodPost, "/plan", `{"name":"x","deadline":3600000000000,"resources":{"cpu":1}}`, &plan))
		require.Equal(t, "process", plan.Backend)
		require.Positive(t, plan.Cost.Max)
	})
}

func TestFlags(t *testing.T) {
	for name, c := range map[string]struct {
		tokens string
		args   []string
		want   string
	}{
		"open to the world": {"", []string{"-addr", "0.0.0.0:8817"}, "set TRAIN_TOKENS"},
		"no port":           {"a=12345678", []string{"-addr", "x"}, "-addr x"},
		"short token":       {"a=1234", nil, "at least 8 characters"},
		"no kubeconfig":     {"", []string{"-kubeconfig", "none.yaml"}, "none.yaml"},
	} {
		t.Setenv("TRAIN_TOKENS", c.tokens)
		require.ErrorContains(t, run(t.Context(), append(c.args, "-dir", t.TempDir()), io.Discard), c.want, name)
	}
}

// The roles in Git are those that the program asks for.
func TestDeploy(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-rbac", "-namespace", "team-a"}, &out))
	if os.Getenv("GOLDEN") == "write" {
		require.NoError(t, os.WriteFile("deploy/rbac.yaml", out.Bytes(), 0o600))
	}
	want, err := os.ReadFile("deploy/rbac.yaml")
	require.NoError(t, err)
	require.Equal(t, string(want), out.String())
}

// The Python program trains as the one in this binary does.
func TestPython(t *testing.T) {
	t.Parallel()
	helper, err := os.ReadFile(checkpoint.PythonName)
	require.NoError(t, err)
	require.Equal(t, string(checkpoint.Python()), string(helper), "copy it anew from train/checkpoint")
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("REQUIRE_REAL") != "" {
			t.Fatal("there is no python3")
		}
		t.Skip("there is no python3")
	}
	script, err := filepath.Abs("train.py")
	require.NoError(t, err)
	var out bytes.Buffer
	err = run(t.Context(), []string{"-demo", "-addr", "127.0.0.1:0", "-dir", t.TempDir(), "-program", python + " " + script}, &out)
	require.NoError(t, err, "%s", out.String())
	require.Contains(t, out.String(), "attempt 1: learnt y = ")
}
