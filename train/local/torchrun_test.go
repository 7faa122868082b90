//go:build unix

package local_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/train"
	"github.com/millwright-ml/millwright/train/local"
)

// TestGPUTorchrun trains with the real torchrun, on CUDA where nvidia-smi lists
// a GPU: two processes, suspended and resumed, with the result of a run without
// a break. Without Go on a machine with GPUs: go test -c -o local.test
// ./train/local, and there in this folder ./local.test -test.run TestGPUTorchrun
// -test.v.
func TestGPUTorchrun(t *testing.T) {
	t.Parallel()
	torchrun, err := exec.LookPath("torchrun")
	if err != nil {
		t.Skip("there is no torchrun")
	}
	gpus := 0
	if out, err := exec.Command("nvidia-smi", "-L").Output(); err == nil {
		gpus = strings.Count(string(out), "GPU ")
	}
	if gpus == 0 && os.Getenv("TORCHRUN_CPU") == "" {
		t.Skip("nvidia-smi lists no GPU (TORCHRUN_CPU=1 runs on the CPU)")
	}
	script, err := filepath.Abs("testdata/torch_train.py")
	require.NoError(t, err)
	l, err := local.Open(t.TempDir(), &local.Options{Prices: train.Prices{Currency: "EUR", GPUHour: map[string]float64{"": 3.6}}})
	require.NoError(t, err)
	spec := train.Spec{
		Name: "torch", Command: []string{torchrun, script, "400"}, Launch: train.Torchrun, Procs: 2,
		GPU: train.GPU{Count: min(gpus, 2)}, Checkpoint: train.Checkpoint{URI: t.TempDir()},
		Grace: 30 * time.Second, Deadline: 5 * time.Minute,
	}
	p, err := l.Plan(t.Context(), spec, nil)
	require.NoError(t, err)
	require.Empty(t, p.Faults)
	t.Logf("plan: GPUs %v, %+v, warnings %q", p.GPUTypes, p.Cost, p.Warnings)

	whole := spec
	whole.Checkpoint.URI = t.TempDir()
	first := submit(t, l, whole)
	want := readUntil(t, first, "result ")
	_, err = first.Wait(t.Context())
	require.NoError(t, err)
	t.Logf("whole run: %s", want)

	job := submit(t, l, spec)
	readUntil(t, job, "step 100")
	require.NoError(t, job.Suspend(t.Context()))
	progress, err := job.Progress(t.Context())
	require.NoError(t, err)
	require.NotNil(t, progress.Checkpoint, "written within the grace time")
	require.NoError(t, job.Resume(t.Context(), nil))
	require.Equal(t, want, readUntil(t, job, "result "))
	res, err := job.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, res.Attempts)
	st, err := job.Status(t.Context())
	require.NoError(t, err)
	usage, err := job.Usage(t.Context())
	require.NoError(t, err)
	t.Logf("resumed at step %d: same result; on %+v; usage %+v", progress.Checkpoint.Step, st.Where, usage.Items)
	for line, err := range job.Logs(t.Context(), nil) {
		require.NoError(t, err)
		t.Logf("%d.%d %s: %s", line.Attempt, line.Rank, line.Stream, line.Text)
	}
}
