package mlflow_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
	"github.com/millwright-ml/millwright/tracking/sqlstore"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

// api calls a handler without a network.
type api struct {
	t     testing.TB
	h     http.Handler
	store apiStore
	head  http.Header // of every request
}

type apiStore interface {
	tracking.Store
	tracking.ModelStore
}

// newAPI returns a handler on a store in memory.
func newAPI(t testing.TB, opts *mlflow.Options) *api {
	t.Helper()
	return newAPIOn(t, new(trackingtest.Memory), opts)
}

func newAPIOn(t testing.TB, store apiStore, opts *mlflow.Options) *api {
	t.Helper()
	h, err := mlflow.NewHandler(store, opts)
	require.NoError(t, err)
	return &api{t: t, h: h, store: store, head: http.Header{}}
}

// eachStore runs a test on the store in memory and on SQLite.
func eachStore(t *testing.T, test func(t *testing.T, a *api)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, newAPI(t, nil))
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, newAPIOn(t, apiSQLite(t), nil))
	})
}

func apiSQLite(t testing.TB) *sqlstore.Store {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.ToSlash(filepath.Join(t.TempDir(), "api.db")), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

// send returns the whole answer. The target "runs/get?x" is short for the
// path /api/2.0/mlflow/runs/get?x.
func (a *api) send(method, target, body string, header ...string) *http.Response {
	a.t.Helper()
	if !strings.HasPrefix(target, "/") {
		target = "/api/2.0/mlflow/" + target
	}
	r := httptest.NewRequestWithContext(a.t.Context(), method, target, strings.NewReader(body))
	r.Host = "localhost"
	maps.Copy(r.Header, a.head)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return record(a.h, r)
}

func record(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// hostRequest sends a request with another Host header.
func hostRequest(a *api, method, target, host string) *http.Response {
	r := httptest.NewRequestWithContext(a.t.Context(), method, target, nil)
	r.Host = host
	return record(a.h, r)
}

// do returns the status and the body.
func (a *api) do(method, target, body string, header ...string) (int, string) {
	a.t.Helper()
	resp := a.send(method, target, body, header...)
	text, err := io.ReadAll(resp.Body)
	require.NoError(a.t, err)
	require.Equal(a.t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
	require.Equal(a.t, "SAMEORIGIN", resp.Header.Get("X-Frame-Options"))
	return resp.StatusCode, string(text)
}

// ok requires status 200 and returns the body.
func (a *api) ok(method, target, body string) string {
	a.t.Helper()
	status, text := a.do(method, target, body)
	require.Equal(a.t, 200, status, "%s %s: %s", method, target, text)
	require.True(a.t, json.Valid([]byte(text)), text)
	return text
}

// fails requires an error of the API and returns its message.
func (a *api) fails(status int, code, method, target, body string, header ...string) string {
	a.t.Helper()
	got, text := a.do(method, target, body, header...)
	var e struct {
		Code    string `json:"error_code"`
		Message string `json:"message"`
	}
	require.NoError(a.t, json.Unmarshal([]byte(text), &e), "%s %s %s: %d %s", method, target, body, got, text)
	require.Equal(a.t, status, got, "%s %s %s: %s", method, target, body, text)
	require.Equal(a.t, code, e.Code, "%s %s %s: %s", method, target, body, text)
	return e.Message
}

// field returns a string of the answer by its path, like "run.info.run_id".
func field(t testing.TB, text, path string) string {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal([]byte(text), &v))
	for name := range strings.SplitSeq(path, ".") {
		object, ok := v.(map[string]any)
		require.True(t, ok, "%s in %s", path, text)
		v = object[name]
	}
	s, ok := v.(string)
	require.True(t, ok, "%s in %s", path, text)
	return s
}

var (
	hexID    = regexp.MustCompile(`[0-9a-f]{32}`)
	clock    = regexp.MustCompile(`\b[0-9]{13}\b`)
	funnyRun = regexp.MustCompile(`"[a-z]+-[a-z]+-[0-9]+"`)
)

// masked replaces what differs from run to run.
func masked(text string) string {
	text = hexID.ReplaceAllString(text, "ID")
	text = clock.ReplaceAllString(text, "MS")
	return funnyRun.ReplaceAllString(text, `"RANDOM"`)
}

func (a *api) run(exp string) string {
	a.t.Helper()
	return field(a.t, a.ok("POST", "runs/create", `{"experiment_id":"`+exp+`","run_name":"r"}`), "run.info.run_id")
}

func TestExperimentRoutes(t *testing.T) {
	t.Parallel()
	eachStore(t, experimentRoutes)
}

func experimentRoutes(t *testing.T, a *api) {
	require.Equal(t, `{"experiment":{"experiment_id":"0","name":"Default","artifact_location":"mlflow-artifacts:/0","lifecycle_stage":"active","last_update_time":MS,"creation_time":MS,"workspace":"default"}}`,
		masked(a.ok("GET", "experiments/get?experiment_id=0", "")))
	require.Equal(t, `{"experiment_id":"1"}`, a.ok("POST", "experiments/create", `{"name":"a","tags":[{"key":"k","value":"v"}],"workspace":"default"}`))
	const one = `{"experiment_id":"1","name":"a","artifact_location":"mlflow-artifacts:/1","lifecycle_stage":"active","last_update_time":MS,"creation_time":MS,"tags":[{"key":"k","value":"v"}],"workspace":"default"}`
	require.Equal(t, `{"experiment":`+one+`}`, masked(a.ok("GET", "experiments/get-by-name?experiment_name=a", "")))
	require.Equal(t, `{"experiment":`+one+`}`, masked(a.ok("GET", "experiments/get", `{"experiment_id":"1"}`)), "a GET may have a body")

	const zero = `{"experiment_id":"0","name":"Default","artifact_location":"mlflow-artifacts:/0","lifecycle_stage":"active","last_update_time":MS,"creation_time":MS,"workspace":"default"}`
	first := a.ok("POST", "experiments/search", `{"max_results":1}`)
	require.Contains(t, masked(first), `{"experiments":[`+one+`],"next_page_token":"`)
	token := field(t, first, "next_page_token")
	require.Equal(t, `{"experiments":[`+zero+`]}`, masked(a.ok("POST", "experiments/search", `{"max_results":1,"page_token":"`+token+`"}`)))
	require.Equal(t, `{"experiments":[`+zero+`,`+one+`]}`, masked(a.ok("GET", "experiments/search?max_results=100&order_by=name+ASC&view_type=ALL", "")))
	require.Equal(t, `{"experiments":[`+one+`]}`, masked(a.ok("POST", "experiments/search", `{"filter":"tags.k = 'v'"}`)), "max_results may be absent")

	require.Equal(t, `{}`, a.ok("POST", "experiments/update", `{"experiment_id":"1","new_name":"b"}`))
	require.Equal(t, `{}`, a.ok("POST", "experiments/set-experiment-tag", `{"experiment_id":"1","key":"x","value":""}`))
	require.Contains(t, a.ok("GET", "experiments/get?experiment_id=1", ""), `"tags":[{"key":"k","value":"v"},{"key":"x","value":""}]`)
	require.Equal(t, `{}`, a.ok("POST", "experiments/delete-experiment-tag", `{"experiment_id":"1","key":"x"}`))
	require.Equal(t, `{}`, a.ok("POST", "experiments/delete", `{"experiment_id":"1"}`))
	require.Contains(t, a.ok("GET", "experiments/get?experiment_id=1", ""), `"lifecycle_stage":"deleted"`)
	require.NotContains(t, a.ok("POST", "experiments/search", `{}`), `"experiment_id":"1"`)
	require.Contains(t, a.ok("POST", "experiments/search", `{"view_type":"DELETED_ONLY"}`), `"experiment_id":"1"`)

	require.Contains(t, a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "runs/create", `{"experiment_id":"1"}`), "must be in the 'active' state")
	require.Contains(t, a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "experiments/update", `{"experiment_id":"1","new_name":"c"}`), "active")
	require.Equal(t, "Experiment(name=b) already exists.", a.fails(400, "RESOURCE_ALREADY_EXISTS", "POST", "experiments/create", `{"name":"b"}`), "a deleted name stays taken")
	require.Equal(t, `{}`, a.ok("POST", "experiments/restore", `{"experiment_id":"1"}`))
}

