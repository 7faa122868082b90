package trackingtest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

type memoryTrace struct {
	info tracking.Trace // with Assessments and Spans, each in order
	runs map[tracking.RunID]bool
	put  bool // by PutTrace, so that spans no longer change it
}

// PutTrace implements tracking.TraceStore.
func (m *Memory) PutTrace(ctx context.Context, t tracking.Trace) (tracking.Trace, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return tracking.Trace{}, err
	}
	defer end()
	const operation = "put trace"
	if _, err := m.activeExperiment(operation, string(t.ID), t.Experiment); err != nil {
		return tracking.Trace{}, err
	}
	next := &memoryTrace{put: true, info: tracking.Trace{
		ID: t.ID, Experiment: t.Experiment, State: tracking.TraceUnspecified, Start: toMS(t.Start), Duration: toDurationMS(t.Duration),
	}}
	if old := m.traces[t.ID]; old != nil {
		next.info, next.runs = old.copy(true), maps.Clone(old.runs)
		next.info.Experiment = t.Experiment
		if !t.Start.IsZero() {
			next.info.Start = toMS(t.Start)
		}
		if t.Duration != 0 {
			next.info.Duration = toDurationMS(t.Duration)
		}
	}
	next.info.ClientRequestID = cmp.Or(t.ClientRequestID, next.info.ClientRequestID)
	next.info.State = cmp.Or(t.State, next.info.State)
	next.info.RequestPreview = cmp.Or(t.RequestPreview, next.info.RequestPreview)
	next.info.ResponsePreview = cmp.Or(t.ResponsePreview, next.info.ResponsePreview)
	next.info.Metadata, next.info.Tags = cloneMap(next.info.Metadata), cloneMap(next.info.Tags)
	maps.Copy(next.info.Metadata, t.Metadata)
	maps.Copy(next.info.Tags, t.Tags)
	for _, a := range t.Assessments {
		if _, err := m.putAssessment(next, a); err != nil {
			return tracking.Trace{}, err
		}
	}
	m.traces[t.ID] = next
	return next.copy(false), nil
}

// toDurationMS is a duration as stores keep it; all negative ones say that it
// is not known.
func toDurationMS(d time.Duration) time.Duration {
	if d < 0 {
		return -time.Millisecond
	}
	return d.Truncate(time.Millisecond)
}

// copy returns the trace as the caller's own.
func (t *memoryTrace) copy(spans bool) tracking.Trace {
	out := t.info
	out.Metadata, out.Tags = cloneMap(out.Metadata), cloneMap(out.Tags)
	out.Assessments = mapSlice(out.Assessments, copyAssessment)
	if !spans {
		out.Spans = nil
		return out
	}
	out.Spans = slices.Clone(out.Spans)
	for i := range out.Spans {
		out.Spans[i].Content = bytes.Clone(out.Spans[i].Content)
	}
	return out
}

func copyAssessment(a tracking.Assessment) tracking.Assessment {
	a.Value, a.Metadata = bytes.Clone(a.Value), cloneMap(a.Metadata)
	return a
}

// PutSpans implements tracking.TraceStore.
func (m *Memory) PutSpans(ctx context.Context, exp tracking.ExperimentID, spans []tracking.Span) error {
	end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	const operation = "put spans in experiment"
	if _, err := m.activeExperiment(operation, string(exp), exp); err != nil {
		return err
	}
	changed := map[tracking.TraceID]*memoryTrace{}
	for _, span := range spans {
		if len(span.Content) > tracking.MaxSpanBytes {
			return fail(operation, string(exp), fmt.Sprintf("span %q has more than %d bytes", span.ID, tracking.MaxSpanBytes), tracking.ErrInvalid)
		}
		t := changed[span.Trace]
		if t == nil {
			t = &memoryTrace{info: tracking.Trace{ID: span.Trace, Experiment: exp}}
			if old := m.traces[span.Trace]; old != nil {
				t = &memoryTrace{info: old.copy(true), runs: old.runs, put: old.put}
			}
			changed[span.Trace] = t
		}
		span.Content = bytes.Clone(span.Content)
		t.info.Spans = slices.DeleteFunc(t.info.Spans, func(s tracking.Span) bool { return s.ID == span.ID })
		t.info.Spans = append(t.info.Spans, span)
	}
	for id, t := range changed {
		if len(t.info.Spans) > tracking.MaxTraceSpans {
			return fail(operation, string(exp), fmt.Sprintf("trace %q would have more than %d spans", id, tracking.MaxTraceSpans), tracking.ErrInvalid)
		}
		slices.SortFunc(t.info.Spans, func(a, b tracking.Span) int {
			return cmp.Or(cmp.Compare(a.Start, b.Start), strings.Compare(a.ID, b.ID))
		})
		if !t.put {
			t.summarise()
		}
	}
	maps.Copy(m.traces, changed)
	return nil
}

