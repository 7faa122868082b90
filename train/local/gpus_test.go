//go:build unix

package local_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/train"
	"github.com/millwright-ml/millwright/train/local"
)

// machine is a launcher on a machine whose nvidia-smi prints the lines: what is
// tested is the allotment. TestGPU runs on real ones.
func machine(t *testing.T, jobs string, lines ...string) *local.Launcher {
	t.Helper()
	smi := filepath.Join(t.TempDir(), "nvidia-smi")
	script := "#!/bin/sh\ncase $1 in\n-L) cat <<'EOF'\n" + listing + "EOF\n;;\n*) cat <<'EOF'\n" + strings.Join(lines, "\n") + "\nEOF\n;;\nesac\n"
	require.NoError(t, os.WriteFile(smi, []byte(script), 0o700))
	l, err := local.Open(jobs, &local.Options{Poll: 20 * time.Millisecond, NvidiaSMI: smi, Prices: train.Prices{GPUHour: map[string]float64{"H100": 3600}}})
	require.NoError(t, err)
	return l
}

const (
	h100    = "GPU-0000000%d-aaaa, NVIDIA H100 80GB HBM3, 81559, Disabled"
	a100    = "GPU-1000000%d-bbbb, NVIDIA A100-SXM4-40GB, 40960, Disabled"
	split   = "GPU-20000000-cccc, NVIDIA A100-SXM4-80GB, 81920, Enabled"
	listing = `GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-20000000-cccc)
  MIG 1g.10gb     Device  0: (UUID: MIG-30000000-dddd)
  MIG 3g.40gb     Device  1: (UUID: MIG-30000001-dddd)
`
)

func gpuJob(n int, types ...string) train.Spec {
	s := shell(`echo "has $CUDA_VISIBLE_DEVICES"; while ! [ -e "$GO" ]; do sleep 0.02; done`)
	s.GPU = train.GPU{Count: n, Types: types}
	return s
}

// with lets a job go on once the file is there.
func with(s train.Spec, file string) train.Spec {
	s.Env = map[string]string{"GO": file}
	return s
}

func TestGPUsAreAllotted(t *testing.T) {
	t.Parallel()
	dir, goOn := t.TempDir(), filepath.Join(t.TempDir(), "go")
	l := machine(t, dir, fmt.Sprintf(h100, 0), fmt.Sprintf(h100, 1), fmt.Sprintf(a100, 0))
	first := submit(t, l, with(gpuJob(2, "H100"), goOn))
	require.Equal(t, "GPU-00000000-aaaa,GPU-00000001-aaaa", readUntil(t, first, "has "))
	other := submit(t, l, with(gpuJob(1, "H200", "A100"), goOn))
	require.Equal(t, "GPU-10000000-bbbb", readUntil(t, other, "has "), "another type is free")

	second := submit(t, l, with(gpuJob(1, "H100"), goOn))
	st, err := second.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, train.Queued, st.Phase)
	require.Eventually(t, func() bool { // until its supervisor has looked
		why, err := second.Why(t.Context())
		return err == nil && strings.Contains(why.Text, "2 of 2 that fit are taken") && strings.Contains(why.Text, first.ID())
	}, 5*time.Minute, 10*time.Millisecond)
	p, err := l.Plan(t.Context(), gpuJob(1), nil)
	require.NoError(t, err)
	require.Equal(t, []train.Headroom{{Quota: "this machine", Resource: "gpu", Limit: 3, Used: 3, Need: 1}}, p.Headroom)
	require.False(t, p.Headroom[0].Fits())

	require.NoError(t, first.Cancel(t.Context()))
	require.Contains(t, []string{"GPU-00000000-aaaa", "GPU-00000001-aaaa"}, readUntil(t, second, "has "), "whichever was free first")
	require.NoError(t, os.WriteFile(goOn, nil, 0o600))
	_, err = second.Wait(t.Context())
	require.NoError(t, err)
	st, err = second.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, "NVIDIA H100 80GB HBM3", st.Where[0].GPU)
	u, err := second.Usage(t.Context())
	require.NoError(t, err)
	for _, it := range u.Items {
		require.Equal(t, "NVIDIA H100 80GB HBM3", it.GPU)
		if it.Outcome == train.Useful {
			require.InDelta(t, it.GPUs, it.Cost, 1e-9)
		}
	}
	require.Len(t, u.Items, 2, "waited, and used")
}

