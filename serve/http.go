package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/millwright-ml/millwright/internal/httperr"
	"github.com/millwright-ml/millwright/serve/oip"
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
	modelGenerate
	modelStream
	modelStatistics
	modelConfig
	repositoryIndex
	repositoryLoad
	repositoryUnload
	missing // A route of Triton's that this server does not have.
)

// method is the method of an endpoint: the others are read with GET.
func (e endpoint) method() string {
	switch e {
	case modelInfer, modelGenerate, modelStream, repositoryIndex, repositoryLoad, repositoryUnload:
		return http.MethodPost
	}
	return http.MethodGet
}

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
	case rest == "/models/stats":
		return modelStatistics, "", ""
	case rest == "/repository/index":
		return repositoryIndex, "", ""
	case rest == "/logging", rest == "/trace/setting", strings.HasPrefix(rest, "/systemsharedmemory/"), strings.HasPrefix(rest, "/cudasharedmemory/"):
		return missing, "", ""
	}
	if more, ok := strings.CutPrefix(rest, "/repository/models/"); ok {
		model, rest = segment(more)
		return named(raw, repositoryRoutes[rest], model, "")
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
	if rest == "/infer" {
		return named(raw, modelInfer, model, version)
	}
	return named(raw, modelRoutes[rest], model, version)
}

var (
	modelRoutes = map[string]endpoint{
		"": modelMetadata, "/ready": modelReady, "/infer": modelInfer, "/generate": modelGenerate,
		"/generate_stream": modelStream, "/stats": modelStatistics, "/config": modelConfig, "/trace/setting": missing,
	}
	repositoryRoutes = map[string]endpoint{"/load": repositoryLoad, "/unload": repositoryUnload}
)

// named returns the endpoint with its names, out of their escapes where the
// path is raw.
func named(raw bool, e endpoint, model, version string) (endpoint, string, string) {
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
//	GET  /v2                                           name, version, extensions
//	GET  /v2/health/live                               200
//	GET  /v2/health/ready                              200 with a model, else 503
//	GET  /v2/models/stats                              statistics of all models
//	GET  /v2/models/{model}[/versions/{version}]        signature
//	GET  /v2/models/{model}[/versions/{version}]/ready  200
//	GET  /v2/models/{model}[/versions/{version}]/stats  statistics
//	GET  /v2/models/{model}[/versions/{version}]/config model configuration
//	POST /v2/models/{model}[/versions/{version}]/infer  the answer
//	POST /v2/models/{model}[/versions/{version}]/generate        the answer as plain JSON
//	POST /v2/models/{model}[/versions/{version}]/generate_stream the answer in events
//	POST /v2/repository/index                          admin: the models there are
//	POST /v2/repository/models/{model}/load            admin
//	POST /v2/repository/models/{model}/unload          admin
//
// An answer carries Millwright-Request-Id, the request's id, Millwright-Model,
// "name/version", Millwright-Digest, that of the version's files, and
// Millwright-Variant, what a Router called its choice. Every error is
// {"error":"…"}: 400 for a request that is wrong, listing all that is wrong with
// it; 403 for an admin request that was refused; 404 for an unknown route, model
// or version; 405 for a method; 413 for a body over Options.MaxBody; 415 for a
// content encoding; 500 for a model that fails; 501 for what this server does
// not have; 503 before the first model and after Shutdown; 504 when the time was
// up. An error after the first event of a stream is its last event.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, model, version := route(r.URL)
	switch {
	case e == nowhere:
		s.refuse(w, http.StatusNotFound, "serve: no such route, want one below /v2: not found")
		return
	case e == missing:
		s.refuse(w, http.StatusNotImplemented, "serve: this server has no logging, trace or shared memory settings: unsupported operation")
		return
	case r.Method != e.method() && (r.Method != http.MethodHead || e.method() != http.MethodGet):
		allow := e.method()
		if allow == http.MethodGet {
			allow = "GET, HEAD"
		}
		s.refuseMethod(w, r, allow)
		return
	}
	switch e {
	case modelInfer:
		s.infer(w, r, model, version)
	case modelGenerate, modelStream:
		s.generate(w, r, model, version, e == modelStream)
	case serverLive:
		s.answer(w, http.StatusOK, map[string]bool{"live": true})
	case serverReady:
		s.ready(w)
	case serverMetadata:
		s.answer(w, http.StatusOK, s.ServerMetadata())
	case repositoryIndex, repositoryLoad, repositoryUnload:
		s.administer(w, r, e, model)
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
	var v any
	var err error
	switch e {
	case modelMetadata:
		v, err = s.Metadata(model, version)
	case modelConfig:
		v, err = s.ModelConfig(model, version)
	case modelReady:
		v, err = readiness{model, true}, s.ModelReady(model, version)
	case modelStatistics:
		var list []Statistics
		list, err = s.Statistics(model, version)
		all := oip.Statistics{Models: make([]oip.ModelStatistics, len(list))}
		for i := range list {
			all.Models[i] = list[i].OIP()
		}
		v = all
	}
	if err != nil {
		s.refuse(w, httperr.Status(err), err.Error())
		return
	}
	s.answer(w, http.StatusOK, v)
}

// readiness is the answer to …/ready of a model.
type readiness struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
}

// administer answers an admin request.
func (s *Server) administer(w http.ResponseWriter, r *http.Request, e endpoint, model string) {
	// The parameters of a load may hold a model's files.
	b, err := readBody(nil, 0, r.Body, r.ContentLength, s.opts.MaxBody)
	var in struct {
		Ready      bool           `json:"ready"`
		Parameters map[string]any `json:"parameters"`
	}
	if err == nil && len(bytes.TrimSpace(b)) > 0 {
		if bad := json.Unmarshal(b, &in); bad != nil {
			err = fmt.Errorf("%w: %w", bad, ErrInvalid)
		}
	}
	if err != nil {
		s.drop(w, httperr.Status(err), fmt.Sprintf("serve: the body: %v", err))
		return
	}
	var v any = struct{}{}
	switch e {
	case repositoryIndex:
		v, err = s.RepositoryIndex(r.Context(), r.Header, in.Ready)
	case repositoryLoad:
		err = s.RepositoryLoad(r.Context(), r.Header, model, in.Parameters)
	default:
		err = s.RepositoryUnload(r.Context(), r.Header, model, in.Parameters)
	}
	switch {
	case errors.Is(err, ErrForbidden):
		s.refuse(w, http.StatusForbidden, err.Error())
	case err != nil:
		s.refuse(w, httperr.Status(err), err.Error())
	default:
		s.answer(w, http.StatusOK, v)
	}
}

// The content types are shared by all responses: net/http only reads it, and a handler
// around this one that adds a value gets a new slice.
var (
	jsonType   = []string{"application/json"}
	binaryType = []string{oip.BinaryType}
)

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

// errorText is the body of an error.
func errorText(text string) []byte {
	b, err := json.Marshal(struct {
		Error string `json:"error"`
	}{text})
	if err != nil {
		return []byte(`{"error":"serve: encode the error"}`)
	}
	return b
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
