package otelexport

import (
	"context"
	"net/http"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/millwright-ml/millwright/serve"
)

// tracer implements serve.Tracer.
type tracer struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	fields     []string // The headers that the propagator reads.
	o          *Options

	// models has a *spanStart for each model.
	models sync.Map
}

// spanStart is what all spans of a model begin with.
type spanStart struct {
	name            string
	child, incoming []trace.SpanStartOption
}

func newTracer(o *Options) *tracer {
	t := &tracer{
		tracer:     o.TracerProvider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)),
		propagator: o.Propagator, o: o,
	}
	if t.propagator == nil {
		t.propagator = propagation.TraceContext{}
	}
	t.fields = t.propagator.Fields()
	return t
}

// Observe implements serve.Observer. The server tells who began instead.
func (*tracer) Observe(*serve.Exchange) {}

// Begin implements serve.Tracer.
func (t *tracer) Begin(ctx context.Context, c *serve.Call) (context.Context, serve.Observer) {
	start := t.start(c.Model)
	kind := start.child
	if !trace.SpanContextFromContext(ctx).IsValid() {
		kind = start.incoming
		if t.carries(c.Header) {
			ctx = t.propagator.Extract(ctx, carrier{c.Header})
		}
	}
	if parent := trace.SpanContextFromContext(ctx); parent.IsValid() && !parent.IsSampled() && !t.o.StartUnsampled {
		return ctx, nil
	}
	next, span := t.tracer.Start(ctx, start.name, kind...)
	if !span.IsRecording() {
		return next, nil
	}
	return next, &ending{span, t.o.ErrorText}
}

func (t *tracer) start(model string) *spanStart {
	if s, ok := t.models.Load(model); ok {
		return s.(*spanStart)
	}
	of := func(kind trace.SpanKind) []trace.SpanStartOption {
		return []trace.SpanStartOption{trace.WithSpanKind(kind), trace.WithAttributes(modelName.String(model))}
	}
	s, _ := t.models.LoadOrStore(model, &spanStart{"infer " + model, of(trace.SpanKindInternal), of(trace.SpanKindServer)})
	return s.(*spanStart)
}

// carries reports whether there is something to extract.
func (t *tracer) carries(h serve.Header) bool {
	if h == nil {
		return false
	}
	for _, field := range t.fields {
		if (carrier{h}).Get(field) != "" {
			return true
		}
	}
	return false
}

// carrier is a request's header for a propagator.
type carrier struct{ h serve.Header }

func (c carrier) Get(key string) string {
	h, ok := c.h.(http.Header)
	if !ok {
		return c.h.Get(key)
	}
	// http.Header.Get makes a new string of a key that is not canonical.
	var list []string
	switch key {
	case "traceparent":
		list = h["Traceparent"]
	case "tracestate":
		list = h["Tracestate"]
	default:
		return h.Get(key)
	}
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func (carrier) Set(string, string) {}
func (carrier) Keys() []string     { return nil }

// ending ends a span.
type ending struct {
	span trace.Span
	text bool
}

// Observe implements serve.Observer.
func (e *ending) Observe(x *serve.Exchange) {
	var room [11]attribute.KeyValue
	list := append(room[:0],
		requestID.String(x.RequestID), semconv.HTTPResponseStatusCode(x.Status), rows.Int64(x.Rows),
		queueDuration.Float64(x.Queue.Seconds()), modelDuration.Float64(x.Infer.Seconds()))
	for _, kv := range [...]struct {
		key   attribute.Key
		value string
	}{{modelVersion, x.Version}, {modelDigest, x.Digest}, {modelVariant, x.Variant}, {tenant, x.Tenant}} {
		if kv.value != "" {
			list = append(list, kv.key.String(kv.value))
		}
	}
	if x.Err != nil {
		list = append(list, errorType(x.Status))
		if e.text {
			e.span.RecordError(x.Err)
		}
		// A client's fault is not the server's, as in the conventions of HTTP.
		if x.Status >= http.StatusInternalServerError {
			e.span.SetStatus(codes.Error, "")
		}
	}
	e.span.SetAttributes(list...)
	e.span.End()
}