// The GPUs stay with a job over its attempts, and with its nodes.
func TestGPUsStay(t *testing.T) {
	t.Parallel()
	l := machine(t, t.TempDir(), fmt.Sprintf(h100, 0), fmt.Sprintf(h100, 1))
	s := shell(`echo "$GROUP_RANK has $CUDA_VISIBLE_DEVICES"; exit $((1 - MILLWRIGHT_ATTEMPT))`)
	s.GPU.Count, s.Nodes, s.Retry.User = 1, 2, 1
	job := submit(t, l, s)
	_, err := job.Wait(t.Context())
	require.NoError(t, err)
	got := map[string]bool{}
	for line, err := range job.Logs(t.Context(), nil) {
		require.NoError(t, err)
		got[fmt.Sprint(line.Attempt, " ", line.Text)] = true
	}
	require.True(t, got["1 0 has GPU-00000000-aaaa"] && got["1 1 has GPU-00000001-aaaa"], "%v", got)
}

// A job that waits in line can be cancelled and suspended, and lets go of its
// place.
func TestCancelInLine(t *testing.T) {
	t.Parallel()
	goOn := filepath.Join(t.TempDir(), "go")
	l := machine(t, t.TempDir(), fmt.Sprintf(h100, 0))
	first := submit(t, l, with(gpuJob(1), goOn))
	readUntil(t, first, "has ")
	second, third := submit(t, l, with(gpuJob(1), goOn)), submit(t, l, with(gpuJob(1), goOn))
	require.NoError(t, second.Cancel(t.Context()))
	_, err := second.Wait(t.Context())
	require.ErrorIs(t, err, train.ErrCancelled)
	require.NoError(t, third.Suspend(t.Context()))
	require.NoError(t, os.WriteFile(goOn, nil, 0o600))
	_, err = first.Wait(t.Context())
	require.NoError(t, err)
	require.NoError(t, third.Resume(t.Context(), nil))
	res, err := third.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, res.Attempts)
}

func TestGPUsThatDoNotFit(t *testing.T) {
	t.Parallel()
	l := machine(t, t.TempDir(), fmt.Sprintf(h100, 0), fmt.Sprintf(a100, 0), split, "no line", "GPU-; rm -rf /, evil, 1, Disabled")
	for want, g := range map[string]train.GPU{
		"2 of one type that fits are wanted, this machine has 1 NVIDIA H100 80GB HBM3, 1 NVIDIA A100-SXM4-40GB": {Count: 2},
		"1 of one type that fits are wanted": {Count: 1, Types: []string{"A10"}},
		"this machine has 1 NVIDIA":          {Count: 1, MinMemory: 90 << 30},
		"1 NVIDIA A100-SXM4-80GB 1g.10gb":    {Count: 1, MIG: "7g.80gb"},
	} {
		s := shell("true")
		s.GPU = g
		_, err := l.Submit(t.Context(), s, nil)
		require.ErrorIs(t, err, train.ErrInvalid, want)
		require.ErrorContains(t, err, want)
	}
	s := shell(`echo $CUDA_VISIBLE_DEVICES`)
	s.GPU = train.GPU{Count: 1, MIG: "3g.40gb", MinMemory: 40 << 30}
	job := submit(t, l, s)
	require.Equal(t, "MIG-30000001-dddd", readUntil(t, job, ""))
	broken, err := local.Open(t.TempDir(), &local.Options{NvidiaSMI: "/bin/false"})
	require.NoError(t, err)
	s.GPU = train.GPU{Count: 1}
	_, err = broken.Submit(t.Context(), s, nil)
	require.ErrorIs(t, err, train.ErrUnavailable)
	require.ErrorContains(t, err, "is the driver loaded?")
}

