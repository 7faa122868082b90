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
	MaxRunInputs     = 100
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
	// CreateExperiment stores e under a new ID, which it returns with the
	// rest. ErrExists when the name is taken.
	CreateExperiment(ctx context.Context, e Experiment) (Experiment, error)

	// Experiments returns experiments in the order of their creation.
	Experiments(ctx context.Context, q ExperimentQuery) (page []Experiment, next string, err error)

	// CreateRun stores ID, Experiment, Name, Status, Start, End and Tags of r
	// and ignores the rest. It returns the run as stored: a store that
	// allocates ids itself may have replaced the ID. ErrNotFound when there is
	// no such experiment, ErrExists when the ID is taken.
	CreateRun(ctx context.Context, r RunInfo) (RunInfo, error)

	// Run returns one run. ErrNotFound when there is none.
	Run(ctx context.Context, id RunID) (RunInfo, error)

	// UpdateRun changes the fields that u sets. ErrNotFound.
	UpdateRun(ctx context.Context, id RunID, u RunUpdate) error

	// LogBatch adds b to a run of any status, all or nothing, and may be sent
	// again: known points and inputs are ignored, tags replace, a param with
	// its stored value is fine. A param with another value is a
	// *ParamConflictError (of the first such key in byte order). ErrNotFound
	// when there is no such run, ErrInvalid when the run would pass its
	// limits.
	LogBatch(ctx context.Context, id RunID, b Batch) error

	// History returns the points of one metric ordered by (Time, Step, Value),
	// none when the run never logged key. ErrNotFound when there is no such
	// run.
	History(ctx context.Context, id RunID, key string, p Page) (points []Metric, next string, err error)

	// SearchRuns returns runs, the latest Start first, equal ones by ID in
	// byte order. The inputs come without Schema and Profile, which Run
	// returns. An unknown experiment has no runs.
	SearchRuns(ctx context.Context, q RunQuery) (page []RunInfo, next string, err error)
}

// Artifacts is where the files of runs live. Every store of package
// dataset/blob satisfies it. Keys are slash-separated paths; the file of an
// absent key is fs.ErrNotExist.
type Artifacts interface {
	// Put writes key, replacing what was there. size -1 is unknown.
	Put(ctx context.Context, key string, body io.Reader, size int64) error
	// Get opens n bytes from off, n < 0 is to the end.
	Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
	// List yields the keys with the prefix; Name of the FileInfo is the key.
	List(ctx context.Context, prefix string) iter.Seq2[fs.FileInfo, error]
}
