package mlflow

import (
	"fmt"

	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// mark is how common a route is among the clients.
type mark byte

const (
	core   mark = 'C' // the Python client's main flows
	common mark = 'c'
	niche  mark = 'n'
)

// route is one row of the route table.
type route struct {
	// method is the verb of HTTP; GET serves HEAD as well.
	method string
	// path is served below both /api/ and /ajax-api/, or, when it begins with
	// a slash, as it is. A segment {name} is a variable; {name...} at the end
	// stands for one or more segments.
	path string
	mark mark
	verb Verb
	// scope finds the experiments that the request concerns; the route's verb
	// is authorized for each before serve is called. A route without a scope
	// is refused when the table is built: there is no way to forget it.
	scope scope
	// maxBody bounds the body that message reads; 0 is defaultMaxBody.
	maxBody int64
	serve   func(c *call) error
}

// scope returns the experiments that a request concerns; "" stands for the
// server itself. None at all is an error, unless it is scopeFiltered.
type scope func(c *call) ([]tracking.ExperimentID, error)

// Name identifies the route in Action and in logs.
func (rt *route) Name() string { return rt.method + " " + rt.path }

// addRoutes builds the router, and fails when a row is not complete or is there
// twice.
func addRoutes(rr *mlflowhttp.Router[route], table []route) error {
	for i := range table {
		rt := &table[i]
		if rt.method == "" || rt.path == "" || rt.verb == "" || rt.scope == nil || rt.serve == nil || rt.mark == 0 {
			return fmt.Errorf("mlflow: route %q is not complete: %w", rt.Name(), tracking.ErrInvalid)
		}
		if err := rr.Add(rt.method, rt.path, rt); err != nil {
			return err
		}
	}
	return nil
}
