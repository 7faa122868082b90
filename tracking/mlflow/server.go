package mlflow

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
)

// serverRoutes are the routes about the server itself and the web UI.
func (h *Handler) serverRoutes() []route {
	text := func(body string) func(*call) error {
		return func(c *call) error {
			c.W.Header().Set("Content-Type", "text/html; charset=utf-8")
			c.W.Header().Set("Content-Length", strconv.Itoa(len(body)))
			_, _ = c.W.Write([]byte(body)) // a client that went away needs no answer
			return nil
		}
	}
	table := []route{
		{method: http.MethodGet, path: "/health", mark: core, verb: public, scope: wholeServer, serve: text("OK")},
		{method: http.MethodGet, path: "/version", mark: core, verb: public, scope: wholeServer, serve: text(h.opts.Version)},
		{method: http.MethodGet, path: "3.0/mlflow/server-info", mark: common, verb: Connect, scope: wholeServer, serve: h.serverInfo},
	}
	// The web UI asks whether to report its use to MLflow's makers.
	const telemetry = "3.0/mlflow/ui-telemetry"
	table = append(table,
		route{method: http.MethodGet, path: telemetry, mark: niche, verb: Connect, scope: wholeServer, serve: constant(`{"disable_ui_events":[],"disable_ui_telemetry":true,"ui_rollout_percentage":0}`)},
		route{method: http.MethodPost, path: telemetry, mark: niche, verb: Connect, scope: wholeServer, serve: constant(`{"status":"disabled"}`)},
	)
	if h.opts.UIDir != nil {
		table = append(table,
			route{method: http.MethodGet, path: "/", mark: common, verb: Connect, scope: wholeServer, serve: h.serveIndex},
			route{method: http.MethodGet, path: "/static-files/{path...}", mark: common, verb: Connect, scope: wholeServer, serve: h.serveAsset},
		)
	}
	return table
}

// constant serves the same JSON text to everyone.
func constant(body string) func(*call) error {
	return func(c *call) error { return c.Send(http.StatusOK, []byte(body)) }
}

// serverInfo tells clients that there are no workspaces, what kind of store
// this is, in the words that they know, and whether they can send and fetch
// large files past this server.
func (h *Handler) serverInfo(c *call) error {
	uploads, downloads := h.multipart()
	return c.Send(http.StatusOK, fmt.Appendf(nil, `{"store_type":"SqlStore","workspaces_enabled":false,"features_enabled":{"gateway":false},"trace_archival_enabled":false,`+
		`"multipart_uploads_enabled":%t,"multipart_downloads_enabled":%t,`+
		`"presigned_upload_run_id_supported":true,"presigned_upload_model_id_supported":true}`, uploads, downloads))
}

func (h *Handler) serveIndex(c *call) error { return h.serveFile(c, "index.html") }

func (h *Handler) serveAsset(c *call) error {
	name := c.Path("path")
	if !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00") {
		return noFile(name)
	}
	return h.serveFile(c, name)
}

func noFile(name string) error {
	return mlflowapi.Errorf(mlflowapi.CodeNoEndpoint, "The web UI has no file '%s'.", mlflowhttp.Printable(name))
}

// serveFile sends one file of the web UI. Its assets have a hash in their
// name and never change; everything else is asked for again each time.
func (h *Handler) serveFile(c *call, name string) error {
	f, err := h.opts.UIDir.Open(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return noFile(name)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return noFile(name)
	}
	header := c.W.Header()
	header.Set("Content-Type", assetType(name))
	header.Set("Cache-Control", "no-cache")
	if strings.HasPrefix(name, "static/") {
		header.Set("Cache-Control", "public, max-age="+strconv.Itoa(int((365*24*time.Hour).Seconds()))+", immutable")
	}
	http.ServeContent(c.W, c.R, name, info.ModTime(), contentOf(f, info))
	return nil
}

// assetType is the media type of a file of the web UI. The list is fixed so
// that it does not depend on the machine.
func assetType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".json", ".map":
		return "application/json"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".gif":
		return "image/gif"
	case ".webp":
		return "image/webp"
	case ".ico":
		return "image/x-icon"
	case ".woff":
		return "font/woff"
	case ".woff2":
		return "font/woff2"
	case ".ttf":
		return "font/ttf"
	case ".wasm":
		return "application/wasm"
	case ".txt":
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}
