package tracking

import (
	"context"
	"io"
	"io/fs"
	"iter"
)

// Limits of one run, enforced by every Store with ErrInvalid, so that reading
// a run is bounded. A run may have any number of metric points.
const (
	MaxRunParams     = 5000
	MaxRunTags       = 5000
	MaxRunMetricKeys = 100_000
	MaxRunInputs     = 100 // of datasets, and of models
	MaxRunOutputs    = 1000
	// MaxRunInputBytes bounds the schemas, profiles and sources of a run's
	// inputs together.
	MaxRunInputBytes = 32 << 20
)

// Store keeps experiments and runs. Client is written on top of it; packages
// tracking/sqlstore and trackingtest implement it, and trackingtest.Run checks
// an implementation against this contract.
//
// A Store is safe for concurrent use. Every write is one transaction: when it
// returns nil everything is stored and survives a kill of the process, when it
// returns an error nothing is. Every write that the caller repeats with the
// same arguments because it does not know the outcome is harmless, except that
// the two Create methods then answer ErrExists.
//
// Arguments were validated by the caller (Client does; so must anyone else,
// with Batch.Validate and the other Validate functions). A Store keeps no
// argument and the caller owns what it returns. Times are kept in milliseconds
// and returned in UTC. Maps in results are never nil. Methods return ErrClosed
// after the Store was closed, the context's error when it has ended, and
// ErrUnavailable when a retry may help.
//
// Answers come in pages. A page may hold fewer entries than asked for; the end
// is an empty next token and nothing else. A token is opaque, belongs to its
// query, and stays usable while others write: entries present during the whole
// reading are returned exactly once. A token that is damaged or of another
// query is ErrInvalid.
type Store interface {
	// CreateExperiment stores e and returns it as stored. An empty ID is
	// allocated; a store that always allocates may replace a given one. An
	// empty ArtifactLocation becomes the store's artifact root with the ID
	// appended; the default root is "mlflow-artifacts:". ErrExists when the
	// name, also of a deleted experiment, or the ID is taken.
	CreateExperiment(ctx context.Context, e Experiment) (Experiment, error)

	// UpdateExperiment changes what u sets, all or nothing. ErrNotFound,
	// ErrExists when the new name is taken, ErrInvalid when the experiment is
	// deleted and u does not restore it.
	UpdateExperiment(ctx context.Context, id ExperimentID, u ExperimentUpdate) error

	// SearchExperiments returns the experiments that q selects.
	SearchExperiments(ctx context.Context, q ExperimentQuery) (page []Experiment, next string, err error)

	// CreateRun stores ID, Experiment, Name, User, Status, Start, End,
	// ArtifactURI and Tags of r and ignores the rest. An empty ArtifactURI
	// becomes <location of the experiment>/<ID>/artifacts. It returns the run
	// as stored: a store that allocates ids itself may have replaced the ID.
	// ErrNotFound when there is no such experiment, ErrExists when the ID is
	// taken, ErrInvalid when the experiment is deleted.
	CreateRun(ctx context.Context, r RunInfo) (RunInfo, error)

	// Run returns one run, also a deleted one. ErrNotFound when there is none.
	Run(ctx context.Context, id RunID) (RunInfo, error)

	// UpdateRun changes what u sets, all or nothing. ErrNotFound; ErrInvalid
	// when the run is deleted and u does not restore it.
	UpdateRun(ctx context.Context, id RunID, u RunUpdate) error

	// LogBatch adds b to a run of any status, all or nothing, and may be sent
	// again: known points, inputs and outputs are ignored, tags replace, a
	// param with its stored value is fine. A param with another value is a
	// *ParamConflictError (of the first such key in byte order). ErrNotFound
	// when there is no such run, ErrInvalid when the run is deleted or would
	// pass its limits. Models that metrics, inputs and outputs name need not
	// exist; the metrics of one that does not are kept for the run only.
	LogBatch(ctx context.Context, id RunID, b Batch) error

	// History returns the points of one metric ordered by (Time, Step, Value),
	// none when the run never logged key. ErrNotFound when there is no such
	// run.
	History(ctx context.Context, id RunID, key string, p Page) (points []Metric, next string, err error)

	// SearchRuns returns the runs that q selects. The inputs come without
	// Schema and Profile, which Run returns. ErrInvalid when Filter or OrderBy
	// does not parse.
	SearchRuns(ctx context.Context, q RunQuery) (page []RunInfo, next string, err error)
}

// Sampler is a Store that draws long histories for charts.
type Sampler interface {
	// SampleHistory returns, for each run in the order of q.Runs, points of
	// the metric ordered as in History: all points at q.Max evenly spaced
	// steps of the distinct steps of all runs together, and those at the first
	// and the last step of each run. Unknown runs have no points.
	SampleHistory(ctx context.Context, q SampleQuery) ([][]Metric, error)
}

// SampleQuery asks for samples of one metric of several runs.
type SampleQuery struct {
	Runs []RunID // at most 100
	Key  string
	// From and To bound the steps, both included; nil is open.
	From, To *int64
	Max      int // 1 to 2,500
}

// InputSearcher is a Store that lists which datasets the runs of experiments
// read.
type InputSearcher interface {
	// SearchInputs returns at most max distinct combinations, those of active
	// runs only.
	SearchInputs(ctx context.Context, experiments []ExperimentID, max int) ([]InputSummary, error)
}

// InputSummary is a dataset that some run of an experiment read.
type InputSummary struct {
	Experiment            ExperimentID
	Name, Digest, Context string
}

// Purger is a Store that forgets for good. Only what is deleted can be purged.
type Purger interface {
	// PurgeRuns removes those of the runs that are deleted, with all they
	// hold, and returns how many it removed. The others are skipped.
	PurgeRuns(ctx context.Context, ids []RunID) (int, error)
	// PurgeModels does the same with logged models.
	PurgeModels(ctx context.Context, ids []ModelID) (int, error)
	// PurgeExperiment removes a deleted experiment, with its traces, and frees
	// its name. ErrNotFound, ErrInvalid when it is active, ErrConflict while
	// it has runs or logged models.
	PurgeExperiment(ctx context.Context, id ExperimentID) error
}

// Artifacts is where the files of runs live. Every store of package
// dataset/blob satisfies it. Keys are slash-separated paths; the file of an
// absent key is fs.ErrNotExist.
type Artifacts interface {
	// Put writes key, replacing what was there. size -1 is unknown.
	Put(ctx context.Context, key string, body io.Reader, size int64) error
	// Get opens n bytes from off, n < 0 is to the end.
	Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
	// Stat describes key; Name of the FileInfo is the key.
	Stat(ctx context.Context, key string) (fs.FileInfo, error)
	// List yields the keys with the prefix; Name of the FileInfo is the key.
	List(ctx context.Context, prefix string) iter.Seq2[fs.FileInfo, error]
	// Delete removes key; an absent one is no error.
	Delete(ctx context.Context, key string) error
}
