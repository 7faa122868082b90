package mlflow_test

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
)

// quickHash is HashPassword with few rounds.
func quickHash(t testing.TB, password string) string {
	t.Helper()
	salt := []byte("sixteen salt 123")
	sum, err := pbkdf2.Key(sha256.New, password, salt, 1000, sha256.Size)
	require.NoError(t, err)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("pbkdf2-sha256$1000$%s$%s", b64.EncodeToString(salt), b64.EncodeToString(sum))
}

const password = "correct horse battery"

// guarded is a server where alice manages experiment 1, which mallory, who
// manages experiment 2, must not see.
func guarded(t testing.TB, prefix string) (*api, *mlflow.Auth) {
	t.Helper()
	auth, err := mlflow.NewAuth(mlflow.AuthConfig{Users: []mlflow.AuthUser{
		{Name: "root", Password: quickHash(t, password), Admin: true},
		{Name: "alice", Password: quickHash(t, password), Experiments: map[tracking.ExperimentID]mlflow.Permission{"1": mlflow.FullPermission}, Models: map[string]mlflow.Permission{"churn": mlflow.FullPermission}},
		{Name: "mallory", Password: quickHash(t, password), Tokens: []string{mlflow.HashToken("mallory's token")}, Experiments: map[tracking.ExperimentID]mlflow.Permission{"2": mlflow.FullPermission}},
		{Name: "rita", Password: quickHash(t, password), Experiments: map[tracking.ExperimentID]mlflow.Permission{"1": mlflow.ReadPermission}},
		{Name: "ed", Password: quickHash(t, password), Experiments: map[tracking.ExperimentID]mlflow.Permission{"1": mlflow.EditPermission}},
	}})
	require.NoError(t, err)
	files, err := dirblob.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, files.Close()) })
	return newAPI(t, &mlflow.Options{
		Auth: auth, Artifacts: files, Prefix: prefix,
		UIDir: uiFiles,
	}), auth
}

func (a *api) as(user string) *api {
	b := *a
	b.head = http.Header{}
	if user != "" {
		r, _ := http.NewRequest(http.MethodGet, "/", nil)
		r.SetBasicAuth(user, password)
		b.head = r.Header
	}
	return &b
}

// guardedObjects are what a request of each route names.
type guardedObjects struct{ run, model, trace, assessment string }

func fillGuarded(t testing.TB, a *api) guardedObjects {
	t.Helper()
	alice, root := a.as("alice"), a.as("root")
	root.ok("POST", "experiments/create", `{"name":"secret of alice"}`)
	root.ok("POST", "experiments/create", `{"name":"of mallory"}`)
	o := guardedObjects{trace: "tr-0123456789abcdef0123456789abcdef"}
	o.run = field(t, alice.ok("POST", "runs/create", `{"experiment_id":"1","run_name":"secret run"}`), "run.info.run_id")
	o.model = field(t, alice.ok("POST", "logged-models", `{"experiment_id":"1","name":"secret model"}`), "model.info.model_id")
	alice.ok("POST", "runs/log-batch", `{"run_id":"`+o.run+`","metrics":[{"key":"m","value":1,"timestamp":1}],"params":[{"key":"p","value":"secret"}],"tags":[{"key":"k","value":"secret"}]}`)
	alice.ok("POST", "runs/log-inputs", `{"run_id":"`+o.run+`","datasets":[{"dataset":{"name":"secret data","digest":"d","source_type":"s","source":"secret"}}]}`)
	alice.ok("PATCH", "logged-models/"+o.model+"/tags", `{"tags":[{"key":"k","value":"secret"}]}`)
	alice.ok("POST", "/api/3.0/mlflow/traces", `{"trace":{"trace_info":{"trace_id":"`+o.trace+`","trace_location":{"type":"MLFLOW_EXPERIMENT","mlflow_experiment":{"experiment_id":"1"}},"request_time":"2026-01-01T00:00:00Z","state":"OK","request_preview":"secret","tags":{"k":"secret"}}}}`)
	o.assessment = field(t, alice.ok("POST", "/api/3.0/mlflow/traces/"+o.trace+"/assessments",
		`{"assessment":{"assessment_name":"secret","trace_id":"`+o.trace+`","source":{"source_type":"HUMAN","source_id":"a"},"feedback":{"value":true},"create_time":"2026-01-01T00:00:00Z","last_update_time":"2026-01-01T00:00:00Z","rationale":"secret"}}`), "assessment.assessment_id")
	alice.ok("PUT", "/api/2.0/mlflow-artifacts/artifacts/1/"+o.run+"/artifacts/secret.txt", `"secret"`)
	alice.ok("PUT", "/api/2.0/mlflow-artifacts/artifacts/1/models/"+o.model+"/artifacts/secret.txt", `"secret"`)
	return o
}

