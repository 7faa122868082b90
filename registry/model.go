package registry

import "time"

// View selects by life cycle: what is deleted stays, out of sight, until it is
// purged or restored.
type View string

// The views. The zero View is ActiveOnly.
const (
	ActiveOnly  View = ""
	DeletedOnly View = "deleted"
	All         View = "all"
)

// Includes reports whether the view shows an entry that is or is not deleted.
func (v View) Includes(deleted bool) bool {
	return v == All || deleted == (v == DeletedOnly)
}

// Page asks for a part of a longer answer.
type Page struct {
	// Max is the greatest number of entries wanted; 0 means 100. A store may
	// return fewer.
	Max int
	// Token is what the page before gave; empty for the first page.
	Token string
}

// PromptTag marks the models and versions that are prompts of MLflow's, by the
// value "true".
const PromptTag = "mlflow.prompt.is_prompt"

// Model is a registered model: the name that versions are numbered under.
type Model struct {
	// Name is unique in the registry.
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	// Created and Updated are UTC, to the microsecond. A new version updates
	// its model.
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	// Latest is the highest version number given out, 0 for none.
	Latest    int       `json:"latest"`
	Deleted   bool      `json:"deleted,omitempty"`
	DeletedAt time.Time `json:"deleted_at,omitzero"`
	// Aliases of the model in byte order, at most 100 of them.
	Aliases []Alias `json:"aliases,omitempty"`
	// LatestVersions are the active versions with the highest number in each
	// stage, ordered by number, when ModelQuery.Latest asked for them.
	LatestVersions []*Version `json:"latest_versions,omitempty"`
}

// ModelUpdate changes a model. A zero field leaves its value as it is.
type ModelUpdate struct {
	Rename      string
	Description *string
	SetTags     map[string]string
	DeleteTags  []string // ErrNotFound when the model has no such tag
	Deleted     *bool    // deletes or restores; either again does nothing
	// By and Reason go into the audit log, Time is when.
	By, Reason string
	Time       time.Time
}

// ModelQuery selects models.
type ModelQuery struct {
	Name    string // exact; empty selects all
	View    View
	Filter  string
	OrderBy []string // default: by name in byte order
	Page    Page
	Latest  bool // also read Model.LatestVersions, as VersionQuery.Brief has them
}

// Alias is a movable name for one version of a model.
type Alias struct {
	// Alias is its name, Number the version it is at.
	Alias  string `json:"alias"`
	Number int    `json:"number"`
	// Moved is when it was set there, UTC, to the microsecond.
	Moved time.Time `json:"moved"`
}
