package trackingtest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

func traceTests() []test {
	return []test{
		{"PutTrace", traceStore, testPutTrace},
		{"PutSpans", traceStore, testPutSpans},
		{"SpansFirst", traceStore, testSpansFirst},
		{"UpdateTrace", traceStore, testUpdateTrace},
		{"DeleteTraces", traceStore, testDeleteTraces},
		{"LinkTraces", traceStore, testLinkTraces},
		{"Assessments", traceStore, testAssessments},
		{"OverrideAssessment", traceStore, testOverrideAssessment},
		{"FilterTraces", traceStore, testFilterTraces},
		{"SearchTraces", traceStore, testSearchTraces},
	}
}

// traceID returns ids that differ between tests and are ordered by n.
func (k *kit) traceID(n int) tracking.TraceID {
	return tracking.TraceID(fmt.Sprintf("tr-%s%08x", k.prefix, n))
}

func spanID(n int) string { return fmt.Sprintf("%016x", n+1) }

// span makes a span whose content holds the attributes.
func span(trace tracking.TraceID, n, parent int, name string, from, to int64, attributes map[string]any) tracking.Span {
	s := tracking.Span{
		Trace: trace, ID: spanID(n), Name: name, Type: "CHAIN", Status: tracking.TraceOK,
		Start: at(from).UnixNano(), End: at(to).UnixNano(),
	}
	if parent >= 0 {
		s.Parent = spanID(parent)
	}
	return withContent(s, attributes)
}

// withContent returns the span with a content as MLflow keeps it: ids in
// base64, and each attribute, the type of the span among them, a JSON text.
func withContent(s tracking.Span, attributes map[string]any) tracking.Span {
	texts := map[string]string{"mlflow.spanType": fmt.Sprintf("%q", s.Type)}
	for key, v := range attributes {
		raw, _ := json.Marshal(v) // plain values cannot fail
		texts[key] = string(raw)
	}
	var parent any
	if s.Parent != "" {
		parent = base64Of(s.Parent)
	}
	s.Content, _ = json.Marshal(map[string]any{
		"trace_id": base64Of(strings.TrimPrefix(string(s.Trace), "tr-")), "span_id": base64Of(s.ID), "parent_span_id": parent,
		"name": s.Name, "start_time_unix_nano": s.Start, "end_time_unix_nano": s.End,
		"status":     map[string]string{"code": "STATUS_CODE_" + string(s.Status), "message": ""},
		"attributes": texts, "events": []any{}, "links": []any{},
	})
	return s
}

// base64Of turns hexadecimal digits into base64.
func base64Of(digits string) string {
	raw, _ := hex.DecodeString(digits) // the kit's own ids are of digits
	return base64.StdEncoding.EncodeToString(raw)
}

func (k *kit) putTrace(t tracking.Trace) tracking.Trace {
	k.Helper()
	out, err := k.traces.PutTrace(k.Context(), t)
	k.noError(err)
	return out
}

func (k *kit) putSpans(exp tracking.ExperimentID, spans ...tracking.Span) {
	k.Helper()
	k.noError(k.traces.PutSpans(k.Context(), exp, spans))
}

// getTrace reads one trace with its spans.
func (k *kit) getTrace(id tracking.TraceID) tracking.Trace {
	k.Helper()
	found, err := k.traces.Traces(k.Context(), []tracking.TraceID{id}, true)
	k.noError(err)
	if len(found) != 1 || found[0].ID != id || found[0].Tags == nil || found[0].Metadata == nil {
		k.Fatalf("reading trace %q gave %v, want it alone, no map nil", id, found)
	}
	return found[0]
}

func (k *kit) searchTraces(q tracking.TraceQuery, size int) []tracking.Trace {
	k.Helper()
	return readAll(k, size, func(p tracking.Page) ([]tracking.Trace, string, error) {
		q.Page = p
		return k.traces.SearchTraces(k.Context(), q)
	})
}

func (k *kit) noTrace(ids ...tracking.TraceID) {
	k.Helper()
	found, err := k.traces.Traces(k.Context(), ids, false)
	k.noError(err)
	equal(k, len(found), 0)
}

