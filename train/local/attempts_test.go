//go:build unix

package local_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/train"
	"github.com/millwright-ml/millwright/train/local"
)

// counting is a job that prints its attempt's number and exits with the codes
// one after the other.
func counting(codes ...int) train.Spec {
	var script strings.Builder
	script.WriteString("echo attempt $MILLWRIGHT_ATTEMPT; sleep 0.05\n")
	for i, code := range codes {
		fmt.Fprintf(&script, "[ $MILLWRIGHT_ATTEMPT -gt %d ] || exit %d\n", i, code)
	}
	return shell(script.String())
}

func TestRetry(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spec     train.Spec
		retry    train.Retry
		attempts int
		exit     int
	}{
		"user errors are not tried again":           {counting(1), train.Retry{}, 1, 1},
		"unless asked for":                          {counting(1, 1, 0), train.Retry{User: 2}, 3, 0},
		"as often as asked for":                     {counting(1, 1, 1, 0), train.Retry{User: 2}, 3, 1},
		"an exit code can mean infrastructure":      {counting(42, 42, 0), train.Retry{ExitCodes: map[int]train.Action{42: train.RetryInfra}}, 3, 0},
		"or that nothing helps":                     {counting(7, 0), train.Retry{User: 3, ExitCodes: map[int]train.Action{7: train.Fail}}, 1, 7},
		"a signal from outside is tried again":      {shell(`[ $MILLWRIGHT_ATTEMPT -gt 1 ] || kill -KILL $$`), train.Retry{}, 3, 0},
		"as often as the budget allows":             {shell(`kill -KILL $$`), train.Retry{Infra: 2}, 3, 137},
		"a crash of its own is the program's":       {shell(`kill -SEGV $$`), train.Retry{}, 1, 139},
		"the two budgets are counted by themselves": {counting(1, 143, 1, 143, 0), train.Retry{User: 2, Infra: 2}, 5, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.spec.Retry = c.retry
			job := submit(t, open(t, t.TempDir()), c.spec)
			res, err := job.Wait(t.Context())
			require.NotNil(t, res, err)
			require.Equal(t, c.exit, res.ExitCode)
			require.Equal(t, c.attempts, res.Attempts)
			require.Equal(t, c.exit == 0, err == nil)
			st, err := job.Status(t.Context())
			require.NoError(t, err)
			require.Equal(t, c.attempts-1, st.Attempt)
		})
	}
}

// Attempts follow one another also when no launcher lives.
func TestRetryWithoutALauncher(t *testing.T) {
	t.Parallel()
	dir, gate := t.TempDir(), mkfifo(t)
	cmd, id := launchElsewhere(t, dir, "", "flaky", gate)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	openGate(t, gate)
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(dir, id, "2.exit"))
		return err == nil
	}, 5*time.Minute, 5*time.Millisecond)
	job, err := open(t, dir).Attach(t.Context(), id)
	require.NoError(t, err)
	res, err := job.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, res.Attempts)
	var got []string
	for line, err := range job.Logs(t.Context(), nil) {
		require.NoError(t, err)
		got = append(got, fmt.Sprint(line.Attempt, " ", line.Text))
	}
	require.Equal(t, []string{"0 try 0", "1 try 1", "2 try 2"}, got)
}

// The supervisor and the machine may go, too: the next look starts the attempt
// that follows.
func TestRebootIsInfrastructure(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/sys/kernel/random/boot_id"); err != nil {
		t.Skip("there is no boot id")
	}
	dir := t.TempDir()
	cmd, id := launchElsewhere(t, dir, "", "flaky", mkfifo(t))
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	job, err := open(t, dir).Attach(t.Context(), id)
	require.NoError(t, err)
	readUntil(t, job, "try 0")
	path := filepath.Join(dir, job.ID(), "0.claim")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	head, rest, _ := strings.Cut(string(data), "\n")
	pid, _, _ := strings.Cut(head, " ")
	require.NoError(t, os.WriteFile(path, []byte(pid+" another-boot\n"+rest), 0o600))
	t.Cleanup(func() { _ = syscall.Kill(-pidOf(t, pid), syscall.SIGKILL) })

	other, err := open(t, dir).Attach(t.Context(), job.ID())
	require.NoError(t, err)
	st, err := other.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, train.Requeued, st.Phase)
	require.Equal(t, train.CauseNodeLost, st.Cause)
	require.Contains(t, st.Reason, "the machine restarted")
	res, err := other.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, res.Attempts)
	why, err := other.Why(t.Context())
	require.NoError(t, err)
	require.Contains(t, why.Text, "the machine restarted")
}

