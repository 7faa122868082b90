package inttest

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// ModelSigning runs Sigstore's command model_signing and returns all that it
// said.
func ModelSigning(t testing.TB, args ...string) ([]byte, error) {
	t.Helper()
	python := provisioned(t, "the Python environment of model-signing", filepath.Join("signing-venv", "bin", "python"))
	return exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(python), "model_signing"), args...).CombinedOutput()
}