func testPutTrace(k *kit) {
	exp := k.experiment("experiment")
	in := tracking.Trace{
		ID: k.traceID(1), Experiment: exp, ClientRequestID: "client-1", State: tracking.TraceOK,
		Start: at(5).Add(999 * time.Microsecond), Duration: 1500*time.Millisecond + 999*time.Microsecond,
		RequestPreview: strings.Repeat("я", 1000), ResponsePreview: `{"a": "b"}`,
		Metadata: map[string]string{"user": "ann", "empty": ""}, Tags: map[string]string{"team": "a", "empty": ""},
		Spans: []tracking.Span{span(k.traceID(1), 1, -1, "ignored", 5, 6, nil)},
	}
	created := k.putTrace(in)
	want := in
	want.Start, want.Duration, want.Spans = at(5), 1500*time.Millisecond, nil
	want.Metadata, want.Tags = cloneMap(in.Metadata), cloneMap(in.Tags)
	for _, got := range []tracking.Trace{created, k.getTrace(in.ID)} {
		equal(k, k.describeTrace(got), k.describeTrace(want))
		equal(k, got.ID, in.ID)
		equal(k, got.Experiment, exp)
	}
	in.Metadata["user"], created.Tags["team"] = "changed by the caller", "changed by the caller"
	equal(k, k.describeTrace(k.getTrace(in.ID)), k.describeTrace(want))

	// Again it adds and replaces, and zero fields leave what is there.
	k.putTrace(tracking.Trace{ID: in.ID, Experiment: exp, Tags: map[string]string{"team": "b", "more": "x"}, Metadata: map[string]string{"k": "v"}, State: tracking.TraceError})
	want.State = tracking.TraceError
	want.Tags["team"], want.Tags["more"], want.Metadata["k"] = "b", "x", "v"
	if !k.allowed.OnlyTraceTags {
		equal(k, k.describeTrace(k.getTrace(in.ID)), k.describeTrace(want))
	}

	unknown := tracking.Trace{ID: k.traceID(2), Experiment: exp, State: tracking.TraceInProgress, Start: at(9), Duration: -1}
	k.putTrace(unknown)
	if got := k.getTrace(unknown.ID); got.Duration >= 0 {
		k.Fatalf("a duration that is not known became %v", got.Duration)
	}
	_, err := k.traces.PutTrace(k.Context(), tracking.Trace{ID: k.traceID(3), Experiment: "987654321", State: tracking.TraceOK, Start: base()})
	k.isKind(err, tracking.ErrNotFound)
	k.noTrace(k.traceID(3), k.traceID(4))

	// Several are returned in the order that was asked for.
	found, err := k.traces.Traces(k.Context(), []tracking.TraceID{unknown.ID, k.traceID(4), in.ID}, false)
	k.noError(err)
	equal(k, len(found), 2)
	equal(k, found[0].ID, unknown.ID)
	equal(k, found[1].ID, in.ID)
	equal(k, len(found[1].Spans), 0)
}

func testPutSpans(k *kit) {
	exp := k.experiment("experiment")
	a, b := k.traceID(1), k.traceID(2)
	root := span(a, 1, -1, "root", 10, 90, nil)
	child, late := span(a, 2, 1, "child", 20, 80, nil), span(a, 3, 1, "late", 30, 95, nil)
	root.Status = tracking.TraceError
	root = withContent(root, map[string]any{"n": 1.5})
	other := span(b, 1, -1, "other root", 40, 41, nil)
	k.putSpans(exp, late, root, other, child)

	got := k.getTrace(a)
	want := tracking.Trace{State: tracking.TraceError, Start: at(10), Duration: 85 * time.Millisecond, Spans: []tracking.Span{root, child, late}}
	equal(k, got.Experiment, exp)
	plain := got
	plain.RequestPreview, plain.ResponsePreview = "", "" // which a store may take from the root span
	equal(k, k.describeTrace(plain), k.describeTrace(want))
	equal(k, k.getTrace(b).State, tracking.TraceOK)
	equal(k, len(k.getTrace(b).Spans), 1)

	// A span that is there already is replaced.
	child.Name, child.Status = "replaced", tracking.TraceError
	k.putSpans(exp, withContent(child, map[string]any{"x": "y"}), withContent(child, map[string]any{"x": "z"}))
	got = k.getTrace(a)
	equal(k, k.describeSpan(got.Spans[1]), k.describeSpan(withContent(child, map[string]any{"x": "z"})))
	equal(k, len(got.Spans), 3)

	if !k.allowed.NotAtomic {
		c := k.traceID(3)
		k.isKind(k.traces.PutSpans(k.Context(), "987654321", []tracking.Span{span(c, 1, -1, "x", 1, 2, nil)}), tracking.ErrNotFound)
		k.noTrace(c)
	}
	// Spans with one id belong to different traces, and what a caller changes
	// is not the store's.
	content := slices.Clone(other.Content)
	other.Content[0] = 'x'
	got = k.getTrace(b)
	if !k.allowed.RewrittenSpans {
		equal(k, string(got.Spans[0].Content), string(content))
	}
	got.Spans[0].Name = "changed"
	got.Spans[0].Content[0] = 'x'
	equal(k, k.getTrace(b).Spans[0].Name, "other root")
	if !json.Valid(k.getTrace(b).Spans[0].Content) {
		k.Fatalf("the content of a span is no JSON")
	}
}

