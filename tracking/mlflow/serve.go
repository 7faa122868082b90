package mlflow

import (
	"errors"
	"net/http"
	"strings"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rt, vars := mlflowhttp.Find(&h.site, &h.router, w, r)
	if rt == nil {
		return
	}
	c := &call{h: h, route: rt, Call: mlflowhttp.Call{Site: &h.site, W: w, R: r, Route: rt, Vars: vars, MaxBody: rt.maxBody}}
	defer c.Release()
	defer c.Recover()
	if err := c.run(); err != nil {
		c.Fail(err)
	}
}

// run serves the route once the caller is known to be allowed to.
func (c *call) run() error {
	if c.route.verb != public {
		if err := c.authorize(Connect, ""); err != nil {
			return mlflowhttp.Refused(err)
		}
		if c.h.opts.Authorize != nil {
			targets, err := c.route.scope(c)
			if err != nil {
				return err
			}
			for _, id := range targets {
				if err := c.authorize(c.route.verb, id); err != nil {
					return mlflowhttp.Refused(err)
				}
			}
		}
	}
	return c.route.serve(c)
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
