package inttest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"testing"
)

// LlamaPython returns the interpreter of the environment with llama.cpp,
// OpenAI's client and LangChain's.
func LlamaPython(t testing.TB) string {
	t.Helper()
	return provisioned(t, "the Python environment of llama.cpp", filepath.Join("llama-venv", "bin", "python"))
}

// Llama runs llama.cpp's server with the model "noise", which has random weights,
// for "chat" or for "embeddings". It returns the base URL, without a path, once the
// server answers.
func Llama(t testing.TB, kind string) string {
	t.Helper()
	python := LlamaPython(t)
	address := freePort(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, []string{"PYTHONDONTWRITEBYTECODE=1"}, python,
		filepath.Join(repository(t), "internal", "inttest", "testdata", "llama", "server.py"), t.TempDir(), port, kind)
	err = p.await(t.Context(), func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/v1/models", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close() // The status says enough.
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("the status is %d", resp.StatusCode)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + address
}
