package tracking

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"
)

// MaxHistory is the number of points that Run.History returns at most.
const MaxHistory = 1_000_000

// Run is a handle on one run. Several handles on one run, in one or several
// processes, may be used at once. Handles are safe for concurrent use, need no
// closing and become useless with their Client's Shutdown.
type Run struct {
	client     *Client
	id         RunID
	experiment ExperimentID
	name       string
	uri        string // of its artifacts

	buffer runBuffer
}

func (c *Client) newRun(info RunInfo) *Run {
	return &Run{
		client: c, id: info.ID, experiment: info.Experiment, name: info.Name, uri: info.ArtifactURI,
		buffer: runBuffer{run: info.ID, sending: make(chan struct{}, 1)},
	}
}

// ID returns the id, which Client.Run takes in any process.
func (r *Run) ID() RunID { return r.id }

// Experiment returns the id of the run's experiment.
func (r *Run) Experiment() ExperimentID { return r.experiment }

// Name returns the name that the run had when the handle was made.
func (r *Run) Name() string { return r.name }

// Files returns the run's own files. Those of the models that it logged are
// apart, see Client.Files.
func (r *Run) Files() *Files { return &Files{client: r.client, uri: r.uri} }

// Info reads the run from the store. Points that are still in the buffer are
// not part of it; call Flush first to see them.
func (r *Run) Info(ctx context.Context) (RunInfo, error) {
	if err := r.client.check("get run"); err != nil {
		return RunInfo{}, err
	}
	return r.client.store.Run(ctx, r.id)
}

// Metric records one point at the present time. It never blocks on I/O and
// never fails: the point goes to a buffer that a worker stores within
// Options.FlushEvery. A point is dropped and counted when its key is invalid,
// when the buffer is full because the store does not keep up, and after
// Shutdown; Flush and Options.OnError tell of it. Use LogBatch where the
// program must know that the point is stored.
func (r *Run) Metric(key string, value float64, step int64) {
	r.client.recorder.add(&r.buffer, Metric{Key: key, Value: value, Step: step, Time: time.Now()})
}

// LinkedMetric is Metric for a point that measures a logged model, and on which
// data: the point is one of the run's and one of the model's. A link that is
// not valid is dropped like an invalid key.
func (r *Run) LinkedMetric(key string, value float64, step int64, link MetricLink) {
	r.client.recorder.add(&r.buffer, Metric{Key: key, Value: value, Step: step, Time: time.Now(), Link: &link})
}

// Dropped returns the number of points that this handle's Metric lost so far.
func (r *Run) Dropped() uint64 {
	return r.client.recorder.dropped(&r.buffer)
}

// Flush stores what Metric buffered on this handle before the call. It returns
// nil when all of it is stored and nothing was dropped since the last Flush.
// When the store fails the points stay in the buffer and Flush may be
// repeated.
func (r *Run) Flush(ctx context.Context) error {
	if err := r.client.check("flush"); err != nil {
		return err
	}
	return r.client.recorder.flush(ctx, &r.buffer)
}

// LogBatch stores b in one transaction, all or nothing, and returns when it is
// durable. Metrics with a zero Time are given the present one. Every fault of
// b is reported in one ErrInvalid; a param that would change is a
// *ParamConflictError. A batch may be sent again after an error with an
// unknown outcome, if its metrics carry their times.
func (r *Run) LogBatch(ctx context.Context, b Batch) error {
	if err := r.client.check("log batch"); err != nil {
		return err
	}
	if slices.ContainsFunc(b.Metrics, func(m Metric) bool { return m.Time.IsZero() }) {
		b.Metrics = slices.Clone(b.Metrics)
		present := now()
		for i := range b.Metrics {
			if b.Metrics[i].Time.IsZero() {
				b.Metrics[i].Time = present
			}
		}
	}
	if err := b.Validate(); err != nil {
		return err
	}
	return r.client.store.LogBatch(ctx, r.id, b)
}

