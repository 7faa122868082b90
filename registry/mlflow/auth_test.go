package mlflow_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/mlflow"
	"github.com/millwright-ml/millwright/registry/registrytest"
	"github.com/millwright-ml/millwright/tracking"
)

// tenants lets each user do everything with the models that begin with the
// user's name, and read nothing else.
func tenants(o *mlflow.Options) {
	o.Authorize = func(r *http.Request, a mlflow.Action) error {
		user := r.Header.Get("X-User")
		switch {
		case user == "":
			return mlflow.ErrUnauthenticated
		case a.Verb == mlflow.Connect, user == "root", a.Model != "" && strings.HasPrefix(a.Model, user):
			return nil
		}
		return mlflow.ErrDenied
	}
	o.AuthorizeRead = func(r *http.Request, _ tracking.ExperimentID) error {
		if r.Header.Get("X-User") == "ann" || r.Header.Get("X-User") == "root" {
			return nil
		}
		return mlflow.ErrDenied
	}
	o.User = func(r *http.Request) string { return r.Header.Get("X-User") }
}

// Every route refuses who is nobody, and who may not see the model.
func TestEveryRouteAsks(t *testing.T) {
	t.Parallel()
	a := newAPI(t, new(registrytest.Mem), tenants)
	m := a.logged("", modelFiles)
	as := func(user string) []string { return []string{"X-User", user} }
	for _, name := range []string{"ann-1", "bob-1"} {
		status, text := a.do("POST", "registered-models/create", `{"name":"`+name+`"}`, as("root")...)
		require.Equal(t, 200, status, text)
	}
	status, text := a.do("POST", "model-versions/create", `{"name":"ann-1","source":"models:/`+string(m.ID)+`","model_id":"`+string(m.ID)+`"}`, as("ann")...)
	require.Equal(t, 200, status, text)
	v, err := a.reg.Resolve(t.Context(), "ann-1/1")
	require.NoError(t, err)
	require.Equal(t, "ann", v.User)

	const body = `{"name":"ann-1","version":"1","source":"s3://b/k","key":"k","value":"v","alias":"a","stage":"Staging","new_name":"ann-2","description":"d",
		"url":"https://example.com/x","events":[{"entity":"REGISTERED_MODEL","action":"CREATED"}],"path":"model-registry/ann-1/1"}`
	query := "?name=ann-1&version=1&alias=a&path=MLmodel"
	for _, rt := range a.h.Routes() {
		path := strings.NewReplacer("{path...}", "ann-1/1/MLmodel", "{webhook_id}", "1").Replace(rt.Path)
		for _, root := range []string{"/api/", "/ajax-api/"} {
			target := root + path
			if path[0] == '/' {
				target = path
			}
			text := body
			if rt.Method == http.MethodGet {
				text = ""
				if strings.HasSuffix(path, "/artifacts") {
					target += "?path=model-registry/ann-1/1"
				} else if !strings.HasSuffix(path, "/search") {
					target += query
				}
			}
			methods := []string{rt.Method}
			if rt.Method == http.MethodGet {
				methods = append(methods, http.MethodHead)
			}
			for _, method := range methods {
				resp := a.send(method, target, text)
				require.Equal(t, 401, resp.StatusCode, "%s %s", method, target)
				require.Equal(t, `Basic realm="mlflow"`, resp.Header.Get("WWW-Authenticate"))
				if strings.HasSuffix(path, "/search") {
					continue // which leaves out what bob may not see
				}
				status, text := a.do(method, target, text, as("bob")...)
				require.Equal(t, 403, status, "%s %s: %s", method, target, text)
			}
		}
	}
	for _, target := range []string{"registered-models/get/?name=ann-1", "/api//2.0/mlflow/registered-models/get?name=ann-1", "/api/2.0/mlflow/registered-models%2Fget?name=ann-1",
		"/api/3.0/mlflow/registered-models/get?name=ann-1", "/api/2.0/mlflow/./registered-models/get?name=ann-1"} {
		status, text := a.do("GET", target, "", as("bob")...)
		require.Equal(t, 404, status, "%s: %s", target, text)
	}
	_, err = a.reg.Resolve(t.Context(), "ann-1/1")
	require.NoError(t, err)

	for user, want := range map[string]int{"ann": 1, "bob": 1, "root": 2, "eve": 0} {
		_, text := a.do("GET", "registered-models/search", "", as(user)...)
		var models mlflowapi.SearchRegisteredModelsResponse
		require.NoError(t, mlflowapi.Decode([]byte(text), &models))
		require.Len(t, models.RegisteredModels, want, user)
		_, text = a.do("GET", "model-versions/search?filter="+url.QueryEscape("name LIKE '%'"), "", as(user)...)
		require.Equal(t, user == "ann" || user == "root", strings.Contains(text, "ann-1"), user)
	}
}

