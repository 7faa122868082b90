package otelexport

import (
	"fmt"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve"
)

// ErrInvalid is the kind of error of options that cannot be used; test with
// errors.Is.
var ErrInvalid = errs.ErrInvalid

// scope is what spans and metrics come from.
const scope = "github.com/millwright-ml/millwright/serve/otelexport"

// The attributes that no convention has.
const (
	modelName     = attribute.Key("millwright.model.name")
	modelVersion  = attribute.Key("millwright.model.version")
	modelDigest   = attribute.Key("millwright.model.digest")
	modelVariant  = attribute.Key("millwright.model.variant")
	requestID     = attribute.Key("millwright.request.id")
	tenant        = attribute.Key("millwright.tenant")
	rows          = attribute.Key("millwright.rows")
	queueDuration = attribute.Key("millwright.queue.duration")
	modelDuration = attribute.Key("millwright.model.duration")
	refusal       = attribute.Key("millwright.reason")
)

// Options configure an Exporter. One of the providers is needed.
type Options struct {
	// TracerProvider makes the spans. Default nil: none.
	TracerProvider trace.TracerProvider
	// MeterProvider makes the metrics. Default nil: none.
	MeterProvider metric.MeterProvider
	// Propagator reads the trace of a request's header. Default
	// propagation.TraceContext{}, the W3C's headers.
	Propagator propagation.TextMapPropagator
	// StartUnsampled makes spans also for traces that their caller has not
	// sampled, for a sampler that may take them nevertheless. Default false.
	StartUnsampled bool
	// ErrorText puts the texts of errors into spans. Default false: they may
	// quote what a client has sent.
	ErrorText bool
}

// Exporter ties a server to OpenTelemetry. End it with Shutdown; the providers
// are left to who has made them.
type Exporter struct {
	ends []func() error
}

// New ties a server to the providers. An ErrInvalid when the server or both
// providers are missing; what the meter says of an instrument.
func New(server *serve.Server, opts *Options) (*Exporter, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	var f errs.Faults
	f.Check(server != nil, "the server is nil")
	f.Check(o.TracerProvider != nil || o.MeterProvider != nil, "there is neither a TracerProvider nor a MeterProvider")
	if err := f.Err("otelexport: new"); err != nil {
		return nil, err
	}
	e := new(Exporter)
	if o.MeterProvider != nil {
		m, end, err := newMeter(server, o.MeterProvider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL)))
		if err != nil {
			return nil, fmt.Errorf("otelexport: new: %w", err)
		}
		detach := server.Attach(m)
		e.ends = append(e.ends, end, func() error { detach(); return nil })
	}
	if o.TracerProvider != nil {
		detach := server.Attach(newTracer(&o))
		e.ends = append(e.ends, func() error { detach(); return nil })
	}
	return e, nil
}

// Shutdown takes the exporter off the server. It may be called again.
func (e *Exporter) Shutdown() error {
	for len(e.ends) > 0 {
		end := e.ends[len(e.ends)-1]
		e.ends = e.ends[:len(e.ends)-1]
		if err := end(); err != nil {
			return fmt.Errorf("otelexport: shutdown: %w", err)
		}
	}
	return nil
}

// errorType is the value of error.type for a status, as the conventions of HTTP
// have it.
func errorType(status int) attribute.KeyValue {
	return semconv.ErrorTypeKey.String(strconv.Itoa(status))
}
