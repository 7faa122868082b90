package promexport_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/promexport"
)

// double is a model of one number a row. Its fail is asked before each call.
type double struct {
	fail func() error
}

func (*double) Signature() serve.Signature {
	return serve.Signature{
		Inputs:  []oip.TensorMetadata{{Name: "x", Datatype: oip.FP64, Shape: []int64{-1, 1}}},
		Outputs: []oip.TensorMetadata{{Name: "y", Datatype: oip.FP64, Shape: []int64{-1}}},
	}
}

func (m *double) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	if m.fail != nil {
		if err := m.fail(); err != nil {
			return err
		}
	}
	x := req.Inputs[0].FP64()
	y := make([]float64, len(x))
	for i := range x {
		y[i] = 2 * x[i]
	}
	resp.Outputs = append(resp.Outputs, oip.NewFP64("y", []int64{int64(len(y))}, y))
	return nil
}

func (*double) Close() error { return nil }

func (*double) Size() int64 { return 4096 }

// rows is a request of n rows.
func rows(n int) *oip.InferRequest {
	return &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP64("x", []int64{int64(n), 1}, make([]float64, n))}}
}

// start returns a server with an exporter in a registry of its own.
func start(t testing.TB, so *serve.Options, po *promexport.Options) (*serve.Server, *promexport.Exporter, *prometheus.Registry) {
	t.Helper()
	s := serve.New(so)
	t.Cleanup(func() { require.NoError(t, s.Shutdown(context.Background())) })
	e, err := promexport.New(s, po)
	require.NoError(t, err)
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(e))
	return s, e, registry
}

func deploy(t testing.TB, s *serve.Server, version string, m serve.Model) {
	t.Helper()
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "double", Version: version, Model: m, Digest: "sha256:" + version, Batching: &serve.Batching{}}))
}

// scrape does what a scrape over HTTP does, and returns the page and what a
// parser makes of it.
func scrape(t testing.TB, registry *prometheus.Registry) (string, map[string]*dto.MetricFamily) {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(w.Body.String()))
	require.NoError(t, err)
	return w.Body.String(), families
}

// value returns a sample by its name and labels, "model", "double", ….
func value(t testing.TB, families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	m := find(families, name, labels...)
	require.NotNil(t, m, "%s%v", name, labels)
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	}
	return float64(m.Histogram.GetSampleCount())
}

func find(families map[string]*dto.MetricFamily, name string, labels ...string) *dto.Metric {
	for _, m := range families[name].GetMetric() {
		have := make(map[string]string)
		for _, l := range m.Label {
			have[l.GetName()] = l.GetValue()
		}
		match := true
		for i := 0; i < len(labels); i += 2 {
			match = match && have[labels[i]] == labels[i+1]
		}
		if match {
			return m
		}
	}
	return nil
}
