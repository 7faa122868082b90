package mlflow_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking/mlflow"
)

// FuzzRequests sends any body and any query to every route: whatever comes,
// the answer is an answer of the API and no fault of the server.
func FuzzRequests(f *testing.F) {
	a := newAPI(f, nil)
	id := a.run("0")
	model := field(f, a.ok("POST", "logged-models", `{"experiment_id":"0","name":"m"}`), "model.info.model_id")
	routes := a.h.(*mlflow.Handler).Routes()
	fill := strings.NewReplacer("{model_id}", model, "{trace_id}", "tr-1", "{assessment_id}", "a-1", "{tag_key}", "k", "{path...}", "0/x", "{", "", "}", "")
	for i := range routes {
		f.Add(byte(i), `{"run_id":"`+id+`","experiment_id":"0","experiment_ids":["0"],"key":"k","value":"1","timestamp":1,"name":"n","status":1,"filter":"params.a = 'b'","order_by":["metrics.a"],"max_results":3}`,
			"run_id="+id+"&experiment_id=0&metric_key=m&run_ids="+id)
	}
	f.Add(byte(0), `{"name":1e400}`, "a=%zz")
	f.Add(byte(1), `"{\"name\":\"x\"}"`, "experiment_id=\x00")
	f.Fuzz(func(t *testing.T, n byte, body, query string) {
		rt := routes[int(n)%len(routes)]
		method := rt.Method
		if method == "*" {
			method = "POST"
		}
		path := fill.Replace(rt.Path)
		if path[0] != '/' {
			path = "/api/" + path
		}
		target := path
		if u, err := url.Parse(path + "?" + query); err == nil && !strings.ContainsAny(query, " \r\n\t") && u.Path == path {
			target = path + "?" + query
		}
		if _, err := url.ParseRequestURI(target); err != nil {
			target = path
		}
		status, text := (&api{t: t, h: a.h}).do(method, target, body, "Content-Type", "application/json")
		if status == 501 || strings.HasPrefix(rt.Path, "2.0/mlflow-artifacts") || strings.HasPrefix(rt.Path, "/") {
			return
		}
		require.Less(t, status, 500, "%s %s %q: %s", method, target, body, text)
		require.True(t, json.Valid([]byte(text)), "%s %s %q: %s", method, target, body, text)
	})
}
