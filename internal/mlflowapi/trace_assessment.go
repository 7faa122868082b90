package mlflowapi

import (
	"encoding/json"
	"strings"
)

// AssessmentSourceType says who made an assessment.
type AssessmentSourceType string

func (AssessmentSourceType) numbers() map[string]int32 {
	return map[string]int32{"SOURCE_TYPE_UNSPECIFIED": 0, "HUMAN": 1, "LLM_JUDGE": 2, "CODE": 3}
}

// Assessment is a judgement of a trace. Exactly one of Feedback, Expectation
// and Issue is there.
type Assessment struct {
	AssessmentID   string            `json:"assessment_id,omitempty"`
	AssessmentName string            `json:"assessment_name,omitempty"`
	TraceID        string            `json:"trace_id"`
	SpanID         string            `json:"span_id,omitempty"`
	Source         *AssessmentSource `json:"source,omitempty"`
	CreateTime     Timestamp         `json:"create_time,omitzero"`
	LastUpdateTime Timestamp         `json:"last_update_time,omitzero"`
	Feedback       *Feedback         `json:"feedback,omitempty"`
	Expectation    *Expectation      `json:"expectation,omitempty"`
	Issue          *IssueReference   `json:"issue,omitempty"`
	Rationale      string            `json:"rationale,omitempty"`
	Error          *AssessmentError  `json:"error,omitempty"`
	Metadata       map[string]string `json:"metadata,omitempty"`
	Overrides      string            `json:"overrides,omitempty"`
	Valid          *bool             `json:"valid,omitempty"`
}

// AssessmentSource is who made an assessment.
type AssessmentSource struct {
	SourceType AssessmentSourceType `json:"source_type"`
	SourceID   string               `json:"source_id,omitempty"`
}

// AssessmentError is why there is no value.
type AssessmentError struct {
	ErrorCode    string `json:"error_code,omitempty"`
	ErrorMessage string `json:"error_message,omitempty"`
	StackTrace   string `json:"stack_trace,omitempty"`
}

// Feedback is a judgement of what a trace did; its value is any JSON.
type Feedback struct {
	Value json.RawMessage  `json:"value,omitempty"`
	Error *AssessmentError `json:"error,omitempty"`
}

// Expectation is what a trace should have done. A scalar is the Value, other
// JSON comes as a text.
type Expectation struct {
	Value           json.RawMessage  `json:"value,omitempty"`
	SerializedValue *SerializedValue `json:"serialized_value,omitempty"`
}

// JSONFormat is the one format of a SerializedValue.
const JSONFormat = "JSON_FORMAT"

// SerializedValue is a value as a text.
type SerializedValue struct {
	SerializationFormat string `json:"serialization_format"`
	Value               string `json:"value"`
}

// IssueReference names an issue that a trace shows.
type IssueReference struct {
	IssueName string `json:"issue_name"`
}

// AssessmentMessage is the request of POST traces/{id}/assessments, and the
// answer of the requests that return one.
type AssessmentMessage struct {
	Assessment *Assessment `json:"assessment" api:"required"`
}

// UpdateAssessment is the request of PATCH traces/{id}/assessments/{id}.
type UpdateAssessment struct {
	Assessment *Assessment `json:"assessment" api:"required"`
	UpdateMask *FieldMask  `json:"update_mask" api:"required"`
}

// FieldMask names fields of a message: on the wire one text with commas.
type FieldMask struct {
	Paths []string
}

func (m *FieldMask) decode(s *scanner) *fault {
	if s.space() != '"' {
		return s.wrong("field names with commas between")
	}
	text, f := s.text()
	if f != nil {
		return f
	}
	for path := range strings.SplitSeq(string(text), ",") {
		if path != "" {
			m.Paths = append(m.Paths, snakeCase(path))
		}
	}
	return nil
}

func (m *FieldMask) appendJSON(dst []byte) []byte {
	names := make([]string, len(m.Paths))
	for i, p := range m.Paths {
		names[i] = camelCase(p)
	}
	return appendText(dst, strings.Join(names, ","))
}

// snakeCase undoes camelCase.
func snakeCase(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		if c >= 'A' && c <= 'Z' {
			b.WriteByte('_')
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	return b.String()
}
