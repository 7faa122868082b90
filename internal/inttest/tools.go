package inttest

import (
	"os"
	"path/filepath"
	"testing"
)

// Missing skips the test as something that it needs is not there. With
// REQUIRE_REAL=1 it fails instead.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("REQUIRE_REAL") == "1" { //nolint:forbidigo // The test run's own setting.
		t.Fatalf("%s: run scripts/realtools.sh (REQUIRE_REAL=1 forbids to skip)", what)
	}
	t.Skipf("%s: run scripts/realtools.sh to have this test", what)
}

// Tool returns the path of a program that scripts/realtools.sh provisioned:
// "versitygw", "minio", "promtool", "prometheus" or "chromium".
func Tool(t testing.TB, name string) string {
	t.Helper()
	return provisioned(t, name, filepath.Join("bin", name))
}

// Python returns the interpreter of the environment with deltalake, pyarrow and
// tritonclient.
func Python(t testing.TB) string {
	t.Helper()
	return provisioned(t, "the Python environment", filepath.Join("venv", "bin", "python"))
}

// MLflowPython returns the interpreter of the environment with upstream's MLflow,
// scikit-learn, pandas and TensorBoard. The programs mlflow and tensorboard are
// beside it.
func MLflowPython(t testing.TB) string {
	t.Helper()
	return provisioned(t, "the Python environment of MLflow", filepath.Join("mlflow-venv", "bin", "python"))
}

func provisioned(t testing.TB, what, path string) string {
	t.Helper()
	cache := os.Getenv("MILLWRIGHT_CACHE") //nolint:forbidigo // The test run's own setting.
	if cache == "" {
		cache = filepath.Join(repository(t), ".cache")
	}
	path = filepath.Join(cache, path)
	// Not resolved: a Python environment is known by the path it is called by.
	if fi, err := os.Stat(path); err != nil || fi.Mode()&0o111 == 0 {
		Missing(t, what+" is not at "+path)
	}
	return path
}

// repository is the root of the project's tree.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "scripts", "realtools.sh")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("the project's root, with scripts/realtools.sh, is not above the working directory")
		}
		dir = parent
	}
}
