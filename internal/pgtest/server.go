//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

const supported = true

// Server is a PostgreSQL server. Its methods are for one goroutine at a time,
// except Addr.
type Server struct {
	bin, dir string
	port     int
	args     []string
	as       *syscall.Credential // who runs it; nil: we
	cmd      *exec.Cmd
	ended    chan struct{}  // closed when cmd has ended
	watcher  io.WriteCloser // its end ends the server
	once     sync.Once
}

// Addr is host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

func start(bin string, o Options) (*Server, error) {
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir}
	if err := s.init(o); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

func (s *Server) init(o Options) error {
	if os.Geteuid() == 0 {
		as, err := unprivileged()
		if err != nil {
			return err
		}
		s.as = as
		if err := os.Chown(s.dir, int(as.Uid), int(as.Gid)); err != nil {
			return err
		}
	}
	initdb := s.command("initdb", "-D", s.data(), "-U", owner, "-A", "trust", "--locale=C", "-E", "UTF8", "--no-sync", "--no-instructions")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": "",
		"max_connections":         "200",
		"shared_buffers":          "64MB",
		"logging_collector":       "off",
		"autovacuum_naptime":      "10s",
		"deadlock_timeout":        "100ms",
	}
	if !o.Fsync {
		settings["fsync"], settings["full_page_writes"] = "off", "off"
	}
	maps.Copy(settings, o.Settings)
	for name, value := range settings {
		s.args = append(s.args, "-c", name+"="+value)
	}
	if err := s.listen(); err != nil {
		return err
	}
	return s.watch()
}

// unprivileged is a user that PostgreSQL agrees to run as.
func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) log() string { return filepath.Join(s.dir, "log") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	// The server outlives the test that starts it.
	cmd := exec.CommandContext(context.Background(), filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	// The environment may hold settings of another server.
	cmd.Env = []string{"PATH=" + env("PATH"), "LC_ALL=C", "TZ=UTC"}
	// A group of its own: an interrupt of the terminal is for the test.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true}
	return cmd
}

// listen finds a free port and starts the server on it. Another process may
// take the port in between.
func (s *Server) listen() error {
	var err error
	for range 5 {
		var l net.Listener
		if l, err = new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0"); err != nil {
			return err
		}
		s.port = l.Addr().(*net.TCPAddr).Port
		if err = l.Close(); err != nil {
			return err
		}
		if err = s.launch(); err == nil {
			return nil
		}
	}
	return err
}

// launch starts the server process and waits until it answers.
func (s *Server) launch() error {
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := s.command("postgres", append([]string{"-D", s.data(), "-p", strconv.Itoa(s.port)}, s.args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended shows in its log
		close(ended)
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(60 * time.Second); ; {
		err = execute(s.Addr(), "postgres", "SELECT 1")
		if err == nil {
			s.cmd, s.ended = cmd, ended
			return nil
		}
		select {
		case <-ended:
			text, _ := os.ReadFile(s.log())
			return fmt.Errorf("the server ended: %s", text[max(0, len(text)-2000):])
		case <-tick.C:
		}
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			return fmt.Errorf("the server does not answer: %w", err)
		}
	}
}

// watch starts a shell that waits for this process to end, however that
// happens, and then ends the server and removes its files. It reads from a
// pipe that only we hold.
func (s *Server) watch() error {
	cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c",
		`read x; if [ -f "$1/data/postmaster.pid" ]; then kill -QUIT "$(head -n 1 "$1/data/postmaster.pid")" 2>/dev/null; sleep 1; fi; rm -rf "$1"`,
		"pgtest", s.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }()
	s.watcher = pipe
	return nil
}

// signal ends the running server and waits for that.
func (s *Server) signal(sig syscall.Signal) error {
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		return err
	}
	<-s.ended
	s.cmd = nil
	return nil
}

// Stop shuts the server down as an administrator does who cannot wait:
// transactions in progress are rolled back and their clients cut off. A
// stopped server stays so.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.signal(syscall.SIGINT); err != nil {
		t.Errorf("stop PostgreSQL: %v", err)
	}
}

// Kill ends the server as a crash does, at once. The next start recovers.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.signal(syscall.SIGKILL); err != nil {
		t.Errorf("kill PostgreSQL: %v", err)
	}
}

// Start starts a server that was stopped or killed again, on the same port.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if s.cmd != nil {
		return
	}
	// Children of a killed server take a moment to notice.
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if err = s.launch(); err == nil {
			return
		}
	}
	t.Errorf("start PostgreSQL again: %v", err)
}

// Restart is Stop and Start.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop(t)
	s.Start(t)
}

// remove ends the server and removes its files.
func (s *Server) remove() {
	s.once.Do(func() {
		_ = s.signal(syscall.SIGQUIT)
		_ = os.RemoveAll(s.dir)
		_ = s.watcher.Close()
	})
}
