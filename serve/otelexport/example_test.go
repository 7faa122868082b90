package otelexport_test

import (
	"context"
	"fmt"
	"net/http"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/otelexport"
)

func Example() {
	ctx := context.Background()
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	server := serve.New(nil)
	defer func() { _ = server.Shutdown(ctx) }()
	exporter, err := otelexport.New(server, &otelexport.Options{TracerProvider: provider})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = exporter.Shutdown() }()
	if err := server.Deploy(ctx, serve.Deployment{Name: "double", Version: "3", Model: new(double)}); err != nil {
		fmt.Println(err)
		return
	}
	header := http.Header{"Traceparent": {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}
	if _, err := server.Do(ctx, &serve.Call{Model: "double", Request: rows(2), RequestID: "r-1", Header: header}); err != nil {
		fmt.Println(err)
		return
	}
	for _, span := range spans.GetSpans() {
		fmt.Println(span.Name, span.SpanKind, span.SpanContext.TraceID(), "child of", span.Parent.SpanID())
		for _, kv := range span.Attributes {
			switch kv.Key {
			case "millwright.queue.duration", "millwright.model.duration": // They differ from run to run.
			default:
				fmt.Printf("  %s=%s\n", kv.Key, kv.Value.String())
			}
		}
	}
	// Output:
	// infer double server 4bf92f3577b34da6a3ce929d0e0e4736 child of 00f067aa0ba902b7
	//   millwright.model.name=double
	//   millwright.request.id=r-1
	//   http.response.status_code=200
	//   millwright.rows=2
	//   millwright.model.version=3
}