// stranded attempts: the supervisor of one was killed, and the launcher, too.
func TestSupervisorKilledIsTriedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	job := submit(t, open(t, dir), shell(`echo attempt $MILLWRIGHT_ATTEMPT $$; [ $MILLWRIGHT_ATTEMPT -gt 0 ] || exec sleep 60`))
	pid := pidOf(t, readUntil(t, job, "attempt 0 "))
	claim, err := os.ReadFile(filepath.Join(dir, job.ID(), "0.claim"))
	require.NoError(t, err)
	supervisor, _, _ := strings.Cut(string(claim), " ")
	require.NoError(t, syscall.Kill(pidOf(t, supervisor), syscall.SIGKILL))
	res, err := job.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, res.Attempts)
	requireGone(t, pid)
}

func TestSuspendAndResume(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := shell(`trap 'echo saved; exit 143' TERM; echo attempt $MILLWRIGHT_ATTEMPT; while :; do sleep 0.02; done`)
	job := submit(t, open(t, dir), s)
	readUntil(t, job, "attempt 0")
	require.NoError(t, job.Resume(t.Context(), nil), "resuming a job that runs changes nothing")
	require.NoError(t, job.Suspend(t.Context()))
	require.NoError(t, job.Suspend(t.Context()))
	st, err := job.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, train.Suspended, st.Phase)
	require.Equal(t, train.CauseSuspended, st.Cause)
	require.ErrorIs(t, job.Delete(t.Context()), train.ErrConflict)

	other, err := open(t, dir).Attach(t.Context(), job.ID()) // by whoever
	require.NoError(t, err)
	require.NoError(t, other.Resume(t.Context(), &train.ResumeOptions{Nodes: 2}))
	readUntil(t, other, "attempt 1")
	st, err = job.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, train.Running, st.Phase)
	require.Equal(t, 2, st.Nodes)
	require.Equal(t, 2, st.Ready)
	require.Len(t, st.Where, 2)
	require.Equal(t, 0, job.Spec().Nodes, "the spec stays what was submitted")
	require.NoError(t, job.Suspend(t.Context()))
	require.NoError(t, job.Cancel(t.Context()))
	_, err = job.Wait(t.Context())
	require.ErrorIs(t, err, train.ErrCancelled)
	require.ErrorIs(t, job.Suspend(t.Context()), train.ErrConflict)
	require.ErrorIs(t, job.Resume(t.Context(), nil), train.ErrConflict)
	var reasons []string
	for e, err := range job.Events(t.Context(), &train.EventOptions{Follow: true}) {
		require.NoError(t, err)
		reasons = append(reasons, e.Reason)
	}
	require.Subset(t, reasons, []string{"Submitted", "Started", "SuspendRequested", "Suspended", "Resumed", "CancelRequested"})
}

// A job whose next attempt nobody has begun yet can be suspended and cancelled.
func TestSuspendBeforeItBegins(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id := stranded(t, dir, shell("echo ran"), time.Minute)
	job, err := open(t, dir).Attach(t.Context(), id)
	require.NoError(t, err)
	require.NoError(t, job.Suspend(t.Context()))
	st, err := job.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, train.Suspended, st.Phase)
	require.Zero(t, st.Started)
	require.NoError(t, job.Resume(t.Context(), nil))
	res, err := job.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, res.Attempts)
	require.Equal(t, []string{"stdout: ran"}, readLogs(t, job, false))
}

func TestResumeRefuses(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	job := submit(t, l, spec("block"))
	readUntil(t, job, "ready ")
	require.NoError(t, job.Suspend(t.Context()))
	require.ErrorIs(t, job.Resume(t.Context(), &train.ResumeOptions{Nodes: -1}), train.ErrInvalid)
	require.ErrorIs(t, job.Resume(t.Context(), &train.ResumeOptions{Resources: &train.Resources{CPU: -1}}), train.ErrInvalid)
	require.ErrorIs(t, job.Resume(t.Context(), &train.ResumeOptions{GPU: &train.GPU{Count: 999}}), train.ErrInvalid)
	require.NoError(t, job.Cancel(t.Context()))
}

