package mlflow

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

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

// name identifies the route in Action and in logs.
func (rt *route) name() string { return rt.method + " " + rt.path }

// node is one path of the table with the routes of its methods.
type node struct {
	segments []string // of a path with variables
	methods  map[string]*route
}

// router finds the route of a request. Paths match exactly: a trailing slash,
// a doubled one and a dot segment make another path, which has no route.
type router struct {
	static  map[string]*node // by the path without /api/
	dynamic []*node
	outside map[string]*node // paths of their own
	table   []route
}

// add builds the router, and fails when a row is not complete or is there
// twice.
func (rr *router) add(table []route) error {
	rr.static, rr.outside = map[string]*node{}, map[string]*node{}
	rr.table = table
	for i := range table {
		rt := &table[i]
		if rt.method == "" || rt.path == "" || rt.verb == "" || rt.scope == nil || rt.serve == nil || rt.mark == 0 {
			return fmt.Errorf("mlflow: route %q is not complete: %w", rt.name(), tracking.ErrInvalid)
		}
		n := rr.node(rt.path)
		if n.methods[rt.method] != nil {
			return fmt.Errorf("mlflow: route %q is in the table twice: %w", rt.name(), tracking.ErrInvalid)
		}
		n.methods[rt.method] = rt
	}
	return nil
}

// node returns the node of a path of the table, a new one if need be.
func (rr *router) node(path string) *node {
	if !strings.Contains(path, "{") {
		m := rr.static
		if path[0] == '/' {
			m = rr.outside
		}
		if m[path] == nil {
			m[path] = &node{methods: map[string]*route{}}
		}
		return m[path]
	}
	segments := strings.Split(path, "/")
	for _, n := range rr.dynamic {
		if strings.Join(n.segments, "/") == path {
			return n
		}
	}
	n := &node{segments: segments, methods: map[string]*route{}}
	rr.dynamic = append(rr.dynamic, n)
	return n
}

// find returns the node of the path of a URL in its escaped form, and the
// values of its variables. The node with the longest fixed beginning wins, so
// logged-models/search is no logged model.
func (rr *router) find(path string) (*node, vars) {
	inside := path
	rest, ok := strings.CutPrefix(path, "/api/")
	if !ok {
		rest, ok = strings.CutPrefix(path, "/ajax-api/")
	}
	if ok {
		inside = rest
		if n := rr.static[rest]; n != nil {
			return n, nil
		}
	} else if n := rr.outside[path]; n != nil {
		return n, nil
	}
	segments := strings.Split(inside, "/")
	var best *node
	var bestVars vars
	for _, n := range rr.dynamic {
		if (n.segments[0] == "") == ok { // a path of its own begins with a slash
			continue
		}
		if best != nil && len(fixed(n.segments)) <= len(fixed(best.segments)) {
			continue
		}
		if v, ok := match(n.segments, segments); ok {
			best, bestVars = n, v
		}
	}
	return best, bestVars
}

// fixed returns the segments before the first variable.
func fixed(segments []string) []string {
	for i, s := range segments {
		if strings.HasPrefix(s, "{") {
			return segments[:i]
		}
	}
	return segments
}

// vars are the values of a path's variables, unescaped.
type vars []struct{ name, value string }

func match(pattern, segments []string) (vars, bool) {
	var out vars
	for i, p := range pattern {
		if i >= len(segments) {
			return nil, false
		}
		name, variable := strings.CutPrefix(p, "{")
		if !variable {
			if p != segments[i] {
				return nil, false
			}
			continue
		}
		name = strings.TrimSuffix(name, "}")
		name, tail := strings.CutSuffix(name, "...")
		value := segments[i]
		if tail {
			value = strings.Join(segments[i:], "/")
		}
		unescaped, err := url.PathUnescape(value)
		if err != nil || value == "" {
			return nil, false
		}
		out = append(out, struct{ name, value string }{name, unescaped})
		if tail {
			return out, true
		}
	}
	return out, len(pattern) == len(segments)
}

// allow lists the methods of a node for the Allow header.
func (n *node) allow() string {
	var list []string
	for _, m := range [...]string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if n.route(m) != nil {
			list = append(list, m)
		}
	}
	return strings.Join(append(list, http.MethodOptions), ", ")
}

// route returns the route of a method, nil when there is none. A node with
// the method "*" serves all.
func (n *node) route(method string) *route {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if rt := n.methods[method]; rt != nil {
		return rt
	}
	return n.methods["*"]
}
