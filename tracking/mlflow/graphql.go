package mlflow

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// gqlTypes is the schema: for each type its fields with the type of what they
// select, empty for a scalar. Types, names and nullability are those of
// MLflow's schema; introspection is not served.
var gqlTypes = map[string]map[string]string{
	"Query": {
		"mlflowGetExperiment":                "MlflowGetExperimentResponse",
		"mlflowGetRun":                       "MlflowGetRunResponse",
		"mlflowSearchRuns":                   "MlflowSearchRunsResponse",
		"mlflowGetMetricHistoryBulkInterval": "MlflowGetMetricHistoryBulkIntervalResponse",
		"mlflowSearchModelVersions":          "MlflowSearchModelVersionsResponse",
	},
	"MlflowGetExperimentResponse":                {"experiment": "MlflowExperiment", "apiError": "ApiError"},
	"MlflowGetRunResponse":                       {"run": "MlflowRunExtension", "apiError": "ApiError"},
	"MlflowSearchRunsResponse":                   {"runs": "MlflowRunExtension", "nextPageToken": "", "apiError": "ApiError"},
	"MlflowGetMetricHistoryBulkIntervalResponse": {"metrics": "MlflowMetricWithRunId", "apiError": "ApiError"},
	"MlflowSearchModelVersionsResponse":          {"modelVersions": "MlflowModelVersion", "nextPageToken": "", "apiError": "ApiError"},
	"ApiError":                                   {"code": "", "message": "", "helpUrl": "", "traceId": "", "errorDetails": "ErrorDetail"},
	"ErrorDetail":                                {"field": "", "message": ""},
	"MlflowExperiment": {
		"experimentId": "", "name": "", "artifactLocation": "", "lifecycleStage": "", "lastUpdateTime": "",
		"creationTime": "", "tags": "MlflowExperimentTag", "effectiveTraceArchivalRetention": "", "workspace": "",
	},
	"MlflowExperimentTag": {"key": "", "value": ""},
	"MlflowRunExtension": {
		"info": "MlflowRunInfo", "data": "MlflowRunData", "inputs": "MlflowRunInputs", "outputs": "MlflowRunOutputs",
		"experiment": "MlflowExperiment", "modelVersions": "MlflowModelVersion",
	},
	"MlflowRunInfo": {
		"runId": "", "runUuid": "", "runName": "", "experimentId": "", "userId": "", "status": "",
		"startTime": "", "endTime": "", "artifactUri": "", "lifecycleStage": "",
	},
	"MlflowRunData": {"metrics": "MlflowMetricExtension", "params": "MlflowParam", "tags": "MlflowRunTag"},
	"MlflowMetricExtension": {
		"key": "", "value": "", "timestamp": "", "step": "",
		"datasetName": "", "datasetDigest": "", "modelId": "", "runId": "",
	},
	"MlflowMetricWithRunId": {"key": "", "value": "", "timestamp": "", "step": "", "runId": ""},
	"MlflowParam":           {"key": "", "value": ""},
	"MlflowRunTag":          {"key": "", "value": ""},
	"MlflowRunInputs":       {"datasetInputs": "MlflowDatasetInput", "modelInputs": "MlflowModelInput"},
	"MlflowDatasetInput":    {"tags": "MlflowInputTag", "dataset": "MlflowDataset"},
	"MlflowInputTag":        {"key": "", "value": ""},
	"MlflowDataset":         {"name": "", "digest": "", "sourceType": "", "source": "", "schema": "", "profile": ""},
	"MlflowModelInput":      {"modelId": ""},
	"MlflowRunOutputs":      {"modelOutputs": "MlflowModelOutput"},
	"MlflowModelOutput":     {"modelId": "", "step": ""},
	"MlflowModelVersion": {
		"name": "", "version": "", "creationTimestamp": "", "lastUpdatedTimestamp": "", "userId": "",
		"currentStage": "", "description": "", "source": "", "runId": "", "status": "", "statusMessage": "",
		"tags": "MlflowModelVersionTag", "runLink": "", "aliases": "", "modelId": "",
	},
	"MlflowModelVersionTag": {"key": "", "value": ""},
}

// gqlRun is a run with what GraphQL adds to it.
type gqlRun struct {
	Info          mlflowapi.RunInfo     `json:"info"`
	Data          mlflowapi.RunData     `json:"data"`
	Inputs        mlflowapi.RunInputs   `json:"inputs"`
	Outputs       mlflowapi.RunOutputs  `json:"outputs"`
	Experiment    *mlflowapi.Experiment `json:"experiment"`
	ModelVersions []gqlModelVersion     `json:"model_versions"`
}

