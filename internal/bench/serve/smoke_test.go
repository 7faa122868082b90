package main_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The command runs: its figures mean nothing here.
func TestCommandRuns(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "bench")
	said, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	cmd := exec.CommandContext(t.Context(), program, "-seconds", "0.2")
	cmd.Dir = ".." // where the command is run
	python := filepath.Join("..", "..", "..", ".cache", "trees-venv", "bin", "python")
	if _, err := exec.LookPath(python); err == nil {
		path, err := filepath.Abs(python)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Args = append(cmd.Args, "-trees", path)
	}
	said, err = cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "decode 1×4 JSON") {
		t.Fatalf("%v: %s", err, said)
	}
}

// So does that for the gateway to language models.
func TestLLMCommandRuns(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "bench")
	said, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../llm").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	for only, want := range map[string]string{"proxies": "ReverseProxy", "streams": "KiB a stream", "own": "an event more"} {
		said, err = exec.CommandContext(t.Context(), program, "-seconds", "0.2", "-streams", "20", "-only", only).CombinedOutput()
		if err != nil || !strings.Contains(string(said), want) {
			t.Fatalf("%s: %v: %s", only, err, said)
		}
	}
}
