package otelexport_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/otelexport"
)

// metered returns what a server with a meter tells of a version's exchanges.
func metered(tb testing.TB) func() {
	tb.Helper()
	o, err := otelexport.Bound(serve.New(nil), sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())))
	require.NoError(tb, err)
	x := &serve.Exchange{Model: "double", Version: "1", Status: 200, Rows: 1, Duration: 90 * time.Microsecond, Infer: 20 * time.Microsecond, BytesIn: 100, BytesOut: 100}
	o.Observe(x)
	return func() { o.Observe(x) }
}

func TestMeterAllocations(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(1000, metered(t)))
}

func BenchmarkMeter(b *testing.B) {
	observe := metered(b)
	b.ReportAllocs()
	for b.Loop() {
		observe()
	}
}

// BenchmarkSpan is one request by Server.Do: without the exporter, with a trace
// that is not sampled by its caller or by the sampler, and with one that is.
func BenchmarkSpan(b *testing.B) {
	for _, bc := range []struct {
		name    string
		sampler sdktrace.Sampler
		header  string
	}{
		{"off", nil, ""},
		{"unsampled-parent", sdktrace.AlwaysSample(), unsampled},
		{"unsampled-root", sdktrace.NeverSample(), ""},
		{"sampled", sdktrace.AlwaysSample(), sampled},
	} {
		b.Run(bc.name, func(b *testing.B) {
			s := serve.New(nil)
			require.NoError(b, s.Deploy(b.Context(), serve.Deployment{Name: "double", Version: "1", Model: new(double)}))
			defer func() { require.NoError(b, s.Shutdown(context.Background())) }()
			if bc.sampler != nil {
				_, err := otelexport.New(s, &otelexport.Options{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSampler(bc.sampler))})
				require.NoError(b, err)
			}
			header := http.Header{}
			if bc.header != "" {
				header.Set("traceparent", bc.header)
			}
			req := rows(1)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Do(b.Context(), &serve.Call{Model: "double", Request: req, RequestID: "r", Header: header}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A trace that is not sampled costs its context and no more.
func TestUnsampledAllocations(t *testing.T) {
	header := http.Header{}
	header.Set("traceparent", unsampled)
	begin := otelexport.Begin(&otelexport.Options{TracerProvider: sdktrace.NewTracerProvider()})
	c := &serve.Call{Model: "double", Header: header}
	require.LessOrEqual(t, testing.AllocsPerRun(1000, func() {
		if _, o := begin(context.Background(), c); o != nil {
			panic("it is sampled")
		}
	}), 3.0)
}

func BenchmarkBegin(b *testing.B) {
	for name, sampler := range map[string]sdktrace.Sampler{"unsampled-parent": sdktrace.AlwaysSample(), "unsampled-root": sdktrace.NeverSample()} {
		b.Run(name, func(b *testing.B) {
			header := http.Header{}
			if name == "unsampled-parent" {
				header.Set("traceparent", unsampled)
			}
			begin := otelexport.Begin(&otelexport.Options{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler))})
			c := &serve.Call{Model: "double", Header: header}
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				begin(ctx, c)
			}
		})
	}
}