// foreign is, for each route, a request for something of experiment 1.
func foreign(o guardedObjects) map[string][2]string {
	key := "1/" + o.run + "/artifacts/secret.txt"
	run, trace := `{"run_id":"`+o.run+`"`, "traces/"+o.trace
	rows := map[string][2]string{
		"POST 2.0/mlflow/experiments/create":                {"", `{"name":"x","artifact_location":"mlflow-artifacts:/elsewhere"}`},
		"GET 2.0/mlflow/experiments/get":                    {"?experiment_id=1", ""},
		"GET 2.0/mlflow/experiments/get-by-name":            {"?experiment_name=secret+of+alice", ""},
		"POST 2.0/mlflow/experiments/search":                {"", `{}`},
		"GET 2.0/mlflow/experiments/search":                 {"?max_results=10", ""},
		"POST 2.0/mlflow/experiments/delete":                {"", `{"experiment_id":"1"}`},
		"POST 2.0/mlflow/experiments/restore":               {"", `{"experiment_id":"1"}`},
		"POST 2.0/mlflow/experiments/update":                {"", `{"experiment_id":"1","new_name":"x"}`},
		"POST 2.0/mlflow/experiments/set-experiment-tag":    {"", `{"experiment_id":"1","key":"k","value":"v"}`},
		"POST 2.0/mlflow/experiments/delete-experiment-tag": {"", `{"experiment_id":"1","key":"k"}`},
		"POST 2.0/mlflow/experiments/search-datasets":       {"", `{"experiment_ids":["1"]}`},

		"POST 2.0/mlflow/runs/create":        {"", `{"experiment_id":"1"}`},
		"POST 2.0/mlflow/runs/update":        {"", run + `,"status":"FAILED"}`},
		"POST 2.0/mlflow/runs/delete":        {"", run + `}`},
		"POST 2.0/mlflow/runs/restore":       {"", run + `}`},
		"GET 2.0/mlflow/runs/get":            {"?run_uuid=" + o.run, ""},
		"POST 2.0/mlflow/runs/search":        {"", `{"experiment_ids":["1"]}`},
		"POST 2.0/mlflow/runs/log-metric":    {"", run + `,"key":"k","value":1,"timestamp":1}`},
		"POST 2.0/mlflow/runs/log-parameter": {"", run + `,"key":"k","value":"v"}`},
		"POST 2.0/mlflow/runs/log-batch":     {"", run + `,"tags":[{"key":"k","value":"v"}]}`},
		"POST 2.0/mlflow/runs/set-tag":       {"", run + `,"key":"k","value":"v"}`},
		"POST 2.0/mlflow/runs/delete-tag":    {"", run + `,"key":"k"}`},
		"POST 2.0/mlflow/runs/log-inputs":    {"", run + `,"models":[{"model_id":"m-1"}]}`},
		"POST 2.0/mlflow/runs/outputs":       {"", run + `,"models":[{"model_id":"m-1","step":0}]}`},
		"POST 2.0/mlflow/runs/log-model":     {"", run + `,"model_json":"{\"artifact_path\":\"m\",\"flavors\":{},\"run_id\":\"r\",\"utc_time_created\":\"t\"}"}`},

		"GET 2.0/mlflow/metrics/get-history":               {"?metric_key=m&run_id=" + o.run, ""},
		"GET 2.0/mlflow/metrics/get-history-bulk":          {"?metric_key=m&run_id=" + o.run, ""},
		"GET 2.0/mlflow/metrics/get-history-bulk-interval": {"?metric_key=m&run_ids=" + o.run, ""},

		"POST 2.0/mlflow/logged-models":                           {"", `{"experiment_id":"1","name":"x"}`},
		"POST 2.0/mlflow/logged-models/search":                    {"", `{"experiment_ids":["1"]}`},
		"PATCH 2.0/mlflow/logged-models/{model_id}":               {"", `{"status":"LOGGED_MODEL_READY"}`},
		"PATCH 2.0/mlflow/logged-models/{model_id}/tags":          {"", `{"tags":[{"key":"k","value":"v"}]}`},
		"POST 2.0/mlflow/logged-models/{model_id}/params":         {"", `{"params":[{"key":"k","value":"v"}]}`},
		"GET 2.0/mlflow/logged-models/{model_id}/artifacts/files": {"?artifact_file_path=secret.txt", ""},
		"GET 2.0/mlflow-artifacts/artifacts":                      {"?path=1", ""},
		"PUT 2.0/mlflow-artifacts/artifacts/{path...}":            {"", `"x"`},
		"POST 2.0/mlflow-artifacts/mpu/create/{path...}":          {"", `{"path":"secret.txt","num_parts":1}`},
		"POST 2.0/mlflow-artifacts/mpu/complete/{path...}":        {"", `{"path":"secret.txt","upload_id":"u","parts":[]}`},
		"POST 2.0/mlflow-artifacts/mpu/abort/{path...}":           {"", `{"path":"secret.txt","upload_id":"u"}`},
		"GET 2.0/mlflow/artifacts/list":                           {"?run_id=" + o.run, ""},
		"GET /get-artifact":                                       {"?path=secret.txt&run_id=" + o.run, ""},
		"POST 2.0/mlflow/upload-artifact":                         {"?path=x.txt&run_uuid=" + o.run, `"x"`},
		"POST 2.0/mlflow/artifacts/presigned-upload-url":          {"", run + `,"path":"x"}`},
		"POST 2.0/mlflow/artifacts/presigned-download-url":        {"", run + `,"path":"secret.txt"}`},

		"POST /v1/traces":                                                {"", `{"resourceSpans":[]}`},
		"POST 3.0/mlflow/traces":                                         {"", `{"trace":{"trace_info":{"trace_id":"tr-1","trace_location":{"type":"MLFLOW_EXPERIMENT","mlflow_experiment":{"experiment_id":"1"}},"request_time":"2026-01-01T00:00:00Z","state":"OK"}}}`},
		"POST 3.0/mlflow/traces/search":                                  {"", `{"locations":[{"type":"MLFLOW_EXPERIMENT","mlflow_experiment":{"experiment_id":"1"}}]}`},
		"GET 3.0/mlflow/traces/batchGet":                                 {"?trace_ids=" + o.trace, ""},
		"POST 3.0/mlflow/traces/batchGetInfos":                           {"", `{"trace_ids":["` + o.trace + `"]}`},
		"GET 3.0/mlflow/traces/get":                                      {"?trace_id=" + o.trace, ""},
		"POST 2.0/mlflow/traces/link-to-run":                             {"", run + `,"trace_ids":["` + o.trace + `"]}`},
		"POST 2.0/mlflow/traces/link-prompts":                            {"", `{"trace_id":"` + o.trace + `","prompt_versions":[{"name":"p","version":"1"}]}`},
		"POST 3.0/mlflow/traces/calculate-filter-correlation":            {"", `{"experiment_ids":["1"],"filter_string1":"tag.k = 'secret'","filter_string2":"tag.k = 'secret'"}`},
		"POST 3.0/mlflow/traces/metrics":                                 {"", `{"experiment_ids":["1"],"view_type":"TRACES","metric_name":"trace_count","aggregations":[{"aggregation_type":"COUNT"}]}`},
		"POST 3.0/mlflow/traces/{trace_id}/assessments":                  {"", `{"assessment":{"assessment_name":"x","trace_id":"` + o.trace + `","source":{"source_type":"HUMAN","source_id":"a"},"feedback":{"value":true}}}`},
		"PATCH 3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}": {"", `{"assessment":{"assessment_name":"x"},"update_mask":"assessmentName"}`},
		"POST 2.0/mlflow/traces":                                         {"", `{"experiment_id":"1","timestamp_ms":1}`},
		"PATCH 2.0/mlflow/traces/{trace_id}":                             {"", `{"request_id":"` + o.trace + `","timestamp_ms":1,"status":"OK"}`},
		"GET 2.0/mlflow/traces":                                          {"?experiment_ids=1", ""},
		"GET 2.0/mlflow/get-trace-artifact":                              {"?request_id=" + o.trace, ""},
		"GET 3.0/mlflow/get-trace-artifact":                              {"?request_id=" + o.trace, ""},

		"POST /graphql": {"", `{"query":"query($a:A,$b:B,$c:C,$d:D){mlflowGetRun(input:$a){run{info{runName} experiment{name}}} mlflowGetExperiment(input:$b){experiment{name}} mlflowSearchRuns(input:$c){runs{info{runName} experiment{name}}} mlflowGetMetricHistoryBulkInterval(input:$d){metrics{value runId}}}","variables":{"a":{"runId":"` + o.run + `"},"b":{"experimentId":"1"},"c":{"experimentIds":["1"]},"d":{"runIds":["` + o.run + `"],"metricKey":"m"}}}`},
	}
	user, grant := `{"username":"alice"`, `{"username":"mallory","permission":"MANAGE"`
	maps.Copy(rows, map[string][2]string{
		"POST 2.0/mlflow/users/create":                           {"", `{"username":"new","password":"a long enough one"}`},
		"GET 2.0/mlflow/users/get":                               {"?username=alice", ""},
		"GET 2.0/mlflow/users/list":                              {"", ""},
		"PATCH 2.0/mlflow/users/update-password":                 {"", user + `,"password":"a long enough one"}`},
		"PATCH 2.0/mlflow/users/update-admin":                    {"", `{"username":"mallory","is_admin":true}`},
		"DELETE 2.0/mlflow/users/delete":                         {"", user + `}`},
		"POST 2.0/mlflow/experiments/permissions/create":         {"", grant + `,"experiment_id":"1"}`},
		"GET 2.0/mlflow/experiments/permissions/get":             {"?experiment_id=1&username=alice", ""},
		"PATCH 2.0/mlflow/experiments/permissions/update":        {"", grant + `,"experiment_id":"1"}`},
		"DELETE 2.0/mlflow/experiments/permissions/delete":       {"", user + `,"experiment_id":"1"}`},
		"POST 2.0/mlflow/registered-models/permissions/create":   {"", grant + `,"name":"churn"}`},
		"GET 2.0/mlflow/registered-models/permissions/get":       {"?name=churn&username=alice", ""},
		"PATCH 2.0/mlflow/registered-models/permissions/update":  {"", grant + `,"name":"churn"}`},
		"DELETE 2.0/mlflow/registered-models/permissions/delete": {"", user + `,"name":"churn"}`},
		"POST 3.0/mlflow/users/permissions/grant":                {"", grant + `,"resource_type":"experiment","resource_id":"1"}`},
		"POST 3.0/mlflow/users/permissions/revoke":               {"", user + `,"resource_type":"registered_model","resource_id":"churn"}`},
		"GET 3.0/mlflow/users/permissions/get":                   {"?username=alice&resource_type=experiment&resource_id=1", ""},
		"GET 3.0/mlflow/users/permissions/list":                  {"?username=alice", ""},
		"GET 3.0/mlflow/users/roles/list":                        {"?username=alice", ""},
		"GET 3.0/mlflow/roles/list":                              {"", ""},
	})
	for _, version := range []string{"2.0", "3.0"} {
		rows["PATCH "+version+"/mlflow/traces/{trace_id}/tags"] = [2]string{"", `{"key":"k","value":"v"}`}
		rows["DELETE "+version+"/mlflow/traces/{trace_id}/tags"] = [2]string{"", `{"key":"k"}`}
		rows["POST "+version+"/mlflow/traces/delete-traces"] = [2]string{"", `{"experiment_id":"1","request_ids":["` + o.trace + `"]}`}
	}
	_, _ = key, trace
	return rows
}

