package mlflow

import (
	"encoding/json"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

// What the tests of traces and artifacts reach past the handler.

func CheckArtifactPath(path string) error { return mlflowhttp.CheckPath(path) }

func LocationSyntax(uri string) error { return locationSyntax(uri) }

func ParseOTLP(body []byte, media string) (*tracepb.TracesData, error) { return parseOTLP(body, media) }

// ReceiveSpans returns the spans of a request as they are stored.
func ReceiveSpans(data *tracepb.TracesData) ([]tracking.Span, error) {
	batch, err := receiveAll(data)
	if err != nil {
		return nil, err
	}
	return batch.spans, nil
}

func WireSpan(content json.RawMessage) ([]byte, error) { return appendWireSpan(nil, content) }

func WireValue(text string) string { return string(appendWireValue(nil, text)) }

func ValidValue(text string) bool { return validValue(text) }

func SpanProto(s tracking.Span) (*tracepb.Span, error) { return spanProto(s) }

func SpanFromWire(raw json.RawMessage) (tracking.Span, error) { return spanFromWire(raw) }

func Preview(value, role string) string { return preview(value, role) }
