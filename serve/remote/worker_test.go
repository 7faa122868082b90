//go:build unix

package remote_test

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/remote"
)

//go:embed testdata/fake_worker.py
var fake []byte

func workerOptions(t testing.TB) *remote.WorkerOptions {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("REQUIRE_REAL") != "" {
			t.Fatal("there is no python3")
		}
		t.Skip("there is no python3")
	}
	return &remote.WorkerOptions{Python: python, Script: fake, Restart: time.Millisecond}
}

func startWorker(t testing.TB, opts *remote.WorkerOptions) *remote.Worker {
	t.Helper()
	w, err := remote.StartWorker(t.Context(), t.TempDir(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	return w
}

func plusOne(ctx context.Context, w serve.Model, x float64) (float64, error) {
	req := &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP64("x", []int64{1}, []float64{x})}}
	var resp oip.InferResponse
	if err := w.Infer(ctx, req, &resp); err != nil {
		return 0, err
	}
	return resp.Output("y").FP64()[0], nil
}

// gone waits until there is no process of the id.
func gone(t testing.TB, pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // Without proc there is none.
		return syscall.Kill(pid, 0) != nil || bytes.Contains(stat, []byte(") Z "))
	}, 5*time.Minute, 5*time.Millisecond)
}

func TestWorker(t *testing.T) {
	t.Parallel()
	var said lines
	o := workerOptions(t)
	o.Stderr = &said
	w, err := remote.StartWorker(t.Context(), t.TempDir(), o)
	require.NoError(t, err)
	require.Equal(t, "x", w.Signature().Inputs[0].Name)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			y, err := plusOne(t.Context(), w, float64(i))
			if err != nil || y != float64(i+1) {
				t.Errorf("%v %v", y, err)
			}
		})
	}
	all.Wait()
	_, err = plusOne(t.Context(), w, 400)
	require.ErrorIs(t, err, remote.ErrInvalid)
	require.ErrorContains(t, err, "400 is no good number")
	require.Contains(t, said.String(), "loading")
	pid := w.PID()
	require.NoError(t, w.Close())
	gone(t, pid)
	require.Zero(t, w.PID())
	_, err = plusOne(t.Context(), w, 1)
	require.ErrorIs(t, err, remote.ErrUnavailable)
}

// TestWorkerEnds: a call that ends the worker fails with what it said, and the
// next ones go to a new one.
func TestWorkerEnds(t *testing.T) {
	t.Parallel()
	w := startWorker(t, workerOptions(t))
	pid := w.PID()
	_, err := plusOne(t.Context(), w, 666)
	require.ErrorContains(t, err, "exit status 3")
	require.ErrorContains(t, err, "the model met 666")
	require.NotErrorIs(t, err, remote.ErrInvalid)
	again(t, w)
	require.NotEqual(t, pid, w.PID())

	// From outside, between two calls.
	require.NoError(t, syscall.Kill(w.PID(), syscall.SIGKILL))
	gone(t, pid)
	again(t, w)
}

// again waits until the worker answers; meanwhile it says that it cannot.
func again(t testing.TB, w *remote.Worker) {
	t.Helper()
	require.Eventually(t, func() bool {
		y, err := plusOne(t.Context(), w, 1)
		return err == nil && y == 2
	}, 5*time.Minute, 5*time.Millisecond)
}

// TestWorkerHangs: a call that does not end is given up by its caller, and the
// worker killed.
func TestWorkerHangs(t *testing.T) {
	t.Parallel()
	o := workerOptions(t)
	o.Hang = 100 * time.Millisecond
	w := startWorker(t, o)
	pid := w.PID()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := plusOne(ctx, w, 600)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	gone(t, pid)
	again(t, w)
}

func TestWorkerDoesNotStart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "broken"), nil, 0o600))
	_, err := remote.StartWorker(t.Context(), folder, workerOptions(t))
	require.ErrorIs(t, err, remote.ErrUnavailable)
	require.ErrorContains(t, err, "ValueError: this model is broken")

	folder = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "slow"), nil, 0o600))
	o := workerOptions(t)
	o.Startup = 300 * time.Millisecond
	_, err = remote.StartWorker(t.Context(), folder, o)
	require.ErrorContains(t, err, "not ready after 300ms")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = remote.StartWorker(ctx, folder, workerOptions(t))
	require.ErrorIs(t, err, context.Canceled)
	_, err = remote.StartWorker(t.Context(), folder, &remote.WorkerOptions{Python: "/nowhere/python"})
	require.ErrorContains(t, err, "/nowhere/python")
	_, err = remote.StartWorker(t.Context(), folder, &remote.WorkerOptions{Startup: -1})
	require.ErrorIs(t, err, remote.ErrInvalid)
}

func TestWorkerRuntime(t *testing.T) {
	t.Parallel()
	r := &remote.WorkerRuntime{Options: *workerOptions(t)}
	m, err := r.Load(t.Context(), fstest.MapFS{"MLmodel": {Data: []byte("flavors: {}")}})
	require.NoError(t, err)
	y, err := plusOne(t.Context(), m, 3)
	require.NoError(t, err)
	require.Equal(t, 4.0, y)
	require.NoError(t, m.Close())
}

// lines is a log that several goroutines write.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
