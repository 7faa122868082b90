package mlflowapi

import (
	"slices"
	"strings"
)

// RunStatus is the state of a run.
type RunStatus string

// ViewType selects by life cycle.
type ViewType string

// The views.
const (
	ActiveOnly  ViewType = "ACTIVE_ONLY"
	DeletedOnly ViewType = "DELETED_ONLY"
	All         ViewType = "ALL"
)

// LoggedModelStatus is the state of a logged model.
type LoggedModelStatus string

// The states of a logged model.
const (
	ModelUnspecified LoggedModelStatus = "LOGGED_MODEL_STATUS_UNSPECIFIED"
	ModelPending     LoggedModelStatus = "LOGGED_MODEL_PENDING"
	ModelReady       LoggedModelStatus = "LOGGED_MODEL_READY"
	ModelFailed      LoggedModelStatus = "LOGGED_MODEL_UPLOAD_FAILED"
)

// The life cycle stages of experiments and runs.
const (
	StageActive  = "active"
	StageDeleted = "deleted"
)

func (RunStatus) numbers() map[string]int32 {
	return map[string]int32{"RUNNING": 1, "SCHEDULED": 2, "FINISHED": 3, "FAILED": 4, "KILLED": 5}
}

func (ViewType) numbers() map[string]int32 {
	return map[string]int32{"ACTIVE_ONLY": 1, "DELETED_ONLY": 2, "ALL": 3}
}

func (LoggedModelStatus) numbers() map[string]int32 {
	return map[string]int32{
		string(ModelUnspecified): 0, string(ModelPending): 1, string(ModelReady): 2, string(ModelFailed): 3,
	}
}

// choices lists the names of an enum in the order of their numbers.
func (p *plan) choices() string {
	names := make([]string, 0, len(p.names))
	for name := range p.names {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return int(p.names[a] - p.names[b]) })
	return strings.Join(names, ", ")
}
