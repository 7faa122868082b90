package tracking

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// PurgeOptions of Client.Purge. The zero value is ready, and so is a nil
// pointer.
type PurgeOptions struct {
	// Experiments to look at, also deleted ones. Default: all.
	Experiments []ExperimentID
	// OlderThan keeps what was deleted more recently than this. Default 0:
	// everything that is deleted goes.
	OlderThan time.Duration
	// Traces removes the traces that started at least this long ago, deleted
	// or not: traces have no such state. Default 0: they stay, except for those
	// of experiments that go.
	Traces time.Duration
	// KeepArtifacts leaves the files where they are. Default: they go first,
	// so that none is left that no run names.
	KeepArtifacts bool
	// Progress is told after each run, model and experiment. Default nil.
	Progress func(PurgeReport)
}

// PurgeReport counts what Purge removed so far.
type PurgeReport struct {
	Experiments, Runs, Models, Traces, Files int
	Skipped                                  int // things that an error kept
}

// maxPurgeErrors bounds the errors that Purge returns, maxPurgeBatch what it
// removes in one transaction.
const (
	maxPurgeErrors = 10
	maxPurgeBatch  = 100
)

// Purge removes for good what was deleted: runs, logged models and experiments,
// with their files, and old traces. It works in small steps and may be stopped and called again
// at any time; what one call could not remove the next one tries again. What it
// cannot remove it skips and tells of in the error. ErrUnsupported when the
// store keeps everything.
func (c *Client) Purge(ctx context.Context, opts *PurgeOptions) (PurgeReport, error) {
	if err := c.check("purge"); err != nil {
		return PurgeReport{}, err
	}
	store, ok := c.store.(Purger)
	if !ok {
		return PurgeReport{}, fmt.Errorf("tracking: purge: the store keeps everything: %w", ErrUnsupported)
	}
	p := &purge{client: c, store: store}
	if opts != nil {
		p.opts = *opts
	}
	p.before = time.Now().Add(-max(p.opts.OlderThan, 0))
	wanted := map[ExperimentID]bool{}
	for _, id := range p.opts.Experiments {
		wanted[id] = true
	}
	for e, err := range c.Experiments(ctx, ExperimentQuery{View: All}) {
		if err != nil {
			return p.report, errors.Join(append(p.errs, err)...)
		}
		if len(wanted) > 0 && !wanted[e.ID] {
			continue
		}
		if err := p.experiment(ctx, e); err != nil {
			return p.report, errors.Join(append(p.errs, err)...)
		}
	}
	return p.report, errors.Join(p.errs...)
}

// purge is one Purge under way.
type purge struct {
	client *Client
	store  Purger
	opts   PurgeOptions
	before time.Time
	report PurgeReport
	errs   []error
}

// due reports whether something deleted at the time is to go.
func (p *purge) due(deleted bool, at time.Time) bool {
	return deleted && (p.opts.OlderThan <= 0 || !at.After(p.before))
}

// skip keeps the error of one thing that stays; it returns an error when the
// whole purge must end.
func (p *purge) skip(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, ErrClosed) {
		return err
	}
	p.report.Skipped++
	if len(p.errs) < maxPurgeErrors {
		p.errs = append(p.errs, err)
	}
	return nil
}

func (p *purge) tell() {
	if p.opts.Progress != nil {
		p.opts.Progress(p.report)
	}
}

func (p *purge) experiment(ctx context.Context, e Experiment) error {
	whole := p.due(e.Deleted, e.DeletedAt)
	skipped := p.report.Skipped
	if err := errors.Join(p.runs(ctx, e.ID), p.models(ctx, e.ID, whole), p.traces(ctx, e, whole)); err != nil {
		return err
	}
	if !whole || p.report.Skipped > skipped {
		return nil
	}
	switch err := p.store.PurgeExperiment(ctx, e.ID); {
	case errors.Is(err, ErrNotFound): // somebody else was faster
	case err != nil:
		return p.skip(ctx, err)
	default:
		p.report.Experiments++
		p.tell()
	}
	return nil
}

