package promexport_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/promexport"
)

// A request of a sampled trace is an exemplar of its bucket; one whose trace cannot
// be one is counted all the same.
func TestExemplars(t *testing.T) {
	t.Parallel()
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	named := ""
	s, _, registry := start(t, nil, &promexport.Options{Exemplar: func(x *serve.Exchange) string {
		if named != "" {
			return named
		}
		return promexport.Traceparent(x)
	}})
	deploy(t, s, "1", &double{})
	ask := func(traceparent string) {
		r := httptest.NewRequest(http.MethodPost, "/v2/models/double/infer", strings.NewReader(`{"inputs":[{"name":"x","datatype":"FP64","shape":[1,1],"data":[1]}]}`))
		r.Header.Set("Traceparent", traceparent)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code)
	}
	page := func() string {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
		w := httptest.NewRecorder()
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code)
		return w.Body.String()
	}
	for _, none := range []string{
		"", "00-" + trace + "-00f067aa0ba902b7-00", "00-" + trace + "-00f067aa0ba902b7-0G", "00-" + trace + "-00f067aa0ba902b7",
		"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", "00-" + strings.ToUpper(trace) + "-00f067aa0ba902b7-01", "01" + trace,
	} {
		ask(none)
	}
	named = strings.Repeat("x", 65)
	ask("")
	named = "\xff"
	ask("")
	require.NotContains(t, page(), "trace_id")
	named = ""
	ask("00-" + trace + "-00f067aa0ba902b7-01")
	text := page()
	require.Contains(t, text, `# {trace_id="`+trace+`"}`)
	require.Contains(t, text, `millwright_serve_request_duration_seconds_count{model="double",version="1"} 10`)
}
