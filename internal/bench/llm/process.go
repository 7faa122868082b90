package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/millwright-ml/millwright/internal/bench/rivals"
)

// process is a server, with the processes that it has started.
type process struct {
	name string
	addr string
	cmd  *exec.Cmd
	ran  time.Time // When it was started.
	gone chan struct{}
}

// kind is a server that can be started in front of an upstream.
type kind struct {
	name    string
	command func(port int, to string) (*exec.Cmd, error)
}

func self(what string) kind {
	return kind{what, func(port int, to string) (*exec.Cmd, error) {
		program, err := os.Executable()
		if err != nil {
			return nil, err
		}
		return exec.Command(program, "-be", what, "-port", strconv.Itoa(port), "-to", to), nil
	}}
}

// kinds are the proxies, ours first.
func (c *config) kinds() []kind {
	list := []kind{self("gateway"), self("ReverseProxy")}
	if c.litellm != "" {
		list = append(list, kind{"LiteLLM", c.liteLLM})
	}
	return list
}

// liteLLM is its proxy as its documentation has it for production, with one worker.
func (c *config) liteLLM(port int, to string) (*exec.Cmd, error) {
	var b strings.Builder
	b.WriteString("model_list:\n")
	for _, name := range models {
		fmt.Fprintf(&b, "  - model_name: %s\n    litellm_params: {model: openai/%s, api_base: %q, api_key: none}\n", name, name, to+"/v1")
	}
	fmt.Fprintf(&b, "litellm_settings: {set_verbose: false, num_retries: 0}\ngeneral_settings: {disable_spend_logs: true, master_key: %s}\n", key)
	path := filepath.Join(c.dir, "litellm.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	python, err := filepath.Abs(c.litellm)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(python, filepath.Join(filepath.Dir(python), "litellm"), "--config", path, "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--num_workers", "1", "--telemetry", "False")
	// The table of prices that comes with it, and not that of its repository.
	cmd.Env = append(os.Environ(), "LITELLM_LOG=ERROR", "LITELLM_MODE=PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP=True", "PYTHONDONTWRITEBYTECODE=1")
	return cmd, nil
}

// start starts a server and waits until it listens.
func (k kind) start(ctx context.Context, dir, to string) (*process, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil {
		return nil, err
	}
	cmd, err := k.command(addr.Port, to)
	if err != nil {
		return nil, err
	}
	said, err := os.Create(filepath.Join(dir, k.name+".log"))
	if err != nil {
		return nil, err
	}
	defer said.Close()
	cmd.Stdout, cmd.Stderr = said, said
	p := &process{name: k.name, addr: addr.String(), cmd: cmd, ran: time.Now(), gone: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait() // Its log says more.
		close(p.gone)
	}()
	for {
		conn, err := net.Dial("tcp", p.addr)
		if err == nil {
			return p, conn.Close()
		}
		select {
		case <-p.gone:
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
			continue
		}
		p.stop()
		log, _ := os.ReadFile(said.Name())
		return nil, errors.Join(fmt.Errorf("%s did not start: %s", k.name, log), ctx.Err())
	}
}

// stop ends the server and what it has started.
func (p *process) stop() {
	family := rivals.Family(p.cmd.Process.Pid)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	<-p.gone
	timer.Stop()
	for pid := range family {
		if pid != p.cmd.Process.Pid {
			_ = syscall.Kill(pid, syscall.SIGKILL) // What is left of it.
		}
	}
}
