// Package otelexport shows a gateway to OpenTelemetry by its conventions for
// generative AI, whose names are those of package genai.
//
//	exporter, err := otelexport.New(&otelexport.Options{TracerProvider: tracers, MeterProvider: meters})
//	g, err := llm.New(upstreams, models, &llm.Options{Observers: []llm.Observer{exporter}})
//
// Nothing is taken from the globals of package otel: give otel.GetTracerProvider()
// and its like where those are wanted.
//
// # Spans
//
// A request is one span, its operation and model, such as "chat gpt-x", from when
// it came until its answer went out. It is a child of the span in the request's
// context, as otelhttp leaves it there, and then of the kind internal; else of the
// one in the header "traceparent", and of the kind server. Upstreams are sent its
// trace context, so that their spans are its children. It has
//
//	gen_ai.operation.name, .provider.name, .request.model, .request.max_tokens,
//	.response.id, .response.model, .response.finish_reasons, .response.time_to_first_chunk,
//	.usage.input_tokens, .usage.output_tokens, .usage.cache_read.input_tokens,
//	.usage.reasoning.output_tokens, gen_ai.prompt.name, error.type, http.response.status_code
//
// and, where there is no convention,
//
//	millwright.request.id, millwright.tenant, millwright.upstream, millwright.attempts,
//	millwright.cached, millwright.prompt.version, millwright.cost (in what the prices are in)
//
// A span of a status from 500 up, and of a stream that broke off, has the status
// Error. Never is a prompt, an answer, a key or the field user in a span; the texts
// of errors, which may quote what an upstream said, only with Options.ErrorText.
// What a client calls its model is there only where there is such a model.
//
// # Metrics
//
// Histograms, by operation and the model that answered:
//
//	gen_ai.client.operation.duration              s, with error.type
//	gen_ai.client.token.usage                     {token}, by gen_ai.token.type
//	gen_ai.client.operation.time_to_first_chunk   s, of streams
//	gen_ai.client.operation.time_per_output_chunk s, of streams
//	gen_ai.server.request.duration                s, with error.type
//	gen_ai.server.time_to_first_token             s, of streams
//	gen_ai.server.time_per_output_token           s, of streams, behind the first token
//
// A gateway is both: a client of its upstreams and the server of its clients. Labels
// are names of the configuration, so that clients make no series.
package otelexport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/llm"
	"github.com/millwright-ml/millwright/serve/llm/genai"
)

// ErrInvalid is the kind of error of options that cannot be used; test with
// errors.Is.
var ErrInvalid = errs.ErrInvalid

// scope is what spans and metrics come from.
const scope = "github.com/millwright-ml/millwright/serve/llm/otelexport"

// Options configure an Exporter. One of the providers is needed.
type Options struct {
	// TracerProvider makes the spans. Default nil: none.
	TracerProvider trace.TracerProvider
	// MeterProvider makes the metrics. Default nil: none.
	MeterProvider metric.MeterProvider
	// Propagator reads the trace of a request's header, and writes that of what
	// upstreams are sent. Default propagation.TraceContext{}, the W3C's headers.
	Propagator propagation.TextMapPropagator
	// Provider is gen_ai.provider.name, for instance "openai" or "vllm". Default
	// "millwright".
	Provider string
	// ErrorText puts the texts of errors into spans. Default false.
	ErrorText bool
}

// Exporter is an llm.Tracer. The providers are left to who has made them.
type Exporter struct {
	o      Options
	tracer trace.Tracer
	meter  *meter
}

var _ llm.Tracer = (*Exporter)(nil)

// New returns an exporter to the providers. An ErrInvalid when both are missing;
// what the meter says of an instrument.
func New(opts *Options) (*Exporter, error) {
	e := new(Exporter)
	if opts != nil {
		e.o = *opts
	}
	if e.o.TracerProvider == nil && e.o.MeterProvider == nil {
		return nil, fmt.Errorf("llm/otelexport: new: there is neither a TracerProvider nor a MeterProvider: %w", ErrInvalid)
	}
	if e.o.Propagator == nil {
		e.o.Propagator = propagation.TraceContext{}
	}
	if e.o.Provider == "" {
		e.o.Provider = "millwright"
	}
	if e.o.TracerProvider != nil {
		e.tracer = e.o.TracerProvider.Tracer(scope)
	}
	if e.o.MeterProvider != nil {
		m, err := newMeter(e.o.MeterProvider.Meter(scope), e.o.Provider)
		if err != nil {
			return nil, fmt.Errorf("llm/otelexport: new: %w", err)
		}
		e.meter = m
	}
	return e, nil
}