// The deadline counts the time of all attempts.
func TestDeadlineOverAttempts(t *testing.T) {
	t.Parallel()
	s := shell(`sleep 0.4; exit 1`)
	s.Retry.User = 100
	s.Deadline = 2 * time.Second
	s.Grace = -1
	job := submit(t, open(t, t.TempDir()), s)
	res, err := job.Wait(t.Context())
	var deadline *train.DeadlineError
	require.ErrorAs(t, err, &deadline)
	require.Less(t, res.Attempts, 20)
	require.Greater(t, res.Attempts, 1)
}

func TestTTL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	s := shell("exit 0")
	s.TTL = time.Hour
	job := submit(t, l, s)
	_, err := job.Wait(t.Context())
	require.NoError(t, err)
	_, err = l.Attach(t.Context(), job.ID())
	require.NoError(t, err)
	past := time.Now().Add(-2 * time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(dir, job.ID(), "0.exit"), past, past))
	for range l.List(t.Context(), nil) {
		t.Fatal("it is removed")
	}
	require.NoDirExists(t, filepath.Join(dir, job.ID()))
	_, err = l.Attach(t.Context(), job.ID())
	require.ErrorIs(t, err, train.ErrNotFound)
}

func TestListSelects(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir())
	a, b := shell("exit 0"), spec("block")
	a.Team, a.Labels = "red", map[string]string{"app": "x"}
	b.Team, b.Labels = "blue", map[string]string{"app": "x", "tier": "1"}
	first, second := submit(t, l, a), submit(t, l, b)
	_, err := first.Wait(t.Context())
	require.NoError(t, err)
	ids := func(o train.ListOptions) (got []string) {
		for job, err := range l.List(t.Context(), &o) {
			require.NoError(t, err)
			got = append(got, job.ID())
		}
		return got
	}
	require.Equal(t, []string{first.ID(), second.ID()}, ids(train.ListOptions{Labels: map[string]string{"app": "x"}}))
	require.Equal(t, []string{second.ID()}, ids(train.ListOptions{Labels: map[string]string{"tier": "1"}}))
	require.Equal(t, []string{first.ID()}, ids(train.ListOptions{Team: "red"}))
	require.Equal(t, []string{second.ID()}, ids(train.ListOptions{Active: true}))
}

func TestUsageOfAttempts(t *testing.T) {
	t.Parallel()
	s := counting(1, 0)
	s.Retry.User = 1
	s.Team = "red"
	s.Resources = train.Resources{CPU: 2}
	l, err := local.Open(t.TempDir(), &local.Options{Prices: train.Prices{Currency: "EUR", CPUHour: 3600}})
	require.NoError(t, err)
	job := submit(t, l, s)
	_, err = job.Wait(t.Context())
	require.NoError(t, err)
	u, err := job.Usage(t.Context())
	require.NoError(t, err)
	require.Equal(t, "red", u.Team)
	require.False(t, u.Open)
	got := map[train.Outcome]bool{}
	for _, it := range u.Items {
		got[it.Outcome] = true
		if it.Outcome != train.Waited {
			require.InDelta(t, it.CPU, it.Cost, 1e-9, "a core-second costs one")
		}
	}
	require.True(t, got[train.Useful] && got[train.Lost], "%v", u.Items)
}

// A supervisor whose folder was taken away does not stay.
func TestFolderTakenAway(t *testing.T) {
	t.Parallel()
	dir, gate := t.TempDir(), mkfifo(t)
	s := shell(`cat "$GATE"; exit 3`)
	s.Procs, s.Env = 2, map[string]string{"GATE": gate}
	job, err := open(t, dir).Submit(t.Context(), s, nil)
	require.NoError(t, err)
	for _, name := range []string{"0.0.pid", "0.1.pid"} {
		require.Eventually(t, func() bool {
			info, err := os.Stat(filepath.Join(dir, job.ID(), name))
			return err == nil && info.Size() > 0
		}, 5*time.Minute, 5*time.Millisecond)
	}
	data, err := os.ReadFile(filepath.Join(dir, job.ID(), "0.claim"))
	require.NoError(t, err)
	text, _, _ := strings.Cut(string(data), " ")
	pid := pidOf(t, text)
	// What is written meanwhile keeps a folder from going.
	require.Eventually(t, func() bool { return os.RemoveAll(filepath.Join(dir, job.ID())) == nil }, 5*time.Minute, 5*time.Millisecond)
	// Each of the two opens the gate for itself, at some time.
	require.Eventually(t, func() bool {
		if f, err := os.OpenFile(gate, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			require.NoError(t, f.Close())
		}
		return isGone(pid)
	}, 5*time.Minute, 5*time.Millisecond)
}