func TestExperimentErrors(t *testing.T) {
	t.Parallel()
	eachStore(t, experimentErrors)
}

func experimentErrors(t *testing.T, a *api) {
	for _, tc := range []struct {
		status                           int
		code, method, target, body, want string
	}{
		{400, "INVALID_PARAMETER_VALUE", "POST", "experiments/create", `{}`, "Missing value for required parameter 'name'"},
		{400, "INVALID_PARAMETER_VALUE", "POST", "experiments/create", `{"name":""}`, "Missing value for required parameter 'name'"},
		{400, "INVALID_PARAMETER_VALUE", "POST", "experiments/create", `{"name":7}`, "Invalid value 7 for parameter 'name' supplied"},
		{400, "INVALID_PARAMETER_VALUE", "POST", "experiments/create", `{"name":"x","tags":{"k":"v"}}`, "Invalid value {\"k\":\"v\"} for parameter 'tags' supplied"},
		{400, "INVALID_PARAMETER_VALUE", "POST", "experiments/create", `{"name":"` + strings.Repeat("x", 501) + `"}`, "500 characters"},
		{400, "INVALID_PARAMETER_VALUE", "POST", "experiments/create", `{"name":"x","artifact_location":"file:///etc"}`, "Invalid artifact location"},
		{400, "RESOURCE_ALREADY_EXISTS", "POST", "experiments/create", `{"name":"Default"}`, "Experiment(name=Default) already exists."},
		{404, "RESOURCE_DOES_NOT_EXIST", "GET", "experiments/get?experiment_id=77", ``, "No Experiment with id=77 exists"},
		{400, "INVALID_PARAMETER_VALUE", "GET", "experiments/get?experiment_id=x", ``, "Invalid experiment ID 'x'. Experiment ID must be a valid integer."},
		{400, "INVALID_PARAMETER_VALUE", "GET", "experiments/get", ``, "Missing value for required parameter 'experiment_id'"},
		{404, "RESOURCE_DOES_NOT_EXIST", "GET", "experiments/get-by-name?experiment_name=none", ``, "Could not find experiment with name 'none'"},
		{404, "RESOURCE_DOES_NOT_EXIST", "POST", "experiments/delete", `{"experiment_id":"77"}`, "No Experiment with id=77 exists"},
		{404, "RESOURCE_DOES_NOT_EXIST", "POST", "experiments/restore", `{"experiment_id":"77"}`, "No Experiment with id=77 exists"},
		{404, "RESOURCE_DOES_NOT_EXIST", "POST", "experiments/update", `{"experiment_id":"77","new_name":"x"}`, "No Experiment with id=77 exists"},
		{404, "RESOURCE_DOES_NOT_EXIST", "POST", "experiments/delete-experiment-tag", `{"experiment_id":"0","key":"x"}`, "No tag with name: x in experiment with id 0"},
		{404, "RESOURCE_DOES_NOT_EXIST", "POST", "experiments/delete-experiment-tag", `{"experiment_id":"77","key":"x"}`, "No Experiment with id=77 exists"},
		{400, "INVALID_PARAMETER_VALUE", "POST", "experiments/set-experiment-tag", `{"experiment_id":"0","key":"` + strings.Repeat("k", 251) + `","value":""}`, "250 characters"},
		{400, "INVALID_PARAMETER_VALUE", "POST", "experiments/search", `{"max_results":50001}`, "at most 50000"},
		{400, "INVALID_PARAMETER_VALUE", "POST", "experiments/search", `{"max_results":-1}`, "Invalid value -1 for parameter 'max_results' supplied"},
		{400, "INVALID_PARAMETER_VALUE", "POST", "experiments/search", `{"page_token":"nonsense"}`, "token"},
		{400, "INVALID_PARAMETER_VALUE", "POST", "experiments/search", `{"filter":"name ="}`, ""},
		{400, "INVALID_PARAMETER_VALUE", "POST", "experiments/search", `{"view_type":"NONE"}`, "Invalid value \"NONE\" for parameter 'view_type' supplied"},
		{400, "INVALID_PARAMETER_VALUE", "POST", "experiments/search-datasets", `{}`, "SearchDatasets request must specify at least one experiment_id."},
		{400, "INVALID_PARAMETER_VALUE", "POST", "experiments/search-datasets", `{"experiment_ids":["` + strings.Repeat(`1","`, 20) + `1"]}`, "SearchDatasets request cannot specify more than 20 experiment_ids. Received 21 experiment_ids."},
		{400, "BAD_REQUEST", "POST", "experiments/create", `{"name":"x"`, "Malformed JSON at byte 11"},
	} {
		require.Contains(t, a.fails(tc.status, tc.code, tc.method, tc.target, tc.body), tc.want)
		ajax := tc.target
		if !strings.HasPrefix(ajax, "/") {
			ajax = "/ajax-api/2.0/mlflow/" + ajax
		}
		require.Contains(t, a.fails(tc.status, tc.code, tc.method, ajax, tc.body), tc.want)
	}
	require.Contains(t, a.ok("POST", "experiments/search", `{"view_type":"ALL"}`), `"experiments":[{"experiment_id":"0"`, "nothing was stored")
}

