package search

import (
	"encoding/json"
	"strings"
)

// SpanText returns the text of a span's attribute for the clauses about
// span.attributes. content is the span as MLflow keeps it, a JSON object whose
// "attributes" holds each value as a JSON text; a value that is a JSON string
// counts as what it holds, any other as its JSON.
func SpanText(content []byte, key string) (string, bool) {
	var span struct {
		Attributes map[string]json.RawMessage `json:"attributes"`
	}
	if json.Unmarshal(content, &span) != nil {
		return "", false
	}
	raw, ok := span.Attributes[key]
	if !ok {
		return "", false
	}
	text := AssessmentText(raw)
	if raw[0] == '"' {
		text = AssessmentText(json.RawMessage(text))
	}
	return text, true
}

// AssessmentText returns the text that a clause compares an assessment's JSON
// value with: what a JSON string holds, the JSON itself of anything else.
func AssessmentText(value json.RawMessage) string {
	text := strings.TrimSpace(string(value))
	var s string
	if strings.HasPrefix(text, `"`) && json.Unmarshal([]byte(text), &s) == nil {
		return s
	}
	return text
}

// AssessmentNumber returns the number that an assessment's value is, if it is
// one.
func AssessmentNumber(value json.RawMessage) (float64, bool) {
	var f *float64
	if json.Unmarshal(value, &f) != nil || f == nil {
		return 0, false
	}
	return *f, true
}

// MatchAssessment reports whether the value of a valid assessment satisfies the
// clause.
func (c *Clause) MatchAssessment(value json.RawMessage) bool {
	if !c.Numeric {
		return c.MatchText(AssessmentText(value))
	}
	f, ok := AssessmentNumber(value)
	return ok && c.MatchNumber(f)
}

// PromptLinked reports whether a trace whose tag [TracePromptTag] has this
// value used the prompt, which is named "name/version".
func PromptLinked(tag, prompt string) bool {
	var links []struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	if json.Unmarshal([]byte(tag), &links) != nil {
		return false
	}
	for _, l := range links {
		if l.Name+"/"+l.Version == prompt {
			return true
		}
	}
	return false
}
