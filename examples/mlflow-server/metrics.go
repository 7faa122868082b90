package main

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millwright-ml/millwright/tracking"
)

// metrics counts what the server does.
type metrics struct {
	registry *prometheus.Registry
	duration *prometheus.HistogramVec
	running  prometheus.Gauge
	sent     prometheus.Counter
	received prometheus.Counter
	purged   *prometheus.CounterVec

	mu     sync.Mutex
	routes map[string]bool
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mlflow_http_request_duration_seconds", Help: "Time to answer a request.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60},
		}, []string{"method", "route", "status"}),
		running:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "mlflow_http_requests_in_flight", Help: "Requests being answered."}),
		sent:     prometheus.NewCounter(prometheus.CounterOpts{Name: "mlflow_http_sent_bytes_total", Help: "Bytes of answers."}),
		received: prometheus.NewCounter(prometheus.CounterOpts{Name: "mlflow_http_received_bytes_total", Help: "Bytes of request bodies that were announced."}),
		purged:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mlflow_purged_total", Help: "Things removed for good by --retention and --trace-retention."}, []string{"kind"}),
		routes:   map[string]bool{},
	}
	m.registry.MustRegister(m.duration, m.running, m.sent, m.received, m.purged,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *metrics) tell(r tracking.PurgeReport) {
	for kind, n := range map[string]int{
		"experiments": r.Experiments, "runs": r.Runs, "models": r.Models, "traces": r.Traces, "files": r.Files, "skipped": r.Skipped,
	} {
		m.purged.WithLabelValues(kind).Add(float64(n))
	}
}

// measure wraps a handler.
func (m *metrics) measure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.running.Inc()
		defer m.running.Dec()
		m.received.Add(float64(max(r.ContentLength, 0)))
		route, method := r.URL.Path, r.Method // read now: a handler may change the request
		counted := &answer{ResponseWriter: w, status: http.StatusOK}
		start := time.Now()
		defer func() {
			m.sent.Add(float64(counted.sent))
			m.duration.WithLabelValues(known(method), m.route(route, counted.status), strconv.Itoa(counted.status)).
				Observe(time.Since(start).Seconds())
		}()
		next.ServeHTTP(counted, r)
	})
}

// known keeps a client from inventing label values.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete, http.MethodHead, http.MethodOptions:
		return method
	}
	return "other"
}

// route names the route of a path, with ids left out. There are at most as many
// names as the server has routes, more or less.
func (m *metrics) route(path string, status int) string {
	const most = 300
	if status == http.StatusNotFound || status == http.StatusMethodNotAllowed {
		return "none"
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i, part := range parts {
		if i > 8 || part == "artifacts" && i > 0 && parts[i-1] == "mlflow-artifacts" || part == "static-files" {
			parts = append(parts[:i+1:i+1], "…")
			break
		}
		if strings.ContainsAny(part, "0123456789%") && part != "2.0" && part != "3.0" && part != "v1" || len(part) > 40 {
			parts[i] = "{id}"
		}
	}
	name := "/" + strings.Join(parts, "/")
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.routes[name] {
		if len(m.routes) >= most {
			return "other"
		}
		m.routes[name] = true
	}
	return name
}

// answer remembers the status and the size of an answer. Unwrap gives the
// handler all else that the connection can do.
type answer struct {
	http.ResponseWriter
	status int
	wrote  bool
	sent   int64
}

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	if !a.wrote && status >= 200 {
		a.status, a.wrote = status, true
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.wrote = true
	n, err := a.ResponseWriter.Write(p)
	a.sent += int64(n)
	return n, err
}
