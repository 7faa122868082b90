package rivals

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Server is one of the two, as a process of its own.
type Server struct {
	Name    string // Ours or MLflow
	Program string
	Backend string // URL of its database
	Dir     string // of its artifacts and log

	Base   string // URL, while it runs
	Client http.Client

	cmd *exec.Cmd
	log *os.File
}

// Pair returns the two for one run: ours, built from the source at root, and
// that of MLflow's program unless this is empty. They use SQLite files in dir,
// or the two PostgreSQL databases whose URLs are given with a comma between.
func Pair(ctx context.Context, root, dir, mlflow, postgres string) ([]*Server, error) {
	binary := filepath.Join(dir, "mlflow-server")
	build := exec.CommandContext(ctx, "go", "build", "-C", root, "-o", binary, "./examples/mlflow-server")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building our server: %w\n%s", err, out)
	}
	ourURL, rivalURL := "sqlite:///"+filepath.Join(dir, "ours.db"), "sqlite:///"+filepath.Join(dir, "mlflow.db")
	if postgres != "" {
		var ok bool
		if ourURL, rivalURL, ok = strings.Cut(postgres, ","); !ok {
			return nil, fmt.Errorf("-postgres wants two URLs with a comma between")
		}
	}
	servers := []*Server{{Name: Ours, Program: binary, Backend: ourURL, Dir: filepath.Join(dir, Ours)}}
	if mlflow != "" {
		servers = append(servers, &Server{Name: MLflow, Program: mlflow, Backend: rivalURL, Dir: filepath.Join(dir, MLflow)})
	}
	return servers, nil
}

const startTimeout = 2 * time.Minute

// Start starts the process and waits for /health; how long that took and what it
// holds in memory then go into the table, unless that is nil.
func (s *Server) Start(ctx context.Context, table *Results) error {
	if err := os.MkdirAll(filepath.Join(s.Dir, "artifacts"), 0o755); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	if err := listener.Close(); err != nil {
		return err
	}
	s.Base = "http://127.0.0.1:" + port
	args := []string{"--host", "127.0.0.1", "--port", port, "--backend-store-uri", s.Backend, "--artifacts-destination", filepath.Join(s.Dir, "artifacts")}
	if s.Name == MLflow {
		args = append([]string{"server", "--workers", "1"}, args...)
	}
	if s.log, err = os.OpenFile(filepath.Join(s.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		return err
	}
	s.cmd = exec.Command(s.Program, args...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.Env = append(os.Environ(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // upstream starts children
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for {
		response, err := s.Client.Get(s.Base + "/health")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Since(began) > startTimeout || ctx.Err() != nil {
			text, _ := os.ReadFile(s.log.Name())
			return errors.Join(fmt.Errorf("%s did not start: %w\n%s", s.Name, err, text), ctx.Err())
		}
		time.Sleep(2 * time.Millisecond)
	}
	if table != nil {
		table.Add("start to /health", "ms", true, s.Name, float64(time.Since(began).Microseconds())/1000)
		time.Sleep(time.Second)
		table.Add("memory idle", "MiB", true, s.Name, s.Memory())
	}
	return nil
}

// Stop ends the process. It tolerates one that does not run.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM)
	timer := time.AfterFunc(10*time.Second, func() { _ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	_ = s.cmd.Wait() // a server that is told to end may say so by its status
	s.cmd = nil
	s.Client.CloseIdleConnections()
	_ = s.log.Close()
}

// Restart starts the server on the database that is there: the first start made
// its schema.
func (s *Server) Restart(ctx context.Context, table *Results) error {
	s.Stop()
	return s.Start(ctx, table)
}

// Memory is the proportional set size of the process and its children in MiB.
func (s *Server) Memory() float64 {
	var kib float64
	s.processes(func(dir string, _ []string) {
		file, err := os.Open(filepath.Join(dir, "smaps_rollup"))
		if err != nil {
			return
		}
		defer file.Close()
		scanner := bufio.NewScanner(file)
		for scanner.Scan() {
			if value, ok := strings.CutPrefix(scanner.Text(), "Pss:"); ok {
				n, _ := strconv.ParseFloat(strings.Fields(value)[0], 64)
				kib += n
			}
		}
	})
	return kib / 1024
}

// CPU is the processor time of the process and its children.
func (s *Server) CPU() time.Duration {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	var ticks time.Duration
	s.processes(func(_ string, stat []string) {
		for _, field := range stat[11:15] { // utime, stime, and those of children that ended
			n, _ := strconv.Atoi(field)
			ticks += time.Duration(n)
		}
	})
	return ticks * tick
}

// processes hands over the folder in /proc and the fields of stat, from the
// third on, of each process.
func (s *Server) processes(each func(dir string, stat []string)) {
	group := strconv.Itoa(s.cmd.Process.Pid)
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, entry := range entries {
		stat, err := os.ReadFile(filepath.Join(entry, "stat"))
		if err != nil {
			continue // it ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 15 && fields[2] == group {
			each(entry, fields)
		}
	}
}

// Call sends one request and reads the whole answer.
func (s *Server) Call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.Base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := s.Client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: status %d: %.300s", method, path, response.StatusCode, answer)
	}
	return answer, err
}
