package mlflowapi

import "encoding/json"

// TraceState is the outcome of a trace, in version 3 of the API.
type TraceState string

// TraceStatus is the outcome of a trace, in version 2.
type TraceStatus string

// TraceLocationType says where a trace lives.
type TraceLocationType string

// InExperiment is the location of every trace of this API.
const InExperiment TraceLocationType = "MLFLOW_EXPERIMENT"

// TraceUnspecifiedV2 is version 2's name of STATE_UNSPECIFIED.
const TraceUnspecifiedV2 TraceStatus = "TRACE_STATUS_UNSPECIFIED"

func (TraceState) numbers() map[string]int32 {
	return map[string]int32{"STATE_UNSPECIFIED": 0, "OK": 1, "ERROR": 2, "IN_PROGRESS": 3}
}

func (TraceStatus) numbers() map[string]int32 {
	return map[string]int32{string(TraceUnspecifiedV2): 0, "OK": 1, "ERROR": 2, "IN_PROGRESS": 3}
}

func (TraceLocationType) numbers() map[string]int32 {
	return map[string]int32{"TRACE_LOCATION_TYPE_UNSPECIFIED": 0, string(InExperiment): 1, "INFERENCE_TABLE": 2}
}

// Trace is a trace, with its spans where they were asked for. A span is a
// message of OpenTelemetry.
type Trace struct {
	TraceInfo TraceInfoV3       `json:"trace_info"`
	Spans     []json.RawMessage `json:"spans,omitempty"`
}

// TraceInfoV3 describes a trace.
type TraceInfoV3 struct {
	TraceID           string            `json:"trace_id"`
	ClientRequestID   string            `json:"client_request_id,omitempty"`
	TraceLocation     TraceLocation     `json:"trace_location"`
	RequestPreview    *string           `json:"request_preview,omitempty"`
	ResponsePreview   *string           `json:"response_preview,omitempty"`
	RequestTime       Timestamp         `json:"request_time,omitzero"`
	ExecutionDuration *Duration         `json:"execution_duration,omitempty"`
	State             TraceState        `json:"state,omitempty"`
	TraceMetadata     map[string]string `json:"trace_metadata,omitempty"`
	Assessments       []Assessment      `json:"assessments,omitempty"`
	Tags              map[string]string `json:"tags,omitempty"`
}

// TraceLocation is where a trace lives.
type TraceLocation struct {
	Type             TraceLocationType `json:"type,omitempty"`
	MlflowExperiment *ExperimentRef    `json:"mlflow_experiment,omitempty"`
}

// ExperimentRef names an experiment.
type ExperimentRef struct {
	ExperimentID string `json:"experiment_id"`
}

// TraceMessage is the request and the answer of POST 3.0 traces, and the
// answer of the requests for one trace.
type TraceMessage struct {
	Trace *Trace `json:"trace" api:"required"`
}

// GetTrace is the request of GET 3.0 traces/get.
type GetTrace struct {
	TraceID      string `json:"trace_id" api:"required"`
	AllowPartial bool   `json:"allow_partial,omitempty"`
}

// BatchGetTraces is the request of GET 3.0 traces/batchGet and of POST
// batchGetInfos. With ExperimentIDs, traces of others are left out.
type BatchGetTraces struct {
	TraceIDs      []string `json:"trace_ids" api:"required"`
	ExperimentIDs []string `json:"experiment_ids,omitempty"`
}

// BatchGetTracesResponse answers batchGet.
type BatchGetTracesResponse struct {
	Traces []Trace `json:"traces,omitempty"`
}

// BatchGetTraceInfosResponse answers batchGetInfos.
type BatchGetTraceInfosResponse struct {
	TraceInfos []TraceInfoV3 `json:"trace_infos,omitempty"`
}

// SearchTracesV3 is the request of POST 3.0 traces/search.
type SearchTracesV3 struct {
	Locations  []TraceLocation `json:"locations" api:"required"`
	Filter     string          `json:"filter,omitempty"`
	MaxResults *int32          `json:"max_results,omitempty"`
	OrderBy    []string        `json:"order_by,omitempty"`
	PageToken  string          `json:"page_token,omitempty"`
}

// SearchTracesV3Response answers it.
type SearchTracesV3Response struct {
	Traces        []TraceInfoV3 `json:"traces,omitempty"`
	NextPageToken string        `json:"next_page_token,omitempty"`
}