func testSpansFirst(k *kit) {
	exp := k.experiment("experiment")
	id := k.traceID(1)
	root := span(id, 1, -1, "root", 10, 60, nil)
	k.putSpans(exp, root)
	k.putTrace(tracking.Trace{
		ID: id, Experiment: exp, ClientRequestID: "c", State: tracking.TraceError, Start: at(9), Duration: 70 * time.Millisecond,
		RequestPreview: "in", ResponsePreview: "out", Tags: map[string]string{"a": "1"}, Metadata: map[string]string{"m": "1"},
		Assessments: []tracking.Assessment{{ID: "a-1", Name: "ok", Kind: tracking.Feedback, Value: json.RawMessage(`true`), SourceType: "CODE", SourceID: "t", Valid: true, Created: at(1), Updated: at(1)}},
	})
	got := k.getTrace(id)
	want := tracking.Trace{
		ClientRequestID: "c", State: tracking.TraceError, Start: at(9), Duration: 70 * time.Millisecond,
		RequestPreview: "in", ResponsePreview: "out", Tags: map[string]string{"a": "1"}, Metadata: map[string]string{"m": "1"},
		Assessments: []tracking.Assessment{{ID: "a-1", Name: "ok", Kind: tracking.Feedback, Value: json.RawMessage(`true`), SourceType: "CODE", SourceID: "t", Valid: true, Created: at(1), Updated: at(1)}},
		Spans:       []tracking.Span{root},
	}
	equal(k, k.describeTrace(got), k.describeTrace(want))
	// Spans that come later do not undo what was put.
	child := span(id, 2, 1, "child", 20, 30, nil)
	k.putSpans(exp, child)
	want.Spans = append(want.Spans, child)
	equal(k, k.describeTrace(k.getTrace(id)), k.describeTrace(want))
}

func testUpdateTrace(k *kit) {
	exp := k.experiment("experiment")
	want := tracking.Trace{
		ID: k.traceID(1), Experiment: exp, State: tracking.TraceInProgress, Start: at(1), Duration: -1,
		Tags: map[string]string{"a": "1", "b": "2"}, Metadata: map[string]string{"m": "1"},
	}
	k.putTrace(want)
	update := func(u tracking.TraceUpdate) {
		k.Helper()
		k.noError(k.traces.UpdateTrace(k.Context(), want.ID, u))
		equal(k, k.describeTrace(k.getTrace(want.ID)), k.describeTrace(want))
	}
	update(tracking.TraceUpdate{})
	want.Tags = map[string]string{"a": "3", "b": "2", "c": ""}
	update(tracking.TraceUpdate{SetTags: map[string]string{"a": "3", "c": ""}})
	want.Tags = map[string]string{"a": "3", "d": "4"}
	update(tracking.TraceUpdate{SetTags: map[string]string{"d": "4"}, DeleteTags: []string{"b", "c"}})
	if !k.allowed.OnlyTraceTags {
		want.Metadata = map[string]string{"m": "2", "n": "3"}
		update(tracking.TraceUpdate{SetMetadata: map[string]string{"m": "2", "n": "3"}})
		want.State, want.Duration, want.RequestPreview, want.ResponsePreview = tracking.TraceOK, 5*time.Millisecond, "in", "out"
		update(tracking.TraceUpdate{State: tracking.TraceOK, Duration: new(5 * time.Millisecond), RequestPreview: new("in"), ResponsePreview: new("out")})
		want.RequestPreview, want.Duration = "", 0
		update(tracking.TraceUpdate{RequestPreview: new(""), Duration: new(time.Duration(0))})
	}
	if !k.allowed.LooseDeletes {
		k.isKind(k.traces.UpdateTrace(k.Context(), want.ID, tracking.TraceUpdate{SetTags: map[string]string{"x": "y"}, DeleteTags: []string{"a", "b"}}), tracking.ErrNotFound)
	}
	if !k.allowed.NotAtomic {
		update(tracking.TraceUpdate{})
	}
	k.isKind(k.traces.UpdateTrace(k.Context(), k.traceID(2), tracking.TraceUpdate{SetTags: map[string]string{"x": "y"}}), tracking.ErrNotFound)
}

