package mlflow_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/mlflow"
	"github.com/millwright-ml/millwright/registry/registrytest"
	"github.com/millwright-ml/millwright/tracking"
)

var modelFiles = map[string]string{"MLmodel": "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n", "model.skops": "weights", "data/x.csv": "1"}

// create makes a version of a source.
func (a *api) create(name, source, rest string) mlflowapi.ModelVersion {
	a.t.Helper()
	return ok[versionAnswer](a, "POST", "model-versions/create", `{"name":"`+name+`","source":"`+source+`"`+rest+`}`).ModelVersion
}

func TestVersionOfRun(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, a *api) {
		inRun := map[string]string{"other/file": "x"}
		for name, text := range modelFiles {
			inRun["model/"+name] = text
		}
		run := a.run(inRun)
		require.NoError(t, a.runs.LogBatch(t.Context(), run.ID, tracking.Batch{
			Metrics: []tracking.Metric{{Key: "auc", Value: 0.9, Time: time.Now()}},
			Tags:    map[string]string{"mlflow.source.git.commit": "abc"},
			Inputs:  []tracking.DatasetInput{{Name: "flights", Digest: "d1", Context: "training", SourceType: "x", Source: "y"}},
		}))
		a.model("fraud")
		id := string(run.ID)
		for _, source := range []string{"runs:/" + id + "/model", run.ArtifactURI + "/model"} {
			v := a.create("fraud", source, `,"run_id":"`+id+`"`)
			require.Equal(t, mlflowapi.VersionReady, v.Status)
			require.Equal(t, id, v.RunID)
			require.Equal(t, source, v.Source)
			require.Equal(t, modelFiles, a.opened("fraud/"+v.Version))
		}
		v, err := a.reg.Resolve(t.Context(), "fraud/1")
		require.NoError(t, err)
		require.Equal(t, map[string]float64{"auc": 0.9}, v.Metrics)
		require.Equal(t, []registry.Dataset{{Name: "flights", Digest: "d1", Context: "training"}}, v.Datasets)
		require.Equal(t, "abc", v.Code.Commit)
		require.NotEmpty(t, v.Flavor)

		// What happens to the run's artifacts later does not touch the version.
		a.put(run.ArtifactURI, map[string]string{"model/model.skops": "other weights"})
		require.Equal(t, modelFiles, a.opened("fraud/1"))
		require.Empty(t, a.create("fraud", "runs:/"+id+"/nothing", `,"run_id":"`+id+`"`).StatusMessage, "MLflow does not look either")
	})
}

func TestVersionOfLoggedModel(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, a *api) {
		run := a.run(nil)
		m := a.logged(run.ID, modelFiles)
		a.model("fraud")
		v := a.create("fraud", "models:/"+string(m.ID), `,"model_id":"`+string(m.ID)+`"`)
		require.Equal(t, string(run.ID), v.RunID, "the run that made it")
		require.Equal(t, modelFiles, a.opened("fraud/1"))
		require.Equal(t, modelFiles, a.opened("fraud/"+a.create("fraud", m.ArtifactURI, `,"model_id":"`+string(m.ID)+`"`).Version))
		stored, err := a.runs.Model(t.Context(), m.ID)
		require.NoError(t, err)
		require.JSONEq(t, `[{"name":"fraud","version":1},{"name":"fraud","version":2}]`, stored.Tags["mlflow.modelVersions"])

		a.model("copy")
		ok[empty](a, "POST", "registered-models/alias", `{"name":"fraud","alias":"champion","version":"1"}`)
		for _, source := range []string{"models:/fraud/1", "models:/fraud@champion"} {
			v := a.create("copy", source, "")
			require.Equal(t, "models:/fraud/1", v.Source)
			require.Equal(t, string(run.ID), v.RunID)
			require.Equal(t, modelFiles, a.opened("copy/"+v.Version))
		}
		require.Equal(t, "models:/fraud/2", a.create("copy", "models:/fraud/latest", "").Source)
		for _, rest := range []string{`,"run_id":"` + strings.Repeat("0", 32) + `"`, `,"model_id":"m-1"`, `,"run_id":""`} {
			a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "model-versions/create", `{"name":"copy","source":"models:/fraud/1"`+rest+`}`)
		}
		a.fails(404, "RESOURCE_DOES_NOT_EXIST", "POST", "model-versions/create", `{"name":"copy","source":"models:/nope/1"}`)
		a.fails(404, "RESOURCE_DOES_NOT_EXIST", "POST", "model-versions/create", `{"name":"copy","source":"models:/fraud/9"}`)
		require.Equal(t, 3, strings.Count(blobKeys(t, a), "\n"), "equal files are kept once")
	})
}

