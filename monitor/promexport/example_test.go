package promexport_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/promexport"
)

// scrape does what a scrape over HTTP does, and returns the page.
func scrape(t testing.TB, registry *prometheus.Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code)
	return w.Body.String()
}

func Example() {
	ctx := context.Background()
	var amount profile.Column
	for i := range 1000 {
		amount.AddFloat(float64(i % 100))
	}
	ref := profile.NewReference([]profile.Feature{{Name: "amount", Bins: amount.Bins(0)}}, nil)
	for i := range 1000 {
		if err := ref.Observe([]float64{float64(i % 100)}, 0); err != nil {
			fmt.Println(err)
			return
		}
	}
	m, err := monitor.New(ref, &monitor.Options{Model: "fraud", Version: "3"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = m.Shutdown(ctx) }()
	registry := prometheus.NewRegistry()
	if err := registry.Register(promexport.New(m, nil)); err != nil {
		fmt.Println(err)
		return
	}

	for i := range 1000 {
		m.Observe([]float64{float64(i % 200)}, 0.5, monitor.NewID("request", i))
	}
	if _, err := m.Cut(ctx); err != nil {
		fmt.Println(err)
		return
	}

	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "millwright_drift") || strings.HasPrefix(line, "millwright_feature_out") {
			fmt.Print(line)
		}
	}
	// Output:
	// millwright_drift_features{model="fraud",version="3"} 1
	// millwright_drift_state{model="fraud",version="3"} 2
	// millwright_feature_out_of_range_ratio{feature="amount",model="fraud",version="3"} 0.5
}
