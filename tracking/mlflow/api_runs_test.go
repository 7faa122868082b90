package mlflow_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
)

func TestRunRoutes(t *testing.T) {
	t.Parallel()
	eachStore(t, runRoutes)
}

func runRoutes(t *testing.T, a *api) {
	created := a.ok("POST", "runs/create", `{"experiment_id":"0","user_id":"u","start_time":1700000000000,"run_name":"first","tags":[{"key":"mlflow.user","value":"u"},{"key":"mlflow.runName","value":"first"}]}`)
	require.Equal(t, `{"run":{"info":{"run_uuid":"ID","experiment_id":"0","run_name":"first","user_id":"u","status":"RUNNING","start_time":MS,`+
		`"artifact_uri":"mlflow-artifacts:/0/ID/artifacts","lifecycle_stage":"active","run_id":"ID"},`+
		`"data":{"tags":[{"key":"mlflow.runName","value":"first"},{"key":"mlflow.user","value":"u"}]},"inputs":{},"outputs":{}}}`, masked(created))
	id := field(t, created, "run.info.run_id")
	require.Equal(t, id, field(t, created, "run.info.run_uuid"))

	for _, step := range [][2]string{
		{"runs/log-metric", `{"run_uuid":"` + id + `","run_id":"` + id + `","key":"loss","value":0.5,"timestamp":1700000000001,"step":1}`},
		{"runs/log-metric", `{"run_id":"` + id + `","key":"loss","value":"NaN","timestamp":"1700000000002","step":"2"}`},
		{"runs/log-metric", `{"run_id":"` + id + `","key":"inf","value":"-Infinity","timestamp":1700000000003}`},
		{"runs/log-parameter", `{"run_uuid":"` + id + `","key":"lr","value":"0.1"}`},
		{"runs/log-parameter", `{"run_id":"` + id + `","key":"lr","value":"0.1"}`},
		{"runs/log-parameter", `{"run_id":"` + id + `","key":"empty","value":""}`},
		{"runs/set-tag", `{"run_id":"` + id + `","key":"t","value":"1"}`},
		{"runs/set-tag", `{"run_uuid":"` + id + `","key":"t","value":""}`},
		{"runs/log-batch", `{"run_id":"` + id + `","metrics":[{"key":"a/b c.d-e_f:g","value":1,"timestamp":1700000000004,"step":0}],"params":[{"key":"p","value":"v"}],"tags":[{"key":"mlflow.runName","value":"second"},{"key":"x","value":"y"}]}`},
		{"runs/log-batch", `{"run_id":"` + id + `"}`},
		{"runs/log-inputs", `{"run_id":"` + id + `","datasets":[{"tags":[{"key":"mlflow.data.context","value":"train"},{"key":"z","value":"1"}],"dataset":{"name":"d","digest":"abc","source_type":"local","source":"{}","schema":"{}","profile":"{}"}}],"models":[{"model_id":"m-1"}]}`},
		{"runs/outputs", `{"run_id":"` + id + `","models":[{"model_id":"m-2","step":7}]}`},
		{"runs/delete-tag", `{"run_id":"` + id + `","key":"x"}`},
	} {
		require.Equal(t, `{}`, a.ok("POST", step[0], step[1]), step[1])
	}
	run := masked(a.ok("GET", "runs/get?run_id="+id, ""))
	require.Equal(t, `{"run":{"info":{"run_uuid":"ID","experiment_id":"0","run_name":"second","user_id":"u","status":"RUNNING","start_time":MS,`+
		`"artifact_uri":"mlflow-artifacts:/0/ID/artifacts","lifecycle_stage":"active","run_id":"ID"},`+
		`"data":{"metrics":[{"key":"a/b c.d-e_f:g","value":1.0,"timestamp":MS,"step":0},{"key":"inf","value":"-Infinity","timestamp":MS,"step":0},{"key":"loss","value":"NaN","timestamp":MS,"step":2}],`+
		`"params":[{"key":"empty","value":""},{"key":"lr","value":"0.1"},{"key":"p","value":"v"}],`+
		`"tags":[{"key":"mlflow.runName","value":"second"},{"key":"mlflow.user","value":"u"},{"key":"t","value":""}]},`+
		`"inputs":{"dataset_inputs":[{"tags":[{"key":"mlflow.data.context","value":"train"},{"key":"z","value":"1"}],"dataset":{"name":"d","digest":"abc","source_type":"local","source":"{}","schema":"{}","profile":"{}"}}],"model_inputs":[{"model_id":"m-1"}]},`+
		`"outputs":{"model_outputs":[{"model_id":"m-2","step":7}]}}}`, run)
	require.Equal(t, run, masked(a.ok("GET", "runs/get?run_uuid="+id, "")))

	found := a.ok("POST", "runs/search", `{"experiment_ids":["0"],"filter":"params.lr = '0.1' and tags.mlflow.runName LIKE 'sec%'","order_by":["metrics.loss DESC"],"run_view_type":"ACTIVE_ONLY","max_results":5}`)
	require.Contains(t, masked(found), `{"runs":[{"info":{"run_uuid":"ID"`)
	require.Equal(t, `{}`, a.ok("POST", "runs/search", `{"experiment_ids":["0"],"filter":"params.lr = '9'"}`))
	require.Equal(t, `{}`, a.ok("POST", "runs/search", `{}`), "no experiment, no run")

	updated := a.ok("POST", "runs/update", `{"run_uuid":"`+id+`","run_id":"`+id+`","status":"FINISHED","end_time":1700000009999,"run_name":"third"}`)
	require.Equal(t, `{"run_info":{"run_uuid":"ID","experiment_id":"0","run_name":"third","user_id":"u","status":"FINISHED","start_time":MS,"end_time":MS,"artifact_uri":"mlflow-artifacts:/0/ID/artifacts","lifecycle_stage":"active","run_id":"ID"}}`, masked(updated))
	require.Contains(t, a.ok("GET", "runs/get?run_id="+id, ""), `{"key":"mlflow.runName","value":"third"}`)
	require.Equal(t, `{}`, a.ok("POST", "runs/set-tag", `{"run_id":"`+id+`","key":"mlflow.runName","value":"fourth"}`))
	require.Contains(t, a.ok("GET", "runs/get?run_id="+id, ""), `"run_name":"fourth"`)

	require.Equal(t, `{}`, a.ok("POST", "runs/delete", `{"run_id":"`+id+`"}`))
	require.Contains(t, a.ok("GET", "runs/get?run_id="+id, ""), `"lifecycle_stage":"deleted"`)
	require.Contains(t, a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "runs/set-tag", `{"run_id":"`+id+`","key":"k","value":"v"}`), "must be in the 'active' state")
	require.Equal(t, `{}`, a.ok("POST", "runs/search", `{"experiment_ids":["0"]}`))
	require.Contains(t, a.ok("POST", "runs/search", `{"experiment_ids":["0"],"run_view_type":"DELETED_ONLY"}`), id)
	require.Equal(t, `{}`, a.ok("POST", "runs/restore", `{"run_id":"`+id+`"}`))
}

