package tracking

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Limits of traces and their parts, beyond MaxSpanBytes and MaxTraceSpans.
const (
	MaxTraceTags    = 1000   // and as many entries of metadata
	MaxPreview      = 10_000 // characters of a request's or response's preview
	MaxAssessments  = 1000   // of one trace
	maxTraceID      = 50
	maxClientID     = 50
	maxTraceValue   = 8000
	maxSpanName     = 1000
	maxSpanType     = 250
	maxSpanID       = 50
	maxAssessment   = 64 << 10 // bytes of a value, characters of another text
	maxAssessSource = 250
	maxTraceSpan    = 1 << 53 // nanoseconds: more than a hundred days
)

// Valid reports whether s is one of the four states.
func (s TraceState) Valid() bool {
	return s == TraceUnspecified || s == TraceOK || s == TraceError || s == TraceInProgress
}

// Valid reports whether k is one of the three kinds.
func (k AssessmentKind) Valid() bool {
	return k == Feedback || k == Expectation || k == IssueRef
}

// ValidateTraceID checks the form of a trace id: 1 to 50 visible ASCII
// characters without quotes, slashes, commas and backslashes, so that it fits
// in a path and in a filter.
func ValidateTraceID(id TraceID) error {
	if !traceIDOK(string(id), maxTraceID) {
		return fmt.Errorf("tracking: trace id %q: want 1 to %d visible ASCII characters other than quotes, commas, slashes and backslashes: %w",
			shorten(string(id)), maxTraceID, ErrInvalid)
	}
	return nil
}

