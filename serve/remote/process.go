package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// process is one run of a worker.
type process struct {
	cmd       *exec.Cmd
	stdin     io.Closer     // Its end ends the process.
	done      chan struct{} // Closed when it has ended.
	err       error         // How, once done is closed.
	relieving atomic.Bool
}

// startProcess starts a program whose standard input ends when this program
// does, however that ends: the kernel closes the pipe.
func startProcess(name string, args, env []string, stderr io.Writer) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})} //nolint:noctx // It outlives the call.
	p.cmd.Env = append(append(p.cmd.Environ(), "PYTHONUNBUFFERED=1"), env...)
	p.cmd.Stdout, p.cmd.Stderr = stderr, stderr
	// What it has started itself may hold its output open.
	p.cmd.WaitDelay = 2 * time.Second
	group(p.cmd)
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %q: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		if p.err == nil {
			p.err = errors.New("exit status 0")
		}
		killGroup(p.cmd) // What it has started itself.
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// ending reports whether the process has ended, or does so within a moment: its
// connections break before its end is known.
func (p *process) ending() bool {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		return false
	}
}

// end asks the process to end, and kills it when it does not.
func (p *process) end() {
	_ = p.stdin.Close() // It may have ended by itself.
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.kill()
	}
}

// kill ends the process with all that it has started, and waits for its end.
func (p *process) kill() {
	select {
	case <-p.done:
	default:
		killGroup(p.cmd)
		<-p.done
	}
	_ = p.stdin.Close()
}

// tail keeps the end of what a worker says.
type tail struct {
	also io.Writer

	mu  sync.Mutex
	buf []byte
}

const kept = 4 << 10

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if n := len(t.buf) - kept; n > 0 {
		t.buf = append(t.buf[:0], t.buf[n:]...)
	}
	if t.also != nil {
		// A log that is full must not end the worker.
		_, _ = t.also.Write(b)
	}
	return len(b), nil
}

func (t *tail) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = nil
}

// quote is the last lines for an error, "" when nothing was said.
func (t *tail) quote() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := bytes.TrimSpace(t.buf)
	const most = 1000
	if n := len(text) - most; n > 0 {
		text = text[n:]
	}
	if len(text) == 0 {
		return ""
	}
	return ": it said: " + strings.ToValidUTF8(string(text), "?")
}
