package mlflow_test

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/mlflow"
	"github.com/millwright-ml/millwright/registry/registrytest"
)

// answers is a Conn to a server that says the same to everything.
func answers(t testing.TB, status int, body string) (conn *mlflow.Conn, seen *int) {
	t.Helper()
	seen = new(int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		*seen++
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	conn, err := mlflow.Dial(server.URL, &mlflow.DialOptions{Backoff: time.Millisecond, Retries: 2})
	require.NoError(t, err)
	return conn, seen
}

func TestDialFaults(t *testing.T) {
	t.Parallel()
	_, err := mlflow.Dial("ftp://user:secret@", &mlflow.DialOptions{Retries: -2, Username: "a", Token: "b"})
	require.ErrorIs(t, err, registry.ErrInvalid)
	for _, fault := range []string{"ftp", "no host", "Retries is -2", "both Username and Token"} {
		require.ErrorContains(t, err, fault)
	}
	require.NotContains(t, err.Error(), "secret")
}

func TestConnErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		body   string
		kind   error
		seen   int
	}{
		{404, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Model Version (name=a, version=1) not found."}`, registry.ErrNotFound, 1},
		{400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"no."}`, registry.ErrInvalid, 1},
		{503, `busy`, registry.ErrUnavailable, 3},
		{500, `<html>`, registry.ErrUnavailable, 3},
		{404, `<html>`, registry.ErrUnsupported, 1},
		{200, `<html>`, registry.ErrUnsupported, 1},
		{200, `{"model_version":{"name":"a","version":"latest"}}`, registry.ErrUnsupported, 1},
		{200, `{"model_version":{"name":"a","version":"-1"}}`, registry.ErrUnsupported, 1},
		{200, `{}`, registry.ErrUnsupported, 1},
	} {
		conn, seen := answers(t, c.status, c.body)
		_, err := conn.Version(t.Context(), "a", 1)
		require.ErrorIs(t, err, c.kind, "%d %s: %v", c.status, c.body, err)
		require.ErrorContains(t, err, `get version "a/1"`)
		require.Equal(t, c.seen, *seen, "%d %s", c.status, c.body)
		if c.status != 200 {
			var answer *mlflow.ResponseError
			require.ErrorAs(t, err, &answer)
			require.Equal(t, c.status, answer.Status)
		}
	}
}

// What would be made twice is not sent twice.
func TestConnSendsOnce(t *testing.T) {
	t.Parallel()
	conn, seen := answers(t, 500, "")
	_, err := conn.CreateVersion(t.Context(), &registry.Version{Name: "a", Source: "s3://b/c"}, "")
	require.ErrorIs(t, err, registry.ErrUnavailable)
	require.ErrorContains(t, err, "may have made it or not")
	require.Equal(t, 1, *seen)
}

func TestConnFiles(t *testing.T) {
	t.Parallel()
	reg := registry.New(new(registrytest.Mem), new(blob.Mem), nil)
	want := fstest.MapFS{"MLmodel": {Data: []byte("flavors: {f: }\n")}, "data/größe b": {Data: []byte("weights")}}
	v, err := reg.Register(t.Context(), "a model", registry.Draft{Files: want})
	require.NoError(t, err)
	conn := serveRegistry(t, reg)
	files, err := conn.Files(t.Context(), "a model", v.Number)
	require.NoError(t, err)
	require.NoError(t, fstest.TestFS(files, "MLmodel", "data/größe b"))
	for name := range want {
		have, err := fs.ReadFile(files, name)
		require.NoError(t, err)
		require.Equal(t, string(want[name].Data), string(have))
	}
	_, err = conn.Files(t.Context(), "a model", 2)
	require.ErrorIs(t, err, registry.ErrNotFound)

	for _, uri := range []string{
		"s3://bucket/x", "file:///etc", "/etc", "http://169.254.169.254/x", "mlflow-artifacts:/../../etc", "mlflow-artifacts:/a/..%2f..%2fb", "models:/x/1", "",
	} {
		conn, _ := answers(t, 200, fmt.Sprintf(`{"artifact_uri":%q}`, uri))
		_, err := conn.Files(t.Context(), "a", 1)
		require.Error(t, err, uri)
	}
}
