package promexport_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/promexport"
)

// told returns what a server tells of a version's exchanges, and one of these.
func told(tb testing.TB) (serve.Observer, *serve.Exchange) {
	tb.Helper()
	e, err := promexport.New(serve.New(nil), nil)
	require.NoError(tb, err)
	o, _ := e.Bind("m", serve.VersionInfo{Version: "1"})
	return o, &serve.Exchange{Model: "m", Version: "1", Status: 200, Rows: 1, Duration: 90 * time.Microsecond, Infer: 20 * time.Microsecond, BytesIn: 100, BytesOut: 100}
}

func TestAllocations(t *testing.T) {
	o, x := told(t)
	require.Zero(t, testing.AllocsPerRun(1000, func() { o.Observe(x) }))
}

// BenchmarkObserve is what the exporter costs a request; lookup is what it would
// cost to find the same three histograms by their labels each time.
func BenchmarkObserve(b *testing.B) {
	b.Run("exporter", func(b *testing.B) {
		o, x := told(b)
		b.ReportAllocs()
		for b.Loop() {
			o.Observe(x)
		}
	})
	b.Run("lookup", func(b *testing.B) {
		_, x := told(b)
		labels := []string{"model", "version"}
		duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "d"}, labels)
		queue := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "q"}, labels)
		infer := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "i"}, labels)
		requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c"}, append(labels, "code"))
		b.ReportAllocs()
		for b.Loop() {
			duration.WithLabelValues(x.Model, x.Version).Observe(x.Duration.Seconds())
			queue.WithLabelValues(x.Model, x.Version).Observe(x.Queue.Seconds())
			infer.WithLabelValues(x.Model, x.Version).Observe(x.Infer.Seconds())
			requests.WithLabelValues(x.Model, x.Version, "200").Inc()
		}
	})
}

func BenchmarkScrape(b *testing.B) {
	s, _, registry := start(b, nil, &promexport.Options{Triton: true})
	deploy(b, s, "1", new(double))
	_, _, err := s.Infer(b.Context(), "double", "", rows(1))
	require.NoError(b, err)
	for b.Loop() {
		if _, err := registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
