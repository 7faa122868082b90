package mlflow

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/millwright-ml/millwright/tracking"
)

// The attributes of spans that mean something to MLflow.
const (
	attrRequestID    = "mlflow.traceRequestId"
	attrInputs       = "mlflow.spanInputs"
	attrOutputs      = "mlflow.spanOutputs"
	attrSpanType     = "mlflow.spanType"
	attrUsage        = "mlflow.chat.tokenUsage"
	attrCost         = "mlflow.llm.cost"
	attrModel        = "mlflow.llm.model"
	attrProvider     = "mlflow.llm.provider"
	attrTools        = "mlflow.chat.tools"
	attrFormat       = "mlflow.message.format"
	attrTagPrefix    = "mlflow.traceTag."
	attrSession      = "session.id"
	attrConversation = "gen_ai.conversation.id"
	attrUser         = "user.id"
)

const unknownType = "UNKNOWN"

// The limits of package tracking, in characters.
const (
	maxSpanName   = 1000
	maxSpanType   = 250
	maxTraceValue = 8000
	maxTraceKey   = 250
)

// truncate cuts s after limit characters.
func truncate(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	n := 0
	for i := range s {
		if n == limit {
			return s[:i]
		}
		n++
	}
	return s
}

// attribute is one attribute of a span: its value is a JSON text.
type attribute struct{ key, value string }

// attributes keep the order in which they came.
type attributes []attribute

// get returns the value of key, "" when there is none.
func (a attributes) get(key string) string {
	for _, kv := range a {
		if kv.key == key {
			return kv.value
		}
	}
	return ""
}

// set replaces or adds.
func (a *attributes) set(key, value string) {
	for i, kv := range *a {
		if kv.key == key {
			(*a)[i].value = value
			return
		}
	}
	*a = append(*a, attribute{key, value})
}

// add sets key unless it is there or the value is empty.
func (a *attributes) add(key, value string) {
	if value != "" && a.get(key) == "" {
		*a = append(*a, attribute{key, value})
	}
}

// textOf returns the text that a JSON string holds, and other JSON as it is.
func textOf(value string) string {
	var s string
	if json.Unmarshal([]byte(value), &s) == nil {
		return s
	}
	return value
}

// traceIDOf is MLflow's id of an OpenTelemetry trace.
func traceIDOf(id []byte) tracking.TraceID {
	return tracking.TraceID("tr-" + hex.EncodeToString(id))
}

// received is a span as it came, ready to be stored.
type received struct {
	span  tracking.Span
	attrs attributes
}

// receive turns a span of OTLP into one that can be stored.
func receive(s *tracepb.Span) (received, error) {
	if err := checkSpan(s); err != nil {
		return received{}, err
	}
	attrs := make(attributes, 0, len(s.GetAttributes())+4)
	for _, kv := range distinct(s.GetAttributes()) {
		attrs = append(attrs, attribute{kv.GetKey(), unwrapped(string(appendAttribute(nil, kv.GetValue())))})
	}
	id := traceIDOf(s.GetTraceId())
	// The id of the trace is what its bytes say, whatever the client claims.
	attrs.set(attrRequestID, string(appendText(nil, string(id))))
	translate(&attrs, s.GetEvents())

	out := received{attrs: attrs, span: tracking.Span{
		Trace: id, ID: hex.EncodeToString(s.GetSpanId()), Name: s.GetName(),
		Type: textOf(attrs.get(attrSpanType)), Status: spanState(s.GetStatus().GetCode()),
		Start: int64(s.GetStartTimeUnixNano()), End: int64(s.GetEndTimeUnixNano()), //nolint:gosec // checkSpan bounds both.
		Content: appendContent(nil, s, attrs),
	}}
	// The content keeps the whole name; these are what searches compare.
	out.span.Name, out.span.Type = truncate(out.span.Name, maxSpanName), truncate(out.span.Type, maxSpanType)
	if out.span.Type == "" {
		out.span.Type = unknownType
	}
	if len(s.GetParentSpanId()) > 0 {
		out.span.Parent = hex.EncodeToString(s.GetParentSpanId())
	}
	if len(out.span.Content) > tracking.MaxSpanBytes {
		return received{}, fmt.Errorf("span %q has more than %d bytes", s.GetName(), tracking.MaxSpanBytes)
	}
	return out, nil
}

