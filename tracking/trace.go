package tracking

import (
	"context"
	"encoding/json"
	"time"
)

// TraceID identifies a trace: "tr-" and the 32 hexadecimal digits of its
// OpenTelemetry trace id, or any text of at most 50 characters.
type TraceID string

// TraceState is the outcome of a trace.
type TraceState string

// The states of a trace.
const (
	TraceUnspecified TraceState = "STATE_UNSPECIFIED"
	TraceOK          TraceState = "OK"
	TraceError       TraceState = "ERROR"
	TraceInProgress  TraceState = "IN_PROGRESS"
)

// Trace is a tree of spans that one request to a program left.
type Trace struct {
	ID              TraceID
	Experiment      ExperimentID
	ClientRequestID string
	State           TraceState
	Start           time.Time     // UTC, to the millisecond
	Duration        time.Duration // to the millisecond; negative while it is not known
	RequestPreview  string        // at most 10,000 characters
	ResponsePreview string
	Metadata        map[string]string // set when the trace is made; values at most 8,000 characters
	Tags            map[string]string // values at most 8,000 characters
	Assessments     []Assessment      // by Created, then ID
	Spans           []Span            // by Start, then ID; only where they were asked for
}

// Span is one step of a trace.
type Span struct {
	Trace      TraceID
	ID         string // 16 hexadecimal digits
	Parent     string // empty at the root
	Name       string
	Type       string // MLflow's span type: "LLM", "CHAIN", "TOOL", …; "UNKNOWN" when there is none
	Status     TraceState
	Start, End int64 // nanoseconds since 1970
	// Content is the whole span as MLflow keeps it: a JSON object of
	// OpenTelemetry's fields with the attributes' values as JSON texts. At
	// most MaxSpanBytes.
	Content json.RawMessage
}

// Limits of traces.
const (
	MaxSpanBytes  = 8 << 20
	MaxTraceSpans = 10_000
)

// AssessmentKind tells what an Assessment says.
type AssessmentKind string

// The kinds of assessments.
const (
	Feedback    AssessmentKind = "feedback"    // a judgement of what the trace did
	Expectation AssessmentKind = "expectation" // what it should have done
	IssueRef    AssessmentKind = "issue"       // a known issue that it shows
)

// Assessment is a judgement of a trace, or of one span, by a person, a program
// or a model.
type Assessment struct {
	ID         string // "a-" and 32 hexadecimal digits when empty at Put
	Trace      TraceID
	Span       string // empty: the whole trace
	Name       string // like "correctness", at most 250 characters
	Kind       AssessmentKind
	Value      json.RawMessage // any JSON value, at most 64 KiB
	Rationale  string
	SourceType string // "HUMAN", "LLM_JUDGE", "CODE"
	SourceID   string
	ErrorCode, ErrorMessage,
	ErrorStack string // why there is no Value
	Metadata  map[string]string
	Overrides string // the assessment that this one replaces, which becomes invalid
	Valid     bool
	RunID     RunID // the evaluation run that made it; may be empty
	Created   time.Time
	Updated   time.Time
}

// TraceUpdate changes a trace. A zero field leaves its value as it is.
type TraceUpdate struct {
	SetTags         map[string]string
	DeleteTags      []string // ErrNotFound when the trace has no such tag
	SetMetadata     map[string]string
	State           TraceState
	Duration        *time.Duration
	RequestPreview  *string
	ResponsePreview *string
}

// TraceQuery selects traces. Package tracking/search describes the grammar of
// Filter and OrderBy.
type TraceQuery struct {
	Experiments []ExperimentID
	Filter      string
	OrderBy     []string // default and ties: the latest Start first, then by ID
	Page        Page
}

// TraceStore is a Store that keeps traces with their spans and assessments.
type TraceStore interface {
	// PutTrace stores t without its Spans. When the ID is there already, as
	// spans arrived first, its fields replace the stored ones where they are
	// not zero, its Tags and Metadata are added, and its Assessments are put.
	// ErrNotFound when there is no such experiment.
	PutTrace(ctx context.Context, t Trace) (Trace, error)

	// PutSpans adds spans, all or nothing, and makes the traces that are not
	// there yet in the experiment: Start and Duration from the earliest and
	// latest span, State from the root span's status, previews from its
	// inputs and outputs as far as the caller set them by PutTrace. A span
	// that is there already is replaced.
	PutSpans(ctx context.Context, exp ExperimentID, spans []Span) error

	// Traces returns those of the traces, at most 500, that exist, in the
	// order of ids, with their spans when spans is true.
	Traces(ctx context.Context, ids []TraceID, spans bool) ([]Trace, error)

	// UpdateTrace changes what u sets, all or nothing. ErrNotFound.
	UpdateTrace(ctx context.Context, id TraceID, u TraceUpdate) error

	// SearchTraces returns the traces that q selects, without spans.
	SearchTraces(ctx context.Context, q TraceQuery) (page []Trace, next string, err error)

	// DeleteTraces removes for good the traces of the experiment that are
	// among ids, or, when ids is empty, at most max of those that started at
	// before or earlier, the oldest first. It returns how many.
	DeleteTraces(ctx context.Context, exp ExperimentID, ids []TraceID, before time.Time, max int) (int, error)

	// LinkTraces ties traces to a run, for the search by run_id; the same link
	// again does nothing.
	LinkTraces(ctx context.Context, run RunID, ids []TraceID) error

	// PutAssessment stores a new assessment (empty ID, or one not in use) or
	// replaces the one with its ID. One that Overrides another makes that
	// invalid. ErrNotFound when there is no such trace or overridden
	// assessment.
	PutAssessment(ctx context.Context, a Assessment) (Assessment, error)

	// DeleteAssessment removes one, and makes valid again what it overrode.
	// ErrNotFound.
	DeleteAssessment(ctx context.Context, trace TraceID, id string) error
}