func TestRunNames(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	require.Regexp(t, `"run_name":"[a-z]+-[a-z]+-\d+"`, a.ok("POST", "runs/create", `{"experiment_id":"0"}`), "a random name")
	require.Contains(t, a.ok("POST", "runs/create", `{"experiment_id":"0","tags":[{"key":"mlflow.runName","value":"of the tag"}]}`), `"run_name":"of the tag"`)
	require.Contains(t, a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "runs/create", `{"experiment_id":"0","run_name":"a","tags":[{"key":"mlflow.runName","value":"b"}]}`),
		"Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values")
	id := a.run("0")
	require.Contains(t, a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "runs/delete-tag", `{"run_id":"`+id+`","key":"mlflow.runName"}`), "not deleted")
	require.Equal(t, `{}`, a.ok("POST", "runs/log-batch", `{"run_id":"`+id+`","tags":[{"key":"mlflow.runName","value":"n"}]}`))
	require.Contains(t, a.ok("GET", "runs/get?run_id="+id, ""), `"run_name":"n"`)
}

func TestLongValuesAreCut(t *testing.T) {
	t.Parallel()
	eachStore(t, longValuesAreCut)
}

func longValuesAreCut(t *testing.T, a *api) {
	id := a.run("0")
	long := strings.Repeat("é", 9000)
	a.ok("POST", "runs/log-parameter", `{"run_id":"`+id+`","key":"p","value":"`+long+`"}`)
	a.ok("POST", "runs/log-parameter", `{"run_id":"`+id+`","key":"p","value":"`+long+`"}`)
	a.ok("POST", "runs/log-batch", `{"run_id":"`+id+`","params":[{"key":"q","value":"`+long+`"}],"tags":[{"key":"t","value":"`+long+`"}]}`)
	a.ok("POST", "runs/set-tag", `{"run_id":"`+id+`","key":"u","value":"`+long+`"}`)
	run, err := a.store.Run(t.Context(), tracking.RunID(id))
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("é", 6000), run.Params["p"])
	require.Equal(t, strings.Repeat("é", 6000), run.Params["q"])
	require.Equal(t, strings.Repeat("é", 8000), run.Tags["t"])
	require.Equal(t, strings.Repeat("é", 8000), run.Tags["u"])
}

