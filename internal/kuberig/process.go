package kuberig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// supervisor starts processes that the kernel kills when this one dies, however
// it dies. The kernel's rule is about the thread that started them, and Go ends
// threads at will; so one thread starts them all and lives until they are gone.
type supervisor struct {
	requests chan func()
}

func newSupervisor() *supervisor {
	s := &supervisor{requests: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for f := range s.requests {
			f()
		}
	}()
	return s
}

// close ends the thread, and with it every process that still runs.
func (s *supervisor) close() { close(s.requests) }

// process is one component that runs.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// start runs a program. What it says goes to the end of dir/name.log.
func (s *supervisor) start(dir, name string, env []string, program string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	// Not bound to a context: it has to live as long as the cluster.
	p.cmd = exec.Command(program, args...) //nolint:noctx // See above.
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), env...)
	// Its own group, so that Ctrl-C in a terminal does not stop all at once.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	result := make(chan error)
	s.requests <- func() { result <- p.cmd.Start() }
	if err := <-result; err != nil {
		_ = log.Close() // the other error is the one to tell
		return nil, fmt.Errorf("kuberig: start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // it is stopped by a signal, so it mostly fails
		_ = log.Close()
		close(p.done)
	}()
	return p, nil
}

// stop asks the process to end, kills it when it takes longer than patience, and
// waits for its end.
func (p *process) stop(patience time.Duration) {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // one that has ended is no matter
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.kill()
	}
}

// kill ends the process as kill -9 does, and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // one that has ended is no matter
	<-p.done
}

// tail is the end of what the process said.
func (p *process) tail() string {
	const shown = 3000
	data, _ := os.ReadFile(p.log) // an absent log says nothing
	if len(data) > shown {
		data = data[len(data)-shown:]
	}
	return strings.ToValidUTF8(string(data), "?")
}

// errEnded is the cause when a component ended by itself.
var errEnded = errors.New("it ended by itself")

// await asks ready again and again until it answers nil, the process ends, or
// the context does.
func (p *process) await(ctx context.Context, ready func(context.Context) error) error {
	ticker := time.NewTicker(25 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("kuberig: %s: %w:\n%s", p.name, errEnded, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("kuberig: %s does not get ready: %w\n%s", p.name, err, p.tail())
		case <-ticker.C:
		}
	}
}

// freePorts returns ports of the loopback address that were free a moment ago,
// all different.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // It blocks on nothing.
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // only the number is wanted
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
