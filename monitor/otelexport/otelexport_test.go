package otelexport_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/metrics"
	"github.com/millwright-ml/millwright/monitor/otelexport"
)

func newMonitor(t testing.TB, features int) *monitor.Monitor {
	t.Helper()
	ref := reference(features)
	m, err := monitor.New(ref, &monitor.Options{Model: "fraud", Version: "3"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Shutdown(context.Background())) })
	return m
}

func reference(features int) *profile.Reference {
	var list []profile.Feature
	for j := range features {
		var c profile.Column
		for i := range 1000 {
			c.AddFloat(float64(i))
		}
		list = append(list, profile.Feature{Name: fmt.Sprint("f", j), Bins: c.Bins(0)})
	}
	var score profile.Column
	for i := range 100 {
		score.AddFloat(float64(i) / 100)
	}
	ref := profile.NewReference(list, score.Bins(0))
	row := make([]float64, features)
	for i := range 1000 {
		for j := range row {
			row[j] = float64(i)
		}
		_ = ref.Observe(row, float64(i)/1000)
	}
	return ref
}

func observe(m *monitor.Monitor, features int) {
	row := make([]float64, features)
	for i := range 1000 {
		for j := range row {
			row[j] = float64(i)
		}
		m.Observe(row, float64(i)/1000, monitor.NewID("r", i))
	}
}

func collect(t testing.TB, reader sdk.Reader) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(context.Background(), &all))
	out := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			out[m.Name] = m
		}
	}
	return out
}

// TestRegister holds the instruments of the real SDK against the list and the
// reader.
func TestRegister(t *testing.T) {
	t.Parallel()
	m := newMonitor(t, 2)
	observe(m, 2)
	require.Equal(t, monitor.Matched, m.Label(monitor.NewID("r", 1), 1))
	_, err := m.Cut(t.Context())
	require.NoError(t, err)
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	opts := &otelexport.Options{InferenceLog: func() map[string]uint64 { return map[string]uint64{"written": 5} }}
	registration, err := otelexport.Register(m, provider.Meter("test"), opts)
	require.NoError(t, err)
	got := collect(t, reader)
	want := map[string]int{}
	list := metrics.All()
	metrics.NewReader(m, opts).Read(func(s metrics.Sample) {
		name := otelexport.Name(list[s.Metric])
		want[name]++
		require.Equal(t, list[s.Metric].Unit, got[name].Unit)
		require.Equal(t, list[s.Metric].Help, got[name].Description)
	})
	want["millwright.label.delay.count"] = 1
	require.Len(t, got, len(want))
	for name, n := range want {
		points := 0
		switch data := got[name].Data.(type) {
		case metricdata.Gauge[float64]:
			points = len(data.DataPoints)
		case metricdata.Sum[int64]:
			points = len(data.DataPoints)
			require.True(t, data.IsMonotonic)
			require.Equal(t, metricdata.CumulativeTemporality, data.Temporality)
		case metricdata.Sum[float64]:
			points = len(data.DataPoints)
		}
		require.Equal(t, n, points, name)
	}
	for _, p := range got["millwright.feature.observations"].Data.(metricdata.Sum[int64]).DataPoints {
		require.Equal(t, 4, p.Attributes.Len())
		for key, value := range map[string]string{"model.name": "fraud", "model.version": "3"} {
			v, ok := p.Attributes.Value(attribute.Key("millwright." + key))
			require.True(t, ok)
			require.Equal(t, value, v.AsString())
		}
	}

	require.NoError(t, m.Reset(reference(2), "4"))
	for _, p := range collect(t, reader)["millwright.model.info"].Data.(metricdata.Gauge[float64]).DataPoints {
		v, _ := p.Attributes.Value("millwright.model.version")
		require.Equal(t, "4", v.AsString(), "versions do not pile up")
	}
	require.NoError(t, registration.Unregister())
	require.Empty(t, collect(t, reader))
}

func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	_, err := otelexport.Register(nil, nil, nil)
	require.ErrorIs(t, err, otelexport.ErrInvalid)
	require.ErrorContains(t, err, "monitor is nil; the meter is nil")
}

func BenchmarkCollect(b *testing.B) {
	m := newMonitor(b, 32)
	observe(m, 32)
	_, err := m.Cut(b.Context())
	require.NoError(b, err)
	reader := sdk.NewManualReader()
	_, err = otelexport.Register(m, sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("test"), nil)
	require.NoError(b, err)
	b.ReportAllocs()
	var all metricdata.ResourceMetrics
	for b.Loop() {
		require.NoError(b, reader.Collect(b.Context(), &all))
	}
}

func Example() {
	ctx := context.Background()
	m, err := monitor.New(reference(1), &monitor.Options{Model: "fraud", Version: "3"})
	if err != nil {
		fmt.Println(err)
		return
	}
	reader := sdk.NewManualReader() // In a program, a periodic reader with the OTLP exporter.
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	if _, err := otelexport.Register(m, provider.Meter("fraud-service"), nil); err != nil {
		fmt.Println(err)
		return
	}
	observe(m, 1)
	var all metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &all); err != nil {
		fmt.Println(err)
		return
	}
	for _, metric := range all.ScopeMetrics[0].Metrics {
		if metric.Name == "millwright.predictions" {
			for _, p := range metric.Data.(metricdata.Sum[int64]).DataPoints {
				class, _ := p.Attributes.Value("millwright.class")
				fmt.Println(metric.Name, class.AsString(), p.Value)
			}
		}
	}
	fmt.Println(m.Shutdown(ctx), provider.Shutdown(ctx))
	// Unordered output:
	// millwright.predictions negative 500
	// millwright.predictions positive 500
	// <nil> <nil>
}
