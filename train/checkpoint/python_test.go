//go:build unix

package checkpoint_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/train"
	"github.com/millwright-ml/millwright/train/checkpoint"
	"github.com/millwright-ml/millwright/train/local"
)

// training is a job of testdata/train.py.
func training(t *testing.T, uri string, total, every int, pause float64) train.Spec {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("REQUIRE_REAL") != "" {
			t.Fatal("there is no python3")
		}
		t.Skip("there is no python3")
	}
	script, err := filepath.Abs("testdata/train.py")
	require.NoError(t, err)
	return train.Spec{
		Name:       "toy",
		Command:    []string{python, "-B", script, strconv.Itoa(total), strconv.Itoa(every), fmt.Sprint(pause)},
		Checkpoint: train.Checkpoint{URI: uri},
	}
}

func open(t *testing.T) (*local.Launcher, string) {
	t.Helper()
	dir := t.TempDir()
	l, err := local.Open(dir, &local.Options{Poll: 20 * time.Millisecond})
	require.NoError(t, err)
	return l, dir
}

func submit(t *testing.T, l *local.Launcher, s train.Spec) train.Job {
	t.Helper()
	job, err := l.Submit(t.Context(), s, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = job.Cancel(context.Background()) })
	return job
}

// follow reads the log of an attempt to the line with the prefix, and returns
// the rest of it.
func follow(t *testing.T, job train.Job, attempt int, prefix string) string {
	t.Helper()
	var all []string
	for line, err := range job.Logs(t.Context(), &train.LogOptions{Follow: true}) {
		require.NoError(t, err)
		if rest, ok := strings.CutPrefix(line.Text, prefix); ok && line.Attempt >= attempt {
			return rest
		}
		all = append(all, line.Text)
	}
	t.Fatalf("the job ended without a line %q in attempt %d: %q", prefix, attempt, all)
	return ""
}

// Train, be suspended, resume: the result is that of a run without a break.
func TestSuspendedTrainingResumes(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	whole := submit(t, l, training(t, filepath.Join(t.TempDir(), "ck"), 120, 50, 0))
	want := follow(t, whole, 0, "result ")

	s := training(t, "file://"+filepath.Join(t.TempDir(), "ck"), 120, 1000, 0.01)
	job := submit(t, l, s)
	follow(t, job, 0, "step 20")
	require.NoError(t, job.Suspend(t.Context()))
	st, err := job.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, train.Suspended, st.Phase)
	p, err := job.Progress(t.Context())
	require.NoError(t, err)
	require.NotNil(t, p.Checkpoint, "it was written after SIGTERM")
	require.GreaterOrEqual(t, p.Checkpoint.Step, int64(20))
	require.Equal(t, p.Checkpoint.Step, p.Step)
	require.Equal(t, int64(120), p.Total)
	require.Contains(t, p.Metrics, "weight")

	require.NoError(t, job.Resume(t.Context(), nil))
	require.Equal(t, strconv.FormatInt(p.Checkpoint.Step, 10), follow(t, job, 1, "from step "))
	require.Equal(t, want, follow(t, job, 1, "result "))
	res, err := job.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, res.Attempts)
	for line, err := range job.Logs(t.Context(), nil) {
		require.NoError(t, err)
		require.NotContains(t, line.Text, "##millwright", "reports are no logs")
	}
	u, err := job.Usage(t.Context())
	require.NoError(t, err)
	require.False(t, u.Open)
}

// A killed process is tried again, and goes on from its last whole checkpoint.
func TestKilledTrainingGoesOn(t *testing.T) {
	t.Parallel()
	l, jobs := open(t)
	dir := filepath.Join(t.TempDir(), "ck")
	whole := submit(t, l, training(t, filepath.Join(t.TempDir(), "ck"), 120, 50, 0))
	want := follow(t, whole, 0, "result ")
	s := training(t, dir, 120, 7, 0.005)
	s.Retry.Infra = 5
	job := submit(t, l, s)
	for attempt := range 3 {
		follow(t, job, attempt, "step ")
		pid, err := os.ReadFile(filepath.Join(jobs, job.ID(), fmt.Sprintf("%d.0.pid", attempt)))
		require.NoError(t, err)
		n, err := strconv.Atoi(strings.TrimSpace(string(pid)))
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(n, syscall.SIGKILL))
		// Whatever is there is whole.
		k, err := checkpoint.New(func(string) string { return "" }, &checkpoint.Options{URI: dir})
		require.NoError(t, err)
		_, err = k.Latest(t.Context())
		require.NoError(t, err)
		require.Empty(t, k.Skipped())
	}
	require.Equal(t, want, follow(t, job, 3, "result "))
	res, err := job.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 4, res.Attempts)
	names, err := filepath.Glob(filepath.Join(dir, "step-*.manifest"))
	require.NoError(t, err)
	require.LessOrEqual(t, len(names), 4, "the newest three are kept, and what was resumed from")
	events := 0
	for e, err := range job.Events(t.Context(), nil) {
		require.NoError(t, err)
		if e.Reason == "Requeued" {
			events++
		}
	}
	require.Equal(t, 3, events)
}

// Several ranks: rank 0 alone writes and says when to stop, and all of them
// resume from the same checkpoint.
func TestRanksStopTogether(t *testing.T) {
	t.Parallel()
	s := training(t, filepath.Join(t.TempDir(), "ck"), 10_000, 5, 0.005)
	s.Procs = 3
	l, _ := open(t)
	job := submit(t, l, s)
	follow(t, job, 0, "step 20")
	require.NoError(t, job.Suspend(t.Context()))
	p, err := job.Progress(t.Context())
	require.NoError(t, err)
	require.NotNil(t, p.Checkpoint)
	require.NoError(t, job.Resume(t.Context(), nil))
	seen := map[int]string{}
	for line, err := range job.Logs(t.Context(), &train.LogOptions{Follow: true}) {
		require.NoError(t, err)
		if step, ok := strings.CutPrefix(line.Text, "from step "); ok && line.Attempt == 1 {
			if seen[line.Rank] = step; len(seen) == 3 {
				break
			}
		}
	}
	for rank, step := range seen {
		require.Equal(t, strconv.FormatInt(p.Checkpoint.Step, 10), step, "rank %d", rank)
	}
}

// Metrics reach a tracking server by MLflow's REST API.
func TestPythonTracks(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	last := map[string]float64{}
	var last404 int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Run     string `json:"run_id"`
			Metrics []struct {
				Key   string  `json:"key"`
				Value float64 `json:"value"`
				Step  int64   `json:"step"`
			} `json:"metrics"`
		}
		err := json.NewDecoder(r.Body).Decode(&body)
		mu.Lock()
		defer mu.Unlock()
		if err != nil || r.URL.Path != "/api/2.0/mlflow/runs/log-batch" || body.Run != "r1" || r.Header.Get("Authorization") != "Bearer secret" {
			last404++
			w.WriteHeader(http.StatusNotFound)
			return
		}
		for _, m := range body.Metrics {
			last[m.Key] = float64(m.Step)
		}
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(server.Close)
	s := training(t, "", 30, 10, 0)
	s.Checkpoint = train.Checkpoint{}
	s.Run = "r1"
	s.Env = map[string]string{"MLFLOW_TRACKING_URI": server.URL, "MLFLOW_TRACKING_TOKEN": "secret"}
	l, _ := open(t)
	_, err := submit(t, l, s).Wait(t.Context())
	require.NoError(t, err)
	mu.Lock()
	defer mu.Unlock()
	require.Zero(t, last404)
	require.Equal(t, map[string]float64{"weight": 30}, last)
}
