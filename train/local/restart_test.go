//go:build unix

package local_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/train"
)

// The promise of the package: kill -9 of the launcher loses nothing.
func TestLauncherKilled(t *testing.T) {
	t.Parallel()
	dir, gate := t.TempDir(), mkfifo(t)
	const n = 20_000
	cmd, id := launchElsewhere(t, dir, "key", "gated", gate, fmt.Sprint(n))
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()

	job, err := open(t, dir).Attach(t.Context(), id)
	require.NoError(t, err)
	readUntil(t, job, "line 0")
	st, err := job.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, train.Running, st.Phase)
	var wg sync.WaitGroup
	var lines []string
	wg.Go(func() {
		for line, err := range job.Logs(t.Context(), &train.LogOptions{Follow: true}) {
			if err != nil {
				lines = append(lines, err.Error())
				return
			}
			lines = append(lines, line.Text)
		}
	})
	openGate(t, gate)
	_, err = job.Wait(t.Context())
	var user *train.UserError
	require.ErrorAs(t, err, &user)
	require.Equal(t, 7, user.ExitCode)
	wg.Wait()
	require.Len(t, lines, n)
	for i, line := range lines {
		require.Equal(t, fmt.Sprint("line ", i), line)
	}
	// The same key finds the same job, also now that it has ended.
	again, err := open(t, dir).Submit(t.Context(), once(spec("gated", gate, fmt.Sprint(n))), &train.SubmitOptions{Key: "key"})
	require.NoError(t, err)
	require.Equal(t, id, again.ID())
}

func TestCancelFromAnotherProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, id := launchElsewhere(t, dir, "", "block")
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	job, err := open(t, dir).Attach(t.Context(), id)
	require.NoError(t, err)
	pid := pidOf(t, readUntil(t, job, "ready "))
	require.NoError(t, job.Cancel(t.Context()))
	requireGone(t, pid)
}

func TestSubmitIsIdempotent(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	opts := &train.SubmitOptions{Key: "nightly 2026-01-31"}
	first, err := l.Submit(t.Context(), spec("exit", "0"), opts)
	require.NoError(t, err)
	second, err := l.Submit(t.Context(), spec("exit", "0"), opts)
	require.NoError(t, err)
	require.Equal(t, first.ID(), second.ID())
	_, err = l.Submit(t.Context(), spec("exit", "1"), opts)
	require.ErrorIs(t, err, train.ErrConflict)
	var conflict *train.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, first.ID(), conflict.Job)
	require.Equal(t, spec("exit", "0").Hash(), conflict.Have)
	_, err = first.Wait(t.Context())
	require.NoError(t, err)
	require.Len(t, readLogs(t, second, true), 4, "it ran once")
}

// Two processes and many goroutines submit with one key: one job, run once.
func TestRacingSubmits(t *testing.T) {
	t.Parallel()
	for round := range 5 {
		dir := t.TempDir()
		l := open(t, dir)
		ids := make([]string, 8)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				if i%2 == 0 {
					out, err := self("submit", dir, "key", "exit", "0").Output()
					if err != nil {
						ids[i] = err.Error()
						return
					}
					ids[i] = strings.TrimSpace(string(out))
					return
				}
				job, err := l.Submit(t.Context(), once(spec("exit", "0")), &train.SubmitOptions{Key: "key"})
				if err != nil {
					ids[i] = err.Error()
					return
				}
				ids[i] = job.ID()
			})
		}
		wg.Wait()
		for _, id := range ids {
			require.Equal(t, ids[0], id, "round %d", round)
		}
		job, err := l.Attach(t.Context(), ids[0])
		require.NoError(t, err)
		_, err = job.Wait(t.Context())
		require.NoError(t, err)
		require.Len(t, readLogs(t, job, true), 4, "it ran once")
	}
}

