package mlflow

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// maxOTLPDepth bounds how deep messages may nest: a value inside a list costs
// three levels.
const maxOTLPDepth = 300

var errID = errors.New("an id is not hexadecimal")

// parseOTLPJSON reads an ExportTraceServiceRequest in OTLP/JSON: protobuf's
// JSON except that ids are hexadecimal.
func parseOTLPJSON(body []byte) (*tracepb.TracesData, error) {
	body, err := idsToBase64(body)
	if err != nil {
		return nil, err
	}
	data := &tracepb.TracesData{}
	opts := protojson.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: maxOTLPDepth}
	if err := opts.Unmarshal(body, data); err != nil {
		return nil, err
	}
	return data, nil
}

// idsToBase64 rewrites the values of the fields that are ids, in one pass. Only
// spans and links have fields of these names: in attributes they are values.
// What is no JSON is left for the parser to refuse.
func idsToBase64(body []byte) ([]byte, error) {
	out := make([]byte, 0, len(body))
	flushed := 0
	for i := 0; i < len(body); {
		if body[i] != '"' {
			i++
			continue
		}
		name, after := jsonString(body, i)
		if after < 0 {
			break
		}
		i = after
		colon := skipSpace(body, i)
		if colon >= len(body) || body[colon] != ':' || !isIDField(name) {
			continue
		}
		start := skipSpace(body, colon+1)
		if start >= len(body) || body[start] != '"' {
			continue
		}
		digits, end := jsonString(body, start)
		if end < 0 {
			break
		}
		id, err := hex.AppendDecode(nil, digits)
		if err != nil {
			return nil, errID
		}
		out = append(out, body[flushed:start+1]...)
		out = base64.StdEncoding.AppendEncode(out, id)
		flushed, i = end-1, end
	}
	return append(out, body[flushed:]...), nil
}

func isIDField(name []byte) bool {
	switch string(name) {
	case "traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id":
		return true
	}
	return false
}

// jsonString returns what stands between the quotes of the string that begins
// at i, and where it ends, -1 when it does not.
func jsonString(b []byte, i int) (content []byte, after int) {
	start := i + 1
	for i = start; i < len(b); i++ {
		n := bytes.IndexAny(b[i:], `"\`)
		if n < 0 {
			break
		}
		if i += n; b[i] == '"' {
			return b[start:i], i + 1
		}
		i++ // what is escaped
	}
	return nil, -1
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// base64Of turns an id in hexadecimal into base64.
func base64Of(digits string) (string, bool) {
	b, err := hex.DecodeString(digits)
	return base64.StdEncoding.EncodeToString(b), err == nil && len(b) > 0
}
