package inttest

import (
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// NeedMLflowAuth skips the test where MLflow's auth app lacks what it imports
// beyond MLflow. To import the app itself would take six seconds.
func NeedMLflowAuth(t testing.TB) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), MLflowPython(t), "-c", "import flask_wtf").CombinedOutput(); err != nil {
		t.Logf("%s", out)
		Missing(t, "the Python environment of MLflow has no auth app (Flask-WTF)")
	}
}

// StartMLflowAuth starts upstream's server with its auth app, of which the folder
// gets the database, and the environment variables.
func StartMLflowAuth(t testing.TB, env []string, args ...string) *MLflow {
	t.Helper()
	program := filepath.Join(filepath.Dir(MLflowPython(t)), "mlflow")
	env = slices.Concat(env, []string{"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false", "MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true"})
	return startMLflow(t, env, program, []string{"server", "--workers", "1"}, "", append(args, "--app-name", "basic-auth"))
}

// PlayUsers runs mlflow_users.py against a server, as its admin.
func PlayUsers(t testing.TB, url, admin, password string) *Transcript {
	t.Helper()
	path := filepath.Join(t.TempDir(), "transcript.jsonl")
	out, err := RunMLflowScript(t, "mlflow_users.py", url, path, admin, password)
	if err != nil {
		t.Fatalf("mlflow_users.py: %v\n%s", err, out)
	}
	tr, err := readTranscript(path)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}
