package mlflowapi

import "strconv"

// The pairs of the registry.
type (
	// RegisteredModelTag is a tag of a registered model.
	RegisteredModelTag = KeyValue
	// ModelVersionTag is a tag of a version.
	ModelVersionTag = KeyValue
)

// RegisteredModelAlias names a version of a model.
type RegisteredModelAlias struct {
	Alias   string `json:"alias"`
	Version string `json:"version"`
}

// RegisteredModel is a name that versions are numbered under.
type RegisteredModel struct {
	Name                 string                 `json:"name"`
	CreationTimestamp    int64                  `json:"creation_timestamp,omitempty"`
	LastUpdatedTimestamp int64                  `json:"last_updated_timestamp,omitempty"`
	UserID               string                 `json:"user_id,omitempty"`
	Description          string                 `json:"description,omitempty"`
	LatestVersions       []ModelVersion         `json:"latest_versions,omitempty"`
	Tags                 []RegisteredModelTag   `json:"tags,omitempty"`
	Aliases              []RegisteredModelAlias `json:"aliases,omitempty"`
}

// appendJSON is what the plan of the type would do, in a third of the time: the
// lists of models are long.
func (m *RegisteredModel) appendJSON(dst []byte) []byte {
	dst = appendText(append(dst, `{"name":`...), m.Name)
	dst = appendIntField(dst, `,"creation_timestamp":`, m.CreationTimestamp)
	dst = appendIntField(dst, `,"last_updated_timestamp":`, m.LastUpdatedTimestamp)
	dst = appendTextField(dst, `,"user_id":`, m.UserID)
	dst = appendTextField(dst, `,"description":`, m.Description)
	dst = appendList(dst, `,"latest_versions":[`, m.LatestVersions, (*ModelVersion).appendJSON)
	dst = appendList(dst, `,"tags":[`, m.Tags, (*KeyValue).appendJSON)
	dst = appendList(dst, `,"aliases":[`, m.Aliases, func(a *RegisteredModelAlias, dst []byte) []byte {
		dst = appendText(append(dst, `{"alias":`...), a.Alias)
		dst = appendText(append(dst, `,"version":`...), a.Version)
		return append(dst, '}')
	})
	return append(dst, '}')
}

// ModelVersionStatus is how far a version's registration came.
type ModelVersionStatus string

// The states of a version.
const (
	VersionPending ModelVersionStatus = "PENDING_REGISTRATION"
	VersionFailed  ModelVersionStatus = "FAILED_REGISTRATION"
	VersionReady   ModelVersionStatus = "READY"
)

func (ModelVersionStatus) numbers() map[string]int32 {
	return map[string]int32{string(VersionPending): 1, string(VersionFailed): 2, string(VersionReady): 3}
}

// ModelVersion is one version of a registered model.
type ModelVersion struct {
	Name                 string             `json:"name"`
	Version              string             `json:"version"`
	CreationTimestamp    int64              `json:"creation_timestamp,omitempty"`
	LastUpdatedTimestamp int64              `json:"last_updated_timestamp,omitempty"`
	UserID               string             `json:"user_id,omitempty"`
	CurrentStage         string             `json:"current_stage,omitempty"`
	Description          string             `json:"description"`
	Source               string             `json:"source"`
	RunID                string             `json:"run_id"`
	Status               ModelVersionStatus `json:"status,omitempty"`
	StatusMessage        string             `json:"status_message,omitempty"`
	Tags                 []ModelVersionTag  `json:"tags,omitempty"`
	RunLink              string             `json:"run_link"`
	Aliases              []string           `json:"aliases,omitempty"`
	ModelID              string             `json:"model_id,omitempty"`
}

// appendJSON is like that of RegisteredModel.
func (v *ModelVersion) appendJSON(dst []byte) []byte {
	dst = appendText(append(dst, `{"name":`...), v.Name)
	dst = appendText(append(dst, `,"version":`...), v.Version)
	dst = appendIntField(dst, `,"creation_timestamp":`, v.CreationTimestamp)
	dst = appendIntField(dst, `,"last_updated_timestamp":`, v.LastUpdatedTimestamp)
	dst = appendTextField(dst, `,"user_id":`, v.UserID)
	dst = appendTextField(dst, `,"current_stage":`, v.CurrentStage)
	dst = appendText(append(dst, `,"description":`...), v.Description)
	dst = appendText(append(dst, `,"source":`...), v.Source)
	dst = appendText(append(dst, `,"run_id":`...), v.RunID)
	dst = appendTextField(dst, `,"status":`, string(v.Status))
	dst = appendTextField(dst, `,"status_message":`, v.StatusMessage)
	dst = appendList(dst, `,"tags":[`, v.Tags, (*KeyValue).appendJSON)
	dst = appendText(append(dst, `,"run_link":`...), v.RunLink)
	dst = appendList(dst, `,"aliases":[`, v.Aliases, func(alias *string, dst []byte) []byte { return appendText(dst, *alias) })
	dst = appendTextField(dst, `,"model_id":`, v.ModelID)
	return append(dst, '}')
}

func appendTextField(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return appendText(append(dst, name...), value)
}

func appendIntField(dst []byte, name string, value int64) []byte {
	if value == 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, name...), value, 10)
}

// appendList appends an array, whose bracket the name opens, unless it is empty.
func appendList[T any](dst []byte, name string, list []T, one func(*T, []byte) []byte) []byte {
	for i := range list {
		if i == 0 {
			dst = append(dst, name...)
		} else {
			dst = append(dst, ',')
		}
		dst = one(&list[i], dst)
	}
	if len(list) > 0 {
		dst = append(dst, ']')
	}
	return dst
}

