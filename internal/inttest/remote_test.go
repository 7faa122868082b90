package inttest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/remote"
)

// workerAnswers are what the models of testdata/worker_models.py predict.
type workerAnswers struct {
	Text   []string    `json:"text"`
	Total  []float64   `json:"total"`
	Flag   []bool      `json:"flag"`
	Rows   [][]float64 `json:"rows"`
	Scores [][]float64 `json:"scores"`
}

func flat(rows [][]float64) (list []float64) {
	for _, r := range rows {
		list = append(list, r...)
	}
	return list
}

// TestWorker runs models of real MLflow in our Python worker, behind our server:
// one of columns of all types, one of tensors. What they predict there is what
// they predict in Python, to the last bit.
func TestWorker(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	said, err := inttest.RunMLflowScript(t, "worker_models.py", folder)
	require.NoError(t, err, "%s", said)
	text, err := os.ReadFile(filepath.Join(folder, "answers.json"))
	require.NoError(t, err)
	var want workerAnswers
	require.NoError(t, json.Unmarshal(text, &want))
	t.Run("columns", func(t *testing.T) {
		t.Parallel()
		workerColumns(t, filepath.Join(folder, "columns"), &want)
	})
	t.Run("tensors", func(t *testing.T) {
		t.Parallel()
		workerTensors(t, filepath.Join(folder, "tensors"), &want)
	})
}

func workerColumns(t *testing.T, folder string, want *workerAnswers) {
	m, err := (&remote.WorkerRuntime{Options: remote.WorkerOptions{Python: inttest.MLflowPython(t), Startup: 10 * time.Minute}}).Load(t.Context(), os.DirFS(folder))
	require.NoError(t, err)
	server := serve.New(&serve.Options{Timeout: 5 * time.Minute})
	require.NoError(t, server.Deploy(t.Context(), serve.Deployment{Name: "words", Version: "1", Model: m}))
	defer func() { require.NoError(t, server.Shutdown(context.Background())) }()
	require.Equal(t, []oip.TensorMetadata{
		{Name: "country", Datatype: oip.BYTES, Shape: []int64{-1, 1}},
		{Name: "amount", Datatype: oip.FP64, Shape: []int64{-1, 1}},
		{Name: "count", Datatype: oip.INT64, Shape: []int64{-1, 1}},
		{Name: "flag", Datatype: oip.BOOL, Shape: []int64{-1, 1}},
		{Name: "when", Datatype: oip.BYTES, Shape: []int64{-1, 1}},
	}, m.Signature().Inputs)

	shape := []int64{3, 1}
	ask := func(amounts ...float64) (*oip.InferResponse, error) {
		resp, _, err := server.Infer(t.Context(), "words", "", &oip.InferRequest{Inputs: []oip.Tensor{
			oip.NewStrings("country", shape, []string{"de", "fr", "日本"}),
			oip.NewFP64("amount", shape, amounts),
			oip.NewINT64("count", shape, []int64{2, 3, 4}),
			oip.NewBOOL("flag", shape, []bool{true, false, true}),
			oip.NewStrings("when", shape, []string{"2026-01-02", "2026-11-22T10:00:00", "1999-12-31"}),
		}})
		return resp, err
	}
	resp, err := ask(1.5, 0, 2.25)
	require.NoError(t, err)
	require.Equal(t, want.Text, resp.Output("text").Strings())
	require.Equal(t, want.Total, resp.Output("total").FP64())
	require.Equal(t, want.Flag, resp.Output("flag").BOOL())

	// What the model raises comes back in its words, and it goes on.
	_, err = ask(1, -1, 1)
	require.ErrorContains(t, err, "RuntimeError: an amount is negative")
	_, err = ask(1, 2, 3)
	require.NoError(t, err)
}

// workerParent makes the test's own program the parent of a worker, for the test
// to kill.
const workerParent = "MILLWRIGHT_INTTEST_WORKER"

func workerTensors(t *testing.T, folder string, want *workerAnswers) {
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestWorkerParent$", "-test.v")
	cmd.Env = append(os.Environ(), workerParent+"="+folder, workerParent+"_PYTHON="+inttest.MLflowPython(t))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var pid int
	var got []float64
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for got == nil && lines.Scan() {
		if line, ok := strings.CutPrefix(lines.Text(), "worker: "); ok {
			id, list, _ := strings.Cut(line, " ")
			_, err := fmt.Sscan(id, &pid)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal([]byte(list), &got))
		}
	}
	require.Equal(t, flat(want.Scores), got)
	require.NoError(t, syscall.Kill(pid, 0), "the worker runs")
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // Without proc there is none.
		return syscall.Kill(pid, 0) != nil || bytes.Contains(stat, []byte(") Z "))
	}, 10*time.Minute, 10*time.Millisecond, "a worker outlived its parent, which was killed")
}

// TestWorkerParent is not a test: it is the program that TestWorker kills.
func TestWorkerParent(t *testing.T) {
	folder := os.Getenv(workerParent) //nolint:forbidigo // Set by TestWorker.
	if folder == "" {
		return
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(folder), "answers.json"))
	require.NoError(t, err)
	var want workerAnswers
	require.NoError(t, json.Unmarshal(text, &want))
	w, err := remote.StartWorker(t.Context(), folder, &remote.WorkerOptions{Python: os.Getenv(workerParent + "_PYTHON"), Startup: 10 * time.Minute}) //nolint:forbidigo // See above.
	require.NoError(t, err)
	require.Equal(t, []oip.TensorMetadata{{Name: "input-0", Datatype: oip.FP64, Shape: []int64{-1, 4}}}, w.Signature().Inputs)
	var resp oip.InferResponse
	x := oip.NewFP64("input-0", []int64{int64(len(want.Rows)), 4}, flat(want.Rows))
	require.NoError(t, w.Infer(t.Context(), &oip.InferRequest{Inputs: []oip.Tensor{x}}, &resp))
	scores, err := json.Marshal(resp.Output("output-0").FP64())
	require.NoError(t, err)
	fmt.Printf("worker: %d %s\n", w.PID(), scores)
	select {} // Until it is killed.
}