func blobKeys(t *testing.T, a *api) string {
	t.Helper()
	var keys strings.Builder
	for info, err := range a.kept.List(t.Context(), "sha256/") {
		require.NoError(t, err)
		keys.WriteString(info.Name() + "\n")
	}
	return keys.String()
}

// A source that leads anywhere but into the run or logged model that the
// request names is refused, with and without the tag that makes a prompt of it.
func TestPoisonedSources(t *testing.T) {
	t.Parallel()
	a := newAPI(t, new(registrytest.Mem), nil)
	run, other := a.run(map[string]string{"model/f": "1"}), a.run(map[string]string{"model/f": "2"})
	m := a.logged(run.ID, map[string]string{"f": "3"})
	a.model("fraud")
	id, otherID := string(run.ID), string(other.ID)
	for _, source := range []string{
		"file:///etc/", "file:///etc/passwd", "/etc/passwd", "../../etc", "../../etc/passwd", "etc", "./x", "C:\\\\x", "\\\\..\\\\..\\\\x", "file://a#/..//tmp",
		"file://10.0.0.1/x", "//authority/share", "~/x", "file:etc",
		"http://169.254.169.254/latest", "https://example.com/m", "http://localhost/api/2.0/mlflow-artifacts/artifacts/1", "ftp://x/y", "data:text/plain,x", "javascript:alert(1)",
		"http:///#/../../etc/", "http:///?/../../etc/",
		"mlflow-artifacts://h/models/..%2f..%2fx", "mlflow-artifacts:/x%00", "mlflow-artifacts:/../../etc", "mlflow-artifacts:/1/%2e%2e/%2e%2e/etc", "mlflow-artifacts:/1/%252e%252e/x",
		"mlflow-artifacts:/", "mlflow-artifacts:/1", "mlflow-artifacts:/model-registry/fraud/1", "mlflow-artifacts://evil.com/1/" + id + "/artifacts/model",
		"s3a://b/x/../../", "s3://b/../c", "s3://b/x;param", "s3://b/x?versionId=1", "s3://user:pass@b/x", "s3:///x", "s3:x",
		"dbfs:/R/artifacts/a%3f/../../", "runs:/" + otherID + "/model", "runs:/" + id, "runs:/" + id + "/../" + otherID, "runs:/" + id + "/%2e%2e/x",
		"runs://h/" + id + "/model", "models:/m-nope", "models:/" + string(m.ID), "models://h/fraud/1", "models:/fraud/1/x", "models:/fraud@a/b", "models:/", "models:/fraud",
		other.ArtifactURI + "/model", run.ArtifactURI + "x/model", run.ArtifactURI + "/../" + otherID + "/artifacts/model", m.ArtifactURI,
		strings.Repeat("s3://b/", 400),
	} {
		for _, tags := range []string{"", `,"tags":[{"key":"mlflow.prompt.is_prompt","value":"true"}]`, `,"tags":[{"key":"mlflow.prompt.is_prompt","value":"TRUE"}]`,
			`,"tags":[{"key":"mlflow.prompt.is_prompt","value":"false"},{"key":"mlflow.prompt.is_prompt","value":"True"}]`} {
			status, text := a.do("POST", "model-versions/create", `{"name":"fraud","run_id":"`+id+`","source":"`+source+`"`+tags+`}`)
			require.Contains(t, []int{400, 404}, status, "%s %s: %s", source, tags, text)
		}
	}
	for v, err := range a.reg.Versions(t.Context(), "fraud") {
		require.NoError(t, err)
		t.Errorf("a version was made of %q", v.Source)
	}
	for _, source := range []string{"dummy-source", "prompt-template"} {
		v := a.create("fraud", source, `,"tags":[{"key":"mlflow.prompt.is_prompt","value":"true"}]`)
		a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "model-versions/create", `{"name":"fraud","source":"`+source+`"}`)
		a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "model-versions/create", `{"name":"fraud","source":"models:/fraud/`+v.Version+`"}`)
		// Taking the tag off does not make the placeholder a path.
		ok[empty](a, "DELETE", "model-versions/delete-tag", `{"name":"fraud","version":"`+v.Version+`","key":"mlflow.prompt.is_prompt"}`)
		a.fails(404, "RESOURCE_DOES_NOT_EXIST", "GET", "/model-versions/get-artifact?name=fraud&path=MLmodel&version="+v.Version, "")
	}
}

