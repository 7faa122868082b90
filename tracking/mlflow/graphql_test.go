package mlflow_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking/mlflow"
)

// What the stock web UI sends.
const (
	runFields = `info { runName status runUuid experimentId artifactUri endTime lifecycleStage startTime userId }
		experiment { experimentId name tags { key value } artifactLocation lifecycleStage lastUpdateTime }
		modelVersions { status version name source }
		data { metrics { key value step timestamp } params { key value } tags { key value } }
		inputs { datasetInputs { dataset { digest name profile schema source sourceType } tags { key value } } modelInputs { modelId } }
		outputs { modelOutputs { modelId step } }`
	queryRun = `query GetRun($data: MlflowGetRunInput!) @component(name: "MLflow.ExperimentRunTracking") {
		mlflowGetRun(input: $data) { apiError { helpUrl code message } run { ` + runFields + ` } } }`
	queryRuns = `query SearchRuns($data: MlflowSearchRunsInput!) {
		mlflowSearchRuns(input: $data) { apiError { helpUrl code message } runs { ` + runFields + ` } } }`
	queryExperiment = `query MlflowGetExperimentQuery($input: MlflowGetExperimentInput!) @component(name: "MLflow.ExperimentRunTracking") {
		mlflowGetExperiment(input: $input) { apiError { code message } experiment { artifactLocation creationTime
		effectiveTraceArchivalRetention experimentId lastUpdateTime lifecycleStage name tags { key value } } } }`
	queryHistory = `query GetMetricHistoryBulkInterval($data: MlflowGetMetricHistoryBulkIntervalInput!) @component(name: "MLflow.ExperimentRunTracking") {
		mlflowGetMetricHistoryBulkInterval(input: $data) { __typename metrics { timestamp step runId key value } apiError { code message } } }`
)

// query sends a document and returns the answer.
func (a *api) query(document, variables string) string {
	a.t.Helper()
	text, err := json.Marshal(document)
	require.NoError(a.t, err)
	if variables != "" {
		variables = `,"variables":` + variables
	}
	return a.ok("POST", "/graphql", `{"query":`+string(text)+variables+`}`)
}

func TestGraphQLOfTheWebUI(t *testing.T) {
	t.Parallel()
	eachStore(t, graphQLOfTheWebUI)
}

func graphQLOfTheWebUI(t *testing.T, a *api) {
	id := a.run("0")
	a.ok("POST", "experiments/set-experiment-tag", `{"experiment_id":"0","key":"e","value":"f"}`)
	a.ok("POST", "runs/log-batch", `{"run_id":"`+id+`","metrics":[{"key":"m","value":0.5,"timestamp":1700000000000,"step":2},{"key":"n","value":"NaN","timestamp":1700000000000}],"params":[{"key":"p","value":"v"}]}`)
	a.ok("POST", "runs/log-inputs", `{"run_id":"`+id+`","datasets":[{"tags":[{"key":"mlflow.data.context","value":"train"}],"dataset":{"name":"d","digest":"g","source_type":"local","source":"{}"}}],"models":[{"model_id":"m-1"}]}`)
	a.ok("POST", "runs/outputs", `{"run_id":"`+id+`","models":[{"model_id":"m-2","step":4}]}`)

	const run = `{"info":{"runName":"r","status":"RUNNING","runUuid":"ID","experimentId":"0","artifactUri":"mlflow-artifacts:/0/ID/artifacts","endTime":"0","lifecycleStage":"active","startTime":"MS","userId":""},` +
		`"experiment":{"experimentId":"0","name":"Default","tags":[{"key":"e","value":"f"}],"artifactLocation":"mlflow-artifacts:/0","lifecycleStage":"active","lastUpdateTime":"MS"},` +
		`"modelVersions":[],` +
		`"data":{"metrics":[{"key":"m","value":0.5,"step":"2","timestamp":"MS"},{"key":"n","value":null,"step":"0","timestamp":"MS"}],"params":[{"key":"p","value":"v"}],"tags":[{"key":"mlflow.runName","value":"r"}]},` +
		`"inputs":{"datasetInputs":[{"dataset":{"digest":"g","name":"d","profile":"","schema":"","source":"{}","sourceType":"local"},"tags":[{"key":"mlflow.data.context","value":"train"}]}],"modelInputs":[{"modelId":"m-1"}]},` +
		`"outputs":{"modelOutputs":[{"modelId":"m-2","step":"4"}]}}`
	require.Equal(t, `{"data":{"mlflowGetRun":{"apiError":null,"run":`+run+`}},"errors":null}`, masked(a.query(queryRun, `{"data":{"runId":"`+id+`"}}`)))
	require.Equal(t, `{"data":{"mlflowSearchRuns":{"apiError":null,"runs":[`+run+`]}},"errors":null}`,
		masked(a.query(queryRuns, `{"data":{"experimentIds":["0"],"filter":"params.p = 'v'","runViewType":"ALL","maxResults":5}}`)))
	require.Equal(t, `{"data":{"mlflowGetExperiment":{"apiError":null,"experiment":{"artifactLocation":"mlflow-artifacts:/0","creationTime":"MS","effectiveTraceArchivalRetention":null,"experimentId":"0","lastUpdateTime":"MS","lifecycleStage":"active","name":"Default","tags":[{"key":"e","value":"f"}]}}},"errors":null}`,
		masked(a.query(queryExperiment, `{"input":{"experimentId":"0"}}`)))
	require.Equal(t, `{"data":{"mlflowGetMetricHistoryBulkInterval":{"__typename":"MlflowGetMetricHistoryBulkIntervalResponse","metrics":[{"timestamp":"MS","step":"2","runId":"ID","key":"m","value":0.5}],"apiError":null}},"errors":null}`,
		masked(a.query(queryHistory, `{"data":{"runIds":["`+id+`"],"metricKey":"m","maxResults":320}}`)))
	require.Equal(t, `{"data":{"mlflowGetRun":null},"errors":["Run with id=none not found"]}`, a.query(queryRun, `{"data":{"runId":"none"}}`))
}

