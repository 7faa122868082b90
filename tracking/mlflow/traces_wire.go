package mlflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/millwright-ml/millwright/tracking"
)

// A span is stored as tracking.Span.Content: an object whose attributes are
// JSON texts. On the wire of batchGet it is a message of OpenTelemetry in
// protobuf's JSON, with the values taken apart.

// storedSpan is Content taken apart as far as the wire needs it.
type storedSpan struct {
	TraceID  json.RawMessage `json:"trace_id"`
	SpanID   json.RawMessage `json:"span_id"`
	ParentID json.RawMessage `json:"parent_span_id"`
	Name     json.RawMessage `json:"name"`
	Start    json.RawMessage `json:"start_time_unix_nano"`
	End      json.RawMessage `json:"end_time_unix_nano"`
	Events   []struct {
		Name       json.RawMessage `json:"name"`
		Time       json.RawMessage `json:"time_unix_nano"`
		Attributes orderedObject   `json:"attributes"`
	} `json:"events"`
	Status struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"status"`
	Attributes orderedObject `json:"attributes"`
	Links      []struct {
		TraceID    string        `json:"trace_id"`
		SpanID     string        `json:"span_id"`
		Attributes orderedObject `json:"attributes"`
	} `json:"links"`
}

// orderedObject is a JSON object in the order of its keys.
type orderedObject []member

type member struct {
	key   string
	value json.RawMessage
}

// UnmarshalJSON reads an object or null.
func (o *orderedObject) UnmarshalJSON(raw []byte) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	open, err := dec.Token()
	if err != nil || open == nil {
		return err
	}
	if open != json.Delim('{') {
		return fmt.Errorf("want an object, not %v", open)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		m := member{key: key.(string)} //nolint:forcetypeassert // Keys are strings, or Token fails.
		if err := dec.Decode(&m.value); err != nil {
			return err
		}
		*o = append(*o, m)
	}
	return nil
}

// appendWireSpan appends a stored span as protobuf's JSON.
func appendWireSpan(dst []byte, content json.RawMessage) ([]byte, error) {
	var s storedSpan
	if err := json.Unmarshal(content, &s); err != nil {
		return nil, fmt.Errorf("mlflow: stored span: %w", err)
	}
	w := wireWriter{out: append(dst, '{')}
	w.field("trace_id", s.TraceID)
	w.field("span_id", s.SpanID)
	w.field("parent_span_id", s.ParentID)
	w.field("name", s.Name)
	w.field("start_time_unix_nano", s.Start)
	w.field("end_time_unix_nano", s.End)
	w.attributes(s.Attributes, true)
	if len(s.Events) > 0 {
		w.name("events")
		w.raw(`[`)
		for i, e := range s.Events {
			w.open(i)
			w.field("time_unix_nano", e.Time)
			w.field("name", e.Name)
			w.attributes(e.Attributes, false)
			w.raw(`}`)
		}
		w.raw(`]`)
	}
	if len(s.Links) > 0 {
		w.name("links")
		w.raw(`[`)
		for i, l := range s.Links {
			w.open(i)
			w.id("trace_id", strings.TrimPrefix(l.TraceID, "tr-"))
			w.id("span_id", l.SpanID)
			w.attributes(l.Attributes, false)
			w.raw(`}`)
		}
		w.raw(`]`)
	}
	w.name("status")
	w.open(0)
	if s.Status.Message != "" {
		w.name("message")
		w.out = appendText(w.out, s.Status.Message)
	}
	if s.Status.Code != "" && s.Status.Code != "STATUS_CODE_UNSET" {
		w.name("code")
		w.out = appendText(w.out, s.Status.Code)
	}
	w.raw(`}}`)
	return w.out, nil
}

type wireWriter struct{ out []byte }

func (w *wireWriter) raw(s string) { w.out = append(w.out, s...) }

// open begins element i of a list of objects.
func (w *wireWriter) open(i int) {
	if i > 0 {
		w.raw(`,`)
	}
	w.raw(`{`)
}

// name begins a field.
func (w *wireWriter) name(name string) {
	if w.out[len(w.out)-1] != '{' {
		w.raw(`,`)
	}
	w.out = append(append(append(w.out, '"'), name...), '"', ':')
}

// field writes a value unless it is absent.
func (w *wireWriter) field(name string, value json.RawMessage) {
	if text := string(value); text != "" && text != "null" && text != `""` && text != "0" {
		w.name(name)
		w.out = append(w.out, value...)
	}
}

// id writes an id that is stored in hexadecimal; what is none is left out.
func (w *wireWriter) id(name, digits string) {
	if b, ok := base64Of(digits); ok {
		w.name(name)
		w.out = append(append(append(w.out, '"'), b...), '"')
	}
}

// attributes writes a list of keys and values. The values are JSON texts when
// dumped, else JSON.
func (w *wireWriter) attributes(list orderedObject, dumped bool) {
	if len(list) == 0 {
		return
	}
	w.name("attributes")
	w.raw(`[`)
	for i, m := range list {
		w.open(i)
		w.name("key")
		w.out = appendText(w.out, m.key)
		w.name("value")
		text := string(m.value)
		if dumped {
			var inner string
			if json.Unmarshal(m.value, &inner) == nil {
				text = inner
			}
		}
		w.out = appendWireValue(w.out, text)
		w.raw(`}`)
	}
	w.raw(`]`)
}

// spanProto returns a span as a message of OpenTelemetry.
func spanProto(s tracking.Span) (*tracepb.Span, error) {
	wire, err := appendWireSpan(nil, s.Content)
	if err != nil {
		return nil, err
	}
	out := &tracepb.Span{}
	return out, protojson.Unmarshal(wire, out)
}

// spanFromWire returns the span that a server sent in protobuf's JSON.
func spanFromWire(raw json.RawMessage) (tracking.Span, error) {
	in := &tracepb.Span{}
	opts := protojson.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: maxOTLPDepth}
	if err := opts.Unmarshal(raw, in); err != nil {
		return tracking.Span{}, fmt.Errorf("mlflow: span of the server: %w", err)
	}
	r, err := receive(in)
	return r.span, err
}

// appendWireValue appends the value that a JSON text stands for as an AnyValue.
// What is not JSON is a text.
func appendWireValue(dst []byte, text string) []byte {
	p := valueParser{text: text}
	start := len(dst)
	dst = p.value(dst)
	if p.space(); p.bad || p.pos != len(text) {
		dst = append(dst[:start], `{"string_value":`...)
		return append(appendText(dst, text), '}')
	}
	return dst
}

// validValue reports whether text is JSON as Python reads it.
func validValue(text string) bool {
	p := valueParser{text: text, check: true}
	p.value(nil)
	p.space()
	return !p.bad && p.pos == len(text)
}

// maxValueDepth bounds how deep attributes may nest.
const maxValueDepth = 100

// valueParser reads JSON, with NaN and Infinity, and writes AnyValues.
type valueParser struct {
	text       string
	pos, depth int
	bad        bool
	check      bool // writes nothing
}

func (p *valueParser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \n\r\t", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// next consumes c after white space.
func (p *valueParser) next(c byte) bool {
	if p.space(); p.pos < len(p.text) && p.text[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

func (p *valueParser) put(dst []byte, parts ...string) []byte {
	if !p.check {
		for _, s := range parts {
			dst = append(dst, s...)
		}
	}
	return dst
}

func (p *valueParser) value(dst []byte) []byte {
	if p.depth++; p.depth > maxValueDepth {
		p.bad = true
	}
	if p.space(); p.bad || p.pos >= len(p.text) {
		p.bad = true
		return dst
	}
	switch p.text[p.pos] {
	case '"':
		dst = p.put(dst, `{"string_value":`, p.str(), `}`)
	case '[':
		dst = p.array(dst)
	case '{':
		dst = p.object(dst)
	default:
		dst = p.scalar(dst)
	}
	p.depth--
	return dst
}

// str consumes a string and returns it as JSON.
func (p *valueParser) str() string {
	if !p.next('"') {
		p.bad = true
		return `""`
	}
	start, escaped := p.pos-1, false
	for ; p.pos < len(p.text); p.pos++ {
		switch c := p.text[p.pos]; {
		case c == '"':
			p.pos++
			raw := p.text[start:p.pos]
			if !escaped {
				return raw
			}
			// Decoding also replaces lone surrogates, which no reader takes.
			var s string
			if json.Unmarshal([]byte(raw), &s) != nil {
				p.bad = true
			}
			return string(appendText(nil, s))
		case c == '\\':
			escaped = true
			p.pos++
		case c < 0x20:
			p.bad = true
			return `""`
		}
	}
	p.bad = true
	return `""`
}

func (p *valueParser) array(dst []byte) []byte {
	p.pos++
	dst = p.put(dst, `{"array_value":{`)
	if p.next(']') {
		return p.put(dst, `}}`)
	}
	dst = p.put(dst, `"values":[`)
	for {
		dst = p.value(dst)
		if p.bad {
			return dst
		}
		if p.next(',') {
			dst = p.put(dst, `,`)
			continue
		}
		p.bad = !p.next(']')
		return p.put(dst, `]}}`)
	}
}

func (p *valueParser) object(dst []byte) []byte {
	p.pos++
	dst = p.put(dst, `{"kvlist_value":{`)
	if p.next('}') {
		return p.put(dst, `}}`)
	}
	dst = p.put(dst, `"values":[`)
	for {
		p.space()
		key := p.str()
		p.bad = p.bad || !p.next(':')
		if p.bad {
			return dst
		}
		dst = p.put(dst, `{"key":`, key, `,"value":`)
		if dst = p.value(dst); p.bad {
			return dst
		}
		dst = p.put(dst, `}`)
		if p.next(',') {
			dst = p.put(dst, `,`)
			continue
		}
		p.bad = !p.next('}')
		return p.put(dst, `]}}`)
	}
}

// scalar consumes a number or a word.
func (p *valueParser) scalar(dst []byte) []byte {
	start := p.pos
	for p.pos < len(p.text) && strings.IndexByte(",]} \n\r\t:", p.text[p.pos]) < 0 {
		p.pos++
	}
	switch word := p.text[start:p.pos]; word {
	case "null":
		return p.put(dst, `{}`)
	case "true", "false":
		return p.put(dst, `{"bool_value":`, word, `}`)
	case "NaN", "Infinity", "-Infinity":
		return p.put(dst, `{"double_value":"`, word, `"}`)
	default:
		if !isNumber(word) {
			p.bad = true
			return dst
		}
		if _, err := strconv.ParseInt(word, 10, 64); err == nil {
			return p.put(dst, `{"int_value":`, word, `}`)
		}
		if _, err := strconv.ParseFloat(word, 64); err != nil {
			p.bad = true // beyond a double
		}
		return p.put(dst, `{"double_value":`, word, `}`)
	}
}

// isNumber reports JSON's grammar of numbers.
func isNumber(s string) bool {
	return s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') && json.Valid([]byte(s))
}
