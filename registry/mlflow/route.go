package mlflow

import (
	"fmt"
	"net/http"

	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/registry"
)

// route is one row of the route table.
type route struct {
	// method is the verb of HTTP; GET serves HEAD as well.
	method string
	// path as in mlflowhttp.Router.
	path string
	verb Verb
	// scope finds the models that the request concerns; the route's verb is
	// authorized for each before serve is called. A route without a scope is
	// refused when the table is built: there is no way to forget it.
	scope scope
	// maxBody bounds the body that message reads; 0 is 16 MiB.
	maxBody int64
	serve   func(c *call) error
}

// scope returns the names of the models that a request concerns; "" stands for
// the registry itself. None at all is for routes that leave out of their answer
// what the caller may not read.
type scope func(c *call) ([]string, error)

// Name identifies the route in Action and in logs.
func (rt *route) Name() string { return rt.method + " " + rt.path }

// addRoutes builds the router, and fails when a row is not complete or is there
// twice.
func addRoutes(rr *mlflowhttp.Router[route], table []route) error {
	for i := range table {
		rt := &table[i]
		if rt.method == "" || rt.path == "" || rt.verb == "" || rt.scope == nil || rt.serve == nil {
			return fmt.Errorf("mlflow: route %q is not complete: %w", rt.Name(), registry.ErrInvalid)
		}
		if err := rr.Add(rt.method, rt.path, rt); err != nil {
			return err
		}
	}
	return nil
}

// wholeRegistry is the scope of a route that concerns no model.
func wholeRegistry(*call) ([]string, error) { return []string{""}, nil }

// filtered is the scope of a route that itself leaves out of its answer what
// the caller may not read, by call.mayRead.
func filtered(*call) ([]string, error) { return nil, nil }

// byName is the scope of a route whose message names a model.
func byName[M any](name func(*M) string) scope {
	return func(c *call) ([]string, error) {
		m, err := message[M](c)
		if err != nil {
			return nil, err
		}
		return []string{name(m)}, nil
	}
}

// on makes a row for a message that names a model.
func on[M any](method, path string, verb Verb, name func(*M) string, serve func(*call, *M) (any, error)) route {
	return route{method: method, path: "2.0/mlflow/" + path, verb: verb, scope: byName(name), serve: rpc(serve)}
}

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rt, vars := mlflowhttp.Find(&h.site, &h.router, w, r)
	if rt == nil {
		return
	}
	c := &call{h: h, route: rt, Call: mlflowhttp.Call{Site: &h.site, W: w, R: r, Route: rt, Vars: vars, MaxBody: rt.maxBody}}
	defer c.Recover()
	if err := c.run(); err != nil {
		c.Fail(err)
	}
}