func TestSourcesElsewhere(t *testing.T) {
	t.Parallel()
	a := newAPI(t, new(registrytest.Mem), func(o *mlflow.Options) {
		o.AllowSources = func(uri string) error {
			if !strings.HasPrefix(uri, "s3://ours/") {
				return errors.New("only our bucket is")
			}
			return nil
		}
		o.OpenSource = func(_ context.Context, uri string) (fs.FS, error) {
			if uri != "s3://ours/model" {
				return nil, registry.ErrUnsupported
			}
			return fstest.MapFS{"MLmodel": {Data: []byte("x")}}, nil
		}
	})
	a.model("fraud")
	a.create("fraud", "s3://ours/model", "")
	require.Equal(t, map[string]string{"MLmodel": "x"}, a.opened("fraud/1"))
	require.Equal(t, mlflowapi.VersionReady, a.create("fraud", "s3://ours/other", "").Status)
	require.Contains(t, a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "model-versions/create", `{"name":"fraud","source":"s3://theirs/model"}`), "only our bucket is")
	a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "model-versions/create", `{"name":"fraud","source":"s3://ours/../x"}`)
}

// Where runs keep their files in a bucket, the server reads what is in the run
// that the request names, and nothing else that its credentials open.
func TestSourcesInTheRunsBucket(t *testing.T) {
	t.Parallel()
	var opened []string
	files := new(blob.Mem)
	a := newAPI(t, new(registrytest.Mem), func(o *mlflow.Options) {
		o.OpenArtifacts = func(_ context.Context, uri string) (tracking.Artifacts, error) {
			opened = append(opened, uri)
			return files, nil
		}
	})
	a.runs.ArtifactRoot = "s3://runs/root"
	run := a.run(nil)
	require.True(t, strings.HasPrefix(run.ArtifactURI, "s3://runs/root/"))
	require.NoError(t, files.Put(t.Context(), "weights", strings.NewReader("x"), 1))
	a.model("fraud")
	id := `,"run_id":"` + string(run.ID) + `"`
	a.create("fraud", run.ArtifactURI+"/model", id)
	require.Equal(t, map[string]string{"weights": "x"}, a.opened("fraud/1"))
	require.Equal(t, []string{run.ArtifactURI + "/model"}, opened)

	for _, source := range []string{"s3://runs/root/other", "s3://runs/root/" + run.ArtifactURI[len("s3://runs/root/"):] + "x", "s3://secrets/key"} {
		v := a.create("fraud", source, id)
		require.Equal(t, mlflowapi.VersionReady, v.Status)
		stored, err := a.reg.Resolve(t.Context(), "fraud/"+v.Version)
		require.NoError(t, err)
		require.Empty(t, stored.Files)
		require.Equal(t, source, ok[mlflowapi.GetModelVersionDownloadURIResponse](a, "GET", "model-versions/get-download-uri?name=fraud&version="+v.Version, "").ArtifactURI)
	}
	require.Len(t, opened, 1)
	v := a.create("fraud", run.ArtifactURI+"/model", "") // without the run nobody vouches for the place
	require.Equal(t, "5", v.Version)
	require.Len(t, opened, 1)
}