// DeleteTraces is the request of POST traces/delete-traces.
type DeleteTraces struct {
	ExperimentID       string   `json:"experiment_id" api:"required"`
	MaxTimestampMillis *int64   `json:"max_timestamp_millis,omitempty"`
	MaxTraces          *int32   `json:"max_traces,omitempty"`
	RequestIDs         []string `json:"request_ids,omitempty"`
}

// DeleteTracesResponse answers it.
type DeleteTracesResponse struct {
	TracesDeleted int32 `json:"traces_deleted"`
}

// SetTraceTag is the request of PATCH traces/{id}/tags.
type SetTraceTag struct {
	Key   string `json:"key" api:"required"`
	Value string `json:"value"`
}

// DeleteTraceTag is the request of DELETE traces/{id}/tags.
type DeleteTraceTag struct {
	Key string `json:"key" api:"required"`
}

// LinkTracesToRun is the request of POST traces/link-to-run.
type LinkTracesToRun struct {
	TraceIDs []string `json:"trace_ids" api:"required"`
	RunID    string   `json:"run_id" api:"required"`
}

// LinkPromptsToTrace is the request of POST traces/link-prompts.
type LinkPromptsToTrace struct {
	TraceID        string             `json:"trace_id" api:"required"`
	PromptVersions []PromptVersionRef `json:"prompt_versions" api:"required"`
}

// PromptVersionRef names a version of a prompt.
type PromptVersionRef struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// CalculateTraceFilterCorrelation is the request of POST 3.0
// traces/calculate-filter-correlation.
type CalculateTraceFilterCorrelation struct {
	ExperimentIDs []string `json:"experiment_ids" api:"required"`
	FilterString1 string   `json:"filter_string1" api:"required"`
	FilterString2 string   `json:"filter_string2" api:"required"`
	BaseFilter    string   `json:"base_filter,omitempty"`
}

// CalculateTraceFilterCorrelationResponse answers it.
type CalculateTraceFilterCorrelationResponse struct {
	NPMI         float64 `json:"npmi"`
	NPMISmoothed float64 `json:"npmi_smoothed"`
	Filter1Count int32   `json:"filter1_count"`
	Filter2Count int32   `json:"filter2_count"`
	JointCount   int32   `json:"joint_count"`
	TotalCount   int32   `json:"total_count"`
}

// TraceInfoV2 describes a trace in version 2.
type TraceInfoV2 struct {
	RequestID       string      `json:"request_id"`
	ExperimentID    string      `json:"experiment_id"`
	TimestampMs     int64       `json:"timestamp_ms"`
	ExecutionTimeMs int64       `json:"execution_time_ms"`
	Status          TraceStatus `json:"status"`
	RequestMetadata []KeyValue  `json:"request_metadata,omitempty"`
	Tags            []KeyValue  `json:"tags,omitempty"`
}

// TraceInfoV2Message answers the requests of version 2 for one trace.
type TraceInfoV2Message struct {
	TraceInfo TraceInfoV2 `json:"trace_info"`
}

// StartTraceV2 is the request of POST 2.0 traces.
type StartTraceV2 struct {
	ExperimentID    string     `json:"experiment_id" api:"required"`
	TimestampMs     *int64     `json:"timestamp_ms" api:"required"`
	RequestMetadata []KeyValue `json:"request_metadata,omitempty"`
	Tags            []KeyValue `json:"tags,omitempty"`
}

// EndTraceV2 is the request of PATCH 2.0 traces/{request_id}.
type EndTraceV2 struct {
	TimestampMs     *int64      `json:"timestamp_ms" api:"required"`
	Status          TraceStatus `json:"status" api:"required"`
	RequestMetadata []KeyValue  `json:"request_metadata,omitempty"`
	Tags            []KeyValue  `json:"tags,omitempty"`
}

// SearchTracesV2 is the request of GET 2.0 traces.
type SearchTracesV2 struct {
	ExperimentIDs []string `json:"experiment_ids" api:"required"`
	Filter        string   `json:"filter,omitempty"`
	MaxResults    *int32   `json:"max_results,omitempty"`
	OrderBy       []string `json:"order_by,omitempty"`
	PageToken     string   `json:"page_token,omitempty"`
}

// SearchTracesV2Response answers it.
type SearchTracesV2Response struct {
	Traces        []TraceInfoV2 `json:"traces,omitempty"`
	NextPageToken string        `json:"next_page_token,omitempty"`
}
