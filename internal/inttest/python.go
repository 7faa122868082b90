package inttest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// RunScript runs a Python script of testdata with the provisioned interpreter,
// and returns its standard output and its exit status. A script that cannot be
// started fails the test, and what it says on standard error is shown.
func RunScript(t testing.TB, script string, args ...string) (output []byte, status int) {
	t.Helper()
	path := filepath.Join(repository(t), "internal", "inttest", "testdata", script)
	cmd := exec.CommandContext(t.Context(), Python(t), append([]string{path}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if stderr.Len() > 0 {
		t.Logf("%s said:\n%s", script, stderr.String())
	}
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatalf("%s: %v", script, err)
	}
	return stdout.Bytes(), cmd.ProcessState.ExitCode()
}

// RunMLflowScript runs a script of testdata with the interpreter that has
// MLflow's client, and returns all that it said.
func RunMLflowScript(t testing.TB, script string, args ...string) ([]byte, error) {
	t.Helper()
	path := filepath.Join(repository(t), "internal", "inttest", "testdata", script)
	cmd := exec.CommandContext(t.Context(), MLflowPython(t), append([]string{path}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.WaitDelay = 10 * time.Second
	return cmd.CombinedOutput()
}
