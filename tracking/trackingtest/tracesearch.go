package trackingtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

// populationSpan makes a span of a trace.
type populationSpan func(tracking.TraceID) tracking.Span

// spanOf leaves the trace of a span open. What is named "tool call" is of that
// type and failed.
func spanOf(n, parent int, name string, from, to int64, attributes map[string]any) populationSpan {
	return func(id tracking.TraceID) tracking.Span {
		s := span(id, n, parent, name, from, to, attributes)
		if name == "tool call" {
			s.Type, s.Status = "TOOL", tracking.TraceError
		}
		return withContent(s, attributes)
	}
}

// tracePopulation makes traces whose tag "mlflow.traceName" is a to e, each
// started later than the one before.
func (k *kit) tracePopulation() tracking.ExperimentID {
	exp := k.experiment("traces")
	judge := func(kind tracking.AssessmentKind, name, value string) tracking.Assessment {
		return tracking.Assessment{Name: name, Kind: kind, Value: json.RawMessage(value), SourceType: "CODE", SourceID: "f", Valid: true, Created: base(), Updated: base()}
	}
	for i, c := range []struct {
		trace       tracking.Trace
		spans       []populationSpan
		assessments []tracking.Assessment
	}{
		{
			tracking.Trace{State: tracking.TraceOK, Duration: 10 * time.Millisecond, ClientRequestID: "c-1", Tags: map[string]string{"team": "x"}, Metadata: map[string]string{"user": "ann"}},
			[]populationSpan{spanOf(1, -1, "chat", 0, 10, map[string]any{"model": "large", "tokens": 5}), spanOf(2, 1, "tool call", 1, 2, map[string]any{"city": "Zürich"})},
			[]tracking.Assessment{judge(tracking.Feedback, "score", "0.5"), judge(tracking.Expectation, "answer", `"yes"`)},
		},
		{
			tracking.Trace{State: tracking.TraceError, Duration: 30 * time.Millisecond, ClientRequestID: "C-1", Tags: map[string]string{"team": "X"}, Metadata: map[string]string{"user": "bob"}},
			[]populationSpan{spanOf(1, -1, "chat", 1, 31, map[string]any{"model": "small"})},
			[]tracking.Assessment{judge(tracking.Feedback, "score", "10"), judge(tracking.Feedback, "ok", "true")},
		},
		{
			tracking.Trace{State: tracking.TraceInProgress, Duration: -1, Tags: map[string]string{"team": ""}},
			[]populationSpan{spanOf(1, -1, "retrieve", 2, 3, nil)},
			[]tracking.Assessment{judge(tracking.Feedback, "ok", "false")},
		},
		{
			tracking.Trace{State: tracking.TraceOK, Duration: 20 * time.Millisecond, Metadata: map[string]string{"user": "日本"}},
			nil,
			[]tracking.Assessment{judge(tracking.Feedback, "score", `"high"`), judge(tracking.IssueRef, "iss-1", `"loops"`)},
		},
		{
			tracking.Trace{State: tracking.TraceOK, Duration: 0, Tags: map[string]string{"team": "it's 100%"}},
			[]populationSpan{spanOf(1, -1, "CHAT", 4, 4, map[string]any{"model": "large"}), spanOf(2, 1, "chat", 4, 4, map[string]any{"model": "small"})},
			nil,
		},
	} {
		t := c.trace
		t.ID, t.Experiment, t.Start = k.traceID(i), exp, at(int64(i))
		t.Tags = cloneMap(t.Tags)
		t.Tags["mlflow.traceName"] = string(rune('a' + i))
		for _, make := range c.spans { // first, so that they do not end a trace in progress
			k.putSpans(exp, make(t.ID))
		}
		k.putTrace(t)
		for _, a := range c.assessments {
			a.Trace = t.ID
			k.putAssessment(a)
		}
	}
	return exp
}

// traceNames is what a search gave, as one text.
func (k *kit) traceNames(traces []tracking.Trace) string {
	return strings.Join(mapSlice(traces, func(t tracking.Trace) string {
		return string(rune('a' + slices.IndexFunc(k.someTraceIDs(), func(id tracking.TraceID) bool { return id == t.ID })))
	}), "")
}