func traceIDOK(id string, limit int) bool {
	if id == "" || len(id) > limit {
		return false
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' || strings.IndexByte("\"'`,/\\", c) >= 0 {
			return false
		}
	}
	return true
}

// Validate reports every fault of a trace that is to be stored, with those of
// its spans and assessments, in one ErrInvalid.
func (t Trace) Validate() error {
	var f faults
	if !traceIDOK(string(t.ID), maxTraceID) {
		f.addf("id %q is no trace id", shorten(string(t.ID)))
	}
	if !idOK(string(t.Experiment), maxExperimentIDLen) {
		f.addf("experiment id %q: want 1 to %d letters, digits, '_' and '-', the first a letter or digit", shorten(string(t.Experiment)), maxExperimentIDLen)
	}
	if fault := textFault(t.ClientRequestID, maxClientID); fault != "" {
		f.addf("client request id %q: %s", shorten(t.ClientRequestID), fault)
	}
	if t.State != "" {
		traceStateFault(&f, t.State)
	}
	timeFault(&f, "start", t.Start)
	if t.Duration > maxTraceSpan {
		f.addf("duration %v, the limit is about 104 days", t.Duration)
	}
	previewFaults(&f, t.RequestPreview, t.ResponsePreview)
	traceTagFaults(&f, t.Tags, t.Metadata)
	if len(t.Assessments) > MaxAssessments {
		f.addf("%d assessments, the limit is %d", len(t.Assessments), MaxAssessments)
	} else {
		for i := range t.Assessments {
			assessmentFaults(&f, fmt.Sprintf("assessment %d: ", i), &t.Assessments[i])
		}
	}
	if len(t.Spans) > MaxTraceSpans {
		f.addf("%d spans, the limit is %d", len(t.Spans), MaxTraceSpans)
	} else {
		for i := range t.Spans {
			spanFaults(&f, &t.Spans[i])
		}
	}
	return f.err("tracking: trace")
}

// ValidateSpans reports every fault of spans that are to be stored in one
// ErrInvalid: those of each, and that there are at most MaxTraceSpans.
func ValidateSpans(spans []Span) error {
	var f faults
	if len(spans) > MaxTraceSpans {
		f.addf("%d spans, the limit is %d", len(spans), MaxTraceSpans)
	} else {
		for i := range spans {
			spanFaults(&f, &spans[i])
		}
	}
	return f.err("tracking: spans")
}

// Validate reports every fault of the update in one ErrInvalid.
func (u TraceUpdate) Validate() error {
	var f faults
	traceTagFaults(&f, u.SetTags, u.SetMetadata)
	deleteFaults(&f, u.DeleteTags)
	if u.State != "" {
		traceStateFault(&f, u.State)
	}
	if u.Duration != nil && *u.Duration > maxTraceSpan {
		f.addf("duration %v, the limit is about 104 days", *u.Duration)
	}
	var request, response string
	if u.RequestPreview != nil {
		request = *u.RequestPreview
	}
	if u.ResponsePreview != nil {
		response = *u.ResponsePreview
	}
	previewFaults(&f, request, response)
	return f.err("tracking: trace update")
}

// Validate reports every fault of an assessment that is to be stored in one
// ErrInvalid.
func (a Assessment) Validate() error {
	var f faults
	if !traceIDOK(string(a.Trace), maxTraceID) {
		f.addf("trace id %q is no trace id", shorten(string(a.Trace)))
	}
	assessmentFaults(&f, "", &a)
	return f.err("tracking: assessment")
}

func traceStateFault(f *faults, s TraceState) {
	if !s.Valid() {
		f.addf("state %q: want OK, ERROR, IN_PROGRESS or STATE_UNSPECIFIED", shorten(string(s)))
	}
}

func previewFaults(f *faults, request, response string) {
	if fault := textFault(request, MaxPreview); fault != "" {
		f.addf("request preview: %s", fault)
	}
	if fault := textFault(response, MaxPreview); fault != "" {
		f.addf("response preview: %s", fault)
	}
}

func traceTagFaults(f *faults, tags, metadata map[string]string) {
	for _, set := range []struct {
		what  string
		pairs map[string]string
	}{{"tag", tags}, {"metadata", metadata}} {
		if len(set.pairs) > MaxTraceTags {
			f.addf("%d entries of %s, the limit is %d", len(set.pairs), set.what, MaxTraceTags)
			continue
		}
		labelFaults(f, set.what, set.pairs, maxKey, maxTraceValue)
	}
}

func spanFaults(f *faults, s *Span) {
	if !traceIDOK(string(s.Trace), maxTraceID) {
		f.addf("span %q: %q is no trace id", shorten(s.ID), shorten(string(s.Trace)))
	}
	if !traceIDOK(s.ID, maxSpanID) {
		f.addf("span id %q: want 16 hexadecimal digits", shorten(s.ID))
	}
	if s.Parent != "" && !traceIDOK(s.Parent, maxSpanID) {
		f.addf("span %q, its parent %q: want 16 hexadecimal digits", shorten(s.ID), shorten(s.Parent))
	}
	if fault := textFault(s.Name, maxSpanName); fault != "" {
		f.addf("span %q, its name: %s", shorten(s.ID), fault)
	}
	if fault := textFault(s.Type, maxSpanType); fault != "" {
		f.addf("span %q, its type: %s", shorten(s.ID), fault)
	}
	if s.Status != "" {
		traceStateFault(f, s.Status)
	}
	if s.Start < 0 || s.End < 0 {
		f.addf("span %q starts or ends before 1970", shorten(s.ID))
	}
	switch {
	case len(s.Content) > MaxSpanBytes:
		f.addf("span %q has %d bytes, the limit is %d", shorten(s.ID), len(s.Content), MaxSpanBytes)
	case !json.Valid(s.Content) || s.Content[0] != '{':
		f.addf("span %q, its content is no JSON object", shorten(s.ID))
	}
}

func assessmentFaults(f *faults, prefix string, a *Assessment) {
	for _, field := range []struct {
		name, text string
		limit      int
	}{
		{"ID", a.ID, maxTraceID},
		{"Span", a.Span, maxSpanID},
		{"Rationale", a.Rationale, maxAssessment},
		{"SourceType", a.SourceType, maxSpanID},
		{"SourceID", a.SourceID, maxAssessSource},
		{"ErrorCode", a.ErrorCode, maxAssessSource},
		{"ErrorMessage", a.ErrorMessage, maxAssessment},
		{"ErrorStack", a.ErrorStack, maxAssessment},
		{"Overrides", a.Overrides, maxTraceID},
	} {
		if fault := textFault(field.text, field.limit); fault != "" {
			f.addf("%sits %s: %s", prefix, field.name, fault)
		}
	}
	if fault := nameFault(a.Name, maxKey); fault != "" {
		f.addf("%sname %q: %s", prefix, shorten(a.Name), fault)
	}
	if !a.Kind.Valid() {
		f.addf("%skind %q: want feedback, expectation or issue", prefix, shorten(string(a.Kind)))
	}
	switch {
	case len(a.Value) > maxAssessment:
		f.addf("%sits value has %d bytes, the limit is %d", prefix, len(a.Value), maxAssessment)
	case len(a.Value) > 0 && !json.Valid(a.Value):
		f.addf("%sits value is no JSON", prefix)
	case len(a.Value) == 0 && a.ErrorCode == "" && a.ErrorMessage == "" && a.Kind != IssueRef:
		f.addf("%sit has neither a value nor an error", prefix)
	}
	if a.RunID != "" && !idOK(string(a.RunID), 256) {
		f.addf("%srun %q is no run id", prefix, shorten(string(a.RunID)))
	}
	if len(a.Metadata) > MaxTraceTags {
		f.addf("%s%d entries of metadata, the limit is %d", prefix, len(a.Metadata), MaxTraceTags)
		return
	}
	labelFaults(f, prefix+"metadata", a.Metadata, maxKey, maxTraceValue)
}
