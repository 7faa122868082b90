package otelexport_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/millwright-ml/millwright/serve/llm"
	"github.com/millwright-ml/millwright/serve/llm/genai"
	"github.com/millwright-ml/millwright/serve/llm/otelexport"
)

const (
	traceID  = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID = "00f067aa0ba902b7"
)

// start is a gateway in front of a handler, with what it exports.
func start(t testing.TB, h http.HandlerFunc) (*llm.Gateway, *tracetest.InMemoryExporter, *sdkmetric.ManualReader) {
	t.Helper()
	there := httptest.NewServer(h)
	t.Cleanup(there.Close)
	spans, reader := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
	e, err := otelexport.New(&otelexport.Options{
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)),
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), Provider: "vllm",
	})
	require.NoError(t, err)
	g, err := llm.New([]llm.Upstream{{Name: "a", URL: there.URL}}, []llm.Model{{Name: "chat", Targets: []llm.Target{{Upstream: "a"}}, Price: llm.Price{Input: 1}}},
		&llm.Options{Observers: []llm.Observer{e}, Retries: -1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Shutdown(context.Background())) })
	return g, spans, reader
}

func ask(ctx context.Context, g *llm.Gateway, body string) {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
	r.Header.Set("Traceparent", "00-"+traceID+"-"+parentID+"-01")
	r.Header.Set("Authorization", "Bearer the-key")
	g.ServeHTTP(httptest.NewRecorder(), r)
}

func TestSpansAndMetrics(t *testing.T) {
	t.Parallel()
	parents := make(chan string, 4)
	g, spans, reader := start(t, func(w http.ResponseWriter, r *http.Request) {
		parents <- r.Header.Get("Traceparent")
		b, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(string(b), "break"):
			http.Error(w, "a secret of the upstream", http.StatusInternalServerError)
		default:
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, `data: {"id":"c1","model":"real","choices":[{"index":0,"delta":{"content":"the answer"},"finish_reason":null}]}`+"\n\n"+
				`data: {"id":"c1","model":"real","choices":[{"index":0,"delta":{"content":"!"},"finish_reason":"stop"}]}`+"\n\n"+
				`data: {"id":"c1","model":"real","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":40}}}`+"\n\ndata: [DONE]\n\n")
		}
	})
	ask(t.Context(), g, `{"model":"chat","stream":true,"max_tokens":20,"user":"anna","messages":"the prompt"}`)
	list := spans.GetSpans()
	require.Len(t, list, 1)
	span := list[0]
	require.Equal(t, "chat chat", span.Name)
	require.Equal(t, trace.SpanKindServer, span.SpanKind)
	require.Equal(t, traceID, span.SpanContext.TraceID().String())
	require.Equal(t, parentID, span.Parent.SpanID().String())
	require.Equal(t, "00-"+traceID+"-"+span.SpanContext.SpanID().String()+"-01", <-parents, "upstreams are its children")
	got := make(map[string]any)
	for _, kv := range span.Attributes {
		got[string(kv.Key)] = kv.Value.AsInterface()
	}
	for key, want := range map[string]any{
		genai.OperationName: "chat", genai.ProviderName: "vllm", genai.RequestModel: "chat", genai.ResponseModel: "real", genai.ResponseID: "c1",
		genai.RequestMaxTokens: int64(20), genai.UsageInputTokens: int64(100), genai.UsageOutputTokens: int64(10), genai.UsageCacheReadTokens: int64(40),
		genai.ResponseFinishReasons: []string{"stop"}, "millwright.upstream": "a", "millwright.cost": 0.0001,
	} {
		require.Equal(t, want, got[key], key)
	}
	require.Equal(t, codes.Unset, span.Status.Code)

	spans.Reset()
	ask(t.Context(), g, `{"model":"chat","messages":"break"}`)
	ask(t.Context(), g, `{"model":"invented","messages":"the prompt"}`)
	list = spans.GetSpans()
	require.Len(t, list, 2)
	require.Equal(t, codes.Error, list[0].Status.Code)
	require.Equal(t, codes.Unset, list[1].Status.Code, "the client's fault")
	require.Equal(t, "chat", list[1].Name)
	for _, secret := range []string{"the prompt", "the answer", "anna", "the-key", "secret", "invented"} {
		require.NotContains(t, fmt.Sprintf("%+v", append(list, span)), secret)
	}

	var rm metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &rm))
	counts := make(map[string]uint64)
	for _, m := range rm.ScopeMetrics[0].Metrics {
		for _, p := range m.Data.(metricdata.Histogram[float64]).DataPoints {
			counts[m.Name] += p.Count
		}
	}
	require.Equal(t, map[string]uint64{
		genai.OperationDuration: 3, genai.ServerRequestDuration: 3, genai.TokenUsage: 2, genai.TimeToFirstChunk: 1, genai.TimePerOutputChunk: 1,
		genai.ServerTimeToFirstToken: 1, genai.ServerTimePerOutputToken: 1,
	}, counts)

	// In a program that traces by itself it is a child of what is in the context.
	spans.Reset()
	ctx, parent := sdktrace.NewTracerProvider().Tracer("program").Start(t.Context(), "program")
	ask(ctx, g, `{"model":"chat","messages":"x"}`)
	list = spans.GetSpans()
	require.Len(t, list, 1)
	require.Equal(t, trace.SpanKindInternal, list[0].SpanKind)
	require.Equal(t, parent.SpanContext().SpanID(), list[0].Parent.SpanID())
}

func Example() {
	_, err := otelexport.New(nil)
	fmt.Println(err)
	// Output:
	// llm/otelexport: new: there is neither a TracerProvider nor a MeterProvider: invalid
}