func (k *kit) someTraceIDs() (ids []tracking.TraceID) {
	for i := range 10 {
		ids = append(ids, k.traceID(i))
	}
	return ids
}

func testFilterTraces(k *kit) {
	exp := k.tracePopulation()
	for _, c := range []struct {
		filter, want string
		kind         filterKind
	}{
		{"", "abcde", plain},
		{"status = 'OK'", "ade", plain},
		{"trace.status != 'OK'", "bc", plain},
		{"attributes.status IN ('ERROR', 'IN_PROGRESS')", "bc", plain},
		{"name = 'c'", "c", plain},
		{"trace.name IN ('a', 'd')", "ad", plain},
		{"tags.mlflow.traceName LIKE '%'", "abcde", plain},
		{"client_request_id = 'c-1'", "a", plain},
		{"client_request_id ILIKE 'c-%'", "ab", plain},
		{"tag.team = 'x'", "a", plain},
		{"tags.team ILIKE 'X'", "ab", plain},
		{"tags.team != 'x'", "bce", plain},
		{"tags.team IS NULL", "d", plain},
		{"tags.team IS NOT NULL", "abce", plain},
		{"tags.team RLIKE '^[xX]$'", "ab", plain},
		{`tags.team LIKE '%\%'`, "e", odd},
		{"metadata.user = 'ann'", "a", plain},
		{"request_metadata.user != 'ann'", "bd", plain},
		{"metadata.user = '日本'", "d", plain},
		{"metadata.user IS NULL", "ce", plain},
		{fmt.Sprintf("timestamp_ms > %d", at(2).UnixMilli()), "de", plain},
		{fmt.Sprintf("timestamp <= %d", at(1).UnixMilli()), "ab", plain},
		{"execution_time_ms >= 20", "bd", plain},
		{"execution_time < 20 AND execution_time >= 0", "ae", plain},
		{"execution_time_ms = 0", "e", plain},
		{fmt.Sprintf("end_time > %d", at(20).UnixMilli()), "bd", plain},
		{fmt.Sprintf("request_id = '%s'", k.traceID(1)), "b", plain},
		{fmt.Sprintf("trace.request_id IN ('%s', '%s')", k.traceID(1), k.traceID(4)), "be", odd},

		{"span.name = 'chat'", "abe", plain},
		{"span.name ILIKE 'chat'", "abe", plain},
		{"span.name = 'CHAT'", "e", plain},
		{"span.name LIKE 'retr%'", "c", plain},
		{"span.type = 'TOOL'", "a", plain},
		{"span.status = 'ERROR'", "a", plain},
		{"span.name = 'chat' AND span.status = 'ERROR'", "", plain}, // of one span
		{"span.name = 'tool call' AND span.type = 'TOOL'", "a", plain},
		{"span.attributes.model = 'large'", "ae", odd},
		{"span.attributes.model LIKE 'l%'", "ae", odd},
		{"span.attributes.model = 'large' AND span.name = 'chat'", "a", odd},
		{"span.attributes.city = 'Zürich'", "a", odd},
		{"span.attributes.tokens = '5'", "a", odd},
		{"span.attributes.model != 'large'", "be", odd},

		{"feedback.score = '0.5'", "a", odd},
		{"feedback.score > 1", "b", odd},
		{"feedback.score >= 0.5", "ab", odd},
		{"feedback.score < 9", "a", odd},
		{"feedback.score = 'high'", "d", plain},
		{"feedback.ok = 'true'", "b", plain},
		{"feedback.ok != 'true'", "c", plain},
		{"feedback.score IS NOT NULL", "abd", plain},
		{"feedback.ok IS NULL", "ade", plain},
		{"expectation.answer = 'yes'", "a", plain},
		{"expectation.score IS NOT NULL", "", plain},
		{"issue.id = 'iss-1'", "d", plain},

		{"status = 'OK' AND tags.team IS NOT NULL AND span.name = 'chat' AND execution_time_ms < 5", "e", plain},
	} {
		if c.kind == odd && k.allowed.LooseFilters {
			continue
		}
		for _, size := range []int{0, 2} {
			q := tracking.TraceQuery{Experiments: []tracking.ExperimentID{exp}, Filter: c.filter, OrderBy: []string{"timestamp_ms ASC"}}
			if got := k.traceNames(k.searchTraces(q, size)); got != c.want {
				k.Errorf("filter %s selects %q, want %q", c.filter, got, c.want)
			}
		}
	}
	for _, filter := range []string{
		"status", "status = 'OK' OR status = 'ERROR'", "colour = 'x'", "timestamp_ms = 'x'", "span.colour = 'x'", "span.content = 'x'",
		"tags.team > 'x'", "feedback.score > 'x'", "issue.id != 'x'", "metrics.m > 1", "tags.team RLIKE '('", "run_id = 5",
	} {
		_, _, err := k.traces.SearchTraces(k.Context(), tracking.TraceQuery{Experiments: []tracking.ExperimentID{exp}, Filter: filter})
		if !errors.Is(err, tracking.ErrInvalid) {
			k.Errorf("filter %s gives error %v, want ErrInvalid", filter, err)
		}
	}
}