func testDeleteTraces(k *kit) {
	exp, other := k.experiment("experiment"), k.experiment("other")
	var ids []tracking.TraceID
	for i := range 10 {
		ids = append(ids, k.traceID(i))
		e := exp
		if i == 9 {
			e = other
		}
		k.putTrace(tracking.Trace{ID: ids[i], Experiment: e, State: tracking.TraceOK, Start: at(int64(i) * 10), Tags: map[string]string{"a": "1"}})
		k.putSpans(e, span(ids[i], 1, -1, "root", int64(i)*10, int64(i)*10+1, nil))
	}
	left := func(want ...int) {
		k.Helper()
		found, err := k.traces.Traces(k.Context(), ids, false)
		k.noError(err)
		got := mapSlice(found, func(t tracking.Trace) int { return slices.Index(ids, t.ID) })
		equal(k, fmt.Sprint(got), fmt.Sprint(want))
	}
	remove := func(want int, list []tracking.TraceID, before time.Time, limit int) {
		k.Helper()
		n, err := k.traces.DeleteTraces(k.Context(), exp, list, before, limit)
		k.noError(err)
		equal(k, n, want)
	}
	remove(2, []tracking.TraceID{ids[4], ids[9], k.traceID(77), ids[0]}, time.Time{}, 0)
	left(1, 2, 3, 5, 6, 7, 8, 9)
	remove(0, []tracking.TraceID{ids[4]}, time.Time{}, 0)
	remove(2, nil, at(80), 2)
	left(3, 5, 6, 7, 8, 9)
	remove(2, nil, at(50), 100) // the bound is included
	left(6, 7, 8, 9)
	remove(0, nil, at(50), 100)
	remove(3, nil, at(10_000), 100)
	left(9)
	// It is gone for good: its id may come again.
	k.putTrace(tracking.Trace{ID: ids[0], Experiment: exp, State: tracking.TraceOK, Start: at(1)})
	got := k.getTrace(ids[0])
	equal(k, k.describeTrace(got), k.describeTrace(tracking.Trace{State: tracking.TraceOK, Start: at(1)}))
}

func testLinkTraces(k *kit) {
	exp := k.experiment("experiment")
	a, b := k.run(exp, "runa", base()), k.run(exp, "runb", base())
	for i := range 4 {
		k.putTrace(tracking.Trace{ID: k.traceID(i), Experiment: exp, State: tracking.TraceOK, Start: at(int64(i))})
	}
	link := func(run tracking.RunID, n ...int) {
		k.Helper()
		k.noError(k.traces.LinkTraces(k.Context(), run, mapSlice(n, k.traceID)))
	}
	link(a, 0, 1)
	link(a, 1, 2)
	link(a, 1, 2)
	link(b, 1)
	want := func(run tracking.RunID, n ...int) {
		k.Helper()
		found := k.searchTraces(tracking.TraceQuery{
			Experiments: []tracking.ExperimentID{exp}, Filter: fmt.Sprintf("run_id = '%s'", run), OrderBy: []string{"timestamp_ms"},
		}, 2)
		equal(k, fmt.Sprint(mapSlice(found, func(t tracking.Trace) tracking.TraceID { return t.ID })), fmt.Sprint(mapSlice(n, k.traceID)))
	}
	want(a, 0, 1, 2)
	want(b, 1)
	want("nosuchrun")
	// The run that a trace came from counts as well.
	k.putTrace(tracking.Trace{ID: k.traceID(9), Experiment: exp, State: tracking.TraceOK, Start: at(9), Metadata: map[string]string{"mlflow.sourceRun": string(b)}})
	want(b, 1, 9)
}
