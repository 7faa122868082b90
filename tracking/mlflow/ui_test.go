package mlflow_test

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking/mlflow"
)

var uiFiles = fstest.MapFS{
	"index.html":               {Data: []byte("<html>ui</html>")},
	"favicon.ico":              {Data: []byte("icon")},
	"static/js/main.abc.js":    {Data: []byte("js()")},
	"static/css/main.abc.css":  {Data: []byte("a{}")},
	"static/media/font.woff2":  {Data: []byte("font")},
	"lib/pdf.worker.js":        {Data: []byte("pdf()")},
	"static/js/main.js.map":    {Data: []byte("{}")},
	"static/media/logo.svg":    {Data: []byte("<svg/>")},
	"static/media/unknown.xyz": {Data: []byte("?")},
}

func TestUIMount(t *testing.T) {
	t.Parallel()
	a := newAPI(t, &mlflow.Options{UIDir: uiFiles, Prefix: "/ml"})
	for _, root := range []string{"", "/ml"} {
		for path, want := range map[string][2]string{
			"/":                                      {"text/html; charset=utf-8", "<html>ui</html>"},
			"/static-files/favicon.ico":              {"image/x-icon", "icon"},
			"/static-files/static/js/main.abc.js":    {"text/javascript; charset=utf-8", "js()"},
			"/static-files/static/css/main.abc.css":  {"text/css; charset=utf-8", "a{}"},
			"/static-files/static/media/font.woff2":  {"font/woff2", "font"},
			"/static-files/static/js/main.js.map":    {"application/json", "{}"},
			"/static-files/static/media/logo.svg":    {"image/svg+xml", "<svg/>"},
			"/static-files/static/media/unknown.xyz": {"application/octet-stream", "?"},
		} {
			resp := a.send("GET", root+path, "")
			require.Equal(t, 200, resp.StatusCode, path)
			require.Equal(t, want[0], resp.Header.Get("Content-Type"), path)
			_, text := a.do("GET", root+path, "")
			require.Equal(t, want[1], text)
		}
		require.Contains(t, a.send("GET", root+"/static-files/static/js/main.abc.js", "").Header.Get("Cache-Control"), "immutable")
		require.Equal(t, "no-cache", a.send("GET", root+"/", "").Header.Get("Cache-Control"))
		for _, path := range []string{"/static-files/", "/static-files", "/static-files/none.js", "/static-files/static", "/static-files/../api_test.go",
			"/static-files/..%2f..%2fetc/passwd", "/static-files/%2e%2e/handler.go", "/static-files/static%5c..%5cindex.html", "/static-files//etc/passwd", "/index.html"} {
			a.fails(404, "ENDPOINT_NOT_FOUND", "GET", root+path, "")
		}
	}
	resp := a.send("GET", "/static-files/static/js/main.abc.js", "", "Range", "bytes=1-2")
	require.Equal(t, 206, resp.StatusCode)
}
