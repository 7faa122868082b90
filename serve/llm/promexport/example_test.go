package promexport_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/llm"
	"github.com/millwright-ml/millwright/serve/llm/promexport"
)

// gateway is one with metrics, in front of a server that stands for vLLM.
func gateway() (*llm.Gateway, *prometheus.Registry, func()) {
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"usage":{"prompt_tokens":100,"completion_tokens":10}}`)
	}))
	keys, err := llm.NewKeys(map[string]*llm.Tenant{llm.HashKey("the-key"): {Name: "shop"}})
	if err != nil {
		log.Fatal(err)
	}
	metrics := promexport.New()
	g, err := llm.New([]llm.Upstream{{Name: "a", URL: there.URL}}, []llm.Model{{Name: "chat", Targets: []llm.Target{{Upstream: "a"}}, Price: llm.Price{Input: 1, Output: 2}}},
		&llm.Options{Auth: keys, Observers: []llm.Observer{metrics}})
	if err != nil {
		log.Fatal(err)
	}
	metrics.Watch(g)
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics)
	return g, registry, there.Close
}

func ask(g *llm.Gateway, key, body string) {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+key)
	g.ServeHTTP(httptest.NewRecorder(), r)
}

func page(registry *prometheus.Registry) string {
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

func Example() {
	g, registry, stop := gateway()
	defer stop()
	ask(g, "the-key", `{"model":"chat","messages":[]}`)
	for line := range strings.Lines(page(registry)) {
		if strings.HasPrefix(line, "millwright_llm_") {
			fmt.Print(line)
		}
	}
	// Output:
	// millwright_llm_cost_total{model="chat",tenant="shop"} 0.00012
	// millwright_llm_requests_total{code="200",model="chat",tenant="shop",upstream="a"} 1
	// millwright_llm_tokens_total{model="chat",tenant="shop",type="cached"} 0
	// millwright_llm_tokens_total{model="chat",tenant="shop",type="input"} 100
	// millwright_llm_tokens_total{model="chat",tenant="shop",type="output"} 10
	// millwright_llm_upstream_ready{upstream="a"} 1
	// millwright_llm_upstream_requests{upstream="a"} 0
	// millwright_llm_upstream_tokens{upstream="a"} 0
}

// Whatever clients send, no word of it becomes a label.
func TestClientsMakeNoSeries(t *testing.T) {
	t.Parallel()
	g, registry, stop := gateway()
	t.Cleanup(stop)
	for i := range 50 {
		ask(g, fmt.Sprintf("guess-%d", i), `{"model":"chat"}`)
		ask(g, "the-key", fmt.Sprintf(`{"model":"invented-%d","user":"anna","messages":"a prompt"}`, i))
	}
	ask(g, "the-key", `{"model":"chat","user":"anna","messages":"a prompt"}`)
	text := page(registry)
	for _, word := range []string{"guess", "invented", "anna", "a prompt", "the-key"} {
		require.NotContains(t, text, word)
	}
	require.Less(t, strings.Count(text, "\n"), 150)
	require.Contains(t, text, `gen_ai_client_operation_duration_seconds_count{error_type="",gen_ai_operation_name="chat",gen_ai_request_model="chat"} 1`)
	require.Contains(t, text, `gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_request_model="chat",gen_ai_token_type="input"} 100`)
}