// spanKey is where a request's span is in its context.
type spanKey struct{ e *Exporter }

// Begin implements llm.Tracer.
func (e *Exporter) Begin(ctx context.Context, x *llm.Exchange, header http.Header) (context.Context, http.Header) {
	if e.tracer == nil {
		return ctx, nil
	}
	parent, kind := ctx, trace.SpanKindInternal
	if !trace.SpanContextFromContext(ctx).IsValid() {
		parent, kind = e.o.Propagator.Extract(ctx, propagation.HeaderCarrier(header)), trace.SpanKindServer
	}
	next, span := e.tracer.Start(parent, string(x.Operation), trace.WithSpanKind(kind), trace.WithTimestamp(x.Began),
		trace.WithAttributes(attribute.String(genai.OperationName, operation(x.Operation)), attribute.String(genai.ProviderName, e.o.Provider)))
	out := make(http.Header)
	e.o.Propagator.Inject(next, propagation.HeaderCarrier(out))
	return context.WithValue(next, spanKey{e}, span), out
}

// operation is the convention's name of one. There is none for the responses of
// OpenAI's newer API, which are chats.
func operation(op llm.Operation) string {
	switch op {
	case llm.Completion:
		return "text_completion"
	case llm.Responses:
		return "chat"
	}
	return string(op)
}

// Observe implements llm.Observer.
func (e *Exporter) Observe(x *llm.Exchange) {
	if e.meter != nil {
		e.meter.observe(x)
	}
	if span, ok := x.Context().Value(spanKey{e}).(trace.Span); ok {
		e.finish(span, x)
	}
}

func (e *Exporter) finish(span trace.Span, x *llm.Exchange) {
	defer span.End(trace.WithTimestamp(x.Ended))
	if !span.IsRecording() {
		return
	}
	list := []attribute.KeyValue{
		attribute.String("millwright.request.id", x.ID), attribute.Int("http.response.status_code", x.Status), attribute.Int("millwright.attempts", x.Attempts),
	}
	text := func(key, value string) {
		if value != "" {
			list = append(list, attribute.String(key, value))
		}
	}
	name := operation(x.Operation)
	if x.Served != "" {
		// Else a client may have called it anything.
		name += " " + x.Model
		text(genai.RequestModel, x.Model)
		text("millwright.upstream", x.Upstream)
	}
	span.SetName(name)
	text("millwright.tenant", x.Tenant)
	text(genai.ResponseID, x.ResponseID)
	text(genai.ResponseModel, x.ResponseModel)
	text(genai.PromptName, x.Prompt)
	if x.Prompt != "" {
		text("millwright.prompt.version", x.PromptVersion)
	}
	if x.Finish != "" {
		list = append(list, attribute.StringSlice(genai.ResponseFinishReasons, []string{x.Finish}))
	}
	if x.MaxTokens >= 0 {
		list = append(list, attribute.Int(genai.RequestMaxTokens, x.MaxTokens))
	}
	if x.Cached {
		list = append(list, attribute.Bool("millwright.cached", true))
	}
	if x.Stream && !x.First.IsZero() {
		list = append(list, attribute.Float64(genai.ResponseTimeToFirstChunk, x.First.Sub(x.Began).Seconds()))
	}
	if x.Usage.Total() > 0 {
		list = append(list, attribute.Int(genai.UsageInputTokens, x.Usage.Input), attribute.Int(genai.UsageOutputTokens, x.Usage.Output),
			attribute.Int(genai.UsageCacheReadTokens, x.Usage.CachedInput), attribute.Float64("millwright.cost", float64(x.Cost)/1e9))
	}
	if x.Usage.Reasoning > 0 {
		list = append(list, attribute.Int(genai.UsageReasoningTokens, x.Usage.Reasoning))
	}
	if x.Err != nil {
		list = append(list, attribute.String(genai.ErrorType, errorType(x)))
		if e.o.ErrorText {
			span.RecordError(x.Err)
		}
		// What a client did wrong, or that it left, is no error of the server.
		if x.Status >= http.StatusInternalServerError || x.Status < http.StatusBadRequest {
			span.SetStatus(codes.Error, "")
		}
	}
	span.SetAttributes(list...)
}

