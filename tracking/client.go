package tracking

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Options of New. The zero value is ready, and so is a nil pointer.
type Options struct {
	// Artifacts is where the files of runs go. Default nil: the artifact
	// methods answer ErrUnsupported.
	Artifacts Artifacts

	// OnError is told what goes wrong behind Run.Metric: a batch that could
	// not be stored and will be tried again, points that were dropped. It is
	// called by one goroutine at a time and should return soon; while it runs
	// no points are flushed. Default nil: errors appear in Flush, Finish and
	// Shutdown and in the Logger.
	OnError func(error)

	// Logger gets the same errors at level Warn. Default nil: no log.
	Logger *slog.Logger

	// FlushEvery is the longest time that a point waits in the buffer while
	// the store answers. Default 500 ms.
	FlushEvery time.Duration

	// MaxBuffered is the number of points that wait in memory for all runs of
	// the Client together; further ones are dropped and counted. A point takes
	// about 56 bytes. Default 131,072.
	MaxBuffered int
}

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.FlushEvery <= 0 {
		out.FlushEvery = 500 * time.Millisecond
	}
	if out.MaxBuffered <= 0 {
		out.MaxBuffered = 1 << 17
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out
}

// Client records runs in a Store. It is safe for concurrent use and ends with
// Shutdown: its one background worker starts with the first Run.Metric.
type Client struct {
	store     Store
	artifacts Artifacts
	recorder  *recorder
}

// New returns a Client of store. It does no I/O and does not close the store.
func New(store Store, opts *Options) *Client {
	o := opts.withDefaults()
	return &Client{store: store, artifacts: o.Artifacts, recorder: newRecorder(store, o)}
}

// Shutdown stops intake, stores the buffered points and ends the worker. After
// it every other method answers ErrClosed and Run.Metric counts its points as
// dropped. When ctx ends first, or the store fails, it returns the error and
// may be called again to go on; after success it does nothing. A nil error
// means that no point was lost since the last Flush of its run.
func (c *Client) Shutdown(ctx context.Context) error {
	return c.recorder.shutdown(ctx)
}

func (c *Client) check(operation string) error {
	if c.recorder.isClosed() {
		return fmt.Errorf("tracking: %s: the client was shut down: %w", operation, ErrClosed)
	}
	return nil
}

// Experiment returns the experiment with the name, at most 500 characters, and
// creates it when there is none.
func (c *Client) Experiment(ctx context.Context, name string) (Experiment, error) {
	if err := c.check("get experiment"); err != nil {
		return Experiment{}, err
	}
	if fault := nameFault(name, maxExperimentName); fault != "" {
		return Experiment{}, fmt.Errorf("tracking: experiment name %q: %s: %w", shorten(name), fault, ErrInvalid)
	}
	e, found, err := c.findExperiment(ctx, name)
	if err != nil || found {
		return e, err
	}
	e, err = c.store.CreateExperiment(ctx, Experiment{Name: name, Created: now()})
	if !errors.Is(err, ErrExists) {
		return e, err
	}
	// Another process was faster, which is as good.
	e, found, err = c.findExperiment(ctx, name)
	if err == nil && !found {
		err = fmt.Errorf("tracking: experiment %q vanished between two reads: %w", name, ErrUnavailable)
	}
	return e, err
}

func (c *Client) findExperiment(ctx context.Context, name string) (Experiment, bool, error) {
	page, _, err := c.store.Experiments(ctx, ExperimentQuery{Name: name, Page: Page{Max: 1}})
	if err != nil || len(page) == 0 {
		return Experiment{}, false, err
	}
	return page[0], true, nil
}

// Experiments yields all experiments in the order of their creation.
func (c *Client) Experiments(ctx context.Context) iter.Seq2[Experiment, error] {
	return pages(c, "list experiments", Page{}, func(p Page) ([]Experiment, string, error) {
		return c.store.Experiments(ctx, ExperimentQuery{Page: p})
	})
}

