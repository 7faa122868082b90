package mlflowapi

// LoggedModel is a model that a run produced.
type LoggedModel struct {
	Info LoggedModelInfo `json:"info"`
	Data LoggedModelData `json:"data"`
}

// LoggedModelInfo describes a logged model.
type LoggedModelInfo struct {
	ModelID                string                        `json:"model_id"`
	ExperimentID           string                        `json:"experiment_id"`
	Name                   string                        `json:"name"`
	CreationTimestampMs    int64                         `json:"creation_timestamp_ms"`
	LastUpdatedTimestampMs int64                         `json:"last_updated_timestamp_ms"`
	ArtifactURI            string                        `json:"artifact_uri"`
	Status                 LoggedModelStatus             `json:"status"`
	ModelType              string                        `json:"model_type,omitempty"`
	SourceRunID            string                        `json:"source_run_id,omitempty"`
	StatusMessage          string                        `json:"status_message,omitempty"`
	Tags                   []LoggedModelTag              `json:"tags,omitempty"`
	Registrations          []LoggedModelRegistrationInfo `json:"registrations,omitempty"`
}

// LoggedModelRegistrationInfo names a registered version of a logged model.
type LoggedModelRegistrationInfo struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// LoggedModelData has a logged model's params and metrics.
type LoggedModelData struct {
	Params  []LoggedModelParameter `json:"params,omitempty"`
	Metrics []Metric               `json:"metrics,omitempty"`
}

// CreateLoggedModel is the request of POST logged-models.
type CreateLoggedModel struct {
	ExperimentID string                 `json:"experiment_id" api:"required"`
	Name         string                 `json:"name,omitempty"`
	ModelType    string                 `json:"model_type,omitempty"`
	SourceRunID  string                 `json:"source_run_id,omitempty"`
	Params       []LoggedModelParameter `json:"params,omitempty"`
	Tags         []LoggedModelTag       `json:"tags,omitempty"`
}

// LoggedModelResponse answers the requests that return one logged model.
type LoggedModelResponse struct {
	Model LoggedModel `json:"model"`
}

// FinalizeLoggedModel is the request of PATCH logged-models/{model_id}.
type FinalizeLoggedModel struct {
	ModelID string            `json:"model_id,omitempty"` // also in the path
	Status  LoggedModelStatus `json:"status" api:"required"`
}

// GetLoggedModel is the request of GET logged-models/{model_id}.
type GetLoggedModel struct {
	AllowDeleted bool `json:"allow_deleted,omitempty"` // no part of the protocol's message, but of the route
}

// SearchLoggedModels is the request of POST logged-models/search.
type SearchLoggedModels struct {
	ExperimentIDs []string                    `json:"experiment_ids" api:"required"`
	Filter        string                      `json:"filter,omitempty"`
	Datasets      []SearchLoggedModelsDataset `json:"datasets,omitempty"`
	MaxResults    *int32                      `json:"max_results,omitempty"`
	OrderBy       []SearchLoggedModelsOrderBy `json:"order_by,omitempty"`
	PageToken     string                      `json:"page_token,omitempty"`
}

// SearchLoggedModelsDataset limits the metrics that the filter speaks of.
type SearchLoggedModelsDataset struct {
	DatasetName   string `json:"dataset_name"`
	DatasetDigest string `json:"dataset_digest,omitempty"`
}

// SearchLoggedModelsOrderBy is one key of the order.
type SearchLoggedModelsOrderBy struct {
	FieldName     string `json:"field_name"`
	Ascending     *bool  `json:"ascending,omitempty"` // absent: true
	DatasetName   string `json:"dataset_name,omitempty"`
	DatasetDigest string `json:"dataset_digest,omitempty"`
}

// SearchLoggedModelsResponse answers it.
type SearchLoggedModelsResponse struct {
	Models        []LoggedModel `json:"models,omitempty"`
	NextPageToken string        `json:"next_page_token,omitempty"`
}

// SetLoggedModelTags is the request of PATCH logged-models/{model_id}/tags.
type SetLoggedModelTags struct {
	ModelID string           `json:"model_id,omitempty"` // also in the path
	Tags    []LoggedModelTag `json:"tags,omitempty"`
}

// LogLoggedModelParams is the request of POST logged-models/{model_id}/params.
type LogLoggedModelParams struct {
	ModelID string                 `json:"model_id,omitempty"` // also in the path
	Params  []LoggedModelParameter `json:"params,omitempty"`
}

// FileInfo is an artifact or a folder of artifacts.
type FileInfo struct {
	Path     string `json:"path"`
	IsDir    bool   `json:"is_dir"`
	FileSize *int64 `json:"file_size,omitempty"` // absent for a folder
}

// ListArtifactsResponse lists the artifacts of a run or a logged model.
type ListArtifactsResponse struct {
	RootURI       string     `json:"root_uri,omitempty"`
	Files         []FileInfo `json:"files,omitempty"`
	NextPageToken string     `json:"next_page_token,omitempty"`
}
