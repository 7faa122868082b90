package tracking

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

func (c *Client) traces(operation string) (TraceStore, error) {
	if err := c.check(operation); err != nil {
		return nil, err
	}
	s, ok := c.store.(TraceStore)
	if !ok {
		return nil, fmt.Errorf("tracking: %s: the store keeps no traces: %w", operation, ErrUnsupported)
	}
	return s, nil
}

// Trace returns a trace with its spans and assessments. ErrNotFound when there
// is none.
func (c *Client) Trace(ctx context.Context, id TraceID) (Trace, error) {
	store, err := c.traces("get trace")
	if err != nil {
		return Trace{}, err
	}
	if err := ValidateTraceID(id); err != nil {
		return Trace{}, err
	}
	found, err := store.Traces(ctx, []TraceID{id}, true)
	if err != nil {
		return Trace{}, err
	}
	if len(found) == 0 {
		return Trace{}, fmt.Errorf("tracking: get trace %q: there is none: %w", id, ErrNotFound)
	}
	return found[0], nil
}

// Traces yields the traces that q selects, without spans, the latest first
// unless OrderBy says otherwise, page by page: q.Page.Max is the size of a
// page, q.Page.Token where to begin.
func (c *Client) Traces(ctx context.Context, q TraceQuery) iter.Seq2[Trace, error] {
	return func(yield func(Trace, error) bool) {
		store, err := c.traces("list traces")
		if err == nil && len(q.Experiments) == 0 {
			err = fmt.Errorf("tracking: trace query: Experiments is empty: %w", ErrInvalid)
		}
		if err != nil {
			yield(Trace{}, err)
			return
		}
		pages(c, "list traces", q.Page, func(p Page) ([]Trace, string, error) {
			query := q
			query.Page = p
			return store.SearchTraces(ctx, query)
		})(yield)
	}
}

// LogSpans stores spans of one or several traces in an experiment, see
// TraceStore.PutSpans. Programs with OpenTelemetry send theirs to the MLflow
// server instead, at /v1/traces.
func (c *Client) LogSpans(ctx context.Context, exp ExperimentID, spans []Span) error {
	store, err := c.traces("log spans")
	if err != nil {
		return err
	}
	if err := errors.Join(ValidateExperimentID(exp), ValidateSpans(spans)); err != nil {
		return err
	}
	return store.PutSpans(ctx, exp, spans)
}

// UpdateTrace sets and deletes tags of a trace and changes what else u sets,
// all or nothing. ErrNotFound.
func (c *Client) UpdateTrace(ctx context.Context, id TraceID, u TraceUpdate) error {
	store, err := c.traces("update trace")
	if err != nil {
		return err
	}
	if err := errors.Join(ValidateTraceID(id), u.Validate()); err != nil {
		return err
	}
	return store.UpdateTrace(ctx, id, u)
}

// Assess stores a judgement of a trace, or replaces the one with its ID, and
// returns it as stored. ErrNotFound when there is no such trace.
func (c *Client) Assess(ctx context.Context, a Assessment) (Assessment, error) {
	store, err := c.traces("assess trace")
	if err != nil {
		return Assessment{}, err
	}
	if a.Created.IsZero() {
		a.Created = now()
	}
	if a.Updated.IsZero() {
		a.Updated = a.Created
	}
	a.Valid = true
	if err := a.Validate(); err != nil {
		return Assessment{}, err
	}
	return store.PutAssessment(ctx, a)
}

// DeleteAssessment removes a judgement for good. ErrNotFound.
func (c *Client) DeleteAssessment(ctx context.Context, trace TraceID, id string) error {
	store, err := c.traces("delete assessment")
	if err != nil {
		return err
	}
	if err := ValidateTraceID(trace); err != nil {
		return err
	}
	return store.DeleteAssessment(ctx, trace, id)
}

// LinkTraces ties traces to the run.
func (r *Run) LinkTraces(ctx context.Context, ids ...TraceID) error {
	store, err := r.client.traces("link traces")
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := ValidateTraceID(id); err != nil {
			return err
		}
	}
	return store.LinkTraces(ctx, r.id, ids)
}