// gqlModelVersion is a version of a registered model, as the registry's route
// answers it.
type gqlModelVersion struct {
	Name                 string               `json:"name"`
	Version              string               `json:"version"`
	CreationTimestamp    int64                `json:"creation_timestamp"`
	LastUpdatedTimestamp int64                `json:"last_updated_timestamp"`
	UserID               string               `json:"user_id"`
	CurrentStage         string               `json:"current_stage"`
	Description          string               `json:"description"`
	Source               string               `json:"source"`
	RunID                string               `json:"run_id"`
	Status               string               `json:"status"`
	StatusMessage        string               `json:"status_message"`
	Tags                 []mlflowapi.KeyValue `json:"tags"`
	RunLink              string               `json:"run_link"`
	Aliases              []string             `json:"aliases"`
	ModelID              string               `json:"model_id"`
}

func (h *Handler) graphqlRoutes() []route {
	return []route{{
		method: http.MethodPost, path: "/graphql", mark: core, verb: Read, scope: filtered,
		maxBody: 1 << 20, serve: rpcStream(h.graphQL),
	}}
}

// gqlMessage is the request of POST /graphql.
type gqlMessage struct {
	Query         string          `json:"query" api:"required"`
	Variables     json.RawMessage `json:"variables,omitempty"`
	OperationName string          `json:"operationName,omitempty"`
}

// graphQL answers 200 whatever the query is, as GraphQL does; what is wrong
// with it is in the answer.
func (h *Handler) graphQL(c *call, m *gqlMessage) error {
	buf := mlflowhttp.NewBuffer()
	defer buf.Release()
	data, faults, err := h.runQuery(c, m, append(buf.B, `{"data":`...))
	if err != nil {
		return err
	}
	if data == nil {
		data = append(buf.B[:0], `{"data":null`...)
	}
	buf.B = append(data, `,"errors":`...)
	if len(faults) == 0 {
		buf.B = append(buf.B, "null"...)
	}
	for i, text := range faults {
		buf.B = append(buf.B, "[,"[min(i, 1)])
		buf.B = mlflowapi.AppendText(buf.B, text)
	}
	if len(faults) > 0 {
		buf.B = append(buf.B, ']')
	}
	buf.B = append(buf.B, '}')
	return c.Send(http.StatusOK, buf.B)
}