// CreateRegisteredModel is the request of POST registered-models/create.
type CreateRegisteredModel struct {
	Name        string               `json:"name" api:"required"`
	Tags        []RegisteredModelTag `json:"tags,omitempty"`
	Description string               `json:"description,omitempty"`
}

// RegisteredModelResponse answers the requests that return a model.
type RegisteredModelResponse struct {
	RegisteredModel RegisteredModel `json:"registered_model"`
}

// RegisteredModelName is the request of GET registered-models/get and DELETE
// registered-models/delete.
type RegisteredModelName struct {
	Name string `json:"name" api:"required"`
}

// RenameRegisteredModel is the request of POST registered-models/rename.
type RenameRegisteredModel struct {
	Name    string `json:"name" api:"required"`
	NewName string `json:"new_name" api:"required"`
}

// UpdateRegisteredModel is the request of PATCH registered-models/update.
type UpdateRegisteredModel struct {
	Name        string `json:"name" api:"required"`
	Description string `json:"description,omitempty"`
}

// SearchRegistry is the request of GET registered-models/search and GET
// model-versions/search.
type SearchRegistry struct {
	Filter     string   `json:"filter,omitempty"`
	MaxResults *int64   `json:"max_results,omitempty"`
	OrderBy    []string `json:"order_by,omitempty"`
	PageToken  string   `json:"page_token,omitempty"`
}

// SearchRegisteredModelsResponse answers it.
type SearchRegisteredModelsResponse struct {
	RegisteredModels []RegisteredModel `json:"registered_models,omitempty"`
	NextPageToken    string            `json:"next_page_token,omitempty"`
}

// SearchModelVersionsResponse answers it.
type SearchModelVersionsResponse struct {
	ModelVersions []ModelVersion `json:"model_versions,omitempty"`
	NextPageToken string         `json:"next_page_token,omitempty"`
}

// GetLatestVersions is the request of GET and POST
// registered-models/get-latest-versions.
type GetLatestVersions struct {
	Name   string   `json:"name" api:"required"`
	Stages []string `json:"stages,omitempty"`
}

// GetLatestVersionsResponse answers it.
type GetLatestVersionsResponse struct {
	ModelVersions []ModelVersion `json:"model_versions,omitempty"`
}

// CreateModelVersion is the request of POST model-versions/create.
type CreateModelVersion struct {
	Name        string            `json:"name" api:"required"`
	Source      string            `json:"source" api:"required"`
	RunID       *string           `json:"run_id,omitempty"`
	Tags        []ModelVersionTag `json:"tags,omitempty"`
	RunLink     string            `json:"run_link,omitempty"`
	Description string            `json:"description,omitempty"`
	ModelID     *string           `json:"model_id,omitempty"`
}

// ModelVersionResponse answers the requests that return a version.
type ModelVersionResponse struct {
	ModelVersion ModelVersion `json:"model_version"`
}

// ModelVersionName is the request of GET model-versions/get, GET
// model-versions/get-download-uri and DELETE model-versions/delete.
type ModelVersionName struct {
	Name    string `json:"name" api:"required"`
	Version string `json:"version" api:"required"`
}

// UpdateModelVersion is the request of PATCH model-versions/update.
type UpdateModelVersion struct {
	Name        string `json:"name" api:"required"`
	Version     string `json:"version" api:"required"`
	Description string `json:"description,omitempty"`
}

// TransitionModelVersionStage is the request of POST
// model-versions/transition-stage.
type TransitionModelVersionStage struct {
	Name                    string `json:"name" api:"required"`
	Version                 string `json:"version" api:"required"`
	Stage                   string `json:"stage" api:"required"`
	ArchiveExistingVersions bool   `json:"archive_existing_versions,omitempty"`
}

// GetModelVersionDownloadURIResponse answers GET
// model-versions/get-download-uri.
type GetModelVersionDownloadURIResponse struct {
	ArtifactURI string `json:"artifact_uri"`
}

// SetRegisteredModelTag is the request of POST registered-models/set-tag.
type SetRegisteredModelTag struct {
	Name  string `json:"name" api:"required"`
	Key   string `json:"key" api:"required"`
	Value string `json:"value"`
}

// DeleteRegisteredModelTag is the request of DELETE
// registered-models/delete-tag.
type DeleteRegisteredModelTag struct {
	Name string `json:"name" api:"required"`
	Key  string `json:"key" api:"required"`
}

// SetModelVersionTag is the request of POST model-versions/set-tag.
type SetModelVersionTag struct {
	Name    string `json:"name" api:"required"`
	Version string `json:"version" api:"required"`
	Key     string `json:"key" api:"required"`
	Value   string `json:"value"`
}

// DeleteModelVersionTag is the request of DELETE model-versions/delete-tag.
type DeleteModelVersionTag struct {
	Name    string `json:"name" api:"required"`
	Version string `json:"version" api:"required"`
	Key     string `json:"key" api:"required"`
}

// SetRegisteredModelAlias is the request of POST registered-models/alias.
type SetRegisteredModelAlias struct {
	Name    string `json:"name" api:"required"`
	Alias   string `json:"alias" api:"required"`
	Version string `json:"version" api:"required"`
}

// RegisteredModelAliasName is the request of GET and DELETE
// registered-models/alias.
type RegisteredModelAliasName struct {
	Name  string `json:"name" api:"required"`
	Alias string `json:"alias" api:"required"`
}