func TestGraphQLLanguage(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	for _, tc := range [][3]string{
		{`{mlflowGetExperiment(input:{experimentId:"0"}){experiment{name}}}`, ``, `{"mlflowGetExperiment":{"experiment":{"name":"Default"}}}`},
		{`query Q{a:mlflowGetExperiment(input:{experimentId:"0"}){e:experiment{n:name __typename}} __typename}`, ``,
			`{"a":{"e":{"n":"Default","__typename":"MlflowExperiment"}},"__typename":"Query"}`},
		{`query($id:String="0"){mlflowGetExperiment(input:{experimentId:$id}){experiment{name}}}`, ``, `{"mlflowGetExperiment":{"experiment":{"name":"Default"}}}`},
		{`query($id:String="1"){mlflowGetExperiment(input:{experimentId:$id}){experiment{name}}}`, `{"id":"0"}`, `{"mlflowGetExperiment":{"experiment":{"name":"Default"}}}`},
		{`query{mlflowGetExperiment(input:{experimentId:"0"}){...F ...on MlflowGetExperimentResponse{experiment{experimentId}} ...on Other{nothing}}} fragment F on MlflowGetExperimentResponse{experiment{...G}} fragment G on MlflowExperiment{name ...G}`, ``,
			`{"mlflowGetExperiment":{"experiment":{"name":"Default","experimentId":"0"}}}`},
		{`query($s:Boolean!){mlflowGetExperiment(input:{experimentId:"0"}){experiment{name @skip(if:$s) experimentId @include(if:true) lifecycleStage @include(if:false)}}}`, `{"s":true}`,
			`{"mlflowGetExperiment":{"experiment":{"experimentId":"0"}}}`},
		{"# comment\n\ufeffquery,Q , {mlflowSearchRuns(input:{experimentIds:[\"0\"],maxResults:1,runViewType:ALL}){nextPageToken,runs{info{runId}}}}", ``, `{"mlflowSearchRuns":{"nextPageToken":null,"runs":[]}}`},
		{`{mlflowGetExperiment(input:{experimentId:"\u0030"}){experiment{name}}}`, ``, `{"mlflowGetExperiment":{"experiment":{"name":"Default"}}}`},
		{`{mlflowGetExperiment(input:{experimentId:"""0"""}){experiment{name}}}`, ``, `{"mlflowGetExperiment":{"experiment":{"name":"Default"}}}`},
	} {
		require.Equal(t, `{"data":`+tc[2]+`,"errors":null}`, a.query(tc[0], tc[1]), tc[0])
	}
}

