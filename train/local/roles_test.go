//go:build unix

package local_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/train"
	"github.com/millwright-ml/millwright/train/local"
)

// The test binary is also the jobs' program and the launchers that get killed:
// roleEnv says which.
const roleEnv = "LOCAL_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	os.Exit(m.Run())
}

func play(role string, args []string) int {
	switch role {
	case "exit": // code: two lines a stream, then the end
		fmt.Fprintln(os.Stdout, "out 1\nout 2")
		fmt.Fprintln(os.Stderr, "err 1\nerr 2")
		code, _ := strconv.Atoi(args[0])
		return code
	case "block": // until a signal ends it
		fmt.Println("ready", os.Getpid())
		forever()
	case "stubborn": // ignores SIGTERM, and so does its child
		signal.Ignore(syscall.SIGTERM)
		child := self("block")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			return 9
		}
		fmt.Println("parent", os.Getpid())
		forever()
	case "leaver": // ends and leaves a child behind
		child := self("block")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			return 9
		}
		fmt.Println("child", child.Process.Pid)
		return 0
	case "polite": // ends by itself on SIGTERM
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		fmt.Println("ready")
		<-c
		fmt.Println("checkpoint written")
		return 0
	case "gated": // fifo, n: prints n lines, half of them after the fifo opens
		n, _ := strconv.Atoi(args[1])
		for i := range n {
			if i == n/2 {
				gate, err := os.Open(args[0])
				if err != nil {
					return 9
				}
				_, _ = io.Copy(io.Discard, gate)
			}
			fmt.Printf("line %d\n", i)
		}
		return 7
	case "glutton": // takes all the memory there is
		var kept [][]byte
		for range 4096 {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 512 {
				b[i] = 1
			}
			kept = append(kept, b)
		}
		fmt.Println(len(kept))
	case "flaky": // fifo: fails twice, after the fifo opened
		fmt.Println("try", os.Getenv(train.EnvAttempt))
		if os.Getenv(train.EnvAttempt) == "0" {
			gate, err := os.Open(args[0])
			if err != nil {
				return 9
			}
			_, _ = io.Copy(io.Discard, gate)
		}
		if os.Getenv(train.EnvAttempt) != "2" {
			return 143
		}
	case "launch", "submit": // dir, key, role, args...: what the killed and racing launchers do
		l, err := local.Open(args[0], nil)
		if err != nil {
			fmt.Println(err)
			return 9
		}
		job, err := l.Submit(context.Background(), elsewhere(args[2], args[3:]...), &train.SubmitOptions{Key: args[1]})
		if err != nil {
			fmt.Println(err)
			return 9
		}
		fmt.Println(job.ID())
		if role == "launch" {
			forever()
		}
	}
	return 0
}

// forever ends on its own well after any test has, in case nobody kills it.
func forever() { <-time.After(5 * time.Minute) }

func self(role string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	return cmd
}

// spec is a job that plays the role.
func spec(role string, args ...string) train.Spec {
	return train.Spec{
		Name:    role,
		Command: append([]string{os.Args[0]}, args...),
		Env:     map[string]string{roleEnv: role},
	}
}

// once is the spec of a job that is not tried again.
func once(s train.Spec) train.Spec {
	s.Retry.Infra = -1
	return s
}

// elsewhere is what other processes submit.
func elsewhere(role string, args ...string) train.Spec {
	if role == "flaky" {
		return spec(role, args...)
	}
	return once(spec(role, args...))
}

func open(t *testing.T, dir string) *local.Launcher {
	t.Helper()
	l, err := local.Open(dir, &local.Options{Poll: 20 * time.Millisecond})
	require.NoError(t, err)
	return l
}

func submit(t *testing.T, l *local.Launcher, s train.Spec) train.Job {
	t.Helper()
	job, err := l.Submit(t.Context(), s, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = job.Cancel(context.Background()) })
	return job
}

// readUntil follows the job's output to the line that begins with the prefix and
// returns the rest of that line.
func readUntil(t *testing.T, job train.Job, prefix string) string {
	t.Helper()
	for line, err := range job.Logs(t.Context(), &train.LogOptions{Follow: true}) {
		require.NoError(t, err)
		if rest, ok := strings.CutPrefix(line.Text, prefix); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("the job ended without a line %q", prefix)
	return ""
}

func readLogs(t *testing.T, job train.Job, follow bool) []string {
	t.Helper()
	var lines []string
	for line, err := range job.Logs(t.Context(), &train.LogOptions{Follow: follow}) {
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), line.Time, time.Minute)
		lines = append(lines, line.Stream+": "+line.Text)
	}
	return lines
}

func pidOf(t *testing.T, text string) int {
	t.Helper()
	pid, err := strconv.Atoi(text)
	require.NoError(t, err)
	return pid
}

// requireGone waits for the process to have ended; who reaps it is not our concern.
func requireGone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool { return isGone(pid) }, 5*time.Minute, 5*time.Millisecond, "process %d is still there", pid)
}

func isGone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	if runtime.GOOS != "linux" {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func newStore(t *testing.T) *dirblob.Store {
	t.Helper()
	store, err := dirblob.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func mkfifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gate")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	return path
}

// openGate lets a gated job go on.
func openGate(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// launchElsewhere submits from another process and returns it with the job's id.
func launchElsewhere(t *testing.T, dir, key, role string, args ...string) (*exec.Cmd, string) {
	t.Helper()
	cmd := self("launch", append([]string{dir, key, role}, args...)...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	id, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return cmd, strings.TrimSpace(id)
}
