package mlflow_test

import (
	"encoding/base64"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/registry/registrytest"
)

const proxied = "/api/2.0/mlflow-artifacts/artifacts"

func TestFiles(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, a *api) {
		m := a.logged("", map[string]string{"MLmodel": "a", "data/x.csv": "1,2", "data/deep/y": "z", "page.html": "<script>"})
		for _, name := range []string{"fraud", "my model é%2f"} {
			a.model(name)
			a.create(name, "models:/"+string(m.ID), `,"model_id":"`+string(m.ID)+`"`)
			uri := ok[mlflowapi.GetModelVersionDownloadURIResponse](a, "GET", "model-versions/get-download-uri?version=1&name="+url.QueryEscape(name), "").ArtifactURI
			root, found := strings.CutPrefix(uri, "mlflow-artifacts:/")
			require.True(t, found)
			require.Equal(t, url.PathEscape(root), strings.ReplaceAll(root, "/", "%2F"), "nothing for clients to escape")

			list := func(dir string) mlflowapi.ListArtifactsResponse {
				return ok[mlflowapi.ListArtifactsResponse](a, "GET", proxied+"?path="+url.QueryEscape(root+dir), "")
			}
			require.Equal(t, []mlflowapi.FileInfo{{Path: "MLmodel", FileSize: new(int64(1))}, {Path: "data", IsDir: true}, {Path: "page.html", FileSize: new(int64(8))}}, list("").Files)
			require.Equal(t, []mlflowapi.FileInfo{{Path: "deep", IsDir: true}, {Path: "x.csv", FileSize: new(int64(3))}}, list("/data").Files)
			require.Empty(t, list("/nothing").Files)

			for _, target := range []string{proxied + "/" + root + "/data/x.csv", "/ajax-api/2.0/mlflow-artifacts/artifacts/" + root + "/data/x.csv",
				"/model-versions/get-artifact?version=1&path=data%2Fx.csv&name=" + url.QueryEscape(name)} {
				resp := a.send("GET", target, "")
				require.Equal(t, 200, resp.StatusCode, target)
				text, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.Equal(t, "1,2", string(text))
				require.Equal(t, "attachment; filename=x.csv", resp.Header.Get("Content-Disposition"))
				require.Equal(t, 3, int(a.send("HEAD", target, "").ContentLength))
				require.Equal(t, 206, a.send("GET", target, "", "Range", "bytes=1-1").StatusCode)
				require.Equal(t, 304, a.send("GET", target, "", "If-None-Match", resp.Header.Get("ETag")).StatusCode)
			}
			resp := a.send("GET", proxied+"/"+root+"/page.html", "")
			require.Contains(t, resp.Header.Get("Content-Disposition"), "attachment")
			require.Contains(t, resp.Header.Get("Content-Security-Policy"), "sandbox")
			require.Contains(t, a.fails(400, "INVALID_PARAMETER_VALUE", "GET", proxied+"/"+root+"/data", ""), "refers to a directory")
			for _, method := range []string{"PUT", "DELETE", "POST", "PATCH"} {
				require.Equal(t, 405, a.send(method, proxied+"/"+root+"/MLmodel", "{}").StatusCode)
			}
		}
	})
}

// No path leads to anything but the files of the version's manifest.
func TestFileProbes(t *testing.T) {
	t.Parallel()
	a := newAPI(t, new(registrytest.Mem), nil)
	m := a.logged("", map[string]string{"MLmodel": "a"})
	a.model("fraud")
	a.create("fraud", "models:/"+string(m.ID), `,"model_id":"`+string(m.ID)+`"`)
	for _, path := range []string{
		"../../etc/passwd", "/etc/passwd", "..", ".", "MLmodel/..", "./MLmodel", "MLmodel/", "a//b", "%2e%2e/x", "%252e%252e%252fx", "..%2f..%2fetc%2fpasswd",
		"\\..\\..\\x", "C:\\x", "C:x", "file:///etc/passwd", "MLmodel\x00.txt", "%00", "a#b", "\n", "MLmodel%09", strings.Repeat("a/", 600), "nope", "MLmodel/x",
	} {
		for _, target := range []string{
			"/model-versions/get-artifact?name=fraud&version=1&path=" + url.QueryEscape(path),
			proxied + "/model-registry/fraud/1/" + url.PathEscape(path),
			proxied + "?path=" + url.QueryEscape("model-registry/fraud/1/"+path),
		} {
			status, text := a.do("GET", target, "")
			if status == 200 { // an empty folder
				require.Equal(t, "{}", text, target)
				continue
			}
			require.Contains(t, []int{400, 404}, status, "%s: %s", target, text)
		}
	}
	coded := func(name string) string { return "~" + base64.RawURLEncoding.EncodeToString([]byte(name)) }
	for _, key := range []string{"", "model-registry", "model-registry/", "model-registry/fraud", "model-registry/fraud/2", "model-registry/fraud/x", "other/fraud/1", "model-registry//1",
		"model-registry/" + coded("fraud") + "/1", "model-registry/" + coded("../x") + "/1", "model-registry/~/1", "model-registry/~!/1", "model-registry/..%2f/1"} {
		status, text := a.do("GET", proxied+"?path="+url.QueryEscape(key), "")
		require.Contains(t, []int{400, 404}, status, "%s: %s", key, text)
	}
	for _, query := range []string{"", "?name=fraud", "?name=fraud&version=1", "?version=1&path=MLmodel", "?name=fraud&version=1;path=x"} {
		require.Equal(t, 400, a.send("GET", "/model-versions/get-artifact"+query, "").StatusCode, query)
	}
}

// A file that was damaged in the store is not sent.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	a := newAPI(t, new(registrytest.Mem), nil)
	m := a.logged("", map[string]string{"MLmodel": "a"})
	a.model("fraud")
	a.create("fraud", "models:/"+string(m.ID), `,"model_id":"`+string(m.ID)+`"`)
	require.NoError(t, a.kept.Put(t.Context(), strings.TrimSpace(blobKeys(t, a)), strings.NewReader("b"), 1))
	status, text := a.do("GET", "/model-versions/get-artifact?name=fraud&version=1&path=MLmodel", "")
	require.Equal(t, 500, status)
	require.JSONEq(t, `{"error_code":"INTERNAL_ERROR","message":"Internal server error."}`, text)
}