func TestGraphQLFaults(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	deep := strings.Repeat("{a", 12) + strings.Repeat("}", 12)
	var aliases, roots, spreads strings.Builder
	for i := range 100 {
		fmt.Fprintf(&aliases, ` a%d:name`, i)
		fmt.Fprintf(&roots, ` mlflowGetExperiment(input:{experimentId:"0"}){experiment{n%d:name}}`, i)
	}
	for i := range 40 { // each fragment spreads the next twice
		fmt.Fprintf(&spreads, ` fragment F%d on MlflowExperiment{name ...F%d ...F%d}`, i, i+1, i+1)
	}
	for _, tc := range [][2]string{
		{``, "Missing value for required parameter 'query'"},
		{` `, "Must provide an operation."},
		{`{`, "Syntax Error"}, {`}`, "Syntax Error"}, {`{}`, "Syntax Error"}, {`query`, "Syntax Error"}, {`{a(}`, "Syntax Error"}, {`{a(b:)}`, "Syntax Error"},
		{`{a(b:"x)}`, "Syntax Error"}, {`{a(b:"""x)}`, "Syntax Error"}, {`{a(b:1.2.3)}`, "Syntax Error"}, {`{a(b:01)}`, "Syntax Error"}, {"{\x01}", "Syntax Error"}, {`{a ?}`, "Syntax Error"},
		{`{a(b:1 b:2)}`, "Syntax Error"}, {`fragment F on X{a}`, "Must provide an operation."}, {`{...}`, "Syntax Error"}, {`schema{query:Q}`, "unexpected"},
		{`{nothing}`, "Cannot query field 'nothing' on type 'Query'."},
		{`{__schema{types{name}}}`, "Cannot query field '__schema' on type 'Query'."},
		{`{mlflowGetRun}`, "must have a selection of subfields"},
		{`{mlflowGetRun(input:{runId:"x"}){run{info{runId{x}}}}}`, "must not have a selection"},
		{`{mlflowGetRun(input:{runId:"x"}){run{data{tags{secret}}}}}`, "Cannot query field 'secret' on type 'MlflowRunTag'."},
		{`{mlflowGetRun(inputs:{runId:"x"}){run{info{runId}}}}`, "Unknown argument 'inputs'"},
		{`{mlflowGetRun(input:$d){run{info{runId}}}}`, "Variable '$d' is not defined."},
		{`{mlflowGetRun(input:{runId:5}){run{info{runId}}}}`, "Invalid value 5 for parameter 'run_id' supplied"},
		{`{mlflowGetRun{run{info{runId}}}}`, "Missing value for required parameter 'run_id'"},
		{`{mlflowGetRun(input:{runId:"x"}){...F}}`, "Unknown fragment 'F'."},
		{`mutation{testMutation(inputString:"x"){output}}`, "no mutation"},
		{`query A{__typename} query B{__typename}`, "Must provide operation name"},
		{`{mlflowGetExperiment(input:{experimentId:"0"}){experiment{a:name a:experimentId}}}`, "conflict"},
		{deep, "maximum depth"},
		{`{mlflowGetExperiment(input:{experimentId:"0"}){experiment{` + aliases.String() + `}}}`, "at most 10 aliases"},
		{`{` + roots.String() + `}`, "at most 10 aliases"},
		{`{mlflowGetExperiment(input:{experimentId:"0"}){experiment{...F0}}}` + spreads.String(), "F40"},
		{`{` + strings.Repeat(" a", 2000) + `}`, "maximum total selections"},
		{`{a(b:` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `)}`, "nested too deeply"},
		{strings.Repeat(" ", 70<<10), "bytes"},
		{`{a @skip}`, "needs the argument 'if'"}, {`{a @skip(if:3)}`, "must be a Boolean"},
	} {
		text, err := json.Marshal(tc[0])
		require.NoError(t, err)
		status, answer := a.do("POST", "/graphql", `{"query":`+string(text)+`}`)
		require.Contains(t, []int{200, 400}, status, tc[0])
		require.Contains(t, answer, tc[1], "%.200s", tc[0])
	}
	a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "/graphql", `[{"query":"{__typename}"},{"query":"{__typename}"}]`)
	a.fails(400, "INVALID_PARAMETER_VALUE", "POST", "/graphql", `{"query":"{__typename}"}`, "Content-Type", "application/graphql")
	a.fails(405, "ENDPOINT_NOT_FOUND", "GET", "/graphql?query={__typename}", "")
}

func FuzzGraphQL(f *testing.F) {
	for _, seed := range []string{queryRun, queryRuns, queryExperiment, queryHistory, `{a(b:[1,{c:"\u0041"}])@skip(if:$x){...on T{b}}}`, `fragment F on T{...F}`, `"""`} {
		f.Add(seed, `{"data":{"runId":"x"}}`)
	}
	a := newAPI(f, nil)
	f.Fuzz(func(t *testing.T, document, variables string) {
		_ = mlflow.ParseGraphQL(document)
		if !json.Valid([]byte(variables)) {
			return
		}
		text, err := json.Marshal(document)
		require.NoError(t, err)
		status, answer := (&api{t: t, h: a.h}).do("POST", "/graphql", `{"query":`+string(text)+`,"variables":`+variables+`}`)
		require.Less(t, status, 500, answer)
		require.True(t, json.Valid([]byte(answer)), answer)
	})
}
