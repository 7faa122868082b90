package tracking

import (
	"cmp"
	"math"
	"time"
)

// ExperimentID identifies an experiment. The store allocates it; it has no
// meaning outside and no slash.
type ExperimentID string

// RunID identifies a run: letters, digits, '_' and '-', at most 256 of them,
// the first a letter or digit. A generated one is 32 hexadecimal digits.
type RunID string

// Status is the state of a run.
type Status string

// The states. A run starts as Running; Finished, Failed and Killed end it. No
// state forbids further writes.
const (
	Running   Status = "RUNNING"
	Scheduled Status = "SCHEDULED"
	Finished  Status = "FINISHED"
	Failed    Status = "FAILED"
	Killed    Status = "KILLED"
)

// Valid reports whether s is one of the five states.
func (s Status) Valid() bool {
	return s == Running || s == Scheduled || s.Ended()
}

// Ended reports whether s is Finished, Failed or Killed.
func (s Status) Ended() bool {
	return s == Finished || s == Failed || s == Killed
}

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

// Experiment groups runs under a unique name.
type Experiment struct {
	ID   ExperimentID
	Name string
	// ArtifactLocation is the URI below which the files of the experiment's
	// runs and models live, at most 2,048 bytes, without a slash at the end.
	ArtifactLocation string
	Tags             map[string]string // keys as in ValidateKey, values at most 20,000 characters
	Deleted          bool
	DeletedAt        time.Time // zero unless Deleted
	Created, Updated time.Time // UTC, to the millisecond
}

// ExperimentUpdate changes an experiment. A zero field leaves its value as it
// is.
type ExperimentUpdate struct {
	Name       string
	SetTags    map[string]string
	DeleteTags []string // ErrNotFound when the experiment has no such tag
	// Deleted deletes the experiment with its active runs, or restores it with
	// the runs that were deleted with it.
	Deleted *bool
}

// RunInfo is what is known of a run at one moment.
type RunInfo struct {
	ID         RunID
	Experiment ExperimentID
	Name       string // stands for MLflow's tag mlflow.runName, which is never among Tags
	User       string // who started it, at most 256 characters
	Status     Status
	Start      time.Time // UTC, to the millisecond
	End        time.Time // zero until the run ended
	// ArtifactURI is where its files live, without a slash at the end.
	ArtifactURI string
	Deleted     bool
	DeletedAt   time.Time // zero unless Deleted

	Params      map[string]string
	Tags        map[string]string
	Metrics     map[string]Metric // the latest point of each key, see Metric
	Inputs      []DatasetInput    // in the order they were logged
	ModelInputs []ModelID         // logged models that the run read, in the order they were logged
	Outputs     []ModelOutput     // logged models that the run made, in the order they were logged
}

// ModelOutput is a logged model that a run made.
type ModelOutput struct {
	Model ModelID
	Step  int64
}

// Metric is one point of a run's metric.
//
// Two points with equal key, value, time (in milliseconds) and step are one
// point, however often it is sent. The latest point of a key is the greatest
// by (Step, Time, Value). NaN and the infinities are values like any other;
// where values are compared NaN ranks as 0, just above it, as MLflow does.
// Negative zero is kept as zero.
type Metric struct {
	Key   string
	Value float64
	Step  int64     // any number, usually the epoch or batch
	Time  time.Time // to the millisecond, not before 1970; Run.LogBatch takes the zero Time for now

	// Link ties the point to what it measures; nil for most. It is no part of
	// the point's identity in the run and is not returned with the run's
	// metrics: it adds the point to the metrics of the logged model.
	Link *MetricLink
}

// MetricLink says which logged model a point measures, and on which data.
type MetricLink struct {
	Model         ModelID // required
	DatasetName   string
	DatasetDigest string
}

// NewerThan reports whether m comes after o in the order that defines the
// latest point: Step, then Time in milliseconds, then Value.
func (m Metric) NewerThan(o Metric) bool {
	return cmp.Or(
		cmp.Compare(m.Step, o.Step),
		cmp.Compare(m.Time.UnixMilli(), o.Time.UnixMilli()),
		CompareValues(m.Value, o.Value),
	) > 0
}

// CompareValues is the order of metric values: by size, NaN just above 0.
func CompareValues(a, b float64) int {
	aNaN, bNaN := math.IsNaN(a), math.IsNaN(b)
	switch {
	case aNaN && bNaN:
		return 0
	case aNaN:
		return nanAgainst(b)
	case bNaN:
		return -nanAgainst(a)
	}
	return cmp.Compare(a, b)
}

// nanAgainst compares NaN with the number v.
func nanAgainst(v float64) int {
	if v > 0 {
		return -1
	}
	return 1
}

// DatasetInput says which dataset version a run read. The four fields Name,
// Version, Digest and Context identify it: the same input logged again is
// stored once.
type DatasetInput struct {
	Name       string // required, at most 500 characters
	Version    string // at most 250 characters
	Digest     string // required, identifies the bytes, at most 128 characters
	Context    string // what the run did with it: "training", "evaluation"; at most 500 characters
	SourceType string // kind of Source: "delta", "s3"; at most 250 characters
	Source     string // where it was read from, usually a URI; at most 65,535 bytes
	Schema     string // free text, usually JSON; at most 1,048,575 bytes
	Profile    string // free text, usually JSON; at most 16,777,215 bytes
	// Tags of the input beyond Version and Context, at most 20. Keys have at
	// most 255 characters, values 500.
	Tags map[string]string
}

// Batch is what one LogBatch stores, all of it or nothing.
type Batch struct {
	Metrics     []Metric          // at most 1,000
	Params      map[string]string // at most 100; written once, the same value again is fine
	Tags        map[string]string // at most 100; replace earlier values
	Inputs      []DatasetInput    // at most 100
	ModelInputs []ModelID         // at most 100
	Outputs     []ModelOutput     // at most 100
}

// RunUpdate changes a run. A zero field leaves its value as it is.
type RunUpdate struct {
	Name       string
	Status     Status
	End        time.Time
	DeleteTags []string // ErrNotFound when the run has no such tag
	Deleted    *bool    // deletes or restores the run; either again does nothing
}

// Page asks for a part of a longer answer.
type Page struct {
	// Max is the greatest number of entries wanted; 0 means 1,000 metric
	// points and 100 of anything else. A store may return fewer.
	Max int
	// Token is what the page before gave; empty for the first page.
	Token string
}

// RunQuery selects runs. Package tracking/search describes the grammar of
// Filter and OrderBy.
type RunQuery struct {
	Experiments []ExperimentID // required; an unknown one has no runs
	View        View
	Filter      string   // like "metrics.auc > 0.9 AND params.depth = '3'"; empty selects all
	OrderBy     []string // like "metrics.auc DESC"; ties go by Start, the latest first, then by ID in byte order
	Page        Page
}

// ExperimentQuery selects experiments. Package tracking/search describes the
// grammar of Filter and OrderBy.
type ExperimentQuery struct {
	ID      ExperimentID // exact; empty selects all
	Name    string       // exact; empty selects all
	View    View
	Filter  string   // like "name LIKE 'prod-%' AND tags.team = 'a'"
	OrderBy []string // default: the latest created first, then by ID, the smaller number first
	Page    Page
}
