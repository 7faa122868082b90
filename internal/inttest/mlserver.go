package inttest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/millwright-ml/millwright/serve/oip"
)

// OIPPython returns the interpreter of the environment with tritonclient and
// MLServer.
func OIPPython(t testing.TB) string {
	t.Helper()
	return provisioned(t, "the Python environment of MLServer", filepath.Join("oip-venv", "bin", "python"))
}

// Node returns Node and the folder that its packages are loaded from.
func Node(t testing.TB) (program, packages string) {
	t.Helper()
	program = provisioned(t, "Node", filepath.Join("bin", "node"))
	return program, provisioned(t, "the packages of Node", "node")
}

// MLServer runs MLServer with the model "echo" of testdata/mlserver, and returns
// the base URL of its HTTP and the address of its gRPC side once it answers.
func MLServer(t testing.TB) (web, rpc string) {
	t.Helper()
	python := OIPPython(t)
	web, rpc = freePort(t), freePort(t)
	_, webPort, err := net.SplitHostPort(web)
	if err != nil {
		t.Fatal(err)
	}
	_, rpcPort, err := net.SplitHostPort(rpc)
	if err != nil {
		t.Fatal(err)
	}
	// The server writes into its folder.
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(repository(t), "internal", "inttest", "testdata", "mlserver"))); err != nil {
		t.Fatal(err)
	}
	settings := fmt.Sprintf(`{"host": "127.0.0.1", "http_port": %s, "grpc_port": %s, "metrics_endpoint": null, "parallel_workers": 0}`, webPort, rpcPort)
	if err := os.WriteFile(filepath.Join(dir, "settings.json"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, []string{"PYTHONDONTWRITEBYTECODE=1", "MLSERVER_METRICS_DIR=" + dir},
		filepath.Join(filepath.Dir(python), "mlserver"), "start", dir)
	client, err := oip.NewClient("http://"+web, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.await(t.Context(), func(ctx context.Context) error { return client.ModelReady(ctx, "echo", "") }); err != nil {
		t.Fatal(err)
	}
	return "http://" + web, rpc
}