// needsNoRow are routes whose path says all.
func needsNoRow(name string) bool {
	return strings.Contains(name, "{") && !strings.HasPrefix(name, "POST") && !strings.HasPrefix(name, "PATCH") && !strings.HasPrefix(name, "PUT")
}

// openToAll are the routes that show nothing of any experiment.
var openToAll = map[string]bool{
	"GET 3.0/mlflow/server-info": true, "GET /": true, "GET /static-files/{path...}": true,
	"GET 3.0/mlflow/ui-telemetry": true, "POST 3.0/mlflow/ui-telemetry": true,
	"GET 2.0/mlflow/gateway-proxy": true, "POST 3.0/mlflow/datasets/search": true, // always empty
	"GET 2.0/mlflow/users/current": true, "GET 3.0/mlflow/users/current/permissions": true, // of the sender
	"GET 2.0/mlflow/registered-models/search": true, "GET 2.0/mlflow/model-versions/search": true, // empty without a registry
}

// leavesOut are the routes that answer with what the caller may read.
var leavesOut = map[string]bool{
	"POST 2.0/mlflow/experiments/search": true, "GET 2.0/mlflow/experiments/search": true, "POST 2.0/mlflow/experiments/search-datasets": true,
	"POST 2.0/mlflow/runs/search": true, "POST 2.0/mlflow/logged-models/search": true, "POST /graphql": true,
	"POST 3.0/mlflow/traces/search": true, "GET 2.0/mlflow/traces": true,
	"GET 3.0/mlflow/traces/batchGet": true, "POST 3.0/mlflow/traces/batchGetInfos": true,
	"POST 3.0/mlflow/traces/calculate-filter-correlation": true, "POST 3.0/mlflow/traces/metrics": true,
}

