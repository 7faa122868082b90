// Package promexport shows a gateway to Prometheus.
//
//	metrics := promexport.New()
//	g, err := llm.New(upstreams, models, &llm.Options{Observers: []llm.Observer{metrics}})
//	metrics.Watch(g)
//	prometheus.MustRegister(metrics)
//
// The names are those of OpenTelemetry's conventions where there are any, so that
// dashboards for them work:
//
//	gen_ai_client_operation_duration_seconds{gen_ai_operation_name,gen_ai_request_model,error_type}
//	gen_ai_client_operation_time_to_first_chunk_seconds{gen_ai_operation_name,gen_ai_request_model}
//	gen_ai_client_token_usage{gen_ai_operation_name,gen_ai_request_model,gen_ai_token_type}
//	millwright_llm_requests_total{tenant,model,upstream,code}
//	millwright_llm_tokens_total{tenant,model,type}       input, cached, output
//	millwright_llm_cost_total{tenant,model}              in what the prices are in
//	millwright_llm_queue_seconds{model}                  how long requests waited for room
//	millwright_llm_upstream_ready{upstream}              1 or 0
//	millwright_llm_upstream_requests{upstream}           that this gateway keeps it busy with
//	millwright_llm_upstream_tokens{upstream}
//	millwright_llm_upstream_cache_usage{upstream}        of keys and values, as it says itself
//
// A label is a name of the configuration: the model is the one that answered, and
// empty where none did, so that clients cannot make series. No key, no prompt and
// no user is in any of them.
package promexport

import (
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millwright-ml/millwright/serve/llm"
	"github.com/millwright-ml/millwright/serve/llm/genai"
)

// Metrics is an llm.Observer and a prometheus.Collector.
type Metrics struct {
	gateway atomic.Pointer[llm.Gateway]

	duration, first, usage, queue *prometheus.HistogramVec
	requests, tokens, cost        *prometheus.CounterVec
	ready, busy, load, cache      *prometheus.Desc
}

func name(convention string) string { return strings.ReplaceAll(convention, ".", "_") }

// New returns metrics of nothing yet.
func New() *Metrics {
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"upstream"}, nil)
	}
	operation, model := name(genai.OperationName), name(genai.RequestModel)
	return &Metrics{
		duration: histogram(name(genai.OperationDuration)+"_seconds", "How long requests took.", genai.DurationBuckets(), operation, model, name(genai.ErrorType)),
		first:    histogram(name(genai.TimeToFirstChunk)+"_seconds", "How long streams took to their first event.", genai.DurationBuckets(), operation, model),
		usage:    histogram(name(genai.TokenUsage), "The tokens of requests.", genai.TokenBuckets(), operation, model, name(genai.TokenType)),
		queue:    histogram("millwright_llm_queue_seconds", "How long requests waited for room at the model.", genai.DurationBuckets(), "model"),
		requests: counter("millwright_llm_requests_total", "Requests by their status.", "tenant", "model", "upstream", "code"),
		tokens:   counter("millwright_llm_tokens_total", "Tokens of prompts and answers.", "tenant", "model", "type"),
		cost:     counter("millwright_llm_cost_total", "The price of the tokens.", "tenant", "model"),
		ready:    gauge("millwright_llm_upstream_ready", "Whether the upstream gets requests."),
		busy:     gauge("millwright_llm_upstream_requests", "Requests that the upstream is busy with."),
		load:     gauge("millwright_llm_upstream_tokens", "Tokens that the upstream is busy with, about."),
		cache:    gauge("millwright_llm_upstream_cache_usage", "How full the upstream says that its cache is."),
	}
}

// Watch adds the state of the gateway's upstreams.
func (m *Metrics) Watch(g *llm.Gateway) { m.gateway.Store(g) }

// Observe implements llm.Observer.
func (m *Metrics) Observe(x *llm.Exchange) {
	operation, model := string(x.Operation), x.Served
	code := strconv.Itoa(x.Status)
	m.requests.WithLabelValues(x.Tenant, model, x.Upstream, code).Inc()
	fault := ""
	if x.Err != nil {
		fault = code
	}
	m.duration.WithLabelValues(operation, model, fault).Observe(x.Ended.Sub(x.Began).Seconds())
	if x.Stream && !x.First.IsZero() {
		m.first.WithLabelValues(operation, model).Observe(x.First.Sub(x.Began).Seconds())
	}
	if x.Queued > 0 {
		m.queue.WithLabelValues(model).Observe(x.Queued.Seconds())
	}
	if x.Usage.Total() == 0 {
		return
	}
	m.usage.WithLabelValues(operation, model, genai.TokenInput).Observe(float64(x.Usage.Input))
	m.usage.WithLabelValues(operation, model, genai.TokenOutput).Observe(float64(x.Usage.Output))
	m.tokens.WithLabelValues(x.Tenant, model, "input").Add(float64(x.Usage.Input))
	m.tokens.WithLabelValues(x.Tenant, model, "cached").Add(float64(x.Usage.CachedInput))
	m.tokens.WithLabelValues(x.Tenant, model, "output").Add(float64(x.Usage.Output))
	m.cost.WithLabelValues(x.Tenant, model).Add(float64(x.Cost) / 1e9)
}

func (m *Metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.duration, m.first, m.usage, m.queue, m.requests, m.tokens, m.cost}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(to)
	}
	for _, d := range []*prometheus.Desc{m.ready, m.busy, m.load, m.cache} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	for _, c := range m.all() {
		c.Collect(to)
	}
	g := m.gateway.Load()
	if g == nil {
		return
	}
	for _, u := range g.Upstreams() {
		gauge := func(d *prometheus.Desc, v float64) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, u.Name)
		}
		ready := 0.0
		if u.Ready {
			ready = 1
		}
		gauge(m.ready, ready)
		gauge(m.busy, float64(u.Requests))
		gauge(m.load, float64(u.Tokens))
		if !u.Signals.At.IsZero() {
			gauge(m.cache, u.Signals.Cache)
		}
	}
}