// Rights for a model are none for what it is made of, or for the name it is to
// get.
func TestForeignParts(t *testing.T) {
	t.Parallel()
	a := newAPI(t, new(registrytest.Mem), tenants)
	run := a.run(map[string]string{"model/f": "1"})
	m := a.logged(run.ID, modelFiles)
	for _, name := range []string{"ann-1", "bob-1"} {
		require.Equal(t, 200, a.send("POST", "registered-models/create", `{"name":"`+name+`"}`, "X-User", "root").StatusCode)
	}
	require.Equal(t, 200, a.send("POST", "model-versions/create", `{"name":"ann-1","source":"s3://b/k"}`, "X-User", "ann").StatusCode)
	for _, body := range []string{
		`"source":"runs:/` + string(run.ID) + `/model","run_id":"` + string(run.ID) + `"`,
		`"source":"` + run.ArtifactURI + `/model","run_id":"` + string(run.ID) + `"`,
		`"source":"s3://b/k","run_id":"` + string(run.ID) + `"`,
		`"source":"models:/` + string(m.ID) + `","model_id":"` + string(m.ID) + `"`,
	} {
		status, text := a.do("POST", "model-versions/create", `{"name":"bob-1",`+body+`}`, "X-User", "bob")
		require.Equal(t, 403, status, "%s: %s", body, text)
	}
	require.Equal(t, 404, a.send("POST", "model-versions/create", `{"name":"bob-1","source":"models:/ann-1/1"}`, "X-User", "bob").StatusCode)
	require.Equal(t, 403, a.send("POST", "registered-models/rename", `{"name":"bob-1","new_name":"ann-2"}`, "X-User", "bob").StatusCode)
	require.Equal(t, 403, a.send("POST", "registered-models/create", `{"name":"ann-3"}`, "X-User", "bob").StatusCode)
}

func TestChangedNames(t *testing.T) {
	t.Parallel()
	var told []string
	a := newAPI(t, new(registrytest.Mem), func(o *mlflow.Options) {
		o.Changed = func(_ *http.Request, was, now string) error {
			told = append(told, was+">"+now)
			if now == "bad" {
				return registry.ErrInvalid
			}
			return nil
		}
	})
	a.model("a")
	a.fails(400, "RESOURCE_ALREADY_EXISTS", "POST", "registered-models/create", `{"name":"a"}`)
	ok[modelAnswer](a, "POST", "registered-models/rename", `{"name":"a","new_name":"b"}`)
	ok[empty](a, "DELETE", "registered-models/delete", `{"name":"b"}`)
	a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "registered-models/create", `{"name":"bad"}`)
	require.Equal(t, []string{">a", "a>b", "b>", ">bad"}, told)
}

func TestPeersAndOptions(t *testing.T) {
	t.Parallel()
	a := newAPI(t, new(registrytest.Mem), func(o *mlflow.Options) { o.Prefix = "/ml" })
	a.model("a")
	require.Equal(t, 403, a.send("GET", "registered-models/get?name=a", "", "Host", "evil.com").StatusCode)
	require.Equal(t, 403, a.send("POST", "registered-models/create", `{"name":"b"}`, "Origin", "http://evil.com").StatusCode)
	require.Equal(t, 400, a.send("POST", "registered-models/create", `{"name":"b"}`, "Content-Type", "text/plain").StatusCode)
	require.Equal(t, 200, a.send("GET", "/ml/api/2.0/mlflow/registered-models/get?name=a", "").StatusCode)
	require.Equal(t, 404, a.send("GET", "/x/api/2.0/mlflow/registered-models/get?name=a", "").StatusCode)
	require.Equal(t, 405, a.send("PUT", "registered-models/get", "{}").StatusCode)
	a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "registered-models/set-tag", `{"name":"a","key":"`+strings.Repeat("k", 251)+`","value":"v"}`)
	a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "registered-models/set-tag", `{"name":"a","key":"k","value":"`+strings.Repeat("v", 100_001)+`"}`)
	require.Equal(t, 413, a.send("POST", "registered-models/create", `{"name":"`+strings.Repeat("x", 17<<20)+`"}`).StatusCode)

	_, err := mlflow.NewHandler(nil, nil)
	require.ErrorIs(t, err, registry.ErrInvalid)
	_, err = mlflow.NewHandler(a.reg, &mlflow.Options{Prefix: "ml"})
	require.ErrorIs(t, err, registry.ErrInvalid)
	_, err = mlflow.NewHandler(a.reg, &mlflow.Options{Tracking: a.runs, Authorize: func(*http.Request, mlflow.Action) error { return nil }})
	require.ErrorIs(t, err, registry.ErrInvalid)
}