// A job at its memory limit is told apart from other kills.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	s := spec("glutton")
	s.Resources.Memory = 64 << 20
	p, err := l.Plan(t.Context(), s, nil)
	require.NoError(t, err)
	if len(p.Warnings) > 0 {
		t.Skip("no control groups here: ", p.Warnings)
	}
	job := submit(t, l, s)
	res, err := job.Wait(t.Context())
	require.ErrorIs(t, err, train.ErrOOMKilled)
	var killed *train.KilledError
	require.ErrorAs(t, err, &killed)
	require.Equal(t, "SIGKILL", killed.Signal)
	require.Equal(t, 1, res.Attempts, "the same job would run out of memory again")
	why, err := job.Why(t.Context())
	require.NoError(t, err)
	require.Equal(t, train.CauseOOM, why.Findings[0].Kind)
	require.Contains(t, why.Text, "ask for more in Resources.Memory")
	left, err := filepath.Glob("/sys/fs/cgroup/*/*/*/millwright-" + job.ID())
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestArchive(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	dir := t.TempDir()
	l, err := local.Open(dir, &local.Options{Keep: train.NewArchive(store, nil)})
	require.NoError(t, err)
	s := shell(`echo "attempt $MILLWRIGHT_ATTEMPT"; printf 'b\377d\n'; echo bad >&2; echo '##millwright {"step":7,"total":9}'; exit 4`)
	s.Retry.User, s.Team = 1, "red"
	job := submit(t, l, s)
	_, want := job.Wait(t.Context())
	lines := map[string]string{}
	var first string
	for line, err := range job.Logs(t.Context(), nil) {
		require.NoError(t, err)
		lines[line.Source()] += line.Text
		if first == "" {
			first = line.Cursor
		}
	}
	usage, err := job.Usage(t.Context())
	require.NoError(t, err)
	require.NoError(t, job.Delete(t.Context()))
	require.NoDirExists(t, filepath.Join(dir, job.ID()))

	kept, err := l.Attach(t.Context(), job.ID())
	require.NoError(t, err)
	require.Equal(t, s, kept.Spec())
	res, err := kept.Wait(t.Context())
	require.Equal(t, want, err)
	require.Equal(t, 2, res.Attempts)
	st, err := kept.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, train.Failed, st.Phase)
	got, n := map[string]string{}, 0
	for line, err := range kept.Logs(t.Context(), &train.LogOptions{Follow: true}) {
		require.NoError(t, err)
		got[line.Source()] += line.Text
		n++
	}
	require.Equal(t, lines, got, "with the bytes that are no text")
	rest := 0
	for _, err := range kept.Logs(t.Context(), &train.LogOptions{After: first}) {
		require.NoError(t, err)
		rest++
	}
	require.Equal(t, n-1, rest, "a cursor of the living job is good for the kept one")
	p, err := kept.Progress(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(7), p.Step)
	again, err := kept.Usage(t.Context())
	require.NoError(t, err)
	require.Equal(t, len(usage.Items), len(again.Items))
	require.NoError(t, kept.Cancel(t.Context()))
	require.ErrorIs(t, kept.Suspend(t.Context()), train.ErrConflict)
	require.ErrorIs(t, kept.Resume(t.Context(), nil), train.ErrConflict)
	archive := train.NewArchive(store, nil)
	count := 0
	for job, err := range archive.List(t.Context(), &train.ListOptions{Team: "red"}) {
		require.NoError(t, err)
		require.Equal(t, kept.ID(), job.ID())
		count++
	}
	require.Equal(t, 1, count)
	require.NoError(t, kept.Delete(t.Context()))
	require.ErrorIs(t, kept.Delete(t.Context()), train.ErrNotFound)
	_, err = l.Attach(t.Context(), job.ID())
	require.ErrorIs(t, err, train.ErrNotFound)

	running := submit(t, l, spec("block"))
	require.ErrorIs(t, archive.Keep(context.Background(), running), train.ErrConflict)
}
