//go:build unix

package local_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/train"
	"github.com/millwright-ml/millwright/train/local"
)

func TestSuccess(t *testing.T) {
	t.Parallel()
	s := spec("exit", "0")
	s.Output = "out.bin"
	job := submit(t, open(t, t.TempDir()), s)
	require.Equal(t, s, job.Spec())
	res, err := job.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 0, res.ExitCode)
	require.Equal(t, "out.bin", res.Output)
	require.False(t, res.Finished.Before(res.Started))
	require.WithinDuration(t, time.Now(), res.Finished, time.Minute)
	st, err := job.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, train.Succeeded, st.Phase)
	require.Empty(t, st.Reason)
	require.Equal(t, res.Finished, st.Finished)
	require.NoError(t, job.Cancel(t.Context()), "cancelling an ended job changes nothing")
	_, err = job.Wait(t.Context())
	require.NoError(t, err)
}

func TestUserError(t *testing.T) {
	t.Parallel()
	job := submit(t, open(t, t.TempDir()), spec("exit", "1"))
	res, err := job.Wait(t.Context())
	var user *train.UserError
	require.ErrorAs(t, err, &user)
	require.Equal(t, 1, user.ExitCode)
	require.Equal(t, []string{"err 1", "err 2"}, user.LastLines)
	require.Equal(t, 1, res.ExitCode)
	st, err := job.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, train.Failed, st.Phase)
	require.Contains(t, st.Reason, "exited with status 1")
}

func TestHighExitStatusIsNoSignal(t *testing.T) {
	t.Parallel()
	job := submit(t, open(t, t.TempDir()), spec("exit", "255"))
	_, err := job.Wait(t.Context())
	var user *train.UserError
	require.ErrorAs(t, err, &user)
	require.Equal(t, 255, user.ExitCode)
}

func TestKilledFromOutside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	job := submit(t, open(t, dir), once(spec("block")))
	pid := pidOf(t, readUntil(t, job, "ready "))
	stored, err := os.ReadFile(filepath.Join(dir, job.ID(), "0.0.pid"))
	require.NoError(t, err)
	require.Equal(t, pid, pidOf(t, strings.TrimSpace(string(stored))))
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	_, err = job.Wait(t.Context())
	var killed *train.KilledError
	require.ErrorAs(t, err, &killed)
	require.Equal(t, "SIGKILL", killed.Signal)
	require.ErrorContains(t, err, "out of memory or an operator")
}

// A supervisor that is killed takes its job with it, whoever notices.
func TestSupervisorKilled(t *testing.T) {
	t.Parallel()
	for name, elsewhere := range map[string]bool{"by the parent": false, "by another launcher": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			l := open(t, dir)
			var job train.Job
			if elsewhere {
				if _, err := os.Stat("/proc/self/stat"); err != nil {
					t.Skip("orphans are found through /proc")
				}
				cmd, id := launchElsewhere(t, dir, "", "block")
				require.NoError(t, cmd.Process.Kill())
				_ = cmd.Wait()
				var err error
				job, err = l.Attach(t.Context(), id)
				require.NoError(t, err)
			} else {
				job = submit(t, l, once(spec("block")))
			}
			pid := pidOf(t, readUntil(t, job, "ready "))
			claim, err := os.ReadFile(filepath.Join(dir, job.ID(), "0.claim"))
			require.NoError(t, err)
			supervisor, _, _ := strings.Cut(string(claim), " ")
			require.NoError(t, syscall.Kill(pidOf(t, supervisor), syscall.SIGKILL))
			res, err := job.Wait(t.Context())
			var killed *train.KilledError
			require.ErrorAs(t, err, &killed)
			require.Equal(t, -1, res.ExitCode)
			if !elsewhere {
				require.Equal(t, "SIGKILL", killed.Signal, "its parent knows")
			}
			requireGone(t, pid)
		})
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	job := submit(t, open(t, t.TempDir()), spec("polite"))
	readUntil(t, job, "ready")
	require.NoError(t, job.Cancel(t.Context()))
	_, err := job.Wait(t.Context())
	require.ErrorIs(t, err, train.ErrCancelled)
	st, err := job.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, train.Cancelled, st.Phase)
	require.Equal(t, []string{"stdout: ready", "stdout: checkpoint written"}, readLogs(t, job, false))
}

