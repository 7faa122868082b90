package inttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// MLflow is a server of MLflow's REST API that runs until the test ends:
// upstream's or ours.
type MLflow struct {
	URL     string // http://127.0.0.1:port
	Dir     string // a folder of its own, with its database and artifacts unless the caller chose others
	process *process
	launch  func() *process
}

// Kill ends the server as kill -9 does.
func (m *MLflow) Kill() { m.process.kill() }

// Restart starts the server again, at the same address on the same data.
func (m *MLflow) Restart(t testing.TB) {
	t.Helper()
	m.process = m.launch()
	if err := m.process.await(t.Context(), m.healthy); err != nil {
		t.Fatal(err)
	}
}

// PID is the process id of the server, or of the first of its processes.
func (m *MLflow) PID(t testing.TB) int {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "pgrep", "-P", fmt.Sprint(m.process.cmd.Process.Pid)).Output()
	var pid int
	if _, scanErr := fmt.Sscan(string(out), &pid); err != nil || scanErr != nil {
		t.Fatalf("the server's process id: %v %v", err, scanErr)
	}
	return pid
}

func (m *MLflow) healthy(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.URL+"/health", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New("it answers " + resp.Status)
	}
	return nil
}

// StartMLflow starts upstream's server on a database, on an SQLite file of its
// own when backendURI is empty. The arguments are flags of `mlflow server`
// beyond the address and the database.
func StartMLflow(t testing.TB, backendURI string, args ...string) *MLflow {
	t.Helper()
	return StartMLflowWith(t, nil, backendURI, args...)
}

// StartMLflowWith starts upstream's server with more environment variables.
func StartMLflowWith(t testing.TB, env []string, backendURI string, args ...string) *MLflow {
	t.Helper()
	program := filepath.Join(filepath.Dir(MLflowPython(t)), "mlflow")
	// Its job runner would be eight more processes.
	env = slices.Concat(env, []string{"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false", "MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true"})
	return startMLflow(t, env, program, []string{"server", "--workers", "1"}, backendURI, args)
}

// StartServer starts our server, examples/mlflow-server, the same way. The flags
// have the same names.
func StartServer(t testing.TB, backendURI string, args ...string) *MLflow {
	t.Helper()
	return startMLflow(t, nil, buildServer(t), nil, backendURI, args)
}

// StartServerWith starts our server with more environment variables.
func StartServerWith(t testing.TB, env []string, backendURI string, args ...string) *MLflow {
	t.Helper()
	return startMLflow(t, env, buildServer(t), nil, backendURI, args)
}

// starting has a place for each server that may start at the same time.
var starting = make(chan struct{}, 3)

func startMLflow(t testing.TB, env []string, program string, first []string, backendURI string, args []string) *MLflow {
	t.Helper()
	m := &MLflow{Dir: t.TempDir()}
	// Upstream's server works for many seconds before it listens, so that few
	// of them may start at once.
	starting <- struct{}{}
	defer func() { <-starting }()
	if backendURI == "" {
		backendURI = "sqlite:///" + filepath.Join(m.Dir, "mlflow.db")
	}
	if !has(args, "--artifacts-destination") {
		args = append(args, "--artifacts-destination", filepath.Join(m.Dir, "artifacts"))
	}
	// The port may be taken between its choice and its use.
	const tries = 3
	for try := 1; ; try++ {
		address := freePort(t)
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		m.URL = "http://" + address
		all := slices.Concat(first, []string{"--host", host, "--port", port, "--backend-store-uri", backendURI}, args)
		m.launch = func() *process { return start(t, env, program, all...) }
		m.process = m.launch()
		err = m.process.await(t.Context(), m.healthy)
		if err == nil {
			return m
		}
		m.process.kill()
		if try == tries || !strings.Contains(err.Error(), "address already in use") {
			t.Fatalf("%s: %v", filepath.Base(program), err)
		}
	}
}

func has(args []string, flag string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return a == flag || strings.HasPrefix(a, flag+"=") })
}

var built struct {
	sync.Once
	program string
	err     error
}

// buildServer builds our server once in a test run.
func buildServer(t testing.TB) string {
	t.Helper()
	built.Do(func() {
		dir, err := os.MkdirTemp("", "inttest-server-")
		if err != nil {
			built.err = err
			return
		}
		built.program = filepath.Join(dir, "mlflow-server")
		//nolint:noctx // It is for all tests, not for this one.
		cmd := exec.Command("go", "build", "-o", built.program, "./examples/mlflow-server")
		cmd.Dir = repository(t)
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.program
}
