package serve

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/millwright-ml/millwright/internal/httperr"
)

// endpoint is what a URL stands for.
type endpoint int

const (
	nowhere endpoint = iota
	serverLive
	serverReady
	serverMetadata
	modelMetadata
	modelReady
	modelInfer
)

// route reads a URL. It is done by hand, without an allocation, because all that
// a small request spends in this package is a few microseconds.
func route(u *url.URL) (e endpoint, model, version string) {
	path, raw := u.Path, false
	if u.RawPath != "" {
		// A name with an escaped slash is one segment.
		path, raw = u.RawPath, true
	}
	rest, ok := strings.CutPrefix(path, "/v2")
	switch {
	case !ok:
		return nowhere, "", ""
	case rest == "":
		return serverMetadata, "", ""
	case rest == "/health/live":
		return serverLive, "", ""
	case rest == "/health/ready":
		return serverReady, "", ""
	}
	if rest, ok = strings.CutPrefix(rest, "/models/"); !ok {
		return nowhere, "", ""
	}
	model, rest = segment(rest)
	if more, ok := strings.CutPrefix(rest, "/versions/"); ok {
		if version, rest = segment(more); version == "" {
			return nowhere, "", ""
		}
	}
	switch rest {
	case "":
		e = modelMetadata
	case "/ready":
		e = modelReady
	case "/infer":
		e = modelInfer
	}
	if raw {
		var bad, worse error
		model, bad = url.PathUnescape(model)
		version, worse = url.PathUnescape(version)
		if bad != nil || worse != nil {
			return nowhere, "", ""
		}
	}
	if model == "" {
		return nowhere, "", ""
	}
	return e, model, version
}

// segment cuts a path in front of its first slash.
func segment(path string) (first, rest string) {
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// ServeHTTP answers the Open Inference Protocol's REST routes:
//
//	GET  /v2                                          name, version, extensions
//	GET  /v2/health/live                              200
//	GET  /v2/health/ready                             200 with a model, else 503
//	GET  /v2/models/{model}[/versions/{version}]       signature
//	GET  /v2/models/{model}[/versions/{version}]/ready 200
//	POST /v2/models/{model}[/versions/{version}]/infer the answer
//
// An infer response carries Millwright-Request-Id, the request's id, and
// Millwright-Model, "name/version". Every error is {"error":"…"}: 400 for a
// request that is wrong, listing all that is wrong with it; 404 for an unknown
// route, model or version; 405 for a method; 413 for a body over
// Options.MaxBody; 415 for a compressed one; 500 for a model that fails; 503
// before the first model and after Shutdown; 504 when the time was up.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, model, version := route(r.URL)
	if e == nowhere {
		s.refuse(w, http.StatusNotFound, "serve: no such route, want one below /v2: not found")
		return
	}
	if e == modelInfer {
		if r.Method != http.MethodPost {
			s.refuseMethod(w, r, http.MethodPost)
			return
		}
		s.infer(w, r, model, version)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.refuseMethod(w, r, "GET, HEAD")
		return
	}
	switch e {
	case serverLive:
		s.answer(w, http.StatusOK, map[string]bool{"live": true})
	case serverReady:
		s.ready(w)
	case serverMetadata:
		s.answer(w, http.StatusOK, s.ServerMetadata())
	default:
		s.describe(w, e, model, version)
	}
}

// ready answers 200 when there is a model to answer requests.
func (s *Server) ready(w http.ResponseWriter) {
	ok := s.Ready()
	status := http.StatusOK
	if !ok {
		status = http.StatusServiceUnavailable
	}
	s.answer(w, status, map[string]bool{"ready": ok})
}

// describe answers for one model.
func (s *Server) describe(w http.ResponseWriter, e endpoint, model, version string) {
	m, err := s.Metadata(model, version)
	if err != nil {
		s.refuse(w, httperr.Status(err), err.Error())
		return
	}
	if e == modelReady {
		s.answer(w, http.StatusOK, struct {
			Name  string `json:"name"`
			Ready bool   `json:"ready"`
		}{m.Name, true})
		return
	}
	s.answer(w, http.StatusOK, m)
}

// jsonType is shared by all responses: net/http only reads it, and a handler
// around this one that adds a value gets a new slice.
var jsonType = []string{"application/json"}

// answer writes a JSON document.
func (s *Server) answer(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		status, b = http.StatusInternalServerError, *bytes.NewBufferString(`{"error":"serve: encode the answer"}`)
	}
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(status)
	// The client may be gone: there is nobody left to tell.
	_, _ = w.Write(b.Bytes())
}

// refuse writes an error.
func (s *Server) refuse(w http.ResponseWriter, status int, text string) {
	s.answer(w, status, struct {
		Error string `json:"error"`
	}{text})
}

func (s *Server) refuseMethod(w http.ResponseWriter, r *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	s.refuse(w, http.StatusMethodNotAllowed, "serve: method "+r.Method+" is not allowed here, want "+allow)
}
