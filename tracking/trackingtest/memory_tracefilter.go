package trackingtest

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/search"
)

func parseTraceQuery(q tracking.TraceQuery) (*query, error) {
	return parse(search.Traces(), q.Filter, q.OrderBy)
}

// matchTrace wants one span that satisfies all clauses on spans.
func (q *query) matchTrace(t *memoryTrace) bool {
	var onSpan, onTrace query
	for _, c := range q.clauses {
		if c.Entity == search.Span || c.Entity == search.SpanAttribute {
			onSpan.clauses = append(onSpan.clauses, c)
		} else {
			onTrace.clauses = append(onTrace.clauses, c)
		}
	}
	spanFits := len(onSpan.clauses) == 0 || slices.ContainsFunc(t.info.Spans, func(s tracking.Span) bool {
		return onSpan.match(spanFields(&s))
	})
	return spanFits && onTrace.match(traceFields(t))
}

func spanFields(s *tracking.Span) fields {
	return func(entity search.Entity, key string) []value {
		if entity == search.SpanAttribute {
			return spanAttribute(s, key)
		}
		switch key {
		case "name":
			return texts(s.Name)
		case "type":
			return texts(s.Type)
		case "status":
			return texts(string(s.Status))
		case "content":
			return texts(string(s.Content))
		}
		return nil
	}
}

// spanAttribute reads an attribute from the content, where it stands as a JSON
// text in a string.
func spanAttribute(s *tracking.Span, key string) []value {
	var content struct {
		Attributes map[string]json.RawMessage `json:"attributes"`
	}
	if json.Unmarshal(s.Content, &content) != nil {
		return nil
	}
	raw, exists := content.Attributes[key]
	if !exists {
		return nil
	}
	return texts(plainText(json.RawMessage(plainText(raw))))
}

// plainText is a JSON string without its quotes, and any other text as it is.
func plainText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

func traceFields(t *memoryTrace) fields {
	info := &t.info
	return func(entity search.Entity, key string) []value {
		switch entity {
		case search.Tag:
			return textOf(info.Tags, key)
		case search.Metadata:
			return textOf(info.Metadata, key)
		case search.Feedback:
			return assessmentValues(info, tracking.Feedback, key)
		case search.Expectation:
			return assessmentValues(info, tracking.Expectation, key)
		case search.Issue:
			return issueNames(info)
		}
		switch key {
		case "request_id":
			return texts(string(info.ID))
		case "client_request_id":
			return someText(info.ClientRequestID)
		case "experiment_id":
			return texts(string(info.Experiment))
		case "status":
			return texts(string(info.State))
		case "timestamp_ms":
			return number(unixMilli(info.Start))
		case "execution_time_ms":
			if info.Duration >= 0 {
				return number(float64(info.Duration.Milliseconds()))
			}
		case "end_time_ms":
			return number(unixMilli(info.Start) + float64(max(0, info.Duration.Milliseconds())))
		case "run_id":
			return traceRuns(t)
		case "prompt":
			return promptNames(info)
		}
		return nil
	}
}

// traceRuns is the run that the trace came from and those it was linked to.
func traceRuns(t *memoryTrace) []value {
	out := textOf(t.info.Metadata, "mlflow.sourceRun")
	for id := range t.runs {
		out = append(out, value{text: string(id)})
	}
	return out
}

// promptNames reads the tag that lists the prompts a trace used.
func promptNames(t *tracking.Trace) []value {
	var prompts []struct{ Name, Version string }
	_ = json.Unmarshal([]byte(t.Tags[search.TracePromptTag]), &prompts) // a tag of another form names none
	var out []value
	for _, p := range prompts {
		out = append(out, value{text: p.Name + "/" + p.Version})
	}
	return out
}

// assessmentValues gives the values of the valid assessments with the name: a
// number as a number too, for the comparisons that want one.
func assessmentValues(t *tracking.Trace, kind tracking.AssessmentKind, name string) []value {
	var out []value
	for _, a := range t.Assessments {
		if a.Kind != kind || a.Name != name || !a.Valid {
			continue
		}
		var f float64
		if json.Unmarshal(a.Value, &f) == nil && !bytes.Equal(a.Value, []byte("null")) {
			out = append(out, value{number: f, isNumber: true})
		}
		out = append(out, value{text: plainText(a.Value)})
	}
	return out
}

func issueNames(t *tracking.Trace) []value {
	var out []value
	for _, a := range t.Assessments {
		if a.Kind == tracking.IssueRef {
			out = append(out, value{text: a.Name})
		}
	}
	return out
}

func (q *query) tracePlace(t *memoryTrace) []part {
	return q.place(traceFields(t), intPart(t.info.Start.UnixMilli()).descending(true), textPart(string(t.info.ID)))
}