func TestEveryRouteIsGuarded(t *testing.T) {
	t.Parallel()
	a, auth := guarded(t, "/ml")
	o := fillGuarded(t, a)
	rows := foreign(o)
	users := auth.Config()
	before, err := a.store.Run(t.Context(), tracking.RunID(o.run))
	require.NoError(t, err)
	beforeModel, err := a.store.Model(t.Context(), tracking.ModelID(o.model))
	require.NoError(t, err)

	h := a.h.(*mlflow.Handler)
	for _, rt := range h.Routes() {
		name := rt.Method + " " + rt.Path
		row, ok := rows[name]
		path := strings.NewReplacer("{model_id}", o.model, "{trace_id}", o.trace, "{assessment_id}", o.assessment, "{tag_key}", "k").Replace(rt.Path)
		path = strings.ReplaceAll(path, "{path...}", "1/"+o.run+"/artifacts/secret.txt")
		methods := []string{rt.Method}
		switch rt.Method {
		case "GET":
			methods = append(methods, "HEAD")
		case "*":
			methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
			methods = slices.DeleteFunc(methods, func(m string) bool { // those with a row of their own
				return openToAll[strings.Replace(m, "HEAD", "GET", 1)+" "+rt.Path]
			})
		}
		roots := []string{"", "/ml"}
		if path[0] != '/' {
			roots = []string{"/api/", "/ajax-api/", "/ml/api/", "/ml/ajax-api/"}
		}
		for _, method := range methods {
			for _, root := range roots {
				target := root + path + row[0]
				header := []string{"X-Mlflow-Experiment-Id", "1"}
				status, text := a.as("").do(method, target, row[1], header...)
				if rt.Public {
					require.Equal(t, 200, status, "%s %s", method, target)
					continue
				}
				require.Equal(t, 401, status, "%s %s without credentials: %s", method, target, text)
				require.Equal(t, `Basic realm="mlflow"`, a.as("").send(method, target, row[1]).Header.Get("WWW-Authenticate"))
				require.NotContains(t, text, "secret")

				status, text = a.as("mallory").do(method, target, row[1], header...)
				require.NotContains(t, text, "secret ", "%s %s by another tenant", method, target)
				require.NotContains(t, text, `"secret"`, "%s %s by another tenant", method, target)
				require.Less(t, status, 502, "%s %s: %s", method, target, text)
				if openToAll[name] || rt.Mark == "n" && !ok && status == 501 {
					continue
				}
				require.True(t, ok || needsNoRow(name) || strings.Contains(name, "registered-models") || strings.Contains(name, "model-versions") || strings.Contains(name, "webhooks"),
					"route %q has no row in this test", name)
				if leavesOut[name] {
					require.Contains(t, []int{200, 501}, status, "%s %s by another tenant: %s", method, target, text)
					continue
				}
				require.Equal(t, 403, status, "%s %s by another tenant: %s", method, target, text)
			}
		}
	}
	after, err := a.store.Run(t.Context(), tracking.RunID(o.run))
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, users, auth.Config())
	afterModel, err := a.store.Model(t.Context(), tracking.ModelID(o.model))
	require.NoError(t, err)
	require.Equal(t, beforeModel, afterModel)
}

