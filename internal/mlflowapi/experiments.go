package mlflowapi

// KeyValue is a tag or a param. Both fields are always written.
type KeyValue struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// The pairs of the API have equal fields under several names.
type (
	// ExperimentTag is a tag of an experiment.
	ExperimentTag = KeyValue
	// RunTag is a tag of a run.
	RunTag = KeyValue
	// Param is a param of a run.
	Param = KeyValue
	// InputTag is a tag of a dataset input.
	InputTag = KeyValue
	// LoggedModelTag is a tag of a logged model.
	LoggedModelTag = KeyValue
	// LoggedModelParameter is a param of a logged model.
	LoggedModelParameter = KeyValue
)

// Experiment groups runs.
type Experiment struct {
	ExperimentID     string          `json:"experiment_id"`
	Name             string          `json:"name"`
	ArtifactLocation string          `json:"artifact_location"`
	LifecycleStage   string          `json:"lifecycle_stage"`
	LastUpdateTime   int64           `json:"last_update_time,omitempty"`
	CreationTime     int64           `json:"creation_time,omitempty"`
	Tags             []ExperimentTag `json:"tags,omitempty"`
	Workspace        string          `json:"workspace,omitempty"`
}

// CreateExperiment is the request of POST experiments/create.
type CreateExperiment struct {
	Name             string          `json:"name" api:"required"`
	ArtifactLocation string          `json:"artifact_location,omitempty"`
	Tags             []ExperimentTag `json:"tags,omitempty"`
}

// CreateExperimentResponse answers it.
type CreateExperimentResponse struct {
	ExperimentID string `json:"experiment_id"`
}

// SearchExperiments is the request of GET and POST experiments/search.
type SearchExperiments struct {
	MaxResults *int64   `json:"max_results,omitempty"`
	PageToken  string   `json:"page_token,omitempty"`
	Filter     string   `json:"filter,omitempty"`
	OrderBy    []string `json:"order_by,omitempty"`
	ViewType   ViewType `json:"view_type,omitempty"`
}

// SearchExperimentsResponse answers it.
type SearchExperimentsResponse struct {
	Experiments   []Experiment `json:"experiments,omitempty"`
	NextPageToken string       `json:"next_page_token,omitempty"`
}

// GetExperiment is the request of GET experiments/get.
type GetExperiment struct {
	ExperimentID string `json:"experiment_id" api:"required"`
}

// GetExperimentResponse answers it, and GetExperimentByName.
type GetExperimentResponse struct {
	Experiment Experiment `json:"experiment"`
}

// GetExperimentByName is the request of GET experiments/get-by-name.
type GetExperimentByName struct {
	ExperimentName string `json:"experiment_name" api:"required"`
}

// DeleteExperiment is the request of POST experiments/delete, and of restore.
type DeleteExperiment struct {
	ExperimentID string `json:"experiment_id" api:"required"`
}

// RestoreExperiment is the request of POST experiments/restore.
type RestoreExperiment = DeleteExperiment

// UpdateExperiment is the request of POST experiments/update.
type UpdateExperiment struct {
	ExperimentID string `json:"experiment_id" api:"required"`
	NewName      string `json:"new_name" api:"required"`
}

// SetExperimentTag is the request of POST experiments/set-experiment-tag.
type SetExperimentTag struct {
	ExperimentID string `json:"experiment_id" api:"required"`
	Key          string `json:"key" api:"required"`
	Value        string `json:"value"`
}

// DeleteExperimentTag is the request of POST experiments/delete-experiment-tag.
type DeleteExperimentTag struct {
	ExperimentID string `json:"experiment_id" api:"required"`
	Key          string `json:"key" api:"required"`
}

// SearchDatasets is the request of POST experiments/search-datasets.
type SearchDatasets struct {
	ExperimentIDs []string `json:"experiment_ids,omitempty"`
}

// SearchDatasetsResponse answers it.
type SearchDatasetsResponse struct {
	DatasetSummaries []DatasetSummary `json:"dataset_summaries,omitempty"`
}

// DatasetSummary is a dataset that some run of an experiment read.
type DatasetSummary struct {
	ExperimentID string `json:"experiment_id"`
	Name         string `json:"name"`
	Digest       string `json:"digest"`
	Context      string `json:"context,omitempty"`
}

// Empty is the answer of requests that return nothing.
type Empty struct{}