// RunOptions of Client.StartRun. The zero value is ready, and so is a nil
// pointer.
type RunOptions struct {
	// ID is the new run's id, for a caller that handed it out beforehand.
	// Default: 128 random bits.
	ID RunID
	// Name is a name for people, at most 250 characters. It need not be
	// unique. Default: a random one like "calm-heron-217".
	Name string
	// Tags of the run from the start, at most 100. Default none.
	Tags map[string]string
}

// StartRun creates a run with status Running that starts now. ErrNotFound when
// there is no such experiment, ErrExists when the id is taken.
func (c *Client) StartRun(ctx context.Context, exp ExperimentID, opts *RunOptions) (*Run, error) {
	if err := c.check("start run"); err != nil {
		return nil, err
	}
	var o RunOptions
	if opts != nil {
		o = *opts
	}
	if o.ID == "" {
		o.ID = newRunID()
	}
	if o.Name == "" {
		o.Name = randomName()
	}
	if err := ValidateRunID(o.ID); err != nil {
		return nil, err
	}
	var f faults
	if fault := nameFault(o.Name, maxRunName); fault != "" {
		f.addf("name %q: %s", shorten(o.Name), fault)
	}
	if len(o.Tags) > MaxBatchTags {
		f.addf("%d tags, the limit is %d", len(o.Tags), MaxBatchTags)
	} else {
		pairFaults(&f, "tag", o.Tags, maxTagValue)
	}
	if err := f.err("tracking: start run"); err != nil {
		return nil, err
	}
	info, err := c.store.CreateRun(ctx, RunInfo{
		ID: o.ID, Experiment: exp, Name: o.Name, Status: Running, Start: now(), Tags: maps.Clone(o.Tags),
	})
	if err != nil {
		return nil, err
	}
	return c.newRun(info), nil
}

// Run returns an existing run, also one that another process started, to go on
// with it. ErrNotFound when there is none.
func (c *Client) Run(ctx context.Context, id RunID) (*Run, error) {
	if err := c.check("get run"); err != nil {
		return nil, err
	}
	if err := ValidateRunID(id); err != nil {
		return nil, err
	}
	info, err := c.store.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	return c.newRun(info), nil
}

// Runs yields the runs that q selects, the latest first, page by page:
// q.Page.Max is the size of a page, q.Page.Token where to begin. The inputs
// come without Schema and Profile, see Run.Info.
//
// A run whose process died stays Running. A program that is the only one to
// start runs in an experiment cleans up like this when it starts:
//
//	for info, err := range client.Runs(ctx, tracking.RunQuery{Experiment: exp.ID, Status: tracking.Running}) {
//		…
//		run, err := client.Run(ctx, info.ID)
//		…
//		err = run.Finish(ctx, tracking.Killed)
//	}
func (c *Client) Runs(ctx context.Context, q RunQuery) iter.Seq2[RunInfo, error] {
	return func(yield func(RunInfo, error) bool) {
		var f faults
		if q.Experiment == "" {
			f.addf("Experiment is empty")
		}
		if q.Status != "" && !q.Status.Valid() {
			f.addf("Status is %q, want RUNNING, SCHEDULED, FINISHED, FAILED, KILLED or nothing", shorten(string(q.Status)))
		}
		if q.Page.Max < 0 {
			f.addf("Page.Max is %d, want 0 or more", q.Page.Max)
		}
		if err := f.err("tracking: run query"); err != nil {
			yield(RunInfo{}, err)
			return
		}
		pages(c, "list runs", q.Page, func(p Page) ([]RunInfo, string, error) {
			query := q
			query.Page = p
			return c.store.SearchRuns(ctx, query)
		})(yield)
	}
}

// pages turns paged answers into one sequence. The consumer's loop body runs
// between two reads, never inside one.
func pages[T any](c *Client, operation string, p Page, read func(Page) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		for {
			if err := c.check(operation); err != nil {
				yield(zero, err)
				return
			}
			page, next, err := read(p)
			if err != nil {
				yield(zero, err)
				return
			}
			for _, v := range page {
				if !yield(v, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			if next == p.Token { // a faulty store must not become an endless loop
				yield(zero, fmt.Errorf("tracking: %s: the store answered the same page token twice: %w", operation, errs.ErrInvalid))
				return
			}
			p.Token = next
		}
	}
}

// now is the current time as stores keep it.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