func TestRunErrors(t *testing.T) {
	t.Parallel()
	eachStore(t, runErrors)
}

func runErrors(t *testing.T, a *api) {
	id := a.run("0")
	a.ok("POST", "runs/log-parameter", `{"run_id":"`+id+`","key":"p","value":"1"}`)
	before, err := a.store.Run(t.Context(), tracking.RunID(id))
	require.NoError(t, err)

	entries := func(n int, format string) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(format, i)
		}
		return strings.Join(list, ",")
	}
	const metric = `{"key":"k%d","value":1,"timestamp":1}`
	const pair = `{"key":"k%d","value":"v"}`
	run := `{"run_id":"` + id + `"`
	for _, tc := range []struct {
		status             int
		code, target, body string
		want               string
	}{
		{404, "RESOURCE_DOES_NOT_EXIST", "runs/update", `{"run_id":"none","status":"FAILED"}`, "Run with id=none not found"},
		{404, "RESOURCE_DOES_NOT_EXIST", "runs/delete", `{"run_id":"none"}`, "Run with id=none not found"},
		{404, "RESOURCE_DOES_NOT_EXIST", "runs/restore", `{"run_id":"none"}`, "Run with id=none not found"},
		{404, "RESOURCE_DOES_NOT_EXIST", "runs/log-metric", `{"run_id":"none","key":"k","value":1,"timestamp":1}`, "Run with id=none not found"},
		{404, "RESOURCE_DOES_NOT_EXIST", "runs/log-batch", `{"run_id":"none","tags":[{"key":"a","value":"b"}]}`, "Run with id=none not found"},
		{404, "RESOURCE_DOES_NOT_EXIST", "runs/log-batch", `{"run_id":"none","tags":[{"key":"mlflow.runName","value":"b"}]}`, "Run with id=none not found"},
		{404, "RESOURCE_DOES_NOT_EXIST", "runs/set-tag", `{"run_id":"none","key":"mlflow.runName","value":"b"}`, "Run with id=none not found"},
		{404, "RESOURCE_DOES_NOT_EXIST", "runs/delete-tag", `{"run_id":"none","key":"k"}`, "Run with id=none not found"},
		{404, "RESOURCE_DOES_NOT_EXIST", "runs/delete-tag", run + `,"key":"k"}`, "No tag with name: k in run with id " + id},
		{404, "RESOURCE_DOES_NOT_EXIST", "runs/create", `{"experiment_id":"99"}`, "No Experiment with id=99 exists"},
		{400, "INVALID_PARAMETER_VALUE", "runs/create", `{}`, "Missing value for required parameter 'experiment_id'"},
		{400, "INVALID_PARAMETER_VALUE", "runs/create", `{"experiment_id":"x"}`, "Invalid experiment ID 'x'"},
		{400, "INVALID_PARAMETER_VALUE", "runs/create", `{"experiment_id":"0","start_time":-1}`, "Invalid value -1 for parameter 'start_time' supplied"},
		{400, "INVALID_PARAMETER_VALUE", "runs/create", `{"start_time":"soon"}`, `Invalid value "soon" for parameter 'start_time' supplied`},
		{400, "INVALID_PARAMETER_VALUE", "runs/create", `{"experiment_id":"0","tags":[{"key":"../x","value":""}]}`, "x"},
		{400, "INVALID_PARAMETER_VALUE", "runs/update", `{}`, "Missing value for required parameter 'run_id'"},
		{400, "INVALID_PARAMETER_VALUE", "runs/update", run + `,"status":"BOGUS"}`, `Invalid value "BOGUS" for parameter 'status' supplied`},
		{400, "INVALID_PARAMETER_VALUE", "runs/update", run + `,"end_time":1e300}`, "Invalid value 1e300 for parameter 'end_time' supplied"},
		{400, "INVALID_PARAMETER_VALUE", "runs/update", `{"run_id":"../x"}`, `Invalid value "../x" for parameter 'run_id' supplied`},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-metric", run + `}`, "Missing value for required parameter 'key'"},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-metric", run + `,"key":"k"}`, "Missing value for required parameter 'value'"},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-metric", run + `,"key":"k","value":1}`, "Missing value for required parameter 'timestamp'"},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-metric", run + `,"key":"k","value":"high","timestamp":1}`, `Invalid value "high" for parameter 'value' supplied`},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-metric", run + `,"key":"k","value":1,"timestamp":-1}`, "Invalid value -1 for parameter 'timestamp' supplied"},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-metric", run + `,"key":"a/../b","value":1,"timestamp":1}`, `Invalid value "a/../b" for parameter 'name' supplied`},
		{400, "BAD_REQUEST", "runs/log-metric", run + `,"key":"k","value":NaN,"timestamp":1}`, "write NaN and Infinity as strings"},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-metric", run + `,"key":"k","value":1e400,"timestamp":1}`, "Invalid value 1e400 for parameter 'value' supplied"},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-metric", run + `,"key":"k","value":1,"timestamp":"later"}`, `Invalid value "later" for parameter 'timestamp' supplied`},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-parameter", run + `,"key":"p","value":"2"}`,
			"Changing param values is not allowed. Param with key='p' was already logged with value='1' for run ID='" + id + "'. Attempted logging new value '2'."},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-parameter", run + `,"key":"a*b","value":"2"}`, `Invalid value "a*b" for parameter 'key' supplied`},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-parameter", run + `,"key":"` + strings.Repeat("k", 251) + `","value":"2"}`, "more than 250 characters"},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-batch", run + `,"metrics":[` + entries(1001, metric) + `]}`, "A batch logging request can contain at most 1000 metrics. Got 1001 metrics. Please split up metrics across multiple requests and try again."},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-batch", run + `,"params":[` + entries(101, pair) + `]}`, "at most 100 params. Got 101 params."},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-batch", run + `,"tags":[` + entries(101, pair) + `]}`, "at most 100 tags. Got 101 tags."},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-batch", run + `,"metrics":[` + entries(950, metric) + `],"tags":[` + entries(51, pair) + `]}`, "at most 1000 metrics, params, and tags. Got 1001"},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-batch", run + `,"params":[{"key":"d","value":"1"},{"key":"d","value":"1"}]}`, "Duplicate parameter keys have been submitted: ['d']"},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-batch", run + `,"metrics":[{"key":"k","value":1,"timestamp":1},{"key":"","value":1,"timestamp":1}]}`, "Missing value for required parameter 'metrics[1].key'"},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-batch", run + `,"metrics":[{"key":"..","value":1,"timestamp":1}]}`, `Invalid value ".." for parameter 'metrics[0].name' supplied`},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-batch", run + `,"metrics":[{"key":"k","value":1,"timestamp":-5}]}`, "Invalid value -5 for parameter 'metrics[0].timestamp' supplied"},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-batch", run + `,"metrics":[{"key":"k","value":1,"timestamp":1}],"params":[{"key":"p","value":"2"}]}`, "Changing param values is not allowed."},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-inputs", run + `,"datasets":[{"dataset":{"name":"","digest":""}}]}`, "Name"},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-inputs", run + `,"models":[{}]}`, "Missing value for required parameter 'models[0].model_id'"},
		{400, "INVALID_PARAMETER_VALUE", "runs/outputs", run + `,"models":[{"step":1}]}`, "Missing value for required parameter 'models[0].model_id'"},
		{400, "INVALID_PARAMETER_VALUE", "runs/outputs", run + `}`, "Missing value for required parameter 'models'"},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-model", run + `,"model_json":"x"}`, "Malformed model info."},
		{400, "INVALID_PARAMETER_VALUE", "runs/log-model", run + `,"model_json":"{}"}`, "Model json is missing mandatory fields: {'artifact_path', 'flavors', 'run_id', 'utc_time_created'}"},
		{400, "INVALID_PARAMETER_VALUE", "runs/search", `{"experiment_ids":["0"],"filter":"metrics.x ~ 3"}`, ""},
		{400, "INVALID_PARAMETER_VALUE", "runs/search", `{"experiment_ids":["0"],"order_by":["nothing.at all"]}`, ""},
		{400, "INVALID_PARAMETER_VALUE", "runs/search", `{"experiment_ids":["0"],"max_results":50001}`, "Invalid value 50001 for parameter 'max_results' supplied"},
		{400, "INVALID_PARAMETER_VALUE", "runs/search", `{"experiment_ids":["0"],"max_results":2147483648}`, "Invalid value 2147483648 for parameter 'max_results' supplied"},
		{400, "INVALID_PARAMETER_VALUE", "runs/search", `{"experiment_ids":["0"],"max_results":0}`, "Invalid value 0 for parameter 'max_results' supplied"},
		{400, "INVALID_PARAMETER_VALUE", "runs/search", `{"experiment_ids":["0"],"page_token":"bad"}`, "token"},
		{400, "INVALID_PARAMETER_VALUE", "runs/search", `{"experiment_ids":"0"}`, `Invalid value "0" for parameter 'experiment_ids' supplied`},
		{400, "INVALID_PARAMETER_VALUE", "runs/search", `{"experiment_ids":["0"],"filter":"` + strings.Repeat("params.a='b' AND ", 10_000) + `params.a='b'"}`, ""},
	} {
		require.Contains(t, a.fails(tc.status, tc.code, "POST", tc.target, tc.body), tc.want, "%s %.200s", tc.target, tc.body)
		a.fails(tc.status, tc.code, "POST", "/ajax-api/2.0/mlflow/"+tc.target, tc.body)
	}
	require.Contains(t, a.fails(404, "RESOURCE_DOES_NOT_EXIST", "GET", "runs/get?run_id=none", ""), "Run with id=none not found")
	require.Contains(t, a.fails(400, "INVALID_PARAMETER_VALUE", "GET", "runs/get", ""), "Missing value for required parameter 'run_id'")
	after, err := a.store.Run(t.Context(), tracking.RunID(id))
	require.NoError(t, err)
	require.Equal(t, before, after, "what was refused was not stored")
}