// stranded makes the folder of a job whose submitter died before the supervisor
// took it: what Submit leaves, less the supervisor's part.
func stranded(t *testing.T, dir string, s train.Spec, age time.Duration) string {
	t.Helper()
	job, err := open(t, dir).Submit(t.Context(), s, &train.SubmitOptions{Key: "key"})
	require.NoError(t, err)
	_, _ = job.Wait(t.Context())
	folder := filepath.Join(dir, job.ID())
	for _, name := range []string{"0.claim", "0.began", "0.0.pid", "0.exit", "0.settled", "0.0.out", "0.0.err"} {
		require.NoError(t, os.Remove(filepath.Join(folder, name)))
	}
	var rec map[string]any
	data, err := os.ReadFile(filepath.Join(folder, "job.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &rec))
	rec["submitted"] = time.Now().Add(-age)
	data, err = json.Marshal(rec)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "job.json"), data, 0o600))
	return job.ID()
}

func TestStrandedJobBegins(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*testing.T, string, string){
		"by Submit": func(t *testing.T, dir, _ string) {
			_, err := open(t, dir).Submit(t.Context(), spec("exit", "3"), &train.SubmitOptions{Key: "key"})
			require.NoError(t, err)
		},
		"by Wait": func(*testing.T, string, string) {},
		"by Logs": func(t *testing.T, dir, id string) {
			job, err := open(t, dir).Attach(t.Context(), id)
			require.NoError(t, err)
			require.Len(t, readLogs(t, job, true), 4)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			id := stranded(t, dir, spec("exit", "3"), time.Minute)
			job, err := open(t, dir).Attach(t.Context(), id)
			require.NoError(t, err)
			st, err := job.Status(t.Context())
			require.NoError(t, err)
			require.Equal(t, train.Starting, st.Phase)
			require.Contains(t, st.Reason, "submitter died")
			begin(t, dir, id)
			_, err = job.Wait(t.Context())
			var user *train.UserError
			require.ErrorAs(t, err, &user)
			require.Equal(t, 3, user.ExitCode)
		})
	}
}

func TestStrandedJobCancelled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id := stranded(t, dir, spec("exit", "0"), 0)
	job, err := open(t, dir).Attach(t.Context(), id)
	require.NoError(t, err)
	require.NoError(t, job.Cancel(t.Context()))
	res, err := job.Wait(t.Context())
	require.ErrorIs(t, err, train.ErrCancelled)
	require.Zero(t, res.Started, "it never ran")
	require.Empty(t, readLogs(t, job, true))
}

// A pid that another process has now is not the job's, and is not signalled.
func TestReusedPid(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("start times are read from /proc")
	}
	dir := t.TempDir()
	id := stranded(t, dir, once(spec("exit", "0")), time.Minute)
	bystander := self("block")
	require.NoError(t, bystander.Start())
	t.Cleanup(func() { _ = bystander.Process.Kill(); _ = bystander.Wait() })
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	require.NoError(t, err)
	claim := fmt.Sprintf("%d %s\n%d (sh) S%s\n.\n", bystander.Process.Pid, strings.TrimSpace(string(boot)), bystander.Process.Pid, strings.Repeat(" 1", 40))
	require.NoError(t, os.WriteFile(filepath.Join(dir, id, "0.claim"), []byte(claim), 0o600))
	job, err := open(t, dir).Attach(t.Context(), id)
	require.NoError(t, err)
	require.NoError(t, job.Cancel(t.Context()))
	_, err = job.Wait(t.Context())
	var killed *train.KilledError
	require.ErrorAs(t, err, &killed)
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", bystander.Process.Pid))
	require.NoError(t, err)
	require.NotContains(t, string(stat), ") Z ", "the bystander lives")
}

// What can never begin does not stay in the list as starting for ever.
func TestStrandedJobThatCannotBegin(t *testing.T) {
	t.Parallel()
	dir, work := t.TempDir(), filepath.Join(t.TempDir(), "work")
	require.NoError(t, os.Mkdir(work, 0o700))
	s := spec("exit", "0")
	s.Dir = work
	id := stranded(t, dir, s, time.Minute)
	require.NoError(t, os.Remove(work))
	l := open(t, dir)
	job, err := l.Attach(t.Context(), id)
	require.NoError(t, err)
	_, err = job.Wait(t.Context())
	require.ErrorIs(t, err, train.ErrUnavailable)
	require.ErrorContains(t, err, work)
	_, err = l.Attach(t.Context(), id)
	require.ErrorIs(t, err, train.ErrNotFound)
}
