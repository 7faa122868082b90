package inttest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/promexport"
)

// servedTrace is the trace of one of the requests of servedModel.
const servedTrace = "4bf92f3577b34da6a3ce929d0e0e4736"

// servedModel serves a model that has answered five requests, one of them of a
// sampled trace, and refused one. It returns what Prometheus scrapes.
func servedModel(t *testing.T) (target string) {
	t.Helper()
	s := serve.New(nil)
	t.Cleanup(func() { require.NoError(t, s.Shutdown(context.WithoutCancel(t.Context()))) })
	exporter, err := promexport.New(s, &promexport.Options{Exemplar: promexport.Traceparent, Triton: true})
	require.NoError(t, err)
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(exporter))
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "echo", Version: "7", Model: echo{[]oip.Datatype{oip.FP32}}, Digest: "sha256:7"}))
	mux := http.NewServeMux()
	mux.Handle("/v2/", s)
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorHandling: promhttp.HTTPErrorOnError}))
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	for i := range 6 {
		body, want := `{"inputs":[{"name":"x_FP32","datatype":"FP32","shape":[2],"data":[1,2]}]}`, http.StatusOK
		if i == 5 {
			body, want = `{"inputs":[]}`, http.StatusBadRequest
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, web.URL+"/v2/models/echo/infer", strings.NewReader(body))
		require.NoError(t, err)
		if i == 4 {
			req.Header.Set("Traceparent", "00-"+servedTrace+"-00f067aa0ba902b7-01")
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		said, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, resp.StatusCode, string(said))
	}
	return strings.TrimPrefix(web.URL, "http://")
}

// servedScraped has Prometheus say what servedModel did.
func servedScraped(t *testing.T, base string) {
	t.Helper()
	eventually(t, "the scrape of the served model", func() bool {
		return promValues(t, base, `sum(millwright_serve_requests_total{model="echo",version="7"}) by (code)`, "code")["200"] == 5
	})
	require.Equal(t, 6.0, promValues(t, base, `sum(millwright_serve_requests_total{model="echo"}) by (model)`, "model")["echo"])
	require.Equal(t, 5.0, promValues(t, base, `nv_inference_request_success{model="echo"}`, "model")["echo"])
	require.Equal(t, 1.0, promValues(t, base, `millwright_serve_version_info{version="7",digest="sha256:7"}`, "model")["echo"])
	require.Positive(t, promValues(t, base, `histogram_quantile(0.9, sum(millwright_serve_request_duration_seconds_bucket) by (le, model))`, "model")["echo"])

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		base+"/api/v1/query_exemplars?query=millwright_serve_request_duration_seconds_bucket&start=0&end=99999999999", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Data []struct {
			Exemplars []struct{ Labels map[string]string }
		}
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	require.Len(t, answer.Data, 1)
	require.Len(t, answer.Data[0].Exemplars, 1)
	require.Equal(t, servedTrace, answer.Data[0].Exemplars[0].Labels["trace_id"])
}
