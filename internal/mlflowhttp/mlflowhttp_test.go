package mlflowhttp_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
)

type route struct{ name string }

func TestRouter(t *testing.T) {
	t.Parallel()
	var rr mlflowhttp.Router[route]
	for _, path := range []string{"2.0/a", "2.0/a/{id}", "2.0/a/{id}/files/{path...}", "2.0/a/search/{path...}", "/own", "/own/{path...}"} {
		require.NoError(t, rr.Add(http.MethodGet, path, &route{path}))
	}
	require.ErrorIs(t, rr.Add(http.MethodGet, "2.0/a", &route{}), errs.ErrInvalid)
	for path, want := range map[string]string{
		"/api/2.0/a": "2.0/a", "/ajax-api/2.0/a": "2.0/a", "/api/2.0/a/7": "2.0/a/{id}", "/api/2.0/a/7/files/x/y": "2.0/a/{id}/files/{path...}",
		"/api/2.0/a/search/x": "2.0/a/search/{path...}", "/own": "/own", "/own/x/y": "/own/{path...}",
		"/api/2.0/a/": "", "/api//2.0/a": "", "/2.0/a": "", "/api/2.0/a/7/": "", "/api/own": "", "/api/2.0/a/7/files/": "", "/api/2.0/a/%zz": "", "": "", "/": "", "/api/": "",
	} {
		n, _ := rr.Find(path)
		if want == "" {
			require.Nil(t, n, path)
			continue
		}
		require.NotNil(t, n, path)
		require.Equal(t, want, n.Route(http.MethodHead).name, path)
		require.Nil(t, n.Route(http.MethodPost), path)
		require.Equal(t, "GET, HEAD, OPTIONS", n.Allow())
	}
	_, vars := rr.Find("/api/2.0/a/x%2Fy/files/a%20b/c")
	c := mlflowhttp.Call{Vars: vars}
	require.Equal(t, "x/y", c.Path("id"))
	require.Equal(t, "a b/c", c.Path("path"))
}

func TestLocationFault(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{"s3://b/k", "mlflow-artifacts:/1/x", "runs:/1/model", "models:/m-1", "models:/a@b", "/a/b", "s3://b/k%20x"} {
		require.Empty(t, mlflowhttp.LocationFault(uri), uri)
	}
	for _, uri := range []string{
		"s3://b/../k", "s3://b/%2e%2e/k", "s3://b/%252e%252e/k", "s3://b/k?x", "s3://b/k#x", "s3://b/k;x", "s3://u:p@b/k", "s3:k", "s3://b/\\k", "s3://b/\x00", "s3://b/%00",
		"s3://b/%5c", "://", "s3://b/" + strings.Repeat("k", 2048), "a/./b", "../x", "s3://b/" + "%" + strings.Repeat("25", 12) + "2e",
	} {
		require.NotEmpty(t, mlflowhttp.LocationFault(uri), uri)
	}
}

func FuzzCheckPath(f *testing.F) {
	for _, seed := range []string{"a/b", "../x", "%2e%2e/x", "a//b", "C:x", "a\\b", "é/ü", "%25252e"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if mlflowhttp.CheckPath(path) != nil {
			return
		}
		for range 20 { // however often it is unescaped
			for segment := range strings.SplitSeq(path, "/") {
				require.NotContains(t, []string{"", ".", ".."}, segment)
			}
			require.NotContains(t, path, "\\")
			path = mlflowhttp.UnescapeOnce(path)
		}
	})
}
