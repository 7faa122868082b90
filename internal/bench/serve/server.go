package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/millwright-ml/millwright/internal/bench/rivals"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/grpcserve"
	"github.com/millwright-ml/millwright/serve/trees"
)

// script is where the rivals are, in the folder that the command is run in.
const script = "serve/rivals/rivals.py"

// kind is a server that can be started.
type kind struct {
	name    string
	path    string // of the requests
	v2      bool   // their form
	command func(dir string, port int) *exec.Cmd
}

func (c *config) kinds() []kind {
	self, _ := os.Executable()
	ours := func(dir string, port int) *exec.Cmd {
		return exec.Command(self, "-serve", dir, "-port", strconv.Itoa(port))
	}
	list := []kind{
		{"ours", "/v2/models/m/infer", true, ours},
		{"ours, batching", "/v2/models/batched/infer", true, ours},
		{"net/http alone", "/floor", true, ours},
		{"ours, gRPC", "grpc", true, ours},
	}
	packages, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(c.trees)), "lib", "python3*", "site-packages"))
	rival := func(python, name string) func(string, int) *exec.Cmd {
		return func(dir string, port int) *exec.Cmd {
			path, _ := filepath.Abs(script)
			cmd := exec.Command(python, path, name, dir, strconv.Itoa(port))
			cmd.Env = append(os.Environ(), "XGBOOST="+strings.Join(packages, ":"), "PYTHONDONTWRITEBYTECODE=1", "OMP_NUM_THREADS=1", "MLSERVER_METRICS_DIR="+dir)
			return cmd
		}
	}
	if c.mlserver != "" {
		list = append(list, kind{"MLServer", "/v2/models/m/infer", true, rival(c.mlserver, "mlserver")})
	}
	if c.rivals != "" {
		list = append(list, kind{"BentoML", "/predict", false, rival(c.rivals, "bentoml")},
			kind{"FastAPI", "/predict", false, rival(c.rivals, "fastapi")})
	}
	return list
}

// server is one that runs, with the processes that it has started.
type server struct {
	kind
	cmd  *exec.Cmd
	addr string
}

func (k kind) start(ctx context.Context, dir string) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return nil, err
	}
	s := &server{kind: k, cmd: k.command(dir, port), addr: "127.0.0.1:" + strconv.Itoa(port)}
	said, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		return nil, err
	}
	defer said.Close()
	s.cmd.Stdout, s.cmd.Stderr = said, said
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	// It is ready when it answers at all; the first request then warms it.
	for began := time.Now(); ; {
		conn, err := net.Dial("tcp", s.addr)
		if err == nil {
			return s, conn.Close()
		}
		if ctx.Err() != nil || time.Since(began) > 3*time.Minute {
			s.stop()
			log, _ := os.ReadFile(said.Name())
			return nil, errors.Join(fmt.Errorf("it did not start: %s", log), ctx.Err())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// stop ends the server and what it has started.
func (s *server) stop() {
	family := rivals.Family(s.cmd.Process.Pid)
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
	}
	for pid := range family {
		_ = syscall.Kill(pid, syscall.SIGKILL) // What is left of it.
	}
	<-done
}

// serveModel is our server in a process of its own: JSON and the floor, and gRPC on
// the port behind.
func serveModel(ctx context.Context, dir string, port int) error {
	runtime.GOMAXPROCS(1)
	server := serve.New(nil)
	for name, batching := range map[string]*serve.Batching{"m": nil, "batched": {}} {
		model, err := trees.Load(os.DirFS(dir), &trees.Options{File: "model.json"})
		if err != nil {
			return err
		}
		if err := server.Deploy(ctx, serve.Deployment{Name: name, Version: "1", Model: model, Batching: batching}); err != nil {
			return err
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/v2/", server)
	mux.HandleFunc("/floor", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header()["Content-Type"] = []string{"application/json"}
		_, _ = io.WriteString(w, `{"outputs":[{"data":[0]}]}`)
	})
	web, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	rpc, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1)))
	if err != nil {
		return err
	}
	g := grpc.NewServer()
	grpcserve.Register(g, server, nil)
	go func() { _ = g.Serve(rpc) }()
	return (&http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}).Serve(web)
}