func TestOldClientsLogModels(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	id := a.run("0")
	for i := range 3 {
		body := fmt.Sprintf(`{"run_id":"%s","model_json":"{\"artifact_path\":\"m%d\",\"flavors\":{\"pad\":\"%s\"},\"run_id\":\"%s\",\"utc_time_created\":\"now\"}"}`, id, i, strings.Repeat("x", 3000), id)
		require.Equal(t, `{}`, a.ok("POST", "runs/log-model", body))
	}
	run, err := a.store.Run(t.Context(), tracking.RunID(id))
	require.NoError(t, err)
	require.NotContains(t, run.Tags["mlflow.log-model.history"], `"m0"`, "the oldest gave way to the limit of a tag")
	require.Contains(t, run.Tags["mlflow.log-model.history"], `"m2"`)
}

func TestMetricRoutes(t *testing.T) {
	t.Parallel()
	eachStore(t, metricRoutes)
}

func metricRoutes(t *testing.T, a *api) {
	id, other := a.run("0"), a.run("0")
	var points []string
	for i := range 1000 {
		points = append(points, fmt.Sprintf(`{"key":"m","value":%d,"timestamp":%d,"step":%d}`, i, 1_700_000_000_000+i, i))
	}
	a.ok("POST", "runs/log-batch", `{"run_id":"`+id+`","metrics":[`+strings.Join(points, ",")+`]}`)
	a.ok("POST", "runs/log-metric", `{"run_id":"`+other+`","key":"m","value":"Infinity","timestamp":5,"step":3}`)

	page := a.ok("GET", "metrics/get-history?metric_key=m&max_results=2&run_id="+id, "")
	require.Contains(t, page, `{"metrics":[{"key":"m","value":0.0,"timestamp":1700000000000,"step":0},{"key":"m","value":1.0,"timestamp":1700000000001,"step":1}],"next_page_token":"`)
	page = a.ok("GET", "metrics/get-history?metric_key=m&max_results=2&run_id="+id+"&page_token="+field(t, page, "next_page_token"), "")
	require.Contains(t, page, `"step":2}`)
	all := a.ok("GET", "metrics/get-history?metric_key=m&run_uuid="+id, "")
	require.Equal(t, 1000, strings.Count(all, `"step":`), "all without max_results")
	require.NotContains(t, all, "next_page_token")
	require.Equal(t, `{}`, a.ok("GET", "metrics/get-history?metric_key=none&max_results=25000&run_id="+id, ""))

	sample := a.ok("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?metric_key=m&max_results=10&run_ids="+id+"&run_ids="+other+"&run_ids=unknown", "")
	require.Contains(t, sample, `"step":999,"run_id":"`+id+`"}`)
	require.Contains(t, sample, `{"key":"m","value":"Infinity","timestamp":5,"step":3,"run_id":"`+other+`"}`)
	require.Less(t, strings.Count(sample, "run_id"), 20)
	require.Contains(t, a.ok("GET", "metrics/get-history-bulk-interval?metric_key=m&start_step=5&end_step=6&run_ids="+id, ""), `{"metrics":[{"key":"m","value":5.0,`)

	bulk := a.ok("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk?metric_key=m&max_results=3&run_id="+id, "")
	require.Equal(t, 3, strings.Count(bulk, `"run_id":"`+id))

	many := "&run_ids=" + strings.Repeat("r&run_ids=", 100) + "r"
	for _, tc := range [][2]string{
		{"metrics/get-history?metric_key=m", "Missing value for required parameter 'run_id'"},
		{"metrics/get-history?run_id=" + id, "Missing value for required parameter 'metric_key'"},
		{"metrics/get-history?metric_key=m&max_results=0&run_id=" + id, "Invalid value 0 for parameter 'max_results' supplied"},
		{"metrics/get-history?metric_key=m&max_results=2147483648&run_id=" + id, "Invalid value"},
		{"metrics/get-history?metric_key=m&page_token=x&run_id=" + id, "token"},
		{"metrics/get-history-bulk-interval?metric_key=m", "Missing value for required parameter 'run_ids'"},
		{"metrics/get-history-bulk-interval?run_ids=" + id, "Missing value for required parameter 'metric_key'"},
		{"metrics/get-history-bulk-interval?metric_key=m" + many, "GetMetricHistoryBulkInterval request must specify at most 100 run_ids. Received 101 run_ids."},
		{"metrics/get-history-bulk-interval?metric_key=m&max_results=2501&run_ids=" + id, "max_results must be between 1 and 2500."},
		{"metrics/get-history-bulk-interval?metric_key=m&start_step=1&run_ids=" + id, "If either start step or end step are specified, both must be specified."},
		{"metrics/get-history-bulk-interval?metric_key=m&start_step=2&end_step=1&run_ids=" + id, "end_step must be greater than start_step. Found start_step=2 and end_step=1."},
		{"metrics/get-history-bulk?metric_key=m", "GetMetricHistoryBulk request must specify at least one run_id."},
		{"metrics/get-history-bulk?run_id=" + id, "GetMetricHistoryBulk request must specify a metric_key."},
	} {
		require.Contains(t, a.fails(400, "INVALID_PARAMETER_VALUE", "GET", tc[0], ""), tc[1])
		a.fails(400, "INVALID_PARAMETER_VALUE", "GET", "/ajax-api/2.0/mlflow/"+tc[0], "")
	}
	require.Contains(t, a.fails(404, "RESOURCE_DOES_NOT_EXIST", "GET", "metrics/get-history?metric_key=m&run_id=none", ""), "Run with id=none not found")
}

