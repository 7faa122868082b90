package tracking

import (
	"context"
	"time"
)

// ModelID identifies a logged model: "m-" and 32 hexadecimal digits when it is
// generated, else of the form of a RunID.
type ModelID string

// ModelStatus is the state of a logged model.
type ModelStatus string

// The states of a logged model. It starts as ModelPending; its writer sets one
// of the others when its files are there, or are not.
const (
	ModelPending ModelStatus = "PENDING"
	ModelReady   ModelStatus = "READY"
	ModelFailed  ModelStatus = "FAILED"
)

// LoggedModel is a model that a run produced: files at ArtifactURI with params,
// tags and metrics of their own.
type LoggedModel struct {
	ID         ModelID
	Experiment ExperimentID
	// Name has none of / : . % " ' and at most 500 characters. It need not be
	// unique.
	Name          string
	Type          string // free text, like "agent"; at most 500 characters
	SourceRun     RunID  // the run that made it; may be empty
	Status        ModelStatus
	StatusMessage string // at most 500 characters
	ArtifactURI   string
	Created       time.Time // UTC, to the millisecond
	Updated       time.Time
	Deleted       bool
	DeletedAt     time.Time // zero unless Deleted

	Params  map[string]string
	Tags    map[string]string
	Metrics []ModelMetric // the latest point of each (Key, DatasetName, DatasetDigest), by these in byte order
}

// ModelMetric is a metric point that measures a logged model.
type ModelMetric struct {
	Key           string
	Value         float64
	Step          int64
	Time          time.Time
	Run           RunID // the run that logged it
	DatasetName   string
	DatasetDigest string
}

// ModelUpdate changes a logged model. A zero field leaves its value as it is.
type ModelUpdate struct {
	Status        ModelStatus
	StatusMessage string
	SetTags       map[string]string
	DeleteTags    []string          // ErrNotFound when the model has no such tag
	SetParams     map[string]string // written once, the same value again is fine, another is ErrConflict
	Deleted       *bool             // deletes or restores the model; either again does nothing
}

// ModelQuery selects logged models. Package tracking/search describes the
// grammar of Filter and OrderBy.
type ModelQuery struct {
	Experiments []ExperimentID
	View        View
	Filter      string
	// Datasets limits the metrics that Filter speaks of to points on one of
	// these, and when it speaks of none, the answer to models with some metric
	// on one of these. Empty is no limit.
	Datasets []DatasetRef
	OrderBy  []ModelOrder // default and ties: the latest created first, then by ID
	Page     Page
}

// DatasetRef names a dataset; an empty Digest is any of the name.
type DatasetRef struct{ Name, Digest string }

// ModelOrder is one key of an order. Field is an attribute, like
// "creation_timestamp", or "metrics." with a key; Dataset selects among the
// metric's points.
type ModelOrder struct {
	Field   string
	Desc    bool
	Dataset DatasetRef
}

// ModelStore is a Store that keeps logged models.
type ModelStore interface {
	// CreateModel stores everything but Metrics, and Status as ModelPending
	// when it is empty. An empty ArtifactURI becomes
	// <location of the experiment>/models/<ID>/artifacts. ErrNotFound when
	// there is no such experiment, ErrExists when the ID is taken, ErrInvalid
	// when the experiment is deleted.
	CreateModel(ctx context.Context, m LoggedModel) (LoggedModel, error)

	// Model returns one logged model, also a deleted one. ErrNotFound.
	Model(ctx context.Context, id ModelID) (LoggedModel, error)

	// UpdateModel changes what u sets, all or nothing. ErrNotFound, also when
	// the model is deleted and u does not restore it.
	UpdateModel(ctx context.Context, id ModelID, u ModelUpdate) error

	// SearchModels returns the logged models that q selects.
	SearchModels(ctx context.Context, q ModelQuery) (page []LoggedModel, next string, err error)
}
