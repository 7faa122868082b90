//go:build unix

package local

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/millwright-ml/millwright/train"
)

func supported() error { return nil }

// supervisor is the script that outlives the launcher. It uses builtins of a
// POSIX shell only, so that no PATH that the job is given can break it.
//
//go:embed supervisor.sh
var supervisor string

// begin starts a supervisor unless one has the job, and returns once one has it.
// Several may be started by several processes: the claim lets one through.
func (j *job) begin(ctx context.Context) error {
	if j.has("claim") {
		return nil
	}
	done, err := j.start()
	if err != nil {
		return j.discard(fmt.Errorf("start its supervisor in %s: %w", j.rec.Dir, err))
	}
	p := j.newPoller()
	for !j.has("claim") {
		select {
		case <-done:
			if !j.has("claim") {
				return j.discard(errors.New("its supervisor could not write to the job's folder, is the disk full?"))
			}
		default:
			if err := p.pause(ctx, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// discard removes a job that could not begin, unless another process began it.
func (j *job) discard(cause error) error {
	if err := writeFile(j.path("claim"), []byte(deadClaim)); errors.Is(err, os.ErrExist) {
		return nil
	}
	return errors.Join(fmt.Errorf("%w: %w", cause, train.ErrUnavailable), os.RemoveAll(j.dir))
}

// start starts a supervisor in a session and process group of its own, so that
// neither a terminal's signals nor its hangup reach the job.
func (j *job) start() (<-chan struct{}, error) {
	stdout, err := openLog(j.path("stdout.log"))
	if err != nil {
		return nil, err
	}
	defer stdout.Close()
	stderr, err := openLog(j.path("stderr.log"))
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	exit, err := os.OpenFile(j.path("exit"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}

	args := append([]string{
		"-c", supervisor, "millwright-job", j.dir, seconds(j.spec.Deadline), seconds(j.spec.GracePeriod()), j.rec.Sleep,
		j.rec.Program,
	}, j.spec.Command[1:]...)
	cmd := exec.Command("/bin/sh", args...) //nolint:noctx // the job must outlive every context of this process
	cmd.Dir = j.rec.Dir
	cmd.Env = os.Environ()
	for _, name := range slices.Sorted(maps.Keys(j.spec.Env)) {
		cmd.Env = append(cmd.Env, name+"="+j.spec.Env[name])
	}
	cmd.Env = append(cmd.Env, train.EnvJobID+"="+j.rec.ID, train.EnvSpec+"="+j.path("spec.json"))
	cmd.Stdout = stdout
	cmd.ExtraFiles = []*os.File{stderr} // descriptor 3; the shell's own remarks are not the job's
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		_ = exit.Close() // nothing was written
		return nil, err
	}
	done := make(chan struct{})
	j.l.mu.Lock()
	j.l.children[j.rec.ID] = done
	j.l.mu.Unlock()
	go func() {
		_ = cmd.Wait() // its status is in ProcessState
		j.reaped(cmd.ProcessState, exit)
		j.l.mu.Lock()
		if j.l.children[j.rec.ID] == done {
			delete(j.l.children, j.rec.ID)
		}
		j.l.mu.Unlock()
		close(done)
	}()
	return done, nil
}

// reaped records how the supervisor ended where it could not do so itself: only
// its parent ever learns the signal. It writes to a file that is open since the
// start, because the folder may be on its way out: others can see the end first.
func (j *job) reaped(ps *os.ProcessState, exit *os.File) {
	defer exit.Close()
	c, _, _, err := j.readClaim()
	if err != nil || c.pid != ps.Pid() {
		return // deleted already, or another supervisor has the job
	}
	data := make([]byte, 64)
	n, _ := exit.ReadAt(data, 0) // io.EOF: the file is shorter
	if _, ok := parseExit(data[:n]); ok {
		return
	}
	// The group's number can not be in use by others while it has members, and
	// was ours until a moment ago.
	_ = syscall.Kill(-c.pid, syscall.SIGKILL)
	how := "lost\n"
	if ws, ok := ps.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		how = "signal " + strconv.Itoa(int(ws.Signal())) + "\n"
	} else if ps.Exited() {
		how = "exit " + strconv.Itoa(ps.ExitCode()) + "\n"
	}
	// When this fails, the next look finds the supervisor dead and says so.
	_, _ = exit.WriteAt([]byte(how), 0)
}

func openLog(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// seconds rounds up, because sleep(1) is only sure to know whole ones.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// signalGroup sends SIGTERM, or SIGKILL, to all of the job's processes, if the
// supervisor still is who it was.
func signalGroup(c claim, kill bool) {
	if c.pid <= 1 || !isAlive(c) {
		return
	}
	sig := syscall.SIGTERM
	if kill {
		sig = syscall.SIGKILL
	}
	_ = syscall.Kill(-c.pid, sig) // gone meanwhile is what is wanted
}

// exists reports whether any process has the pid.
func exists(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

var signals = map[syscall.Signal]struct{ name, cause string }{
	syscall.SIGHUP:  {"SIGHUP", "its terminal or session ended"},
	syscall.SIGINT:  {"SIGINT", "interrupted from a keyboard"},
	syscall.SIGQUIT: {"SIGQUIT", "interrupted from a keyboard, or a Go program that was asked for its stacks"},
	syscall.SIGILL:  {"SIGILL", "a library built for another processor"},
	syscall.SIGTRAP: {"SIGTRAP", "a debugger's trap"},
	syscall.SIGABRT: {"SIGABRT", "the program aborted itself: a failed assertion or an uncaught exception"},
	syscall.SIGBUS:  {"SIGBUS", "a mapped file was cut short, or shared memory is full"},
	syscall.SIGFPE:  {"SIGFPE", "an integer division by zero"},
	syscall.SIGKILL: {"SIGKILL", "out of memory or an operator"},
	syscall.SIGUSR1: {"SIGUSR1", "a signal from a scheduler or an operator that the program does not handle"},
	syscall.SIGSEGV: {"SIGSEGV", "a memory fault in native code"},
	syscall.SIGUSR2: {"SIGUSR2", "a signal from a scheduler or an operator that the program does not handle"},
	syscall.SIGPIPE: {"SIGPIPE", "it wrote to a pipe that nobody reads"},
	syscall.SIGALRM: {"SIGALRM", "a timer of its own"},
	syscall.SIGTERM: {"SIGTERM", "a shutdown or an operator"},
	syscall.SIGXCPU: {"SIGXCPU", "its limit of processor time (ulimit -t)"},
	syscall.SIGXFSZ: {"SIGXFSZ", "its limit of file size (ulimit -f)"},
}

// signalName is empty for a number that is no signal that ends processes.
func signalName(n int) string { return signals[syscall.Signal(n)].name }

func signalCause(n int) string { return signals[syscall.Signal(n)].cause }