func (p *purge) runs(ctx context.Context, exp ExperimentID) error {
	var ids []RunID
	flush := func() error {
		n, err := p.store.PurgeRuns(ctx, ids)
		if err != nil {
			return err
		}
		ids = ids[:0]
		p.report.Runs += n
		p.tell()
		return nil
	}
	for r, err := range p.client.Runs(ctx, RunQuery{Experiments: []ExperimentID{exp}, View: DeletedOnly}) {
		if err != nil {
			return err
		}
		if !p.due(r.Deleted, r.DeletedAt) {
			continue
		}
		if err := p.files(ctx, string(r.ID), r.ArtifactURI); err != nil {
			if err := p.skip(ctx, fmt.Errorf("tracking: purge run %q: %w", r.ID, err)); err != nil {
				return err
			}
			continue
		}
		if ids = append(ids, r.ID); len(ids) == maxPurgeBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return flush()
}

// models removes deleted models, and all of an experiment that goes: deleting
// an experiment leaves its models as they are, since they cannot be reached any
// more.
func (p *purge) models(ctx context.Context, exp ExperimentID, whole bool) error {
	store, ok := p.client.store.(ModelStore)
	if !ok {
		return nil
	}
	view := DeletedOnly
	if whole {
		view = All
	}
	for m, err := range p.client.Models(ctx, ModelQuery{Experiments: []ExperimentID{exp}, View: view}) {
		if err != nil {
			return err
		}
		if !whole && !p.due(m.Deleted, m.DeletedAt) {
			continue
		}
		err := p.files(ctx, string(m.ID), m.ArtifactURI)
		if err == nil && !m.Deleted {
			err = store.UpdateModel(ctx, m.ID, ModelUpdate{Deleted: new(true)})
		}
		if err == nil {
			var n int
			n, err = p.store.PurgeModels(ctx, []ModelID{m.ID})
			p.report.Models += n
		}
		if err != nil {
			if err := p.skip(ctx, fmt.Errorf("tracking: purge logged model %q: %w", m.ID, err)); err != nil {
				return err
			}
			continue
		}
		p.tell()
	}
	return nil
}

// traces removes old traces, and all of an experiment that goes.
func (p *purge) traces(ctx context.Context, e Experiment, whole bool) error {
	store, ok := p.client.store.(TraceStore)
	if !ok || p.opts.Traces <= 0 && !whole {
		return nil
	}
	q := TraceQuery{Experiments: []ExperimentID{e.ID}}
	if !whole {
		q.Filter = fmt.Sprintf("timestamp_ms < %d", time.Now().Add(-p.opts.Traces).UnixMilli())
	}
	var ids []TraceID
	flush := func() error {
		n, err := store.DeleteTraces(ctx, e.ID, ids, time.Time{}, maxPurgeBatch)
		if err != nil {
			return err
		}
		ids = ids[:0]
		p.report.Traces += n
		p.tell()
		return nil
	}
	for t, err := range p.client.Traces(ctx, q) {
		if err != nil {
			return err
		}
		// Where MLflow's clients put the files of a trace. Its tag that says so
		// is not asked: anyone who may write the trace can set it.
		if strings.HasPrefix(string(t.ID), "tr-") && e.ArtifactLocation != "" {
			if err := p.files(ctx, string(t.ID), e.ArtifactLocation+"/traces/"+string(t.ID)); err != nil {
				if err := p.skip(ctx, fmt.Errorf("tracking: purge trace %q: %w", t.ID, err)); err != nil {
					return err
				}
				continue
			}
		}
		if ids = append(ids, t.ID); len(ids) == maxPurgeBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return flush()
}

// files removes all files at the URI of the run or model id.
func (p *purge) files(ctx context.Context, id, uri string) error {
	if p.opts.KeepArtifacts || uri == "" {
		return nil
	}
	// A location that somebody else's files share is not this purge's to empty.
	if !slices.Contains(strings.Split(uri, "/"), id) {
		return fmt.Errorf("its files at %s are in no folder of its own, remove them and purge with KeepArtifacts: %w", uri, ErrUnsupported)
	}
	store, prefix, err := (&Files{client: p.client, uri: uri}).open(ctx, "purge")
	if err != nil {
		return err
	}
	// Some stores do not like a change below a listing, so it comes in parts.
	last := ""
	for {
		keys := make([]string, 0, maxPurgeBatch)
		for info, err := range store.List(ctx, prefix) {
			if err != nil {
				return err
			}
			if !strings.HasPrefix(info.Name(), prefix) {
				return fmt.Errorf("the artifact store lists %q below %q: %w", shorten(info.Name()), prefix, ErrInvalid)
			}
			if keys = append(keys, info.Name()); len(keys) == cap(keys) {
				break
			}
		}
		if len(keys) > 0 && keys[0] == last {
			return fmt.Errorf("the file %q is still there after its deletion: %w", shorten(last), ErrUnavailable)
		}
		for _, key := range keys {
			if err := store.Delete(ctx, key); err != nil {
				return err
			}
			p.report.Files++
		}
		if len(keys) < cap(keys) {
			return nil
		}
		last = keys[0]
	}
}
