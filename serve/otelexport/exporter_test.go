package otelexport_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/otelexport"
)

const (
	traceID   = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID  = "00f067aa0ba902b7"
	sampled   = "00-" + traceID + "-" + parentID + "-01"
	unsampled = "00-" + traceID + "-" + parentID + "-00"
	body      = `{"inputs":[{"name":"x","datatype":"FP64","shape":[3,1],"data":[1,2,3]}]}`
)

// start returns a server whose spans are recorded.
func start(t testing.TB, m serve.Model, o otelexport.Options) (*serve.Server, *tracetest.InMemoryExporter, *sdkmetric.ManualReader) {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	reader := sdkmetric.NewManualReader()
	s := serve.New(&serve.Options{MaxBody: 500})
	o.TracerProvider, o.MeterProvider = provider, sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	e, err := otelexport.New(s, &o)
	require.NoError(t, err)
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "double", Version: "1", Model: m, Digest: "sha256:ab"}))
	t.Cleanup(func() {
		require.NoError(t, e.Shutdown())
		require.NoError(t, e.Shutdown())
		require.NoError(t, s.Shutdown(context.Background()))
		require.NoError(t, provider.Shutdown(context.Background()))
	})
	return s, spans, reader
}

func post(t testing.TB, s *serve.Server, body, traceparent string, want int) {
	t.Helper()
	r := httptest.NewRequest("POST", "/v2/models/double/infer", strings.NewReader(body))
	if traceparent != "" {
		r.Header.Set("traceparent", traceparent)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	require.Equal(t, want, w.Code, w.Body)
}

func attrs(list []attribute.KeyValue) map[string]string {
	m := make(map[string]string)
	for _, kv := range list {
		m[string(kv.Key)] = kv.Value.String()
	}
	return m
}

func TestSpans(t *testing.T) {
	t.Parallel()
	var seen trace.SpanContext
	var fail error
	m := &double{call: func(ctx context.Context) error {
		seen = trace.SpanContextFromContext(ctx)
		return fail
	}}
	s, spans, _ := start(t, m, otelexport.Options{})
	take := func() tracetest.SpanStub {
		t.Helper()
		list := spans.GetSpans()
		spans.Reset()
		require.Len(t, list, 1)
		return list[0]
	}

	// A trace goes through the server to the model.
	post(t, s, body, sampled, 200)
	span := take()
	require.Equal(t, "infer double", span.Name)
	require.Equal(t, trace.SpanKindServer, span.SpanKind)
	require.Equal(t, traceID, span.SpanContext.TraceID().String())
	require.Equal(t, parentID, span.Parent.SpanID().String())
	require.True(t, span.Parent.IsRemote())
	require.Equal(t, span.SpanContext.SpanID(), seen.SpanID(), "the model is inside of the span")
	require.Equal(t, codes.Unset, span.Status.Code)
	got := attrs(span.Attributes)
	require.Equal(t, "1", got["millwright.model.version"])
	require.Equal(t, "sha256:ab", got["millwright.model.digest"])
	require.Equal(t, "3", got["millwright.rows"])
	require.Equal(t, "200", got["http.response.status_code"])
	require.NotEmpty(t, got["millwright.request.id"])
	require.Contains(t, got, "millwright.model.duration")
	require.NotContains(t, got, "error.type")

	// One that its caller has not sampled is handed on without a span.
	post(t, s, body, unsampled, 200)
	require.Empty(t, spans.GetSpans())
	require.Equal(t, traceID, seen.TraceID().String())
	require.Equal(t, parentID, seen.SpanID().String())
	require.False(t, seen.IsSampled())

	// Without a header a trace begins here; a broken one is none.
	for _, header := range []string{"", "00-zz", "99-" + traceID} {
		post(t, s, body, header, 200)
		span = take()
		require.NotEqual(t, traceID, span.SpanContext.TraceID().String())
		require.False(t, span.Parent.IsValid())
	}

	// Inside of another span, such as otelhttp's, the header is that one's matter.
	outer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	ctx, parent := outer.Tracer("test").Start(t.Context(), "outer")
	_, _, err := s.Infer(ctx, "double", "", rows(1))
	require.NoError(t, err)
	span = take()
	require.Equal(t, trace.SpanKindInternal, span.SpanKind)
	require.Equal(t, parent.SpanContext().SpanID(), span.Parent.SpanID())

	// Failures.
	const secret = "654321.5"
	post(t, s, strings.ReplaceAll(body, "3]", `"`+secret+`"]`), "", 400)
	span = take()
	require.Equal(t, codes.Unset, span.Status.Code, "a fault of the client's is none of the server's")
	require.Equal(t, "400", attrs(span.Attributes)["error.type"])
	require.NotContains(t, fmt.Sprint(span), secret)
	post(t, s, strings.Repeat(" ", 600), "", 413)
	require.Equal(t, "413", attrs(take().Attributes)["error.type"])
	fail = errors.New("disk on fire")
	post(t, s, body, "", 500)
	span = take()
	require.Equal(t, codes.Error, span.Status.Code)
	require.NotContains(t, fmt.Sprint(span), "fire")
	require.Empty(t, span.Events)
	_, _, err = s.Infer(t.Context(), "unknown", "", rows(1))
	require.ErrorIs(t, err, serve.ErrNotFound)
	require.Empty(t, spans.GetSpans())
}

func TestSpanOptions(t *testing.T) {
	t.Parallel()
	m := &double{call: func(context.Context) error { return errors.New("disk on fire") }}
	s, spans, _ := start(t, m, otelexport.Options{ErrorText: true, StartUnsampled: true, Propagator: propagation.NewCompositeTextMapPropagator(propagation.Baggage{}, propagation.TraceContext{})})
	post(t, s, body, sampled, 500)
	list := spans.GetSpans()
	require.Len(t, list, 1)
	require.Len(t, list[0].Events, 1)
	require.Contains(t, fmt.Sprint(list[0].Events), "disk on fire")
	require.Equal(t, traceID, list[0].SpanContext.TraceID().String())
	// The SDK's sampler follows the parent, here it is asked.
	post(t, s, body, unsampled, 500)
	require.Len(t, spans.GetSpans(), 1)

	_, err := otelexport.New(nil, nil)
	require.ErrorIs(t, err, otelexport.ErrInvalid)
	require.ErrorContains(t, err, "server is nil")
	require.ErrorContains(t, err, "neither")
}

// collect returns the points of all metrics by name and attributes.
func collect(t testing.TB, reader *sdkmetric.ManualReader) map[string]float64 {
	t.Helper()
	var rm metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &rm))
	points := make(map[string]float64)
	for _, sm := range rm.ScopeMetrics {
		require.Equal(t, "github.com/millwright-ml/millwright/serve/otelexport", sm.Scope.Name)
		for _, m := range sm.Metrics {
			name := strings.TrimPrefix(m.Name, "millwright.serve.")
			of := func(set attribute.Set) string {
				return name + "{" + strings.ReplaceAll(set.Encoded(attribute.DefaultEncoder()), "millwright.", "") + "}"
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					points[of(p.Attributes)] = float64(p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					points[of(p.Attributes)] = float64(p.Value)
				}
			case metricdata.Histogram[float64]:
				require.Equal(t, "s", m.Unit)
				for _, p := range data.DataPoints {
					points[of(p.Attributes)] = float64(p.Count)
				}
			default:
				require.Failf(t, "unknown data", "%T", data)
			}
		}
	}
	return points
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	var fail error
	s, _, reader := start(t, &double{call: func(context.Context) error { return fail }}, otelexport.Options{})
	post(t, s, body, "", 200)
	post(t, s, body, "", 200)
	post(t, s, "{", "", 400)
	fail = serve.ErrUnavailable
	post(t, s, body, "", 503)
	for i := range 20 {
		_, _, err := s.Infer(t.Context(), fmt.Sprint("unknown-", i), "", rows(1))
		require.ErrorIs(t, err, serve.ErrNotFound)
	}
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "double", Version: "2", Model: new(double)}))

	got := collect(t, reader)
	out := got["io{model.name=double,model.version=1,network.io.direction=transmit}"]
	require.Positive(t, out)
	limit := got["admission.limit{model.name=double}"]
	require.Positive(t, limit)
	require.Equal(t, map[string]float64{
		"request.duration{http.response.status_code=200,model.name=double,model.version=1}":                2,
		"request.duration{error.type=503,http.response.status_code=503,model.name=double,model.version=1}": 1,
		"request.duration{error.type=400,http.response.status_code=400,model.name=double}":                 1,
		"queue.duration{model.name=double,model.version=1}":                                                3,
		"model.duration{model.name=double,model.version=1}":                                                3,
		"rows{model.name=double,model.version=1}":                                                          6,
		"io{model.name=double,model.version=1,network.io.direction=receive}":                               float64(3 * len(body)),
		"io{model.name=double,model.version=1,network.io.direction=transmit}":                              out,
		"io{model.name=double,network.io.direction=receive}":                                               1,
		"active_requests{model.name=double,model.version=2}":                                               0,
		"executions{model.name=double,model.version=2}":                                                    0,
		"admission.limit{model.name=double}":                                                               limit,
		"admission.waiting{model.name=double}":                                                             0,
		"admission.refused{model.name=double,reason=capacity}":                                             0,
		"admission.refused{model.name=double,reason=share}":                                                0,
		"deployments{model.name=double}":                                                                   2,
		"swaps{model.name=double}":                                                                         1,
	}, got)
}

// TestProviders: one of the two is enough.
func TestProviders(t *testing.T) {
	t.Parallel()
	s := serve.New(nil)
	e, err := otelexport.New(s, &otelexport.Options{MeterProvider: noop.NewMeterProvider()})
	require.NoError(t, err)
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "double", Version: "1", Model: new(double)}))
	_, _, err = s.Infer(t.Context(), "double", "", rows(1))
	require.NoError(t, err)
	require.NoError(t, e.Shutdown())
	require.NoError(t, s.Shutdown(t.Context()))
}