// summarise derives a trace that was not put from its spans.
func (t *memoryTrace) summarise() {
	const perMS = int64(time.Millisecond)
	start, last := t.info.Spans[0].Start/perMS, int64(0)
	t.info.State = tracking.TraceInProgress
	for _, s := range t.info.Spans {
		last = max(last, s.End/perMS)
		if s.Parent == "" {
			t.info.State = s.Status
		}
	}
	t.info.Start = time.UnixMilli(start).UTC()
	t.info.Duration = time.Duration(last-start) * time.Millisecond
}

// Traces implements tracking.TraceStore.
func (m *Memory) Traces(ctx context.Context, ids []tracking.TraceID, spans bool) ([]tracking.Trace, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var out []tracking.Trace
	for _, id := range ids {
		if t := m.traces[id]; t != nil {
			out = append(out, t.copy(spans))
		}
	}
	return out, nil
}

// UpdateTrace implements tracking.TraceStore.
func (m *Memory) UpdateTrace(ctx context.Context, id tracking.TraceID, u tracking.TraceUpdate) error {
	end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	const operation = "update trace"
	t := m.traces[id]
	if t == nil {
		return fail(operation, string(id), "there is no such trace", tracking.ErrNotFound)
	}
	tags, err := changeTags(t.info.Tags, u.SetTags, u.DeleteTags)
	if err != nil {
		return fail(operation, string(id), err.Error(), tracking.ErrNotFound)
	}
	t.info.Tags, t.info.Metadata = tags, cloneMap(t.info.Metadata)
	maps.Copy(t.info.Metadata, u.SetMetadata)
	t.info.State = cmp.Or(u.State, t.info.State)
	if u.Duration != nil {
		t.info.Duration = toDurationMS(*u.Duration)
	}
	if u.RequestPreview != nil {
		t.info.RequestPreview = *u.RequestPreview
	}
	if u.ResponsePreview != nil {
		t.info.ResponsePreview = *u.ResponsePreview
	}
	return nil
}

// SearchTraces implements tracking.TraceStore.
func (m *Memory) SearchTraces(ctx context.Context, q tracking.TraceQuery) ([]tracking.Trace, string, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, "", err
	}
	defer end()
	s, err := parseTraceQuery(q)
	if err != nil {
		return nil, "", err
	}
	var found []*memoryTrace
	for _, t := range m.traces {
		if slices.Contains(q.Experiments, t.info.Experiment) && s.matchTrace(t) {
			found = append(found, t)
		}
	}
	page, next, err := readPage(found, s.tracePlace, q.Page, 100, queryText("traces", q))
	return mapSlice(page, func(t *memoryTrace) tracking.Trace { return t.copy(false) }), next, err
}

// DeleteTraces implements tracking.TraceStore.
func (m *Memory) DeleteTraces(ctx context.Context, exp tracking.ExperimentID, ids []tracking.TraceID, before time.Time, limit int) (int, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	var doomed []*memoryTrace
	for id, t := range m.traces {
		if t.info.Experiment == exp && (slices.Contains(ids, id) || len(ids) == 0 && !t.info.Start.After(toMS(before))) {
			doomed = append(doomed, t)
		}
	}
	slices.SortFunc(doomed, func(a, b *memoryTrace) int {
		return cmp.Or(a.info.Start.Compare(b.info.Start), cmp.Compare(a.info.ID, b.info.ID))
	})
	if len(ids) == 0 {
		doomed = doomed[:min(limit, len(doomed))]
	}
	for _, t := range doomed {
		delete(m.traces, t.info.ID)
	}
	return len(doomed), nil
}

// LinkTraces implements tracking.TraceStore.
func (m *Memory) LinkTraces(ctx context.Context, run tracking.RunID, ids []tracking.TraceID) error {
	end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if _, err := m.findRun("link traces to run", run); err != nil {
		return err
	}
	for _, id := range ids {
		if m.traces[id] == nil {
			return fail("link traces to run", string(run), fmt.Sprintf("there is no trace %q", id), tracking.ErrNotFound)
		}
	}
	for _, id := range ids {
		t := m.traces[id]
		t.runs = cloneMap(t.runs)
		t.runs[run] = true
	}
	return nil
}