// The whole group goes, also when all of it ignores SIGTERM.
func TestCancelStubborn(t *testing.T) {
	t.Parallel()
	s := spec("stubborn")
	s.Grace = 200 * time.Millisecond
	job := submit(t, open(t, t.TempDir()), s)
	parent := pidOf(t, readUntil(t, job, "parent "))
	child := pidOf(t, readUntil(t, job, "ready "))
	begin := time.Now()
	require.NoError(t, job.Cancel(t.Context()))
	require.GreaterOrEqual(t, time.Since(begin), 150*time.Millisecond)
	requireGone(t, parent)
	requireGone(t, child)
	_, err := job.Wait(t.Context())
	require.ErrorIs(t, err, train.ErrCancelled)
}

// Cancel whose context ends leaves the grace period running for the next one.
func TestCancelTakenUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := spec("stubborn")
	s.Grace = 300 * time.Millisecond
	job := submit(t, open(t, dir), s)
	readUntil(t, job, "parent ")
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	require.ErrorIs(t, job.Cancel(ctx), context.DeadlineExceeded)
	other, err := open(t, dir).Attach(t.Context(), job.ID())
	require.NoError(t, err)
	require.NoError(t, other.Cancel(t.Context()))
	_, err = other.Wait(t.Context())
	require.ErrorIs(t, err, train.ErrCancelled)
}

func TestCancelWithoutGrace(t *testing.T) {
	t.Parallel()
	s := spec("stubborn")
	s.Grace = -1
	job := submit(t, open(t, t.TempDir()), s)
	readUntil(t, job, "parent ")
	require.NoError(t, job.Cancel(t.Context()))
}

func TestLeftoversEndWithTheJob(t *testing.T) {
	t.Parallel()
	job := submit(t, open(t, t.TempDir()), spec("leaver"))
	_, err := job.Wait(t.Context())
	require.NoError(t, err)
	requireGone(t, pidOf(t, readUntil(t, job, "child ")))
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"polite", "stubborn"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			s := spec(role)
			s.Deadline = time.Second
			s.Grace = time.Second
			job := submit(t, open(t, t.TempDir()), s)
			_, err := job.Wait(t.Context())
			var deadline *train.DeadlineError
			require.ErrorAs(t, err, &deadline)
			require.Equal(t, time.Second, deadline.Deadline)
			st, err := job.Status(t.Context())
			require.NoError(t, err)
			require.Equal(t, train.Failed, st.Phase)
		})
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	job := submit(t, open(t, t.TempDir()), spec("block"))
	readUntil(t, job, "ready ")
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	res, err := job.Wait(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Nil(t, res)
	st, err := job.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, train.Running, st.Phase, "the job runs on")
	require.ErrorIs(t, job.Delete(t.Context()), train.ErrConflict)
}

func TestSubmitRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, filepath.Join(dir, "jobs"))
	plain := filepath.Join(dir, "plain.txt")
	require.NoError(t, os.WriteFile(plain, nil, 0o600))
	for want, change := range map[string]func(*train.Spec){
		"name is empty":                         func(s *train.Spec) { s.Name = "" },
		`command "no-such-tool" is not in PATH`: func(s *train.Spec) { s.Command = []string{"no-such-tool"} },
		"no such file":                          func(s *train.Spec) { s.Command = []string{"./no-such-tool"} },
		"permission denied":                     func(s *train.Spec) { s.Command = []string{plain} },
		"no such file or directory":             func(s *train.Spec) { s.Dir = filepath.Join(dir, "nowhere") },
		"is not a directory":                    func(s *train.Spec) { s.Dir = plain },
		`"sh" is not in PATH (.:)`:              func(s *train.Spec) { s.Command = []string{"sh"}; s.Env["PATH"] = ".:" },
	} {
		s := spec("exit", "0")
		change(&s)
		_, err := l.Submit(t.Context(), s, nil)
		require.ErrorIs(t, err, train.ErrInvalid, want)
		require.ErrorContains(t, err, want)
	}
	s := spec("exit", "0")
	s.Command = []string{"no-such-tool"}
	_, err := l.Submit(t.Context(), s, nil)
	require.ErrorIs(t, err, exec.ErrNotFound)
	entries, err := os.ReadDir(filepath.Join(dir, "jobs"))
	require.NoError(t, err)
	require.Empty(t, entries, "a refused job leaves nothing")
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := train.Spec{
		Name:    "env",
		Command: []string{"sh", "-c", `pwd; echo "$GREETING"; echo "$MILLWRIGHT_JOB_ID"; cat "$MILLWRIGHT_JOB_SPEC"; cat`},
		Dir:     dir,
		Env:     map[string]string{"GREETING": "it's \"here\" $HOME\n-n"},
		Inputs:  []train.Input{{Name: "tx", Version: "4"}},
	}
	job := submit(t, open(t, t.TempDir()), s)
	_, err := job.Wait(t.Context())
	require.NoError(t, err)
	lines := readLogs(t, job, false)
	real, err := filepath.EvalSymlinks(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"stdout: " + real, `stdout: it's "here" $HOME`, "stdout: -n", "stdout: " + job.ID()}, lines[:4])
	got, err := train.ReadSpec(strings.NewReader(strings.ReplaceAll(strings.Join(lines[4:], "\n"), "stdout: ", "")))
	require.NoError(t, err)
	require.Equal(t, s, got)
}

// The supervisor must not need anything from the job's own PATH.
func TestEmptyPath(t *testing.T) {
	t.Parallel()
	s := spec("exit", "0")
	s.Env["PATH"] = ""
	s.Deadline = time.Minute
	_, err := submit(t, open(t, t.TempDir()), s).Wait(t.Context())
	require.NoError(t, err)
}

func TestDelete(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	opts := &train.SubmitOptions{Key: "k"}
	job, err := l.Submit(t.Context(), spec("exit", "0"), opts)
	require.NoError(t, err)
	_, err = job.Wait(t.Context())
	require.NoError(t, err)
	require.NoError(t, job.Delete(t.Context()))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
	_, err = job.Status(t.Context())
	require.ErrorIs(t, err, train.ErrNotFound)
	require.ErrorIs(t, job.Delete(t.Context()), train.ErrNotFound)
	_, err = l.Attach(t.Context(), job.ID())
	require.ErrorIs(t, err, train.ErrNotFound)
	again, err := l.Submit(t.Context(), spec("exit", "1"), opts) // the key is free again
	require.NoError(t, err)
	_, err = again.Wait(t.Context())
	require.Error(t, err)
}

func TestList(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	var want []string
	for range 3 {
		want = append(want, submit(t, l, spec("exit", "0")).ID())
	}
	damaged := filepath.Join(dir, "job-00000000000000000000")
	require.NoError(t, os.Mkdir(damaged, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(damaged, "job.json"), []byte(`{"format":3}`), 0o600))
	var got []string
	var faults []error
	for job, err := range open(t, dir).List(t.Context(), nil) {
		if err != nil {
			faults = append(faults, err)
			continue
		}
		got = append(got, job.ID())
	}
	require.Equal(t, want, got)
	require.Len(t, faults, 1)
	require.ErrorContains(t, faults[0], "has format 3, this version knows 2")
}

func TestAttachRefusesOtherNames(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	for _, id := range []string{"", ".", "..", "../x", "job-0123456789abcdef0123", "job-../../../../../etc"} {
		_, err := l.Attach(t.Context(), id)
		require.ErrorIs(t, err, train.ErrNotFound, id)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "plain")
	require.NoError(t, os.WriteFile(plain, nil, 0o600))
	_, err := local.Open(plain, nil)
	require.ErrorContains(t, err, "not a directory")
}

func TestOpenSweepsOldLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, young := filepath.Join(dir, ".tmp-1"), filepath.Join(dir, ".tmp-2")
	require.NoError(t, os.Mkdir(old, 0o700))
	require.NoError(t, os.Mkdir(young, 0o700))
	past := time.Now().Add(-2 * time.Hour)
	require.NoError(t, os.Chtimes(old, past, past))
	open(t, dir)
	require.NoDirExists(t, old)
	require.DirExists(t, young, "may be another process's Submit")
}
