package trackingtest

import (
	"encoding/json"
	"strings"

	"github.com/millwright-ml/millwright/tracking"
)

// putAssessment stores an assessment and returns its id.
func (k *kit) putAssessment(a tracking.Assessment) string {
	k.Helper()
	out, err := k.traces.PutAssessment(k.Context(), a)
	k.noError(err)
	k.nextMillisecond()
	return out.ID
}

// judged writes the assessments of a trace.
func (k *kit) judged(id tracking.TraceID) string {
	k.Helper()
	return k.describeTrace(tracking.Trace{Assessments: k.getTrace(id).Assessments})
}

func testAssessments(k *kit) {
	exp := k.experiment("experiment")
	id := k.traceID(1)
	k.putTrace(tracking.Trace{ID: id, Experiment: exp, State: tracking.TraceOK, Start: base()})
	equal(k, len(k.getTrace(id).Assessments), 0)
	feedback := tracking.Assessment{
		ID: "a-1", Trace: id, Span: spanID(1), Name: "correctness", Kind: tracking.Feedback, Value: json.RawMessage(`{"score": 0.5, "why": ["ж", null]}`),
		Rationale: "because", SourceType: "LLM_JUDGE", SourceID: "judge", Metadata: map[string]string{"m": "1"},
		Valid: true, RunID: "somerun", Created: at(20), Updated: at(21),
	}
	expectation := tracking.Assessment{
		ID: "a-3", Trace: id, Name: "expected", Kind: tracking.Expectation, Value: json.RawMessage(`"yes"`),
		SourceType: "HUMAN", SourceID: "ann", Valid: true, Created: at(10), Updated: at(10),
	}
	failed := tracking.Assessment{
		ID: "a-2", Trace: id, Name: "judge", Kind: tracking.Feedback, ErrorCode: "TIMEOUT", ErrorMessage: "too slow", ErrorStack: strings.Repeat("frame\n", 50),
		SourceType: "CODE", SourceID: "f", Valid: true, Created: at(20), Updated: at(20),
	}
	issue := tracking.Assessment{
		ID: "a-4", Trace: id, Name: "iss-1", Kind: tracking.IssueRef, Value: json.RawMessage(`"hallucination"`),
		SourceType: "CODE", SourceID: "f", Valid: true, Created: at(30), Updated: at(30),
	}
	list := []*tracking.Assessment{&expectation, &feedback, &failed, &issue} // by Created, then ID
	for _, a := range list {
		created, err := k.traces.PutAssessment(k.Context(), *a)
		k.noError(err)
		k.nextMillisecond()
		equal(k, k.describeAssessment(created), k.describeAssessment(*a))
		if !k.allowed.OwnIDs {
			equal(k, created.ID, a.ID)
		}
		a.ID = created.ID
	}
	check := func() {
		k.Helper()
		var want []tracking.Assessment
		for _, a := range list {
			want = append(want, *a)
		}
		equal(k, k.judged(id), k.describeTrace(tracking.Trace{Assessments: want}))
		for _, a := range k.getTrace(id).Assessments {
			equal(k, a.Trace, id)
		}
	}
	check()
	found := k.searchTraces(tracking.TraceQuery{Experiments: []tracking.ExperimentID{exp}}, 0)
	equal(k, k.describeTrace(found[0]), k.describeTrace(k.getTrace(id)))

	// With its ID it is replaced.
	feedback.Value, feedback.Rationale, feedback.Metadata = json.RawMessage(`false`), "", map[string]string{"m": "2"}
	feedback.Updated = at(50)
	k.putAssessment(feedback)
	check()

	// Without one it gets one.
	fresh := k.putAssessment(tracking.Assessment{
		Trace: id, Name: "again", Kind: tracking.Feedback, Value: json.RawMessage(`1`), SourceType: "CODE", SourceID: "f", Valid: true, Created: at(60), Updated: at(60),
	})
	if !k.allowed.OwnIDs && (!strings.HasPrefix(fresh, "a-") || len(fresh) != 34) {
		k.Fatalf("an assessment got the id %q, want a- and 32 hexadecimal digits", fresh)
	}
	equal(k, len(k.getTrace(id).Assessments), 5)
	k.noError(k.traces.DeleteAssessment(k.Context(), id, fresh))
	check()

	_, err := k.traces.PutAssessment(k.Context(), tracking.Assessment{Trace: k.traceID(2), Name: "x", Kind: tracking.Feedback, Value: json.RawMessage(`1`), SourceType: "CODE", SourceID: "f", Valid: true, Created: base()})
	k.isKind(err, tracking.ErrNotFound)
	if !k.allowed.LooseDeletes {
		k.isKind(k.traces.DeleteAssessment(k.Context(), id, fresh), tracking.ErrNotFound)
	}
	k.isKind(k.traces.DeleteAssessment(k.Context(), k.traceID(2), feedback.ID), tracking.ErrNotFound)
	check()
}

func testOverrideAssessment(k *kit) {
	exp := k.experiment("experiment")
	id := k.traceID(1)
	k.putTrace(tracking.Trace{ID: id, Experiment: exp, State: tracking.TraceOK, Start: base()})
	put := func(value, overrides string, ms int64) string {
		k.Helper()
		return k.putAssessment(tracking.Assessment{
			Trace: id, Name: "correct", Kind: tracking.Feedback, Value: json.RawMessage(value), SourceType: "HUMAN", SourceID: "ann",
			Valid: true, Overrides: overrides, Created: at(ms), Updated: at(ms),
		})
	}
	valid := func(want ...bool) {
		k.Helper()
		var got []bool
		for _, a := range k.getTrace(id).Assessments {
			got = append(got, a.Valid)
		}
		equal(k, len(got), len(want))
		for i := range got {
			equal(k, got[i], want[i])
		}
	}
	matches := func(filter string, want int) {
		k.Helper()
		equal(k, len(k.searchTraces(tracking.TraceQuery{Experiments: []tracking.ExperimentID{exp}, Filter: filter}, 0)), want)
	}
	first := put(`"no"`, "", 1)
	valid(true)
	second := put(`"yes"`, first, 2)
	valid(false, true)
	equal(k, k.getTrace(id).Assessments[1].Overrides, first)
	matches("feedback.correct = 'no'", 0) // only the valid ones count
	matches("feedback.correct = 'yes'", 1)
	third := put(`"maybe"`, second, 3)
	valid(false, false, true)
	k.noError(k.traces.DeleteAssessment(k.Context(), id, third))
	valid(false, true)
	k.noError(k.traces.DeleteAssessment(k.Context(), id, second))
	valid(true)
	matches("feedback.correct = 'no'", 1)

	_, err := k.traces.PutAssessment(k.Context(), tracking.Assessment{
		Trace: id, Name: "x", Kind: tracking.Feedback, Value: json.RawMessage(`1`), SourceType: "CODE", SourceID: "f", Valid: true, Overrides: "a-nosuchone", Created: base(),
	})
	k.isKind(err, tracking.ErrNotFound)
	valid(true)
}
