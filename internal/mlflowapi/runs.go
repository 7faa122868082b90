package mlflowapi

// Run is a run with all it holds.
type Run struct {
	Info    RunInfo    `json:"info"`
	Data    RunData    `json:"data"`
	Inputs  RunInputs  `json:"inputs"`
	Outputs RunOutputs `json:"outputs"`
}

// RunInfo describes a run.
type RunInfo struct {
	RunUUID        string    `json:"run_uuid"`
	ExperimentID   string    `json:"experiment_id"`
	RunName        string    `json:"run_name"`
	UserID         string    `json:"user_id"`
	Status         RunStatus `json:"status"`
	StartTime      int64     `json:"start_time"`
	EndTime        int64     `json:"end_time,omitempty"`
	ArtifactURI    string    `json:"artifact_uri"`
	LifecycleStage string    `json:"lifecycle_stage"`
	RunID          string    `json:"run_id"`
}

// RunData has a run's latest metrics, its params and its tags.
type RunData struct {
	Metrics []Metric `json:"metrics,omitempty"`
	Params  []Param  `json:"params,omitempty"`
	Tags    []RunTag `json:"tags,omitempty"`
}

// RunInputs has what a run read.
type RunInputs struct {
	DatasetInputs []DatasetInput `json:"dataset_inputs,omitempty"`
	ModelInputs   []ModelInput   `json:"model_inputs,omitempty"`
}

// RunOutputs has what a run made.
type RunOutputs struct {
	ModelOutputs []ModelOutput `json:"model_outputs,omitempty"`
}

// DatasetInput is a dataset that a run read.
type DatasetInput struct {
	Tags    []InputTag `json:"tags,omitempty"`
	Dataset Dataset    `json:"dataset"`
}

// Dataset is a version of a dataset.
type Dataset struct {
	Name       string `json:"name"`
	Digest     string `json:"digest"`
	SourceType string `json:"source_type"`
	Source     string `json:"source"`
	Schema     string `json:"schema,omitempty"`
	Profile    string `json:"profile,omitempty"`
}

// ModelInput is a logged model that a run read.
type ModelInput struct {
	ModelID string `json:"model_id"`
}

// ModelOutput is a logged model that a run made.
type ModelOutput struct {
	ModelID string `json:"model_id"`
	Step    int64  `json:"step"`
}

// CreateRun is the request of POST runs/create.
type CreateRun struct {
	ExperimentID string   `json:"experiment_id" api:"required"`
	UserID       string   `json:"user_id,omitempty"`
	RunName      string   `json:"run_name,omitempty"`
	StartTime    *int64   `json:"start_time,omitempty"`
	Tags         []RunTag `json:"tags,omitempty"`
}

// CreateRunResponse answers it; GetRunResponse is equal.
type CreateRunResponse struct {
	Run Run `json:"run"`
}

// UpdateRun is the request of POST runs/update.
type UpdateRun struct {
	RunID   string    `json:"run_id" api:"required"`
	RunUUID string    `json:"run_uuid,omitempty"`
	Status  RunStatus `json:"status,omitempty"`
	EndTime *int64    `json:"end_time,omitempty"`
	RunName *string   `json:"run_name,omitempty"`
}

// UpdateRunResponse answers it.
type UpdateRunResponse struct {
	RunInfo RunInfo `json:"run_info"`
}

// DeleteRun is the request of POST runs/delete and of restore.
type DeleteRun struct {
	RunID string `json:"run_id" api:"required"`
}

// RestoreRun is the request of POST runs/restore.
type RestoreRun = DeleteRun

// GetRun is the request of GET runs/get.
type GetRun struct {
	RunID   string `json:"run_id" api:"required"`
	RunUUID string `json:"run_uuid,omitempty"`
}

// GetRunResponse answers it.
type GetRunResponse = CreateRunResponse

// LogParam is the request of POST runs/log-parameter.
type LogParam struct {
	RunID   string `json:"run_id" api:"required"`
	RunUUID string `json:"run_uuid,omitempty"`
	Key     string `json:"key" api:"required"`
	Value   string `json:"value"`
}

// SetTag is the request of POST runs/set-tag.
type SetTag struct {
	RunID   string `json:"run_id" api:"required"`
	RunUUID string `json:"run_uuid,omitempty"`
	Key     string `json:"key" api:"required"`
	Value   string `json:"value"`
}

// DeleteTag is the request of POST runs/delete-tag.
type DeleteTag struct {
	RunID string `json:"run_id" api:"required"`
	Key   string `json:"key" api:"required"`
}

// LogInputs is the request of POST runs/log-inputs.
type LogInputs struct {
	RunID    string         `json:"run_id" api:"required"`
	Datasets []DatasetInput `json:"datasets,omitempty"`
	Models   []ModelInput   `json:"models,omitempty"`
}

// LogOutputs is the request of POST runs/outputs.
type LogOutputs struct {
	RunID  string        `json:"run_id" api:"required"`
	Models []ModelOutput `json:"models" api:"required"`
}

// LogModel is the request of POST runs/log-model, of clients before 3.0.
type LogModel struct {
	RunID     string `json:"run_id" api:"required"`
	ModelJSON string `json:"model_json" api:"required"`
}

// SearchRuns is the request of POST runs/search.
type SearchRuns struct {
	ExperimentIDs []string `json:"experiment_ids,omitempty"`
	Filter        string   `json:"filter,omitempty"`
	RunViewType   ViewType `json:"run_view_type,omitempty"`
	MaxResults    *int32   `json:"max_results,omitempty"`
	OrderBy       []string `json:"order_by,omitempty"`
	PageToken     string   `json:"page_token,omitempty"`
}

// SearchRunsResponse answers it.
type SearchRunsResponse struct {
	Runs          []Run  `json:"runs,omitempty"`
	NextPageToken string `json:"next_page_token,omitempty"`
}

func alias(id *string, old string) {
	if *id == "" {
		*id = old
	}
}

func (m *UpdateRun) normalize() { alias(&m.RunID, m.RunUUID) }
func (m *GetRun) normalize()    { alias(&m.RunID, m.RunUUID) }
func (m *LogParam) normalize()  { alias(&m.RunID, m.RunUUID) }
func (m *SetTag) normalize()    { alias(&m.RunID, m.RunUUID) }
