package tracking

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
)

// RunOptions of Client.StartRun. The zero value is ready, and so is a nil
// pointer.
type RunOptions struct {
	// ID is the new run's id, for a caller that handed it out beforehand. A
	// store that allocates ids itself, such as a remote MLflow server, ignores
	// it. Default: 128 random bits.
	ID RunID
	// Resume goes on with the run that has the ID where there is one: its
	// status becomes Running again and Tags are added; Name, User and Parent
	// stay as they are. So a job that is started anew after a crash continues
	// its run. Default: ErrExists when the id is taken.
	Resume bool
	// Name is a name for people, at most 250 characters. It need not be
	// unique. Default: a random one like "calm-heron-217".
	Name string
	// Parent makes the run a child of another, under which the web UI shows
	// it. Default none.
	Parent RunID
	// Description is a text for people, in Markdown. Default none.
	Description string
	// User is who starts the run, at most 256 characters. Default unknown.
	User string
	// Tags of the run from the start, at most 100 with those that the fields
	// above and Options.Span add. See SourceTags. Default none.
	Tags map[string]string
}

// tags returns all tags that the options ask for.
func (o *RunOptions) tags(ctx context.Context, span func(context.Context) (string, string)) map[string]string {
	tags := map[string]string{}
	if span != nil {
		if trace, id := span(ctx); trace != "" {
			tags[TagTraceID], tags[TagSpanID] = trace, id
		}
	}
	maps.Copy(tags, o.Tags)
	for key, value := range map[string]string{TagParentRun: string(o.Parent), TagDescription: o.Description, TagUser: o.User} {
		if value != "" {
			tags[key] = value
		}
	}
	return tags
}

// StartRun creates a run with status Running that starts now. ErrNotFound when
// there is no such experiment, ErrExists when the id is taken and Resume is not
// set.
func (c *Client) StartRun(ctx context.Context, exp ExperimentID, opts *RunOptions) (*Run, error) {
	if err := c.check("start run"); err != nil {
		return nil, err
	}
	var o RunOptions
	if opts != nil {
		o = *opts
	}
	if o.Parent != "" {
		if err := ValidateRunID(o.Parent); err != nil {
			return nil, fmt.Errorf("tracking: parent: %w", err)
		}
	}
	r := RunInfo{
		ID: cmp.Or(o.ID, NewRunID()), Experiment: exp, Name: cmp.Or(o.Name, RandomName()), User: o.User,
		Status: Running, Start: now(), Tags: o.tags(ctx, c.opts.Span),
	}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	if o.Resume && o.ID != "" {
		run, err := c.resume(ctx, exp, &o, r.Tags)
		if !errors.Is(err, ErrNotFound) {
			return run, err
		}
	}
	info, err := c.store.CreateRun(ctx, r)
	if o.Resume && errors.Is(err, ErrExists) { // made by another process in between
		return c.resume(ctx, exp, &o, r.Tags)
	}
	if err != nil {
		return nil, err
	}
	return c.newRun(info), nil
}

// resume makes an existing run Running again.
func (c *Client) resume(ctx context.Context, exp ExperimentID, o *RunOptions, tags map[string]string) (*Run, error) {
	info, err := c.store.Run(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	if info.Experiment != exp {
		return nil, fmt.Errorf("tracking: resume run %q: it belongs to experiment %q and not to %q: %w", o.ID, info.Experiment, exp, ErrInvalid)
	}
	for _, key := range []string{TagParentRun, TagUser} {
		if _, given := o.Tags[key]; !given {
			delete(tags, key)
		}
	}
	if info.Status != Running {
		if err := c.store.UpdateRun(ctx, o.ID, RunUpdate{Status: Running}); err != nil {
			return nil, err
		}
	}
	if len(tags) > 0 {
		if err := c.store.LogBatch(ctx, o.ID, Batch{Tags: tags}); err != nil {
			return nil, err
		}
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

// Runs yields the runs that q selects, the latest first unless OrderBy says
// otherwise, page by page: q.Page.Max is the size of a page, q.Page.Token where
// to begin. The inputs come without Schema and Profile, see Run.Info.
//
// A run whose process died stays Running. A program that is the only one to
// start runs in an experiment cleans up like this when it starts:
//
//	for info, err := range client.Runs(ctx, tracking.RunQuery{
//		Experiments: []tracking.ExperimentID{exp.ID}, Filter: "status = 'RUNNING'",
//	}) {
//		…
//		run, err := client.Run(ctx, info.ID)
//		…
//		err = run.Finish(ctx, tracking.Killed)
//	}
func (c *Client) Runs(ctx context.Context, q RunQuery) iter.Seq2[RunInfo, error] {
	return func(yield func(RunInfo, error) bool) {
		var f faults
		if len(q.Experiments) == 0 {
			f.addf("Experiments is empty")
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

// DeleteRun puts a run out of sight. It stays until Purge; RestoreRun brings it
// back.
func (c *Client) DeleteRun(ctx context.Context, id RunID) error {
	return c.updateRun(ctx, "delete run", id, RunUpdate{Deleted: new(true)})
}

// RestoreRun brings back a deleted run.
func (c *Client) RestoreRun(ctx context.Context, id RunID) error {
	return c.updateRun(ctx, "restore run", id, RunUpdate{Deleted: new(false)})
}

func (c *Client) updateRun(ctx context.Context, operation string, id RunID, u RunUpdate) error {
	if err := c.check(operation); err != nil {
		return err
	}
	if err := errors.Join(ValidateRunID(id), u.Validate()); err != nil {
		return err
	}
	return c.store.UpdateRun(ctx, id, u)
}

// SampleHistory returns points of one metric of several runs for a chart, see
// Sampler. ErrUnsupported when the store cannot.
func (c *Client) SampleHistory(ctx context.Context, q SampleQuery) ([][]Metric, error) {
	if err := c.check("sample history"); err != nil {
		return nil, err
	}
	s, ok := c.store.(Sampler)
	if !ok {
		return nil, fmt.Errorf("tracking: sample history: the store draws no samples: %w", ErrUnsupported)
	}
	if err := q.Validate(); err != nil {
		return nil, err
	}
	return s.SampleHistory(ctx, q)
}
