package mlflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestModelRoutes(t *testing.T) {
	t.Parallel()
	eachStore(t, modelRoutes)
}

func modelRoutes(t *testing.T, a *api) {
	run := a.run("0")
	created := a.ok("POST", "logged-models", `{"experiment_id":"0","name":"model","model_type":"agent","source_run_id":"`+run+`","params":[{"key":"p","value":"1"}],"tags":[{"key":"t","value":"2"}]}`)
	require.Equal(t, `{"model":{"info":{"model_id":"m-ID","experiment_id":"0","name":"model","creation_timestamp_ms":MS,"last_updated_timestamp_ms":MS,`+
		`"artifact_uri":"mlflow-artifacts:/0/models/m-ID/artifacts","status":"LOGGED_MODEL_PENDING","model_type":"agent","source_run_id":"ID","tags":[{"key":"t","value":"2"}]},`+
		`"data":{"params":[{"key":"p","value":"1"}]}}}`, masked(created))
	id := field(t, created, "model.info.model_id")
	one := "logged-models/" + id
	require.Contains(t, a.ok("PATCH", one, `{"model_id":"`+id+`","status":"LOGGED_MODEL_READY"}`), `"status":"LOGGED_MODEL_READY"`)
	require.Contains(t, a.ok("PATCH", one, `{"model_id":"`+id+`","status":2}`), `"status":"LOGGED_MODEL_READY"`)
	require.Equal(t, `{}`, a.ok("PATCH", one+"/tags", `{"tags":[{"key":"x/y","value":"z"}]}`))
	require.Contains(t, a.ok("GET", one, ""), `{"key":"x/y","value":"z"}`)
	require.Equal(t, `{}`, a.ok("POST", one+"/params", `{"model_id":"`+id+`","params":[{"key":"q","value":"3"}]}`))
	require.Equal(t, `{}`, a.ok("DELETE", one+"/tags/x%2Fy", ""))
	a.ok("POST", "runs/log-metric", `{"run_id":"`+run+`","key":"acc","value":0.9,"timestamp":1700000000000,"model_id":"`+id+`","dataset_name":"d","dataset_digest":"g"}`)
	got := masked(a.ok("GET", one, ""))
	require.Contains(t, got, `"data":{"params":[{"key":"p","value":"1"},{"key":"q","value":"3"}],"metrics":[{"key":"acc","value":0.9,"timestamp":MS,"step":0,"dataset_name":"d","dataset_digest":"g","model_id":"m-ID","run_id":"ID"}]}`)

	found := a.ok("POST", "logged-models/search", `{"experiment_ids":["0"],"filter":"params.p = '1' AND metrics.acc > 0.5","datasets":[{"dataset_name":"d"}],"order_by":[{"field_name":"metrics.acc","ascending":false,"dataset_name":"d","dataset_digest":"g"}],"max_results":10}`)
	require.Contains(t, found, id)
	require.Equal(t, `{}`, a.ok("POST", "logged-models/search", `{"experiment_ids":["0"],"filter":"name = 'other'"}`))

	require.Equal(t, `{}`, a.ok("DELETE", one, ""))
	require.Contains(t, a.fails(404, "RESOURCE_DOES_NOT_EXIST", "GET", one, ""), "Logged model with ID '"+id+"' not found.")
	require.Contains(t, a.ok("GET", one+"?allow_deleted=true", ""), id)
	require.Regexp(t, `"name":"[a-z]+-[a-z]+-\d+"`, a.ok("POST", "logged-models", `{"experiment_id":"0"}`))
}

func TestModelErrors(t *testing.T) {
	t.Parallel()
	eachStore(t, modelErrors)
}

func modelErrors(t *testing.T, a *api) {
	id := field(t, a.ok("POST", "logged-models", `{"experiment_id":"0","name":"m","params":[{"key":"p","value":"1"}]}`), "model.info.model_id")
	for _, tc := range []struct {
		status                           int
		code, method, target, body, want string
	}{
		{400, "INVALID_PARAMETER_VALUE", "POST", "logged-models", `{}`, "Missing value for required parameter 'experiment_id'"},
		{400, "INVALID_PARAMETER_VALUE", "POST", "logged-models", `{"experiment_id":"0","name":"a/b"}`, "name"},
		{400, "INVALID_PARAMETER_VALUE", "POST", "logged-models", `{"experiment_id":"0","name":"m","source_run_id":"../x"}`, "x"},
		{404, "RESOURCE_DOES_NOT_EXIST", "POST", "logged-models", `{"experiment_id":"9","name":"m"}`, "No Experiment with id=9 exists"},
		{404, "RESOURCE_DOES_NOT_EXIST", "GET", "logged-models/m-none", ``, "Logged model with ID 'm-none' not found."},
		{404, "RESOURCE_DOES_NOT_EXIST", "PATCH", "logged-models/m-none", `{"status":"LOGGED_MODEL_READY"}`, "not found"},
		{404, "RESOURCE_DOES_NOT_EXIST", "DELETE", "logged-models/m-none", ``, "not found"},
		{404, "RESOURCE_DOES_NOT_EXIST", "PATCH", "logged-models/m-none/tags", `{"tags":[]}`, "not found"},
		{404, "RESOURCE_DOES_NOT_EXIST", "DELETE", "logged-models/m-none/tags/k", ``, "not found"},
		{404, "RESOURCE_DOES_NOT_EXIST", "DELETE", "logged-models/" + id + "/tags/k", ``, "No tag with key 'k' found for model with ID '" + id + "'."},
		{400, "INVALID_PARAMETER_VALUE", "POST", "logged-models/" + id + "/params", `{"params":[{"key":"p","value":"2"}]}`, "Changing param values is not allowed"},
		{400, "INVALID_PARAMETER_VALUE", "PATCH", "logged-models/" + id, `{}`, "Missing value for required parameter 'status'"},
		{400, "INVALID_PARAMETER_VALUE", "PATCH", "logged-models/" + id, `{"status":"DONE"}`, `Invalid value "DONE" for parameter 'status' supplied`},
		{400, "INVALID_PARAMETER_VALUE", "PATCH", "logged-models/" + id, `{"status":"LOGGED_MODEL_READY","model_id":"m-other"}`, "another model"},
		{400, "INVALID_PARAMETER_VALUE", "POST", "logged-models/search", `{}`, "Missing value for required parameter 'experiment_ids'"},
		{400, "INVALID_PARAMETER_VALUE", "POST", "logged-models/search", `{"experiment_ids":["0"],"filter":"nope"}`, ""},
		{400, "INVALID_PARAMETER_VALUE", "POST", "logged-models/search", `{"experiment_ids":["0"],"order_by":[{}]}`, "Missing value for required parameter 'order_by.field_name'"},
		{400, "INVALID_PARAMETER_VALUE", "POST", "logged-models/search", `{"experiment_ids":["0"],"datasets":[{}]}`, "Missing value for required parameter 'datasets.dataset_name'"},
	} {
		require.Contains(t, a.fails(tc.status, tc.code, tc.method, tc.target, tc.body), tc.want, "%s %s", tc.target, tc.body)
		a.fails(tc.status, tc.code, tc.method, "/ajax-api/2.0/mlflow/"+tc.target, tc.body)
	}
}