func checkSpan(s *tracepb.Span) error {
	switch {
	case len(s.GetTraceId()) != 16 || allZero(s.GetTraceId()):
		return fmt.Errorf("the trace id of span %.100q is not 16 bytes other than zero", s.GetName())
	case len(s.GetSpanId()) != 8 || allZero(s.GetSpanId()):
		return fmt.Errorf("the id of span %.100q is not 8 bytes other than zero", s.GetName())
	case len(s.GetParentSpanId()) != 0 && len(s.GetParentSpanId()) != 8:
		return fmt.Errorf("the parent id of span %.100q is not 8 bytes", s.GetName())
	case s.GetStartTimeUnixNano() > math.MaxInt64 || s.GetEndTimeUnixNano() > math.MaxInt64:
		return fmt.Errorf("span %.100q is later than the year 2262", s.GetName())
	case !storable(s.GetName()):
		return fmt.Errorf("the name of span %.100q holds NUL or is not UTF-8", s.GetName())
	}
	return nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// storable reports a text that PostgreSQL can keep.
func storable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

func spanState(code tracepb.Status_StatusCode) tracking.TraceState {
	switch code {
	case tracepb.Status_STATUS_CODE_OK:
		return tracking.TraceOK
	case tracepb.Status_STATUS_CODE_ERROR:
		return tracking.TraceError
	}
	return tracking.TraceUnspecified
}

// unwrapped drops one layer of JSON from a value that is a text of JSON itself,
// as clients that know MLflow send attributes already in their stored form.
// Texts of numbers and the like stay texts.
func unwrapped(value string) string {
	if len(value) < 4 || value[0] != '"' {
		return value
	}
	var inner string
	if json.Unmarshal([]byte(value), &inner) != nil {
		return value
	}
	trimmed := strings.TrimLeft(inner, " \t\r\n")
	if trimmed == "" || !strings.ContainsRune(`"{[`, rune(trimmed[0])) || !validValue(inner) {
		return value
	}
	return inner
}

// appendContent appends the span as MLflow keeps it.
func appendContent(dst []byte, s *tracepb.Span, attrs attributes) []byte {
	dst = append(dst, `{"trace_id": "`...)
	dst = base64.StdEncoding.AppendEncode(dst, s.GetTraceId())
	dst = append(dst, `", "span_id": "`...)
	dst = base64.StdEncoding.AppendEncode(dst, s.GetSpanId())
	dst = append(dst, `", "parent_span_id": `...)
	if len(s.GetParentSpanId()) > 0 {
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, s.GetParentSpanId())
		dst = append(dst, '"')
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `, "name": `...)
	dst = appendText(dst, s.GetName())
	dst = append(dst, `, "start_time_unix_nano": `...)
	dst = strconv.AppendUint(dst, s.GetStartTimeUnixNano(), 10)
	dst = append(dst, `, "end_time_unix_nano": `...)
	dst = strconv.AppendUint(dst, s.GetEndTimeUnixNano(), 10)
	dst = append(dst, `, "events": [`...)
	for i, e := range s.GetEvents() {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, `{"name": `...)
		dst = appendText(dst, e.GetName())
		dst = append(dst, `, "time_unix_nano": `...)
		dst = strconv.AppendUint(dst, e.GetTimeUnixNano(), 10)
		dst = append(dst, `, "attributes": `...)
		dst = append(appendObject(dst, e.GetAttributes()), '}')
	}
	dst = append(dst, `], "status": {"code": "`...)
	dst = append(dst, statusName(s.GetStatus().GetCode())...)
	dst = append(dst, `", "message": `...)
	dst = appendText(dst, s.GetStatus().GetMessage())
	dst = append(dst, `}, "attributes": {`...)
	for i, kv := range attrs {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = appendText(dst, kv.key)
		dst = append(dst, ": "...)
		dst = appendText(dst, kv.value)
	}
	dst = append(dst, `}, "links": [`...)
	for i, l := range s.GetLinks() {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, `{"trace_id": "tr-`...)
		dst = hex.AppendEncode(dst, l.GetTraceId())
		dst = append(dst, `", "span_id": "`...)
		dst = hex.AppendEncode(dst, l.GetSpanId())
		dst = append(dst, `", "attributes": `...)
		dst = append(appendLinkAttributes(dst, l.GetAttributes()), '}')
	}
	return append(dst, "]}"...)
}

func appendLinkAttributes(dst []byte, pairs []*commonpb.KeyValue) []byte {
	if len(pairs) == 0 {
		return append(dst, "null"...)
	}
	return appendObject(dst, pairs)
}

func statusName(code tracepb.Status_StatusCode) string {
	switch code {
	case tracepb.Status_STATUS_CODE_OK:
		return "STATUS_CODE_OK"
	case tracepb.Status_STATUS_CODE_ERROR:
		return "STATUS_CODE_ERROR"
	}
	return "STATUS_CODE_UNSET"
}
