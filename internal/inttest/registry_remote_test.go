package inttest_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/registry"
	registrymlflow "github.com/millwright-ml/millwright/registry/mlflow"
	"github.com/millwright-ml/millwright/registry/registrytest"
	registrysqlstore "github.com/millwright-ml/millwright/registry/sqlstore"
)

func dialRegistry(t testing.TB, server *inttest.MLflow) *registrymlflow.Conn {
	t.Helper()
	conn, err := registrymlflow.Dial(server.URL, nil)
	require.NoError(t, err)
	return conn
}

// notInMLflowsRegistry has the subtests of the kit that upstream fails as a
// whole, and why. Our own server passes them over the same client.
var notInMLflowsRegistry = map[string]string{}

// TestRegistryConnOnMLflow runs the kit with our client against upstream's
// server. Every difference that it is allowed is upstream's or the wire's.
func TestRegistryConnOnMLflow(t *testing.T) {
	t.Parallel()
	conn := dialRegistry(t, inttest.StartMLflow(t, ""))
	// Pages of upstream shift when other tests write, so that one test runs at
	// a time.
	var one sync.Mutex
	registrytest.RunExcept(t, registrytest.Harness{New: func(t testing.TB) registry.Store {
		if why := notInMLflowsRegistry[path.Base(t.Name())]; why != "" {
			t.Skip("upstream: " + why)
		}
		one.Lock()
		t.Cleanup(one.Unlock)
		return conn
	}}, registrytest.Differences{
		Shared: true, OwnTimes: true, RecordsOnly: true, GoneForGood: true, NoAudit: true,
		NoAliasesFound: true, // upstream's searches leave them out
	})
}

// registrySession is what an unmodified Python client leaves in a registry. It
// prints the SHA-256 of each file that it downloads again, as JSON.
const registrySession = `
import sys, json, hashlib, os, mlflow, mlflow.sklearn, numpy as np, pandas as pd
from mlflow.tracking import MlflowClient
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression
mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()
x = pd.DataFrame({"amount": [0.0, 1.0, 2.0], "count": [1, 2, 3]}); y = np.array([0.0, 2.0, 4.0])
client.create_registered_model("fraud", tags={"team": "risk"}, description="finds\nit")
for n in range(4):
    with mlflow.start_run() as run:
        model = LinearRegression().fit(x.values * (n + 1), y)
        info = mlflow.sklearn.log_model(model, name="line", signature=infer_signature(x, y), input_example=x.head(1), pip_requirements=["scikit-learn"])
    uri = info.model_uri if n % 2 else f"runs:/{run.info.run_id}/line"
    mlflow.register_model(uri, "fraud", tags={"n": str(n)})
client.delete_model_version("fraud", "2")
client.update_model_version("fraud", "3", description="better")
client.transition_model_version_stage("fraud", "1", "Production")
client.set_registered_model_alias("fraud", "champion", "3")
mlflow.genai.register_prompt(name="greeting", template="Hi {{name}}")
mlflow.genai.set_prompt_alias("greeting", alias="live", version=1)
sums = {}
for version in ("1", "3", "4"):
    path = mlflow.artifacts.download_artifacts(f"models:/fraud/{version}")
    for dir, _, names in os.walk(path):
        for name in names:
            file = os.path.join(dir, name)
            if name != "registered_model_meta": # the client's own addition
                sums[version + "/" + os.path.relpath(file, path)] = hashlib.sha256(open(file, "rb").read()).hexdigest()
print("SUMS" + json.dumps(sums))
`

// TestRegistryImportFromMLflow copies what a Python session left in the
// registry of upstream's server, scikit-learn models included.
func TestRegistryImportFromMLflow(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := inttest.StartMLflow(t, "")
	said, err := exec.CommandContext(ctx, inttest.MLflowPython(t), "-c", registrySession, server.URL).CombinedOutput()
	require.NoError(t, err, string(said))
	_, text, found := bytes.Cut(said, []byte("SUMS"))
	require.True(t, found, string(said))
	var sums map[string]string
	require.NoError(t, json.NewDecoder(bytes.NewReader(text)).Decode(&sums))

	store, err := registrysqlstore.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "registry.db"), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	files, err := dirblob.Open(filepath.Join(t.TempDir(), "files"))
	require.NoError(t, err)
	dst := registry.New(store, files, nil)
	src := dialRegistry(t, server)

	start := time.Now()
	result, err := registrymlflow.Import(ctx, src, dst, nil)
	require.NoError(t, err, "%v", result.Differences)
	t.Logf("%d models, %d versions, %d files of %d bytes in %v", result.Models, result.Versions, result.Files, result.Bytes, time.Since(start))
	require.Equal(t, 2, result.Models)
	require.Equal(t, 4, result.Versions)
	require.Equal(t, 2, result.Aliases)

	have := map[string]string{}
	for v, err := range dst.Versions(ctx, "fraud") {
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(v.Framework, "sklearn "), v.Framework)
		require.NotEmpty(t, v.Run)
		require.JSONEq(t, `{"inputs":[{"name":"amount","datatype":"FP64","shape":[-1,1]},{"name":"count","datatype":"INT64","shape":[-1,1]}],
			"outputs":[{"name":"output-0","datatype":"FP64","shape":[-1]}]}`, string(v.Signature))
		for _, f := range v.Files {
			have[strconv.Itoa(v.Number)+"/"+f.Path] = f.SHA256
		}
	}
	require.Equal(t, sums, have)
	v, err := dst.Resolve(ctx, "fraud@champion")
	require.NoError(t, err)
	require.Equal(t, []any{3, "better", "2"}, []any{v.Number, v.Description, v.Tags["n"]})
	opened, err := dst.Open(ctx, v)
	require.NoError(t, err)
	m, err := registry.ReadMLmodel(opened)
	require.NoError(t, err)
	example, _, err := m.ReadExample(opened)
	require.NoError(t, err)
	require.JSONEq(t, `{"columns":["amount","count"],"data":[[0.0,1]]}`, string(example))
	v, err = dst.Resolve(ctx, "fraud/1")
	require.NoError(t, err)
	require.Equal(t, registry.StageProduction, v.Stage)
	v, err = dst.Resolve(ctx, "greeting@live")
	require.NoError(t, err)
	require.Equal(t, "Hi {{name}}", v.Tags["mlflow.prompt.text"])

	again, err := registrymlflow.Import(ctx, src, dst, &registrymlflow.ImportOptions{Recheck: true})
	require.NoError(t, err)
	require.Equal(t, []int{0, 4}, []int{again.Versions, again.Skipped})
}