func TestForeignModelsAndRunsInRequests(t *testing.T) {
	t.Parallel()
	a, _ := guarded(t, "")
	o := fillGuarded(t, a)
	m := a.as("mallory")
	own := m.run("2")
	for _, row := range [][2]string{
		{"runs/log-metric", `{"run_id":"` + own + `","key":"k","value":1,"timestamp":1,"model_id":"` + o.model + `"}`},
		{"runs/log-batch", `{"run_id":"` + own + `","metrics":[{"key":"k","value":1,"timestamp":1,"model_id":"` + o.model + `"}]}`},
		{"runs/log-inputs", `{"run_id":"` + own + `","models":[{"model_id":"` + o.model + `"}]}`},
		{"runs/outputs", `{"run_id":"` + own + `","models":[{"model_id":"` + o.model + `","step":1}]}`},
		{"logged-models", `{"experiment_id":"2","name":"x","source_run_id":"` + o.run + `"}`},
		{"experiments/create", `{"name":"y","artifact_location":"mlflow-artifacts:/elsewhere"}`},
		{"experiments/create", `{"name":"y","artifact_location":"s3://bucket/1"}`},
	} {
		require.Equal(t, "Permission denied", m.fails(403, "PERMISSION_DENIED", "POST", row[0], row[1]), row[1])
	}
	model, err := a.store.Model(t.Context(), tracking.ModelID(o.model))
	require.NoError(t, err)
	require.Empty(t, model.Metrics)
	require.Contains(t, m.fails(400, "INVALID_PARAMETER_VALUE", "POST", "experiments/create", `{"name":"y","artifact_location":"mlflow-artifacts:/1/deeper"}`), "Invalid artifact location")
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	a, auth := guarded(t, "")
	o := fillGuarded(t, a)
	rita, ed, alice := a.as("rita"), a.as("ed"), a.as("alice")
	require.Contains(t, rita.ok("GET", "runs/get?run_id="+o.run, ""), "secret run")
	require.Contains(t, rita.ok("POST", "runs/search", `{"experiment_ids":["1","2"]}`), "secret run")
	require.Equal(t, "Permission denied", rita.fails(403, "PERMISSION_DENIED", "POST", "runs/set-tag", `{"run_id":"`+o.run+`","key":"k","value":"v"}`))
	ed.ok("POST", "runs/set-tag", `{"run_id":"`+o.run+`","key":"k","value":"v"}`)
	ed.fails(403, "PERMISSION_DENIED", "POST", "runs/delete", `{"run_id":"`+o.run+`"}`)
	alice.ok("POST", "runs/delete", `{"run_id":"`+o.run+`"}`)
	alice.fails(403, "PERMISSION_DENIED", "GET", "registered-models/get?name=m", "")

	require.NoError(t, auth.Grant("rita", "1", mlflow.NoPermissions))
	rita.fails(403, "PERMISSION_DENIED", "GET", "runs/get?run_id="+o.run, "")
	require.ErrorIs(t, auth.Grant("nobody", "1", mlflow.ReadPermission), tracking.ErrNotFound)
	require.ErrorIs(t, auth.Grant("rita", "1", "ALL"), tracking.ErrInvalid)

	require.Equal(t, `{"experiment_id":"3"}`, rita.ok("POST", "experiments/create", `{"name":"hers"}`))
	rita.ok("POST", "experiments/delete", `{"experiment_id":"3"}`)
	ed.fails(403, "PERMISSION_DENIED", "GET", "experiments/get?experiment_id=3", "")
	config := auth.Config()
	require.Equal(t, "rita", config.Users[3].Name)
	require.Equal(t, map[tracking.ExperimentID]mlflow.Permission{"1": mlflow.NoPermissions, "3": mlflow.FullPermission}, config.Users[3].Experiments)
	require.NoError(t, config.Validate())
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	a, _ := guarded(t, "")
	for _, tc := range []struct {
		header string
		status int
	}{
		{"Bearer mallory's token", 200}, {"bearer  mallory's token", 200}, {"Bearer wrong", 401}, {"Bearer", 401}, {"Bearer ", 401},
		{"Basic " + base64.StdEncoding.EncodeToString([]byte("mallory:"+password)), 200},
		{"Basic " + base64.StdEncoding.EncodeToString([]byte("mallory:wrong password")), 401},
		{"Basic " + base64.StdEncoding.EncodeToString([]byte("mallory:")), 401},
		{"Basic " + base64.StdEncoding.EncodeToString([]byte("mallory")), 401},
		{"Basic " + base64.StdEncoding.EncodeToString([]byte("nobody:"+password)), 401},
		{"Basic " + base64.StdEncoding.EncodeToString([]byte(":"+password)), 401},
		{"Basic !", 401}, {"Digest x", 401}, {"", 401},
	} {
		for range 2 { // the second time from what is remembered
			status, text := a.do("POST", "experiments/search", `{}`, "Authorization", tc.header)
			require.Equal(t, tc.status, status, "%q: %s", tc.header, text)
		}
	}
}