func TestDeletedNamesCanBeReused(t *testing.T) {
	t.Parallel()
	a := newAPI(t, &mlflow.Options{ReuseDeletedNames: true})
	a.ok("POST", "experiments/create", `{"name":"a"}`)
	run := a.run("1")
	require.Equal(t, "Experiment(name=a) already exists.", a.fails(400, "RESOURCE_ALREADY_EXISTS", "POST", "experiments/create", `{"name":"a"}`))
	a.ok("POST", "experiments/delete", `{"experiment_id":"1"}`)
	require.Equal(t, `{"experiment_id":"2"}`, a.ok("POST", "experiments/create", `{"name":"a"}`))
	old := a.ok("GET", "experiments/get?experiment_id=1", "")
	require.Contains(t, old, `"name":"a (deleted 2`)
	require.Contains(t, old, `"lifecycle_stage":"deleted"`)
	info, err := a.store.Run(t.Context(), tracking.RunID(run))
	require.NoError(t, err)
	require.True(t, info.Deleted)
}

func TestServerRoutes(t *testing.T) {
	t.Parallel()
	a := newAPI(t, &mlflow.Options{Prefix: "/ml"})
	for _, prefix := range []string{"", "/ml"} {
		status, text := a.do("GET", prefix+"/health", "")
		require.Equal(t, 200, status)
		require.Equal(t, "OK", text)
		_, text = a.do("GET", prefix+"/version", "")
		require.Regexp(t, `^3\.\d+\.\d+$`, text)
		require.JSONEq(t, `{"store_type":"SqlStore","workspaces_enabled":false,"features_enabled":{"gateway":false},"trace_archival_enabled":false,
			"multipart_uploads_enabled":false,"multipart_downloads_enabled":false,"presigned_upload_run_id_supported":true,"presigned_upload_model_id_supported":true}`, a.ok("GET", prefix+"/ajax-api/3.0/mlflow/server-info", ""))
		require.Contains(t, a.ok("GET", prefix+"/ajax-api/2.0/mlflow/experiments/get?experiment_id=0", ""), "Default")
	}
}

