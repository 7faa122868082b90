package main

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

// server is one of the two, as a process of its own.
type server struct {
	name, program, backend, dir string
	upstream                    bool

	base   string // URL
	cmd    *exec.Cmd
	log    *os.File
	client http.Client
	// what the seed made
	experiment string
	longRun    string
}

const startTimeout = 2 * time.Minute

// start starts the process and waits for /health; how long that took and what it
// holds in memory then go into the table, once.
func (s *server) start(ctx context.Context, table *results) error {
	if err := os.MkdirAll(filepath.Join(s.dir, "artifacts"), 0o755); err != nil {
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
	s.base = "http://127.0.0.1:" + port
	args := []string{"--host", "127.0.0.1", "--port", port, "--backend-store-uri", s.backend, "--artifacts-destination", filepath.Join(s.dir, "artifacts")}
	if s.upstream {
		args = append([]string{"server", "--workers", "1"}, args...)
	}
	if s.log, err = os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		return err
	}
	s.cmd = exec.Command(s.program, args...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.Env = append(os.Environ(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // upstream starts children
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for {
		response, err := s.client.Get(s.base + "/health")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Since(began) > startTimeout || ctx.Err() != nil {
			text, _ := os.ReadFile(s.log.Name())
			return errors.Join(fmt.Errorf("%s did not start: %w\n%s", s.name, err, text), ctx.Err())
		}
		time.Sleep(2 * time.Millisecond)
	}
	if table != nil {
		table.add("start to /health", "ms", true, s, float64(time.Since(began).Microseconds())/1000)
		time.Sleep(time.Second)
		table.add("memory idle", "MiB", true, s, s.memory())
	}
	return nil
}

func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM)
	timer := time.AfterFunc(10*time.Second, func() { _ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	_ = s.cmd.Wait() // a server that is told to end may say so by its status
	s.cmd = nil
	s.client.CloseIdleConnections()
	_ = s.log.Close()
}

// restart starts the server on the database that is there: the first start made
// its schema.
func (s *server) restart(ctx context.Context, table *results) error {
	s.stop()
	return s.start(ctx, table)
}

// memory is the proportional set size of the process and its children in MiB.
func (s *server) memory() float64 {
	var kib float64
	group := strconv.Itoa(s.cmd.Process.Pid)
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, entry := range entries {
		stat, err := os.ReadFile(entry + "/stat")
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 3 || fields[2] != group {
			continue
		}
		file, err := os.Open(entry + "/smaps_rollup")
		if err != nil {
			continue
		}
		scanner := bufio.NewScanner(file)
		for scanner.Scan() {
			if value, ok := strings.CutPrefix(scanner.Text(), "Pss:"); ok {
				n, _ := strconv.ParseFloat(strings.Fields(value)[0], 64)
				kib += n
			}
		}
		file.Close()
	}
	return kib / 1024
}

// call sends one request and reads the whole answer.
func (s *server) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := s.client.Do(request)
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
