package mlflow

import "github.com/millwright-ml/millwright/internal/mlflowhttp"

// RouteInfo is a row of the route table.
type RouteInfo struct {
	Method, Path string
	Mark         string
	Public       bool
}

// Routes returns the route table.
func (h *Handler) Routes() []RouteInfo {
	list := make([]RouteInfo, 0, len(h.table))
	for i := range h.table {
		rt := &h.table[i]
		list = append(list, RouteInfo{Method: rt.method, Path: rt.path, Mark: string(rt.mark), Public: rt.verb == public})
	}
	return list
}

// CheckRoutes builds a router of one row that lacks what the change removes.
func CheckRoutes(change func(method, path *string, serve, scope, verb *bool)) error {
	method, path := "GET", "x"
	hasServe, hasScope, hasVerb := true, true, true
	change(&method, &path, &hasServe, &hasScope, &hasVerb)
	rt := route{method: method, path: path, mark: core}
	if hasServe {
		rt.serve = notImplemented
	}
	if hasScope {
		rt.scope = wholeServer
	}
	if hasVerb {
		rt.verb = Read
	}
	return addRoutes(new(mlflowhttp.Router[route]), []route{rt, {method: "GET", path: "y", mark: core, verb: Read, scope: wholeServer, serve: notImplemented}})
}

// ParseGraphQL parses a document and reports its fault.
func ParseGraphQL(src string) error {
	_, err := parseGraphQL(src)
	return err
}

// HostAllowed applies the rules of Options.AllowedHosts.
func HostAllowed(allowed []string, host string) bool {
	peers := mlflowhttp.NewPeers(allowed, nil)
	return peers.AllowsHost(host)
}

// HashQuickly makes new passwords cheap.
func (a *Auth) HashQuickly() { a.rounds = minPasswordRounds }
