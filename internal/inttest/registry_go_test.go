package inttest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/internal/pgtest"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/sqlstore"
)

// openRegistry opens the registry of a server beside it, as a Go program does
// that shares its database and its files.
func openRegistry(t *testing.T, server *inttest.MLflow, database string) *registry.Registry {
	t.Helper()
	if database == "" {
		database = "sqlite://" + filepath.Join(server.Dir, "mlflow.db")
	}
	store, err := sqlstore.Open(t.Context(), database, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	files, err := dirblob.Open(filepath.Join(server.Dir, "artifacts-models"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, files.Close()) })
	return registry.New(store, files, nil)
}

// registryScript runs registry_go.py in an empty folder. It fails for what is
// no answer of the server.
func registryScript(t *testing.T, url, what string, answer any) error {
	t.Helper()
	script, err := filepath.Abs(filepath.Join("testdata", "registry_go.py"))
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), inttest.MLflowPython(t), script, url, what)
	cmd.Dir = t.TempDir()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	last := lines[len(lines)-1]
	if err != nil {
		var refused struct{ Error, Message string }
		require.NoError(t, json.Unmarshal(last, &refused), "%s\n%s", out, said.String())
		return errors.New(refused.Error + ": " + refused.Message)
	}
	require.NoError(t, json.Unmarshal(last, answer), "%s\n%s", out, said.String())
	return nil
}

// TestRegistryOfGoAndPython has Python register models, a Go program judge and
// promote them, and Python load what it promoted.
func TestRegistryOfGoAndPython(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); goAndPython(t, "") })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); goAndPython(t, pgtest.URL(t)) })
}

func goAndPython(t *testing.T, database string) {
	ctx := t.Context()
	server := inttest.StartServer(t, database)
	var predictions [][]float64
	require.NoError(t, registryScript(t, server.URL, "make", &predictions))
	require.Len(t, predictions, 2)
	reg := openRegistry(t, server, database)

	champion, err := reg.Resolve(ctx, "line@champion")
	require.NoError(t, err)
	require.Equal(t, "line/1", champion.Ref())
	require.Equal(t, registry.Ready, champion.Status)
	better, err := reg.Version(ctx, "line", 2)
	require.NoError(t, err)
	for _, v := range []*registry.Version{champion, better} {
		require.NotEmpty(t, v.Files)
		require.NotEmpty(t, v.Run)
		require.Contains(t, v.Framework, "sklearn")
		require.JSONEq(t, `{"inputs":[{"name":"input-0","datatype":"FP64","shape":[-1,2]}],"outputs":[{"name":"output-0","datatype":"FP64","shape":[-1]}]}`, string(v.Signature))
		files, err := reg.Open(ctx, v) // verifies each file
		require.NoError(t, err)
		about, err := registry.ReadMLmodel(files)
		require.NoError(t, err)
		require.Equal(t, "sklearn", about.Native().Name)
		for _, f := range v.Files {
			data, err := fs.ReadFile(files, f.Path)
			require.NoError(t, err)
			require.Len(t, data, int(f.Size))
		}
	}
	require.NotEmpty(t, better.LoggedModel)
	require.NotEmpty(t, better.Datasets)
	for _, d := range better.Datasets {
		require.Equal(t, better.Datasets[0].Digest, d.Digest)
	}
	require.Contains(t, better.Metrics, "rmse")

	// The better one passes, and then the worse one is refused with its numbers.
	opts := &registry.PromoteOptions{By: "ci", Gates: []registry.Gate{
		registry.SignatureCompatible(), registry.MetricAtMost("rmse", 1000),
		registry.MetricBeats(registry.Comparison{Metric: "rmse", Dataset: registry.Dataset{Name: "points", Digest: better.Datasets[0].Digest}, LowerIsBetter: true, Margin: 0.5}),
	}}
	decision, err := reg.Promote(ctx, "line", "champion", 2, opts)
	require.NoError(t, err)
	require.Len(t, decision.Gates, 3)
	var loaded []float64
	require.NoError(t, registryScript(t, server.URL, "load", &loaded))
	require.Equal(t, predictions[1], loaded)
	_, err = reg.Promote(ctx, "line", "champion", 1, opts)
	var refused *registry.RefusedError
	require.ErrorAs(t, err, &refused)
	t.Log(refused)

	_, err = reg.Rollback(ctx, "line", "champion", &registry.RollbackOptions{By: "ops", Reason: "a test"})
	require.NoError(t, err)
	require.NoError(t, registryScript(t, server.URL, "load", &loaded))
	require.Equal(t, predictions[0], loaded)
	head, err := reg.VerifyAudit(ctx)
	require.NoError(t, err)
	require.NotZero(t, head)
	graph, err := reg.Lineage(ctx, champion, nil)
	require.NoError(t, err)
	require.Contains(t, graph.Mermaid(), champion.Run)

	// The version stays when the artifacts of the run change or go.
	require.NoError(t, os.RemoveAll(filepath.Join(server.Dir, "artifacts")))
	require.NoError(t, registryScript(t, server.URL, "load", &loaded))
	require.Equal(t, predictions[0], loaded)

	// One changed bit of one file, and nobody gets it.
	sum := ""
	for _, f := range champion.Files {
		if f.Path == "MLmodel" {
			sum = f.SHA256
		}
	}
	object := filepath.Join(server.Dir, "artifacts-models", "sha256", sum[:2], sum)
	data, err := os.ReadFile(object)
	require.NoError(t, err)
	data[len(data)/2] ^= 1
	require.NoError(t, os.Chmod(object, 0o600))
	require.NoError(t, os.WriteFile(object, data, 0o600))
	files, err := reg.Open(ctx, champion)
	if err == nil {
		_, err = fs.ReadFile(files, "MLmodel")
	}
	var tampered *registry.DigestError
	require.ErrorAs(t, err, &tampered)
	require.Equal(t, "MLmodel", tampered.Path)
	err = registryScript(t, server.URL, "load", &loaded)
	require.Error(t, err)
	t.Log(err)
}
