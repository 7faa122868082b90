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
	"strings"
	"syscall"
	"time"

	"github.com/millwright-ml/millwright/train"
)

func supported() error { return nil }

// supervisor is the script that outlives the launcher.
//
//go:embed supervisor.sh
var supervisor string

// begin starts a supervisor for an attempt unless one has it, and returns once
// one has it. Several may be started by several processes: the claim lets one
// through.
func (j *job) begin(ctx context.Context, attempt int) error {
	if j.hasFile(attempt, "claim") {
		return nil
	}
	done, err := j.start(ctx, attempt)
	if err != nil {
		return j.discard(attempt, fmt.Errorf("start its supervisor in %s: %w", j.rec.Dir, err))
	}
	p := j.newPoller(attempt)
	for !j.hasFile(attempt, "claim") {
		select {
		case <-done:
			if !j.hasFile(attempt, "claim") {
				return j.discard(attempt, errors.New("its supervisor could not write to the job's folder, is the disk full?"))
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
// A job that ran before stays, for another try.
func (j *job) discard(attempt int, cause error) error {
	if attempt > 0 {
		return fmt.Errorf("attempt %d: %w: %w", attempt, cause, train.ErrUnavailable)
	}
	if err := writeFile(j.file(attempt, "claim"), []byte(deadClaim)); errors.Is(err, os.ErrExist) {
		return nil
	}
	return errors.Join(fmt.Errorf("%w: %w", cause, train.ErrUnavailable), os.RemoveAll(j.dir))
}

// start starts a supervisor in a session and process group of its own, so that
// neither a terminal's signals nor its hangup reach the job.
func (j *job) start(ctx context.Context, attempt int) (<-chan struct{}, error) {
	spec := j.effective(attempt)
	var devices []device
	var locks []*os.File
	if spec.GPU.Count > 0 {
		all, err := j.l.discover(ctx)
		if err != nil {
			return nil, err
		}
		devices = candidates(all, spec.GPU)
		if locks, err = j.l.lockFiles(devices); err != nil {
			return nil, err
		}
		defer closeAll(locks) // the supervisor has its own descriptors
		if err := replaceFile(j.file(attempt, "gpus"), gpuNames(devices)); err != nil {
			return nil, err
		}
	}
	env, err := j.environ(spec, attempt)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/bin/sh", j.arguments(spec, attempt, devices)...) //nolint:noctx // the job must outlive every context of this process
	cmd.Dir, cmd.Env, cmd.ExtraFiles = j.rec.Dir, env, locks
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	key, done := attemptKey{j.rec.ID, attempt}, make(chan struct{})
	j.l.mu.Lock()
	j.l.children[key] = done
	j.l.mu.Unlock()
	go func() {
		_ = cmd.Wait() // its status is in ProcessState
		again := j.reaped(attempt, cmd.ProcessState)
		j.l.mu.Lock()
		if j.l.children[key] == done {
			delete(j.l.children, key)
		}
		j.l.mu.Unlock()
		close(done)
		if again {
			// Without a supervisor to do so; when this fails the next look at the
			// job says so.
			_ = j.begin(context.Background(), attempt+1)
		}
	}()
	return done, nil
}

// firstDescriptor is that of the first of exec.Cmd's ExtraFiles.
const firstDescriptor = 3

// arguments are those of supervisor.sh.
func (j *job) arguments(spec train.Spec, attempt int, devices []device) []string {
	var gpus []string
	kind, last := -1, ""
	for i, d := range devices {
		if d.Name != last {
			kind, last = kind+1, d.Name
		}
		gpus = append(gpus, fmt.Sprintf("%d:%d:%s", kind, firstDescriptor+1+i, d.UUID))
	}
	spent := j.spent(attempt)
	var codes []string
	for _, code := range slices.Sorted(maps.Keys(spec.Retry.ExitCodes)) {
		codes = append(codes, strconv.Itoa(code)+":"+string(spec.Retry.ExitCodes[code]))
	}
	lim := limit(j.l.opts.Cgroup, j.rec.ID, spec.Resources, spec.NodeCount(), spec.GPU.Count > 0)
	launch := spec.Launch
	if launch == "" {
		launch = train.Plain
	}
	args := []string{
		j.path(scriptFile), j.dir, strconv.Itoa(attempt), strconv.Itoa(spec.NodeCount()), strconv.Itoa(spec.CommandsPerNode()), string(launch),
		seconds(j.deadlineLeft(attempt)), seconds(spec.GracePeriod()),
		strconv.Itoa(max(0, spec.Retry.InfraBudget()-spent.Infra)), strconv.Itoa(max(0, spec.Retry.User-spent.User)),
		strings.Join(codes, " "), j.rec.Tools.Sleep, j.rec.Tools.Setsid, j.rec.Tools.Flock,
		j.l.opts.GPULocks, strconv.Itoa(firstDescriptor), strings.Join(gpus, " "), strconv.Itoa(spec.GPU.Count),
		lim.memory, lim.cpu, strconv.FormatInt(lim.data, 10),
		j.rec.Program,
	}
	return append(args, spec.Command[1:]...)
}

// environ is that of the first process; the supervisor changes what differs.
func (j *job) environ(spec train.Spec, attempt int) ([]string, error) {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return train.ReservedEnv(name)
	})
	for _, name := range slices.Sorted(maps.Keys(spec.Env)) {
		env = append(env, name+"="+spec.Env[name])
	}
	for _, s := range spec.Secrets {
		value, err := j.l.secret(s)
		if err != nil {
			return nil, err
		}
		env = append(env, s.Env+"="+value)
	}
	own := train.Env(spec, train.Process{Job: j.rec.ID, Attempt: attempt, MasterPort: j.rec.Port, SpecFile: j.path(specFile)})
	for _, name := range slices.Sorted(maps.Keys(own)) {
		env = append(env, name+"="+own[name])
	}
	return env, nil
}

// reaped records how the supervisor ended where it could not do so itself: only
// its parent ever learns the signal. It reports whether another attempt is to
// begin that no supervisor begins.
func (j *job) reaped(attempt int, ps *os.ProcessState) bool {
	c, _, _, err := j.readClaim(attempt)
	if err != nil || c.pid != ps.Pid() {
		return false // deleted already, or another supervisor has the attempt
	}
	if _, _, ok, err := j.readExit(attempt); !ok && err == nil {
		// The group's number can not be in use by others while it has members, and
		// was ours until a moment ago.
		_ = syscall.Kill(-c.pid, syscall.SIGKILL)
		out := outcome{kind: "lost", code: -1}
		if ws, ok := ps.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			out.kind, out.signal = "signal", int(ws.Signal())
		} else if ps.Exited() {
			out.kind, out.code = "exit", ps.ExitCode()
		}
		// When this fails, the next look finds the supervisor dead and says so.
		_ = j.writeExit(attempt, out)
	}
	out, _, _, err := j.readExit(attempt)
	if err != nil || (out.next != nextInfra && out.next != nextUser) {
		return false
	}
	return out.kind != "exit" || j.rec.Tools.Setsid == ""
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

// locked reports whether a job holds the device.
func (l *Launcher) locked(d device) bool {
	f, err := os.Open(l.lockPath(d.UUID))
	if err != nil {
		return false // nobody ever had it
	}
	defer f.Close() // which gives the lock back
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}
