package trackingtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

// newTrace chooses a trace and the experiment it is in, or will be in: a trace
// never changes its experiment.
func (p *pair) newTrace() (tracking.TraceID, int) {
	id := p.traceID(p.IntN(10))
	exp, exists := p.traceIDs[id]
	if !exists {
		exp = p.IntN(len(p.experiments))
	}
	return id, exp
}

func (p *pair) someTrace() tracking.TraceID {
	if p.chance(30) || len(p.traceIDs) == 0 {
		return p.traceID(99)
	}
	return pick(p, slices.Sorted(maps.Keys(p.traceIDs))...)
}

func (p *pair) putOneTrace() {
	id, exp := p.newTrace()
	states := []tracking.TraceState{tracking.TraceOK, tracking.TraceError}
	if !p.allowed.RewrittenSpans {
		states = append(states, tracking.TraceInProgress)
	}
	t := tracking.Trace{
		ID: id, State: pick(p, states...), Start: at(p.Int64N(4)),
		Duration: pick(p, -1, time.Duration(p.IntN(4))*time.Millisecond), ClientRequestID: pick(p, "", "c"), RequestPreview: pick(p, "", "in"),
		Tags: p.pairs(), Metadata: p.pairs(),
	}
	p.note("put trace %s in %s: %s", id, p.experiments[exp][1], p.describeTrace(t))
	inStore, inModel := t, t
	inStore.Experiment, inModel.Experiment = p.experiments[exp][0], p.experiments[exp][1]
	got, err := p.traces.PutTrace(p.Context(), inStore)
	want, wantErr := p.model.traces.PutTrace(p.Context(), inModel)
	if p.both(err, wantErr) {
		p.same(p.describeTrace(got), p.describeTrace(want))
		p.traceIDs[id] = exp
	}
}

// putSomeSpans puts the root of each trace with some of its other spans, so
// that what a trace takes from its spans is always the same.
func (p *pair) putSomeSpans() {
	id, exp := p.newTrace()
	spans := []tracking.Span{span(id, 0, -1, "root", 0, 100, nil)}
	for range p.IntN(4) {
		from := 1 + p.Int64N(50)
		s := span(id, 1+p.IntN(5), 0, pick(p, "a", "A", "b"), from, from+p.Int64N(40), nil)
		s.Type, s.Status = pick(p, "LLM", "TOOL"), pick(p, tracking.TraceOK, tracking.TraceError)
		spans = append(spans, withContent(s, map[string]any{"key 0": pick(p, "a", "1", "")}))
	}
	p.note("put %d spans of %s in %s", len(spans), id, p.experiments[exp][1])
	err := p.traces.PutSpans(p.Context(), p.experiments[exp][0], spans)
	if p.both(err, p.model.traces.PutSpans(p.Context(), p.experiments[exp][1], spans)) {
		p.traceIDs[id] = exp
	}
}

func (p *pair) updateOneTrace() {
	id := p.someTrace()
	have, _ := p.model.traces.Traces(p.Context(), []tracking.TraceID{id}, false)
	var u tracking.TraceUpdate
	switch p.IntN(4) {
	case 0:
		u.SetTags = p.pairs()
	case 1:
		for _, t := range have {
			u.DeleteTags = p.keys(t.Tags)
		}
	case 2:
		if !p.allowed.OnlyTraceTags && !p.allowed.NotAtomic {
			u.SetMetadata = p.pairs()
		}
	case 3:
		if !p.allowed.OnlyTraceTags && !p.allowed.NotAtomic { // which may put the trace anew, and not in a deleted experiment
			u.State, u.Duration, u.ResponsePreview = pick(p, "", tracking.TraceOK), new(time.Duration(p.IntN(4))*time.Millisecond), new(pick(p, "", "out"))
		}
	}
	p.note("update trace %s: state %q, metadata %q, %s", id, u.State, u.SetMetadata, updateText("", nil, u.SetTags, u.DeleteTags))
	p.both(p.traces.UpdateTrace(p.Context(), id, u), p.model.traces.UpdateTrace(p.Context(), id, u))
}

// assess puts and deletes assessments with ids of their own, one in each
// millisecond.
func (p *pair) assess() {
	if p.allowed.OwnIDs {
		return
	}
	id := p.someTrace()
	n := p.IntN(5)
	a := tracking.Assessment{
		ID: fmt.Sprintf("a-%s-%d", id, n), Trace: id, Name: pick(p, "key 0", "key 1"), Kind: pick(p, tracking.Feedback, tracking.Expectation),
		Value:      json.RawMessage(pick(p, "true", "0.5", "1", `"a"`, `"1"`, `{"a":[1]}`)),
		SourceType: "CODE", SourceID: "f", Metadata: p.pairs(), Valid: true, Created: at(int64(n)), Updated: at(p.Int64N(9)),
	}
	if n > 0 && p.chance(3) { // of a lower number, so that none overrides itself in a circle
		a.Overrides = fmt.Sprintf("a-%s-%d", id, p.IntN(n))
	}
	if p.chance(4) {
		p.note("delete assessment %s", a.ID)
		p.both(p.traces.DeleteAssessment(p.Context(), id, a.ID), p.model.traces.DeleteAssessment(p.Context(), id, a.ID))
		return
	}
	p.note("put %s", p.describeAssessment(a))
	got, err := p.traces.PutAssessment(p.Context(), a)
	want, wantErr := p.model.traces.PutAssessment(p.Context(), a)
	if p.both(err, wantErr) {
		p.same(p.describeAssessment(got), p.describeAssessment(want))
	}
}