func TestSpecialValuesSurvive(t *testing.T) {
	t.Parallel()
	eachStore(t, specialValuesSurvive)
}

func specialValuesSurvive(t *testing.T, a *api) {
	id := a.run("0")
	for i, text := range []string{`"NaN"`, `"Infinity"`, `"-Infinity"`, `-0.0`, `5e-324`, `1.7976931348623157e308`} {
		a.ok("POST", "runs/log-batch", fmt.Sprintf(`{"run_id":"%s","metrics":[{"key":"m%d","value":%s,"timestamp":1}]}`, id, i, text))
	}
	run, err := a.store.Run(t.Context(), tracking.RunID(id))
	require.NoError(t, err)
	require.True(t, math.IsNaN(run.Metrics["m0"].Value))
	require.True(t, math.IsInf(run.Metrics["m1"].Value, 1))
	require.True(t, math.IsInf(run.Metrics["m2"].Value, -1))
	require.Equal(t, 5e-324, run.Metrics["m4"].Value)
	require.Equal(t, math.MaxFloat64, run.Metrics["m5"].Value)
}

func TestPagesAreFilledFromSeveralOfTheStore(t *testing.T) {
	t.Parallel()
	eachStore(t, pagesAreFilledFromSeveralOfTheStore)
}

func pagesAreFilledFromSeveralOfTheStore(t *testing.T, a *api) {
	for range 7 {
		a.run("0")
	}
	seen := map[string]bool{}
	token := ""
	for pages := 0; ; pages++ {
		require.Less(t, pages, 5)
		text := a.ok("POST", "runs/search", `{"experiment_ids":["0"],"max_results":3,"page_token":"`+token+`"}`)
		for _, id := range hexID.FindAllString(text, -1) {
			seen[id] = true
		}
		if !strings.Contains(text, "next_page_token") {
			break
		}
		token = field(t, text, "next_page_token")
	}
	require.GreaterOrEqual(t, len(seen), 7)
}

func TestSearchDatasets(t *testing.T) {
	t.Parallel()
	eachStore(t, searchDatasets)
}

func searchDatasets(t *testing.T, a *api) {
	id := a.run("0")
	a.ok("POST", "runs/log-inputs", `{"run_id":"`+id+`","datasets":[{"tags":[{"key":"mlflow.data.context","value":"train"}],"dataset":{"name":"d","digest":"abc","source_type":"local","source":"{}"}}]}`)
	require.Equal(t, `{"dataset_summaries":[{"experiment_id":"0","name":"d","digest":"abc","context":"train"}]}`,
		a.ok("POST", "/ajax-api/2.0/mlflow/experiments/search-datasets", `{"experiment_ids":["0"]}`))
	require.Equal(t, `{}`, a.ok("POST", "experiments/search-datasets", `{"experiment_ids":["5"]}`))
}