func TestPathsAndMethods(t *testing.T) {
	t.Parallel()
	a := newAPI(t, &mlflow.Options{Prefix: "/ml"})
	for _, target := range []string{
		"/", "/nothing", "/api/2.0/mlflow/nothing", "/api/1.0/mlflow/experiments/get", "/api/2.0/preview/mlflow/experiments/get",
		"/api/2.0/mlflow/experiments/get/", "/api/2.0/mlflow//experiments/get", "//api/2.0/mlflow/experiments/get",
		"/api//2.0/mlflow/experiments/get", "/api/2.0/mlflow/x/../experiments/get", "/api/2.0/mlflow/experiments%2Fget",
		"/api/2.0/mlflow/./experiments/get", "/ml", "/ml//health", "/mlx/health", "/health/", "/API/2.0/mlflow/experiments/get",
		"/api/2.0/mlflow/logged-models/", "/api/2.0/mlflow/logged-models//tags", "/api/2.0/mlflow/logged-models/m-1/nothing",
	} {
		require.NotEmpty(t, a.fails(404, "ENDPOINT_NOT_FOUND", "GET", target, ""), target)
	}
	resp := a.send("DELETE", "experiments/get", "")
	require.Equal(t, 405, resp.StatusCode)
	require.Equal(t, "GET, HEAD, OPTIONS", resp.Header.Get("Allow"))
	require.Contains(t, a.fails(405, "ENDPOINT_NOT_FOUND", "GET", "experiments/create", ""), "no method GET")
	require.Equal(t, "POST, OPTIONS", a.send("GET", "runs/search", "").Header.Get("Allow"))

	resp = a.send("OPTIONS", "experiments/search", "")
	require.Equal(t, 204, resp.StatusCode)
	require.Equal(t, "GET, HEAD, POST, OPTIONS", resp.Header.Get("Allow"))

	resp = a.send("HEAD", "experiments/get?experiment_id=0", "")
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "application/json", resp.Header.Get("Content-Type"))

	for _, target := range []string{
		"/api/3.0/mlflow/gateway/secrets/list", "/ajax-api/3.0/mlflow/scorers/list", "/api/3.0/mlflow/datasets/create",
		"/api/2.0/mlflow/registered-models/get", "/api/2.0/mlflow/model-versions/get", "/api/2.0/mlflow/webhooks",
	} {
		require.Contains(t, a.fails(501, "NOT_IMPLEMENTED", "GET", target, ""), target)
	}
}