func TestAuthConfig(t *testing.T) {
	t.Parallel()
	hash := quickHash(t, password)
	_, err := mlflow.HashPassword("too short")
	require.ErrorIs(t, err, tracking.ErrInvalid)
	token, tokenHash := mlflow.NewToken()
	require.Equal(t, tokenHash, mlflow.HashToken(token))

	config, err := mlflow.ParseAuthConfig(strings.NewReader(`{"default_permission":"READ","users":[{"name":"a","password":"` + hash + `","tokens":["` + tokenHash + `"],"experiments":{"1":"EDIT"}}]}`))
	require.NoError(t, err)
	auth, err := mlflow.NewAuth(config)
	require.NoError(t, err)
	r, err := http.NewRequest(http.MethodGet, "/", nil)
	require.NoError(t, err)
	r.SetBasicAuth("a", password)
	require.NoError(t, auth.Authorize(r, mlflow.Action{Verb: mlflow.Read, Experiment: "7"}))
	require.ErrorIs(t, auth.Authorize(r, mlflow.Action{Verb: mlflow.Write, Experiment: "7"}), mlflow.ErrDenied)
	require.NoError(t, auth.Authorize(r, mlflow.Action{Verb: mlflow.Write, Experiment: "1"}))

	for _, text := range []string{
		``, `[]`, `{"users":[{"name":"a"}]}`, `{"users":[{"name":"a:b","password":"` + hash + `"}]}`, `{"users":[{"name":"a","password":"plain"}]}`,
		`{"users":[{"name":"a","password":"pbkdf2-sha256$1$AAAA$AAAA"}]}`, `{"users":[{"name":"a","tokens":["clear"]}]}`,
		`{"users":[{"name":"a","tokens":["` + tokenHash + `"]},{"name":"b","tokens":["` + tokenHash + `"]}]}`,
		`{"users":[{"name":"a","password":"` + hash + `"},{"name":"a","password":"` + hash + `"}]}`,
		`{"default_permission":"SOME"}`, `{"default":"READ"}`, `{} {}`,
		`{"users":[{"name":"a","password":"` + hash + `","experiments":{"1":"WRITE"}}]}`,
	} {
		_, err := mlflow.ParseAuthConfig(strings.NewReader(text))
		require.ErrorIs(t, err, tracking.ErrInvalid, text)
	}
}

func TestHotPathDoesNotHash(t *testing.T) {
	t.Parallel()
	hash, err := mlflow.HashPassword(password)
	require.NoError(t, err)
	auth, err := mlflow.NewAuth(mlflow.AuthConfig{Users: []mlflow.AuthUser{{Name: "a", Password: hash}}})
	require.NoError(t, err)
	r, err := http.NewRequest(http.MethodGet, "/", nil)
	require.NoError(t, err)
	r.SetBasicAuth("a", password)
	start := time.Now()
	require.NoError(t, auth.Authorize(r, mlflow.Action{Verb: mlflow.Connect}))
	first := time.Since(start)
	start = time.Now()
	for range 100 {
		require.NoError(t, auth.Authorize(r, mlflow.Action{Verb: mlflow.Connect}))
	}
	require.Less(t, time.Since(start), first, "100 checks of a known password against the first")
}
