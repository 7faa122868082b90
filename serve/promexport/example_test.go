package promexport_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/promexport"
)

func Example() {
	ctx := context.Background()
	server := serve.New(nil)
	defer func() { _ = server.Shutdown(ctx) }()
	exporter, err := promexport.New(server, &promexport.Options{Triton: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	registry := prometheus.NewRegistry()
	if err := registry.Register(exporter); err != nil {
		fmt.Println(err)
		return
	}
	if err := server.Deploy(ctx, serve.Deployment{Name: "double", Version: "3", Model: new(double)}); err != nil {
		fmt.Println(err)
		return
	}
	for range 5 {
		if _, _, err := server.Infer(ctx, "double", "", rows(10)); err != nil {
			fmt.Println(err)
			return
		}
	}
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		for _, name := range []string{"millwright_serve_requests_total", "millwright_serve_rows_total", "nv_inference_count", "nv_inference_request_success"} {
			if strings.HasPrefix(line, name) {
				fmt.Print(line)
			}
		}
	}
	// Output:
	// millwright_serve_requests_total{code="200",model="double",version="3"} 5
	// millwright_serve_rows_total{model="double",version="3"} 50
	// nv_inference_count{model="double",version="3"} 50
	// nv_inference_request_success{model="double",version="3"} 5
}
