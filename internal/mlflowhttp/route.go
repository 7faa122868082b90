package mlflowhttp

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Node is one path of a table with the routes of its methods.
type Node[R any] struct {
	segments []string // of a path with variables
	methods  map[string]*R
}

// Router finds the route of a request. A path of its table is served below both
// /api/ and /ajax-api/, or, when it begins with a slash, as it is. A segment
// {name} is a variable; {name...} at the end stands for one or more segments.
// Paths match exactly: a trailing slash, a doubled one and a dot segment make
// another path, which has no route.
type Router[R any] struct {
	static  map[string]*Node[R] // by the path without /api/
	dynamic []*Node[R]
	outside map[string]*Node[R] // paths of their own
}

// Add puts a route into the table, and fails when the place is taken.
func (rr *Router[R]) Add(method, path string, rt *R) error {
	if rr.static == nil {
		rr.static, rr.outside = map[string]*Node[R]{}, map[string]*Node[R]{}
	}
	n := rr.node(path)
	if n.methods[method] != nil {
		return fmt.Errorf("mlflow: route \"%s %s\" is in the table twice: %w", method, path, errs.ErrInvalid)
	}
	n.methods[method] = rt
	return nil
}

// node returns the node of a path of the table, a new one if need be.
func (rr *Router[R]) node(path string) *Node[R] {
	if !strings.Contains(path, "{") {
		m := rr.static
		if path[0] == '/' {
			m = rr.outside
		}
		if m[path] == nil {
			m[path] = &Node[R]{methods: map[string]*R{}}
		}
		return m[path]
	}
	segments := strings.Split(path, "/")
	for _, n := range rr.dynamic {
		if strings.Join(n.segments, "/") == path {
			return n
		}
	}
	n := &Node[R]{segments: segments, methods: map[string]*R{}}
	rr.dynamic = append(rr.dynamic, n)
	return n
}

// Find returns the node of the path of a URL in its escaped form, and the
// values of its variables; nil when there is none. The node with the longest
// fixed beginning wins, so logged-models/search is no logged model.
func (rr *Router[R]) Find(path string) (*Node[R], Vars) {
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
	var best *Node[R]
	var bestVars Vars
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

// Vars are the values of a path's variables, unescaped.
type Vars []struct{ name, value string }

func match(pattern, segments []string) (Vars, bool) {
	var out Vars
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

// Allow lists the methods of a node for the Allow header.
func (n *Node[R]) Allow() string {
	var list []string
	for _, m := range [...]string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if n.Route(m) != nil {
			list = append(list, m)
		}
	}
	return strings.Join(append(list, http.MethodOptions), ", ")
}

// Route returns the route of a method, nil when there is none; GET serves HEAD
// as well. A node with the method "*" serves all.
func (n *Node[R]) Route(method string) *R {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if rt := n.methods[method]; rt != nil {
		return rt
	}
	return n.methods["*"]
}
