package mlflow

import (
	"net/http"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
)

// The files of registered versions are artifacts of the proxy below this
// folder, for clients that download them. They are the registry's.
const (
	versionFolder = "model-registry"
	versionFiles  = "2.0/mlflow-artifacts/artifacts/" + versionFolder
)

// ofRegistry reports whether the proxy's key is that of a registered version.
func (h *Handler) ofRegistry(key string) bool {
	return h.opts.Registry != nil && (key == versionFolder || strings.HasPrefix(key, versionFolder+"/"))
}

// registryAsks reports whether the registry decides itself who may do what.
func (h *Handler) registryAsks() bool {
	reg, ok := h.opts.Registry.(interface{ Authorizes() bool })
	return ok && reg.Authorizes()
}

// registryRoutes hands the model registry's part of the API to
// Options.Registry.
//
// The rights are those that the registry asks for; one that does not ask is
// open to those only who may use the whole server.
func (h *Handler) registryRoutes() []route {
	serve := notImplemented
	if h.opts.Registry != nil {
		serve = func(c *call) error {
			h.opts.Registry.ServeHTTP(c.W, c.R)
			return nil
		}
	}
	asks := h.registryAsks()
	var table []route
	for _, path := range []string{
		"2.0/mlflow/registered-models/{path...}",
		"2.0/mlflow/model-versions/{path...}",
		"2.0/mlflow/webhooks", "2.0/mlflow/webhooks/{path...}",
		"/model-versions/get-artifact", versionFiles + "/{path...}",
	} {
		for _, m := range []struct {
			method string
			verb   Verb
		}{
			{http.MethodGet, Read}, {http.MethodPost, Write}, {http.MethodPatch, Write}, {http.MethodDelete, Delete},
		} {
			if (path[0] == '/' || strings.HasPrefix(path, versionFiles)) && m.method != http.MethodGet {
				continue
			}
			if asks {
				m.verb = Connect
			}
			table = append(table, route{method: m.method, path: path, mark: core, verb: m.verb, scope: wholeServer, serve: serve})
		}
	}
	if h.opts.Registry == nil {
		table = slices.DeleteFunc(table, func(rt route) bool { return strings.HasPrefix(rt.path, versionFiles) })
		// Without a registry there are no models to find, which is no failure:
		// the web UI looks with each list of runs.
		for _, path := range []string{"2.0/mlflow/registered-models/search", "2.0/mlflow/model-versions/search"} {
			table = append(table, route{method: http.MethodGet, path: path, mark: core, verb: Connect, scope: wholeServer, serve: constant(`{}`)})
		}
	}
	return table
}

// nicheRoutes are the parts of MLflow's API that this server does not have.
// They are in the table so that clients are told so in a way that they know.
func nicheRoutes() []route {
	var table []route
	for _, group := range []string{
		"3.0/mlflow/datasets", "3.0/mlflow/gateway", "3.0/mlflow/scorers", "3.0/mlflow/issues",
		"3.0/mlflow/prompt-optimization", "3.0/mlflow/workspaces", "3.0/mlflow/label-schemas",
		"3.0/mlflow/review-queues", "3.0/mlflow/jobs", "3.0/mlflow/genai", "3.0/mlflow/demo",
		"3.0/mlflow/scorer", "3.0/mlflow/mcp-servers",
		"2.0/mlflow/gateway-proxy", "2.0/mlflow/runs/create-promptlab-run",
		"2.0/mlflow/unified-traces", "2.0/mlflow/get-online-trace-details",
	} {
		for _, path := range []string{group, group + "/{path...}"} {
			table = append(table, route{method: "*", path: path, mark: niche, verb: Connect, scope: wholeServer, serve: notImplemented})
		}
	}
	// The web UI asks for these beside runs and traces, whoever uses them: there
	// are none, which is no failure.
	return append(table,
		route{method: http.MethodGet, path: "2.0/mlflow/gateway-proxy", mark: niche, verb: Connect, scope: wholeServer, serve: constant(`{"endpoints":[]}`)},
		route{method: http.MethodPost, path: "3.0/mlflow/datasets/search", mark: niche, verb: Connect, scope: wholeServer, serve: constant(`{}`)},
	)
}

func notImplemented(c *call) error {
	return mlflowapi.Errorf(mlflowapi.CodeNotImplemented, "This server does not serve '%s %s'.", c.R.Method, mlflowhttp.Printable(c.R.URL.Path))
}
