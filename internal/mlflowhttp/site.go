package mlflowhttp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/httperr"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
)

// Site is what all requests of a handler have in common.
type Site struct {
	// Prefix is a path, like "/mlflow", under which everything is served as
	// well as at the root.
	Prefix string
	Peers  Peers
	// Log receives what a client is not told; never nil.
	Log *slog.Logger
	// Wire returns what a client is told of an error, nil when that is nothing.
	Wire func(error) *mlflowapi.Error
}

// CheckPrefix reports a Prefix that is no path.
func CheckPrefix(p string) error {
	if p != "" && (!strings.HasPrefix(p, "/") || strings.HasSuffix(p, "/") || strings.Contains(p, "//")) {
		return fmt.Errorf("mlflow: handler: Prefix %q: want a path like \"/mlflow\": %w", p, errs.ErrInvalid)
	}
	return nil
}

// The headers of every answer, shared so that they cost nothing.
var (
	nosniff    = []string{"nosniff"}
	sameOrigin = []string{"SAMEORIGIN"}
)

// Find returns the route of a request with the variables of its path. What has
// none, and what Peers refuses, it answers itself, and returns nil.
func Find[R any](s *Site, rr *Router[R], w http.ResponseWriter, r *http.Request) (*R, Vars) {
	header := w.Header()
	header["X-Content-Type-Options"] = nosniff
	header["X-Frame-Options"] = sameOrigin
	path := s.trimPrefix(r.URL.EscapedPath())
	if !s.Peers.check(w, r, path) {
		return nil, nil
	}
	n, vars := rr.Find(path)
	if n == nil {
		s.fail(w, r, http.StatusNotFound, mlflowapi.Errorf(mlflowapi.CodeNoEndpoint, "No API found for '%s %s'.", r.Method, Printable(r.URL.Path)))
		return nil, nil
	}
	if r.Method == http.MethodOptions {
		header.Set("Allow", n.Allow())
		w.WriteHeader(http.StatusNoContent)
		return nil, nil
	}
	rt := n.Route(r.Method)
	if rt == nil {
		header.Set("Allow", n.Allow())
		s.fail(w, r, http.StatusMethodNotAllowed,
			mlflowapi.Errorf(mlflowapi.CodeNoEndpoint, "'%s' has no method %s, only %s.", Printable(r.URL.Path), Printable(r.Method), n.Allow()))
		return nil, nil
	}
	return rt, vars
}

func (s *Site) fail(w http.ResponseWriter, r *http.Request, status int, wire *mlflowapi.Error) {
	c := Call{Site: s, W: w, R: r}
	c.FailStatus(status, wire)
}

// trimPrefix takes the prefix off a path that has it.
func (s *Site) trimPrefix(path string) string {
	if s.Prefix == "" {
		return path
	}
	if rest, ok := strings.CutPrefix(path, s.Prefix); ok && strings.HasPrefix(rest, "/") {
		return rest
	}
	return path
}

// Recover is to be deferred: it turns a panic into an answer that shows nothing
// of it.
func (c *Call) Recover() {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it like this too
		panic(v) // how a handler breaks off an answer that has begun
	}
	c.Site.Log.ErrorContext(c.Ctx(), "mlflow: a request panicked", "route", c.Route.Name(), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	c.FailStatus(http.StatusInternalServerError, internalError)
}

var internalError = &mlflowapi.Error{Code: mlflowapi.CodeInternal, Message: "Internal server error."}

// The refusals of an Authorize function.
var (
	ErrUnauthenticated = errors.New("mlflow: unauthenticated")
	ErrDenied          = errors.New("mlflow: permission denied")
)

// Refused is the answer to a caller whom an Authorize function refused.
func Refused(err error) error {
	if Transient(err) {
		return err
	}
	if _, ok := errors.AsType[*mlflowapi.Error](err); ok {
		return err
	}
	if errors.Is(err, ErrUnauthenticated) {
		return mlflowapi.Errorf(mlflowapi.CodeUnauthenticated, "You are not authenticated.")
	}
	return mlflowapi.Errorf(mlflowapi.CodeDenied, "Permission denied")
}

// Transient reports whether err says nothing about the caller's rights.
func Transient(err error) bool {
	return errors.Is(err, errs.ErrUnavailable) || errors.Is(err, errs.ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// Fail answers with an error. What the caller cannot have caused is logged
// and not told.
func (c *Call) Fail(err error) {
	if wire := c.Site.Wire(err); wire != nil {
		c.FailStatus(wire.Status(), wire)
		return
	}
	status, name := httperr.Status(err), ""
	if c.Route != nil {
		name = c.Route.Name()
	}
	var wire *mlflowapi.Error
	switch status {
	case http.StatusRequestEntityTooLarge:
		wire = mlflowapi.Errorf(mlflowapi.CodeInvalid, "The request body is larger than this route takes.")
	case httperr.StatusClientClosed:
		wire = mlflowapi.Errorf(mlflowapi.CodeCancelled, "The request was cancelled.")
	case http.StatusGatewayTimeout:
		wire = mlflowapi.Errorf(mlflowapi.CodeDeadline, "The request took too long.")
	case http.StatusServiceUnavailable:
		wire = mlflowapi.Errorf(mlflowapi.CodeUnavailable, "The store cannot be reached now, try again.")
		c.Site.Log.WarnContext(c.Ctx(), "mlflow: the store is unavailable", "route", name, "error", err)
	default:
		status, wire = http.StatusInternalServerError, internalError
		c.Site.Log.ErrorContext(c.Ctx(), "mlflow: a request failed", "route", name, "error", err)
	}
	c.FailStatus(status, wire)
}

// FailStatus answers with an error of the API and a status.
func (c *Call) FailStatus(status int, wire *mlflowapi.Error) {
	if wire.Code == mlflowapi.CodeUnauthenticated {
		c.W.Header().Set("WWW-Authenticate", `Basic realm="mlflow"`)
	}
	_ = c.Send(status, mlflowapi.Append(nil, wire)) // Send reports nothing
}

// Printable keeps outside text in an answer short and readable.
func Printable(s string) string {
	const limit = 200
	if len(s) > limit {
		s = s[:limit] + "…"
	}
	return strings.ToValidUTF8(s, "\ufffd")
}
