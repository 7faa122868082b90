package mlflow

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/millwright-ml/millwright/internal/httperr"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/tracking"
)

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["X-Content-Type-Options"] = nosniff
	header["X-Frame-Options"] = sameOrigin
	path := h.trimPrefix(r.URL.EscapedPath())
	if !h.checkPeer(w, r, path) {
		return
	}
	n, vars := h.router.find(path)
	c := &call{h: h, w: w, r: r, vars: vars}
	switch {
	case n == nil:
		c.fail(mlflowapi.Errorf(mlflowapi.CodeNoEndpoint, "No API found for '%s %s'.", r.Method, printable(r.URL.Path)))
	case r.Method == http.MethodOptions:
		header.Set("Allow", n.allow())
		w.WriteHeader(http.StatusNoContent)
	default:
		if c.route = n.route(r.Method); c.route == nil {
			header.Set("Allow", n.allow())
			c.failStatus(http.StatusMethodNotAllowed,
				mlflowapi.Errorf(mlflowapi.CodeNoEndpoint, "'%s' has no method %s, only %s.", printable(r.URL.Path), printable(r.Method), n.allow()))
			return
		}
		defer c.release()
		defer c.recover()
		if err := c.run(); err != nil {
			c.fail(err)
		}
	}
}

// The headers of every answer, shared so that they cost nothing.
var (
	nosniff    = []string{"nosniff"}
	sameOrigin = []string{"SAMEORIGIN"}
)

// trimPrefix takes Options.Prefix off a path that has it.
func (h *Handler) trimPrefix(path string) string {
	if h.opts.Prefix == "" {
		return path
	}
	if rest, ok := strings.CutPrefix(path, h.opts.Prefix); ok && strings.HasPrefix(rest, "/") {
		return rest
	}
	return path
}

// run serves the route once the caller is known to be allowed to.
func (c *call) run() error {
	if c.route.verb != public {
		if err := c.authorize(Connect, ""); err != nil {
			return refused(err)
		}
		if c.h.opts.Authorize != nil {
			targets, err := c.route.scope(c)
			if err != nil {
				return err
			}
			for _, id := range targets {
				if err := c.authorize(c.route.verb, id); err != nil {
					return refused(err)
				}
			}
		}
	}
	return c.route.serve(c)
}

// recover turns a panic into an answer that shows nothing of it.
func (c *call) recover() {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it like this too
		panic(v) // how a handler breaks off an answer that has begun
	}
	c.h.log.ErrorContext(c.ctx(), "mlflow: a request panicked", "route", c.route.name(), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	c.failStatus(http.StatusInternalServerError, internalError)
}

var internalError = &mlflowapi.Error{Code: mlflowapi.CodeInternal, Message: "Internal server error."}

// refused is the answer to a caller whom Options.Authorize refused.
func refused(err error) error {
	if transient(err) {
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

// fail answers with an error. What the caller cannot have caused is logged
// and not told.
func (c *call) fail(err error) {
	if wire := wireError(err); wire != nil {
		c.failStatus(wire.Status(), wire)
		return
	}
	status, name := httperr.Status(err), ""
	if c.route != nil {
		name = c.route.name()
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
		c.h.log.WarnContext(c.ctx(), "mlflow: the store is unavailable", "route", name, "error", err)
	default:
		status, wire = http.StatusInternalServerError, internalError
		c.h.log.ErrorContext(c.ctx(), "mlflow: a request failed", "route", name, "error", err)
	}
	c.failStatus(status, wire)
}

// failStatus answers with an error of the API and a status.
func (c *call) failStatus(status int, wire *mlflowapi.Error) {
	if wire.Code == mlflowapi.CodeUnauthenticated {
		c.w.Header().Set("WWW-Authenticate", `Basic realm="mlflow"`)
	}
	_ = c.send(status, mlflowapi.Append(nil, wire)) // send reports nothing
}

// wireError returns what a client is told of err, nil when that is nothing.
func wireError(err error) *mlflowapi.Error {
	if conflict, ok := errors.AsType[*tracking.ParamConflictError](err); ok {
		return mlflowapi.Errorf(mlflowapi.CodeInvalid,
			"Changing param values is not allowed. Param with key='%s' was already logged with value='%s' for run ID='%s'. Attempted logging new value '%s'.",
			conflict.Key, conflict.Old, conflict.Run, conflict.New)
	}
	wire := mlflowapi.FromKind(err)
	if wire == nil {
		return nil
	}
	// Which package found the fault is nothing to a client.
	if pkg, rest, ok := strings.Cut(wire.Message, ": "); ok && (pkg == "tracking" || pkg == "mlflow" || strings.HasPrefix(pkg, "tracking/")) {
		return &mlflowapi.Error{Code: wire.Code, Message: rest}
	}
	return wire
}

// printable keeps outside text in an answer short and readable.
func printable(s string) string {
	const limit = 200
	if len(s) > limit {
		s = s[:limit] + "…"
	}
	return strings.ToValidUTF8(s, "\ufffd")
}