func TestContentTypeAndSize(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	body := `{"name":"x"}`
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", "text/plain; application/json"} {
		require.Contains(t, a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "experiments/create", body, "Content-Type", kind), "Content-Type must be one of", kind)
	}
	require.Contains(t, a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "experiments/create", body, "Content-Type", ""), "Content-Type header is missing")
	status, _ := a.do("POST", "experiments/create", body, "Content-Type", "application/json; charset=utf-8")
	require.Equal(t, 200, status)
	huge := `{"name":"` + strings.Repeat("x", 17<<20) + `"}`
	require.Contains(t, a.fails(413, "INVALID_PARAMETER_VALUE", "POST", "experiments/create", huge), "larger")
	require.Contains(t, a.fails(400, "BAD_REQUEST", "GET", "experiments/get?experiment_id=%zz", ""), "query")
}

func TestRegistryIsMounted(t *testing.T) {
	t.Parallel()
	var seen []string
	a := newAPI(t, &mlflow.Options{Registry: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Method+" "+r.URL.Path)
		_, _ = w.Write([]byte(`{"model_versions":[{"name":"m","version":"3","status":"READY","creation_timestamp":5}]}`))
	})})
	a.ok("GET", "registered-models/search", "")
	a.ok("DELETE", "/ajax-api/2.0/mlflow/registered-models/alias", `{}`)
	a.ok("PATCH", "model-versions/update", `{}`)
	require.Equal(t, []string{"GET /api/2.0/mlflow/registered-models/search", "DELETE /ajax-api/2.0/mlflow/registered-models/alias", "PATCH /api/2.0/mlflow/model-versions/update"}, seen)

	run := a.run("0")
	answer := a.ok("POST", "/graphql", `{"query":"query Q($d:X){mlflowGetRun(input:$d){run{modelVersions{name version creationTimestamp status}}}}","variables":{"d":{"runId":"`+run+`"}}}`)
	require.Equal(t, `{"data":{"mlflowGetRun":{"run":{"modelVersions":[{"name":"m","version":"3","creationTimestamp":"5","status":"READY"}]}}},"errors":null}`, answer)
	answer = a.ok("POST", "/graphql", `{"query":"{mlflowSearchModelVersions(input:{filter:\"name = 'm'\",maxResults:5}){apiError{code}modelVersions{name version}nextPageToken}}"}`)
	require.Equal(t, `{"data":{"mlflowSearchModelVersions":{"apiError":null,"modelVersions":[{"name":"m","version":"3"}],"nextPageToken":null}},"errors":null}`, answer)

	seen = nil
	a.ok("GET", "/api/2.0/mlflow-artifacts/artifacts?path=model-registry/m/3", "")
	a.ok("GET", "/api/2.0/mlflow-artifacts/artifacts/model-registry/m/3/MLmodel", "")
	require.Equal(t, []string{"GET /api/2.0/mlflow-artifacts/artifacts", "GET /api/2.0/mlflow-artifacts/artifacts/model-registry/m/3/MLmodel"}, seen)
	require.JSONEq(t, `{"url":"/api/2.0/mlflow-artifacts/artifacts/model-registry/m/3/MLmodel","headers":{}}`,
		a.ok("GET", "/api/2.0/mlflow-artifacts/presigned/model-registry/m/3/MLmodel", ""), "without a size clients ask the server")
	a.fails(501, "NOT_IMPLEMENTED", "POST", "/api/2.0/mlflow-artifacts/mpu/create/model-registry/m/3", `{"path":"MLmodel","num_parts":1}`)
	status, _ := a.do("PUT", "/api/2.0/mlflow-artifacts/artifacts/model-registry/m/3/MLmodel", "x")
	require.Equal(t, 405, status, "nobody writes to a version")
}
