package kuberig_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/kuberig"
	"github.com/millwright-ml/millwright/train"
	"github.com/millwright-ml/millwright/train/checkpoint"
)

// A training of few steps that waits for the file "go" half-way. It saves when it
// is told to stop, and says from which step it goes on.
const trainProgram = `
import os, pathlib, time
import millwright_checkpoint as mw
ck = mw.open(report_every=0)
found = ck.latest()
first = found.step + 1 if found else 1
print("attempt %d from step %d" % (ck.attempt, first), flush=True)
for step in range(first, 41):
    while step == 20 and not ck.stopping and not pathlib.Path(os.environ["GO"]).exists():
        time.sleep(0.05)
    time.sleep(0.2 if ck.attempt == 0 else 0)
    ck.report(step, 40, loss=1 / step)
    if ck.due(step, every=0) or step == 40:
        ck.save(step, lambda d: (d / "weights").write_text("w" * step))
    if ck.stopping:
        ck.exit()
`

// Kueue takes the machines of a job back for their owner. The job's real process
// gets SIGTERM, writes a checkpoint and ends; when there is room again the next
// attempt goes on from that checkpoint, and of the first only what came behind it is
// billed as lost.
func TestLauncherPreemptedByKueueResumesFromItsCheckpoint(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("REQUIRE_REAL") == "1" { //nolint:forbidigo // The test run's own setting.
			t.Fatal("python3 is not there")
		}
		t.Skip("python3 is not there")
	}
	w := openWorkshop(t, kuberig.Batch, 1)
	w.queues(t, 0, 8)
	w.c.RunProcesses(t, w.ns)
	l := w.launcher(t, kuberig.RunsProcesses(), onlyJob)
	ctx := patient(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, checkpoint.PythonName), checkpoint.Python(), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "train.py"), []byte(trainProgram), 0o600))
	goOn := filepath.Join(dir, "go")

	spec := gpuSpec(1)
	spec.GPU.Count, spec.Queue = 8, "a"
	spec.Command = []string{python, filepath.Join(dir, "train.py")}
	spec.Checkpoint.URI = filepath.Join(dir, "checkpoints")
	spec.Env = map[string]string{"GO": goOn}
	borrower := submitJob(t, l, spec, "borrower") // team a has nothing of its own
	done := make(chan error, 1)
	go func() {
		_, err := borrower.Wait(ctx)
		done <- err
	}()
	said := func(text string) {
		t.Helper()
		w.c.Eventually(t, "it says "+text, func(ctx context.Context) error {
			var all []string
			for line, err := range borrower.Logs(ctx, nil) {
				if err != nil {
					return err
				}
				if strings.Contains(line.Text, text) {
					return nil
				}
				all = append(all, line.Text)
			}
			return fmt.Errorf("it says %q", all)
		})
	}
	said("attempt 0 from step 1")
	begun := time.Now()
	w.c.Eventually(t, "it is half-way", func(ctx context.Context) error {
		p, err := borrower.Progress(ctx)
		if err == nil && p.Step < 19 {
			err = fmt.Errorf("it is at %+v", p)
		}
		return err
	})

	worked := time.Since(begun)
	spec.Queue, spec.Command, spec.Checkpoint = "b", []string{"sleep", "100000"}, train.Checkpoint{}
	owner := submitJob(t, l, spec, "owner")
	w.phaseOf(t, owner, train.Running)
	w.phaseOf(t, borrower, train.Requeued)
	require.NoError(t, os.WriteFile(goOn, nil, 0o600))
	require.NoError(t, owner.Cancel(ctx))
	w.phaseOf(t, borrower, train.Succeeded)
	require.NoError(t, <-done)

	steps := ""
	for line, err := range borrower.Logs(ctx, nil) {
		require.NoError(t, err)
		steps += line.Text + "\n"
	}
	require.Contains(t, steps, "from step 21\n", "the checkpoint of step 20 is what SIGTERM made it write")
	progress, err := borrower.Progress(ctx)
	require.NoError(t, err)
	require.Equal(t, int64(40), progress.Step)
	require.Equal(t, int64(40), progress.Checkpoint.Step)
	s, err := borrower.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, s.Attempt)
	usage, err := borrower.Usage(ctx)
	require.NoError(t, err)
	for _, item := range usage.Items {
		if item.Outcome == train.Lost {
			require.Less(t, item.GPUs, 8*worked.Seconds()/2, "all until the checkpoint was worth it: %+v", usage)
		}
	}
}