// Params stores what defines the run: hyper-parameters, versions. A param is
// written once: the same value again is fine, another value is a
// *ParamConflictError. Keys as in ValidateKey, values at most 6,000
// characters. More than 100 params go in several transactions, so that an
// error may leave some of them stored.
func (r *Run) Params(ctx context.Context, params map[string]string) error {
	return r.logPairs(ctx, params, MaxBatchParams, func(part map[string]string) Batch { return Batch{Params: part} })
}

// SetTags stores notes on the run, replacing those with the same key. Keys as
// in ValidateKey, values at most 8,000 characters. More than 100 tags go in
// several transactions.
func (r *Run) SetTags(ctx context.Context, tags map[string]string) error {
	return r.logPairs(ctx, tags, MaxBatchTags, func(part map[string]string) Batch { return Batch{Tags: part} })
}

// DeleteTags removes tags, all or none. ErrNotFound when the run lacks one.
func (r *Run) DeleteTags(ctx context.Context, keys ...string) error {
	return r.client.updateRun(ctx, "delete tags", r.id, RunUpdate{DeleteTags: keys})
}

// Rename gives the run another name. Name of this handle stays as it was.
func (r *Run) Rename(ctx context.Context, name string) error {
	if fault := nameFault(name, maxRunName); fault != "" {
		return fmt.Errorf("tracking: rename run %q: name %q: %s: %w", r.id, shorten(name), fault, ErrInvalid)
	}
	return r.client.updateRun(ctx, "rename run", r.id, RunUpdate{Name: name})
}

func (r *Run) logPairs(ctx context.Context, pairs map[string]string, limit int, batch func(map[string]string) Batch) error {
	keys := slices.Sorted(maps.Keys(pairs))
	for chunk := range slices.Chunk(keys, limit) {
		part := make(map[string]string, len(chunk))
		for _, key := range chunk {
			part[key] = pairs[key]
		}
		if err := r.LogBatch(ctx, batch(part)); err != nil {
			return err
		}
	}
	return nil
}

// StartChild starts a run of the same experiment whose parent is this one,
// like one trial of a search. Parent of opts is replaced.
func (r *Run) StartChild(ctx context.Context, opts *RunOptions) (*Run, error) {
	var o RunOptions
	if opts != nil {
		o = *opts
	}
	o.Parent = r.id
	return r.client.StartRun(ctx, r.experiment, &o)
}

// Children yields the runs of the same experiment whose parent is this one, the
// latest first.
func (r *Run) Children(ctx context.Context) iter.Seq2[RunInfo, error] {
	return r.client.Runs(ctx, RunQuery{
		Experiments: []ExperimentID{r.experiment},
		Filter:      fmt.Sprintf("tags.`%s` = '%s'", TagParentRun, r.id), // an id has no quotes
	})
}

// LogInput records which dataset version the run reads. The same input again
// is stored once.
func (r *Run) LogInput(ctx context.Context, in DatasetInput) error {
	return r.LogBatch(ctx, Batch{Inputs: []DatasetInput{in}})
}

// Points yields the stored points of one metric ordered by (Time, Step, Value),
// however many there are. Points still in the buffer are not part of it.
func (r *Run) Points(ctx context.Context, key string) iter.Seq2[Metric, error] {
	return func(yield func(Metric, error) bool) {
		if err := ValidateKey(key); err != nil {
			yield(Metric{}, err)
			return
		}
		pages(r.client, "read history", Page{Max: 10_000}, func(p Page) ([]Metric, string, error) {
			return r.client.store.History(ctx, r.id, key, p)
		})(yield)
	}
}

// History returns all stored points of one metric in the order of Points, at
// most MaxHistory; ErrInvalid when there are more.
func (r *Run) History(ctx context.Context, key string) ([]Metric, error) {
	var all []Metric
	for m, err := range r.Points(ctx, key) {
		if err != nil {
			return nil, err
		}
		if len(all) == MaxHistory {
			return nil, fmt.Errorf("tracking: history of %q of run %q: it has more than %d points, read them with Points: %w",
				key, r.id, MaxHistory, ErrInvalid)
		}
		all = append(all, m)
	}
	return all, nil
}