func testSearchTraces(k *kit) {
	exp := k.tracePopulation()
	other := k.experiment("other")
	k.putTrace(tracking.Trace{ID: k.traceID(5), Experiment: other, State: tracking.TraceOK, Start: at(2)})
	k.putTrace(tracking.Trace{ID: k.traceID(6), Experiment: other, State: tracking.TraceOK, Start: at(2)})
	one, both := []tracking.ExperimentID{exp}, []tracking.ExperimentID{other, exp}
	for _, c := range []struct {
		experiments []tracking.ExperimentID
		order, want string
	}{
		{one, "", "edcba"},
		{both, "", "edcfgba"}, // ties by ID
		{[]tracking.ExperimentID{"987654321"}, "", ""},
		{one, "timestamp_ms", "abcde"},
		{one, "timestamp DESC", "edcba"},
		{both, "timestamp_ms ASC", "abcfgde"},
		{one, "execution_time_ms", "eadbc"},
		{one, "execution_time DESC", "bdaec"},
		{one, "status, timestamp_ms", "bcade"},
		{one, "name DESC", "edcba"},
		{one, "tags.team", "cbead"},
		{one, "metadata.user DESC", "dbaec"},
		{one, "request_id", "abcde"},
	} {
		var order []string
		if c.order != "" {
			order = strings.Split(c.order, ", ")
		}
		for _, size := range []int{0, 1, 3} {
			q := tracking.TraceQuery{Experiments: c.experiments, OrderBy: order}
			found := k.searchTraces(q, size)
			if got := k.traceNames(found); got != c.want {
				k.Errorf("order %q with pages of %d gives %q, want %q", c.order, size, got, c.want)
			}
			for _, t := range found {
				equal(k, len(t.Spans), 0)
				want := k.getTrace(t.ID)
				want.Spans = nil
				equal(k, k.describeTrace(t), k.describeTrace(want))
			}
		}
	}
	for _, order := range [][]string{{"colour"}, {"timestamp_ms UP"}, {"timestamp_ms", "timestamp"}, {"span.name"}, {""}} {
		_, _, err := k.traces.SearchTraces(k.Context(), tracking.TraceQuery{Experiments: one, OrderBy: order})
		if !errors.Is(err, tracking.ErrInvalid) {
			k.Errorf("order %q gives error %v, want ErrInvalid", order, err)
		}
	}
	q := tracking.TraceQuery{Experiments: one, Page: tracking.Page{Max: 1}}
	_, next, err := k.traces.SearchTraces(k.Context(), q)
	k.noError(err)
	refused := func(change func(*tracking.TraceQuery)) {
		k.Helper()
		bad := q
		bad.Page.Token = next
		change(&bad)
		_, _, err := k.traces.SearchTraces(k.Context(), bad)
		k.isKind(err, tracking.ErrInvalid)
	}
	refused(func(q *tracking.TraceQuery) { q.Page.Token = "x" })
	if !k.allowed.LooseTokens {
		refused(func(q *tracking.TraceQuery) { q.Filter = "status = 'OK'" })
		refused(func(q *tracking.TraceQuery) { q.OrderBy = []string{"status"} })
		refused(func(q *tracking.TraceQuery) { q.Experiments = both })
	}
}