// runQuery appends the data of the answer. It returns nil data when the query
// itself is at fault, and an error only for what is not the query's fault.
func (h *Handler) runQuery(c *call, m *gqlMessage, dst []byte) (data []byte, faults []string, err error) {
	q := &gqlRequest{}
	fields, err := q.prepare(m)
	if err != nil {
		return nil, []string{err.Error()}, nil
	}
	dst = append(dst, '{')
	for i := range fields {
		f := &fields[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(mlflowapi.AppendText(dst, f.key), ':')
		if f.name == "__typename" {
			dst = append(dst, `"Query"`...)
			continue
		}
		answer, err := h.resolve(c, q, f)
		if err != nil {
			text, ok := gqlText(err)
			if !ok {
				return nil, nil, err
			}
			q.errors = append(q.errors, text)
			dst = append(dst, "null"...)
			continue
		}
		dst = q.value(dst, gqlTypes["Query"][f.name], reflect.ValueOf(answer), f.fields)
	}
	return append(dst, '}'), q.errors, nil
}

// gqlText is what the client is told of an error of one field, false for what
// is answered as an HTTP error.
func gqlText(err error) (string, bool) {
	if fault, ok := errors.AsType[*gqlError](err); ok {
		return fault.text, true
	}
	if wire := wireError(err); wire != nil && wire.Status() < http.StatusInternalServerError {
		return wire.Message, true
	}
	return "", false
}

// prepare parses the request and plans its answer.
func (q *gqlRequest) prepare(m *gqlMessage) ([]gqlField, error) {
	doc, err := parseGraphQL(m.Query)
	if err != nil {
		return nil, err
	}
	q.doc = doc
	if q.op, err = doc.operation(m.OperationName); err != nil {
		return nil, err
	}
	if q.op.kind != "query" {
		return nil, gqlErrorf("This server serves queries only, no %s.", q.op.kind)
	}
	if len(m.Variables) > 0 {
		if err := json.Unmarshal(m.Variables, &q.variables); err != nil {
			return nil, gqlErrorf("The variables are no JSON object.")
		}
	}
	fields, err := q.plan("Query", q.op.selection, 1)
	if err == nil && len(fields) > maxRootFields {
		err = gqlErrorf("GraphQL queries should have at most %d root fields, got %d root fields.", maxRootFields, len(fields))
	}
	return fields, err
}

// resolve returns what a field of the query stands for.
func (h *Handler) resolve(c *call, q *gqlRequest, f *gqlField) (any, error) {
	switch f.name {
	case "mlflowGetExperiment":
		return h.resolveExperiment(c, q, f)
	case "mlflowGetRun":
		return h.resolveRun(c, q, f)
	case "mlflowSearchRuns":
		return h.resolveRuns(c, q, f)
	case "mlflowSearchModelVersions":
		return h.resolveVersions(c, q, f)
	}
	return h.resolveHistory(c, q, f)
}

func (h *Handler) resolveExperiment(c *call, q *gqlRequest, f *gqlField) (any, error) {
	var m mlflowapi.GetExperiment
	if err := q.input(f, &m); err != nil {
		return nil, err
	}
	if err := c.authorize(Read, tracking.ExperimentID(m.ExperimentID)); err != nil {
		return nil, mlflowhttp.Refused(err)
	}
	return h.getExperiment(c, &m)
}

func (h *Handler) resolveRun(c *call, q *gqlRequest, f *gqlField) (any, error) {
	var m mlflowapi.GetRun
	if err := q.input(f, &m); err != nil {
		return nil, err
	}
	run, err := h.run(c.Ctx(), tracking.RunID(m.RunID))
	if err != nil {
		return nil, err
	}
	if err := c.authorize(Read, run.Experiment); err != nil {
		return nil, mlflowhttp.Refused(err)
	}
	runs, err := h.gqlRuns(c, []tracking.RunInfo{run}, f.under("run"))
	if err != nil {
		return nil, err
	}
	return &struct {
		Run *gqlRun `json:"run"`
	}{&runs[0]}, nil
}

func (h *Handler) resolveRuns(c *call, q *gqlRequest, f *gqlField) (any, error) {
	var m mlflowapi.SearchRuns
	if err := q.input(f, &m); err != nil {
		return nil, err
	}
	limit, err := pageMax(m.MaxResults, defaultRuns, defaultRuns)
	if err != nil {
		return nil, err
	}
	ids, err := experimentIDs(m.ExperimentIDs)
	if err != nil {
		return nil, err
	}
	if ids, err = c.readable(ids); err != nil {
		return nil, err
	}
	var page []tracking.RunInfo
	var next string
	if len(ids) > 0 {
		page, next, err = h.store.SearchRuns(c.Ctx(), tracking.RunQuery{
			Experiments: ids, View: viewOf(m.RunViewType), Filter: m.Filter, OrderBy: m.OrderBy,
			Page: tracking.Page{Max: limit, Token: m.PageToken},
		})
		if err != nil {
			return nil, err
		}
	}
	runs, err := h.gqlRuns(c, page, f.under("runs"))
	if err != nil {
		return nil, err
	}
	return &struct {
		Runs          []gqlRun `json:"runs"`
		NextPageToken *string  `json:"next_page_token"`
	}{runs, textOrNone(next)}, nil
}

func (h *Handler) resolveHistory(c *call, q *gqlRequest, f *gqlField) (any, error) {
	var m mlflowapi.GetMetricHistoryBulkInterval
	if err := q.input(f, &m); err != nil {
		return nil, err
	}
	targets, err := h.experimentsOfRuns(c, m.RunIDs)
	if err != nil {
		return nil, err
	}
	for _, id := range targets {
		if err := c.authorize(Read, id); err != nil {
			return nil, mlflowhttp.Refused(err)
		}
	}
	ids, points, err := h.sampleHistory(c, &m)
	if err != nil {
		return nil, err
	}
	out := &mlflowapi.GetMetricHistoryBulkResponse{}
	for i, run := range points {
		for j := range run {
			p := wireMetric(m.MetricKey, &run[j])
			p.RunID = string(ids[i])
			out.Metrics = append(out.Metrics, p)
		}
	}
	return out, nil
}

// under returns what is selected below the named field, nil when it is not.
func (f *gqlField) under(name string) []gqlField {
	var all []gqlField
	for i := range f.fields {
		if f.fields[i].name == name {
			all = append(all, f.fields[i].fields...)
		}
	}
	return all
}

// gqlRuns adds to runs what fields select of them and is kept elsewhere.
func (h *Handler) gqlRuns(c *call, runs []tracking.RunInfo, fields []gqlField) ([]gqlRun, error) {
	out := make([]gqlRun, len(runs))
	experiments := map[tracking.ExperimentID]*mlflowapi.Experiment{}
	selected := func(name string) bool { return len((&gqlField{fields: fields}).under(name)) > 0 }
	withExperiment, withVersions := selected("experiment"), selected("modelVersions")
	for i := range runs {
		run := wireRun(&runs[i])
		out[i] = gqlRun{Info: run.Info, Data: run.Data, Inputs: run.Inputs, Outputs: run.Outputs}
		if withExperiment {
			id := runs[i].Experiment
			if experiments[id] == nil {
				e, err := h.experiment(c.Ctx(), id)
				if err != nil {
					return nil, err
				}
				wire := wireExperiment(&e)
				experiments[id] = &wire
			}
			out[i].Experiment = experiments[id]
		}
		if withVersions && h.opts.Registry != nil {
			versions, err := h.modelVersions(c, runs[i].ID)
			if err != nil {
				return nil, err
			}
			out[i].ModelVersions = versions
		}
	}
	return out, nil
}
