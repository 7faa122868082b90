package inttest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/tensorboard"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

func tensorboardScript(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), inttest.MLflowPython(t), append([]string{"testdata/read_tensorboard.py"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s", stderr.String())
	return out
}

// curveRun is a run whose metrics end up in TensorBoard.
func curveRun(t *testing.T) *tracking.Run {
	t.Helper()
	client := tracking.New(&trackingtest.Memory{}, nil)
	exp, err := client.Experiment(t.Context(), "tensorboard")
	require.NoError(t, err)
	run, err := client.StartRun(t.Context(), exp.ID, &tracking.RunOptions{Name: "curves"})
	require.NoError(t, err)
	require.NoError(t, run.Params(t.Context(), map[string]string{"lr": "0.1", "optimizer": "adam"}))
	start := time.UnixMilli(1_700_000_000_123)
	batch := tracking.Batch{Metrics: []tracking.Metric{
		{Key: "special", Value: math.NaN(), Step: 1, Time: start}, {Key: "special", Value: math.Inf(-1), Step: 2, Time: start},
	}}
	for i := range 400 {
		batch.Metrics = append(batch.Metrics,
			tracking.Metric{Key: "val/loss", Value: 1 / float64(i+3), Step: int64(i), Time: start.Add(time.Duration(i) * time.Second)},
			tracking.Metric{Key: "été", Value: float64(i), Step: int64(-i), Time: start})
	}
	require.NoError(t, run.LogBatch(t.Context(), batch))
	require.NoError(t, run.Finish(t.Context(), tracking.Finished))
	return run
}

// curves is what read_tensorboard.py prints: runs, tags, points.
type curves map[string]map[string][][3]any

func (c curves) value(t *testing.T, run, tag string, i int) float64 {
	t.Helper()
	require.Greater(t, len(c[run][tag]), i, "%s %s", run, tag)
	v, err := strconv.ParseFloat(c[run][tag][i][2].(string), 64)
	require.NoError(t, err)
	return v
}

// TestTensorBoardReads has TensorBoard's own code read what Export writes.
func TestTensorBoardReads(t *testing.T) {
	t.Parallel()
	inttest.MLflowPython(t)
	run, dir := curveRun(t), t.TempDir()
	for folder, exact := range map[string]bool{"single": false, "exact": true} {
		_, err := tensorboard.Export(t.Context(), run, dir, &tensorboard.ExportOptions{Folder: folder, Exact: exact})
		require.NoError(t, err)
	}
	var found curves
	require.NoError(t, json.Unmarshal(tensorboardScript(t, "read", dir), &found))
	for i := range 400 {
		want := 1 / float64(i+3)
		require.Equal(t, want, found.value(t, "exact", "val/loss", i))
		require.Equal(t, float64(float32(want)), found.value(t, "single", "val/loss", i))
		require.Equal(t, float64(float32(want)), found.value(t, "single scalars", "val/loss", i))
		require.Equal(t, float64(i), found["single"]["val/loss"][i][0])
		require.InDelta(t, 1_700_000_000.123+float64(i), found["exact"]["val/loss"][i][1], 1e-6)
	}
	require.Equal(t, -399.0, found["exact"]["été"][0][0])
	require.True(t, math.IsNaN(found.value(t, "single", "special", 0)))
	require.True(t, math.IsInf(found.value(t, "exact", "special", 1), -1))

	serveTensorBoard(t, dir, "auto", "single")
	serveTensorBoard(t, dir, "false", "single", "exact")
}

// serveTensorBoard starts the real server and asks it what its pages ask.
func serveTensorBoard(t *testing.T, dir, loader string, runs ...string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, inttest.MLflowPython(t), "-m", "tensorboard.main", "--logdir", dir, "--host", "127.0.0.1", "--port", port, "--load_fast", loader)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	require.NoError(t, cmd.Start())
	defer func() {
		stop()
		_ = cmd.Wait()
	}()
	ask := func(path, body string) (answer []byte) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+"/data/plugin/"+path, http.NoBody)
		if body != "" {
			req, err = http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:"+port+"/data/plugin/"+path, bytes.NewReader([]byte(body)))
		}
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil // not up yet
		}
		answer, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return answer
	}
	for _, run := range runs {
		points := [][3]float64{}
		query := "scalars/scalars?" + url.Values{"run": {run}, "tag": {"val/loss"}}.Encode()
		require.Eventually(t, func() bool {
			return json.Unmarshal(ask(query, ""), &points) == nil && len(points) == 400
		}, inttest.Patience, 200*time.Millisecond, "loader %s, run %s", loader, run)
		require.Equal(t, 399.0, points[399][1])
	}
	var experiment struct {
		HparamInfos []struct{ Name string }
		MetricInfos []struct{ Name struct{ Tag string } }
	}
	require.NoError(t, json.Unmarshal(ask("hparams/experiment", `{"experimentName":""}`), &experiment))
	require.Equal(t, "[{lr} {optimizer}]", fmt.Sprint(experiment.HparamInfos))
	require.Len(t, experiment.MetricInfos, 3)
}

// TestTensorBoardFilesAreImported imports what TensorBoard's own code wrote in
// the forms of TensorFlow and PyTorch.
func TestTensorBoardFilesAreImported(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "train"), 0o750))
	tensorboardScript(t, "write", filepath.Join(dir, "train", "events.out.tfevents.1700000000.host"))
	client := tracking.New(&trackingtest.Memory{}, nil)
	exp, err := client.Experiment(t.Context(), "imported")
	require.NoError(t, err)
	run, err := client.StartRun(t.Context(), exp.ID, nil)
	require.NoError(t, err)
	report, err := tensorboard.Import(t.Context(), run, os.DirFS(dir), nil)
	require.NoError(t, err)
	require.Equal(t, tensorboard.Report{Files: 1, Points: 3000, Skipped: 1000}, report)
	for key, want := range map[string]func(i int) float64{
		"train/pytorch": func(i int) float64 { return float64(float32(1 / float64(i+1))) },
		"train/tf2":     func(i int) float64 { return float64(i) },
		"train/double":  func(i int) float64 { return float64(i) / 10 },
	} {
		points, err := run.History(t.Context(), key)
		require.NoError(t, err)
		require.Len(t, points, 1000)
		for i, p := range points {
			require.Equal(t, want(i), p.Value, "%s %d", key, i)
			require.EqualValues(t, i, p.Step)
			require.EqualValues(t, 1_700_000_000+i, p.Time.Unix())
		}
	}
}