// errorType is the status, or what happened to an answer that began well.
func errorType(x *llm.Exchange) string {
	if x.Status >= http.StatusBadRequest {
		return strconv.Itoa(x.Status)
	}
	return "broken_stream"
}

// meter has the instruments.
type meter struct {
	provider                                                             attribute.KeyValue
	duration, tokens, firstChunk, perChunk, server, firstToken, perToken metric.Float64Histogram
}

func newMeter(m metric.Meter, provider string) (*meter, error) {
	var list []error
	histogram := func(name, unit, help string, bounds []float64) metric.Float64Histogram {
		h, err := m.Float64Histogram(name, metric.WithUnit(unit), metric.WithDescription(help), metric.WithExplicitBucketBoundaries(bounds...))
		list = append(list, err)
		return h
	}
	t := &meter{
		provider:   attribute.String(genai.ProviderName, provider),
		duration:   histogram(genai.OperationDuration, "s", "How long operations took.", genai.DurationBuckets()),
		tokens:     histogram(genai.TokenUsage, "{token}", "The tokens of operations.", genai.TokenBuckets()),
		firstChunk: histogram(genai.TimeToFirstChunk, "s", "How long streams took to their first event.", genai.FirstTokenBuckets()),
		perChunk:   histogram(genai.TimePerOutputChunk, "s", "How long streams took from one event to the next.", genai.OutputTokenBuckets()),
		server:     histogram(genai.ServerRequestDuration, "s", "How long requests took.", genai.DurationBuckets()),
		firstToken: histogram(genai.ServerTimeToFirstToken, "s", "How long streams took to their first token.", genai.FirstTokenBuckets()),
		perToken:   histogram(genai.ServerTimePerOutputToken, "s", "How long streams took for each token behind the first.", genai.OutputTokenBuckets()),
	}
	return t, errors.Join(list...)
}

func (t *meter) observe(x *llm.Exchange) {
	ctx := context.Background() // A request that ended is counted as well.
	base := []attribute.KeyValue{attribute.String(genai.OperationName, operation(x.Operation)), t.provider}
	if x.Served != "" {
		base = append(base, attribute.String(genai.RequestModel, x.Served))
	}
	plain := metric.WithAttributeSet(attribute.NewSet(base...))
	with := plain
	if x.Err != nil {
		with = metric.WithAttributeSet(attribute.NewSet(append(slices.Clip(base), attribute.String(genai.ErrorType, errorType(x)))...))
	}
	took := x.Ended.Sub(x.Began).Seconds()
	t.duration.Record(ctx, took, with)
	t.server.Record(ctx, took, with)
	if x.Usage.Total() > 0 {
		for kind, n := range map[string]int{genai.TokenInput: x.Usage.Input, genai.TokenOutput: x.Usage.Output} {
			t.tokens.Record(ctx, float64(n), metric.WithAttributeSet(attribute.NewSet(append(slices.Clip(base), attribute.String(genai.TokenType, kind))...)))
		}
	}
	if !x.Stream || x.First.IsZero() {
		return
	}
	first, rest := x.First.Sub(x.Began).Seconds(), x.Ended.Sub(x.First).Seconds()
	t.firstChunk.Record(ctx, first, plain)
	t.firstToken.Record(ctx, first, plain)
	if x.Events > 1 {
		t.perChunk.Record(ctx, rest/float64(x.Events-1), plain)
	}
	if x.Usage.Output > 1 {
		t.perToken.Record(ctx, rest/float64(x.Usage.Output-1), plain)
	}
}
