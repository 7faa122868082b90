// Package otelexport shows what a server does to OpenTelemetry: a span for each
// request, and metrics.
//
//	exporter, err := otelexport.New(server, &otelexport.Options{
//		TracerProvider: tracerProvider,
//		MeterProvider:  meterProvider,
//	})
//	defer exporter.Shutdown()
//
// Nothing is taken from the globals of package otel: give otel.GetTracerProvider()
// and its like where those are wanted.
//
// # Spans
//
// A request is one span, "infer " and the model's name, from when its header was
// read until its answer is encoded. It is a child of the span in the request's
// context, as otelhttp and otelgrpc leave it there, and then of the kind internal;
// else of the one in the header "traceparent", and of the kind server. Models get
// it in their context, so that what they call goes on with the trace. A trace
// that the caller has not sampled makes no span: its context is handed on, which
// costs three allocations.
//
// There is no semantic convention for inference by models of all kinds. Where
// there is one for an attribute, it has its name (version 1.41.0): error.type,
// http.response.status_code, network.io.direction. The others are
//
//	millwright.model.name, .version, .digest, .variant
//	millwright.request.id, millwright.tenant, millwright.rows
//	millwright.queue.duration, millwright.model.duration   seconds, of spans
//
// A span of a status from 500 up has the status Error. Never is anything of a
// payload in a span; the texts of errors, which may quote it, only with
// Options.ErrorText.
//
// # Metrics
//
// Histograms, in seconds, and counters by model, version and status, whose
// attributes are put together once:
//
//	millwright.serve.request.duration   histogram, s
//	millwright.serve.queue.duration     histogram, s, without status
//	millwright.serve.model.duration     histogram, s, without status
//	millwright.serve.rows               counter, {row}, without status
//	millwright.serve.io                 counter, By, by network.io.direction
//
// and, read when they are collected:
//
//	millwright.serve.active_requests       up-down counter, {request}, by version
//	millwright.serve.executions            counter, {call}, by version
//	millwright.serve.admission.limit       gauge, {request}, by model
//	millwright.serve.admission.waiting     up-down counter, {request}, by model
//	millwright.serve.admission.refused     counter, {request}, by model and millwright.reason: capacity, share
//	millwright.serve.deployments           counter, {version}, by model
//	millwright.serve.swaps                 counter, {swap}, by model
//
// A request for a model that is not deployed makes no series. Those of versions
// that are gone stay, as OpenTelemetry has no way to end them: its SDK bounds
// them by its cardinality limit.
package otelexport