func (p *pair) linkSomeTraces() {
	run, id := p.someRun(), p.someTrace()
	if _, err := p.model.store.Run(p.Context(), run[1]); err != nil || p.traceIDs[id] == 0 && id == p.traceID(99) {
		return
	}
	p.note("link trace %s to run %s", id, run[1])
	p.both(p.traces.LinkTraces(p.Context(), run[0], []tracking.TraceID{id}), p.model.traces.LinkTraces(p.Context(), run[1], []tracking.TraceID{id}))
}

func (p *pair) deleteSomeTraces() {
	exp := pick(p, p.experiments...)
	var ids []tracking.TraceID
	before, limit := at(p.Int64N(4)-1), 1
	if p.chance(2) {
		ids, before = []tracking.TraceID{p.someTrace(), p.someTrace()}, time.Time{}
	}
	p.note("delete traces %v of %s, or %d that started until %s", ids, exp[1], limit, instant(before))
	got, err := p.traces.DeleteTraces(p.Context(), exp[0], ids, before, limit)
	want, wantErr := p.model.traces.DeleteTraces(p.Context(), exp[1], ids, before, limit)
	p.both(err, wantErr)
	p.same(fmt.Sprint(got), fmt.Sprint(want))
	p.dropGoneTraces()
}

// dropGoneTraces forgets the traces that are no longer there, whose ids may
// then come again in another experiment.
func (p *pair) dropGoneTraces() {
	for id := range p.traceIDs {
		if found, err := p.model.traces.Traces(p.Context(), []tracking.TraceID{id}, false); err == nil && len(found) == 0 {
			delete(p.traceIDs, id)
		}
	}
}

func (p *pair) traceClause() string {
	switch p.IntN(8) {
	case 0:
		return p.textClause("tags."+p.key(), "IS NULL", "IS NOT NULL")
	case 1:
		return p.textClause("metadata."+p.key(), "IS NULL", "IS NOT NULL")
	case 2:
		return fmt.Sprintf("%s %s %d", pick(p, "timestamp_ms", "end_time"), p.numberOp(), at(p.Int64N(6)).UnixMilli())
	case 3:
		return fmt.Sprintf("execution_time_ms %s %d", p.numberOp(), p.IntN(4))
	case 4:
		return p.textClause(pick(p, "span.name", "span.attributes."+p.key()), "IN", "NOT IN")
	case 5:
		return pick(p, "status = 'OK'", "status != 'OK'", "span.type = 'LLM'", "span.status IN ('ERROR')", "span.type != 'LLM'")
	case 6:
		return pick(p, "feedback", "expectation") + "." + p.key() + pick(p, " = '1'", " != '1'", " > 0.5", " <= 0.5", " = 'true'", " = 'a'", " IS NULL", " IS NOT NULL")
	}
	return "client_request_id = 'c'"
}

func (p *pair) searchForTraces() {
	p.dropGoneTraces()
	inStore, inModel := p.allExperiments()
	q := tracking.TraceQuery{
		Filter:  p.clauses(p.traceClause),
		OrderBy: p.order("timestamp_ms", "execution_time_ms", "status", "request_id", "tags.`key 0`", "metadata.`key 1`"),
	}
	if p.allowed.LooseFilters {
		q.Filter = ""
	}
	p.note("search traces of %v: %s, order %q", inModel, q.Filter, q.OrderBy)
	q.Experiments = inModel
	want := p.model.searchTraces(q, 0)
	q.Experiments = inStore
	got := p.searchTraces(q, pick(p, 0, 1, 3))
	p.sameList(mapSlice(got, p.describeTrace), mapSlice(want, p.describeTrace))
}

func (p *pair) compareTraces() {
	p.dropGoneTraces()
	ids := slices.Sorted(maps.Keys(p.traceIDs))
	got, err := p.traces.Traces(p.Context(), ids, true)
	p.noError(err)
	want, err := p.model.traces.Traces(p.Context(), ids, true)
	p.noError(err)
	p.sameList(mapSlice(got, p.describeTrace), mapSlice(want, p.describeTrace))
	for _, run := range p.runs {
		inStore, inModel := p.allExperiments()
		linked := func(k *kit, in []tracking.ExperimentID, run tracking.RunID) []string {
			q := tracking.TraceQuery{Experiments: in, Filter: fmt.Sprintf("run_id = '%s'", run)}
			return mapSlice(k.searchTraces(q, 0), k.describeTrace)
		}
		p.sameList(linked(p.kit, inStore, run[0]), linked(p.model, inModel, run[1]))
	}
}
