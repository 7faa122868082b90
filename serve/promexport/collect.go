package promexport

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/rollout"
)

const prefix = "millwright_serve_"

// descs are the names of what is made at each scrape.
type descs struct {
	all []*prometheus.Desc

	requests, rows, in, out, executions, batch, inFlight, waiting *prometheus.Desc
	info, isDefault, memory, last                                 *prometheus.Desc
	limit, admitted, queued, refused, deployments, swaps, failed  *prometheus.Desc
	decisions, share, tried, harm, pass, shadow                   *prometheus.Desc
	triton                                                        tritonDescs
}

func newDescs() *descs {
	d := new(descs)
	of := func(name, help string, labels ...string) *prometheus.Desc {
		desc := prometheus.NewDesc(name, help, labels, nil)
		d.all = append(d.all, desc)
		return desc
	}
	ours := func(name, help string, labels ...string) *prometheus.Desc {
		return of(prefix+name, help, labels...)
	}
	d.requests = ours("requests_total", "Requests for deployed models, by HTTP status.", "model", "version", "code")
	d.rows = ours("rows_total", "Rows answered.", "model", "version")
	d.in = ours("request_bytes_total", "Bytes of the requests' bodies.", "model", "version")
	d.out = ours("response_bytes_total", "Bytes of the answers.", "model", "version")
	d.executions = ours("executions_total", "Calls of the model.", "model", "version")
	d.batch = ours("batch_rows", "Rows of a call of the model.", "model", "version")
	d.inFlight = ours("in_flight_requests", "Requests being answered.", "model", "version")
	d.waiting = ours("waiting_requests", "Requests that wait for the model in its batcher.", "model", "version")
	d.info = ours("version_info", "A deployed version; always 1.", "model", "version", "digest", "platform")
	d.isDefault = ours("version_default", "1 for the version that answers when none is named.", "model", "version")
	d.memory = ours("version_memory_bytes", "Memory that the model says it holds.", "model", "version")
	d.last = ours("last_inference_timestamp_seconds", "When the last request was answered, in Unix time.", "model", "version")
	d.limit = ours("admission_limit", "Requests that are admitted at once, just now.", "model")
	d.admitted = ours("admitted_requests", "Requests that are admitted.", "model")
	d.queued = ours("admission_waiting_requests", "Requests that wait to be admitted.", "model")
	d.refused = ours("refused_total", "Requests turned away, by reason.", "model", "reason")
	d.deployments = ours("deployments_total", "Versions deployed.", "model")
	d.swaps = ours("swaps_total", "Times that another version became the default.", "model")
	d.failed = ours("deploy_failures_total", "Deployments that were refused.")
	d.decisions = ours("rollout_decisions_total", "Decisions on challengers, by verdict.", "model", "verdict")
	d.share = ours("rollout_share", "Part of the keys that a challenger has.", "model", "experiment", "version")
	d.tried = ours("rollout_requests", "Requests of the experiment.", "model", "experiment", "version")
	d.harm = ours("rollout_harm_log_e", "Logarithm of the e-value that the challenger is worse.", "model", "experiment", "version", "guard")
	d.pass = ours("rollout_pass_log_e", "Logarithm of the e-value that the challenger is not worse.", "model", "experiment", "version", "guard")
	d.shadow = ours("rollout_shadow_requests_total", "Shadow requests, by what came of them.", "model", "experiment", "result")
	d.triton = newTritonDescs(of)
	return d
}

// Describe implements prometheus.Collector.
func (e *Exporter) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range e.descs.all {
		ch <- d
	}
	e.duration.Describe(ch)
	e.queue.Describe(ch)
	e.infer.Describe(ch)
}

// Collect implements prometheus.Collector.
func (e *Exporter) Collect(ch chan<- prometheus.Metric) {
	e.duration.Collect(ch)
	e.queue.Collect(ch)
	e.infer.Collect(ch)
	out := emitter{ch}
	d := e.descs

	e.mu.Lock()
	versions := make([]*series, 0, len(e.series))
	for _, s := range e.series {
		versions = append(versions, s)
		if s.users > 0 {
			out.gauge(d.info, 1, s.key.model, s.key.version, s.digest, s.platform)
		}
	}
	for k, n := range e.decisions {
		out.counter(d.decisions, float64(n), k.model, k.verdict)
	}
	rollouts := e.rollouts
	e.mu.Unlock()

	for _, s := range versions {
		e.counts(out, s)
		out.counter(d.rows, float64(s.rows.Load()), s.key.model, s.key.version)
		out.counter(d.in, float64(s.in.Load()), s.key.model, s.key.version)
		out.counter(d.out, float64(s.out.Load()), s.key.model, s.key.version)
	}
	e.turned.Range(func(_, v any) bool {
		e.counts(out, v.(*series))
		return true
	})
	status := e.server.Status()
	e.models(out, status)
	// Without a name it does not fail.
	stats, _ := e.server.Statistics("", "")
	for i := range stats {
		e.statistics(out, &stats[i])
	}
	if e.opts.Triton {
		e.triton(out, stats, status)
	}
	for _, r := range rollouts {
		e.rollout(out, r.Status())
	}
}

// counts emits requests_total.
func (e *Exporter) counts(out emitter, s *series) {
	for i := range s.codes {
		n := s.codes[i].Load()
		if n == 0 && (i > 0 || s.key.version == "") {
			continue // A rate of successes needs a zero to begin with.
		}
		code := "other"
		if i < len(codes) {
			code = strconv.Itoa(codes[i])
		}
		out.counter(e.descs.requests, float64(n), s.key.model, s.key.version, code)
	}
}

func (e *Exporter) models(out emitter, list []serve.ModelStatus) {
	d := e.descs
	for i := range list {
		m := &list[i]
		model := text(m.Model)
		for _, v := range m.Versions {
			is := 0.0
			if v == m.Default {
				is = 1
			}
			out.gauge(d.isDefault, is, model, text(v))
		}
		if m.Limit > 0 {
			out.gauge(d.limit, float64(m.Limit), model)
			out.gauge(d.admitted, float64(m.Admitted), model)
			out.gauge(d.queued, float64(m.Waiting), model)
			out.counter(d.refused, float64(m.Refused), model, "capacity")
			out.counter(d.refused, float64(m.RefusedShare), model, "share")
		}
		out.counter(d.deployments, float64(m.Deployed), model)
		out.counter(d.swaps, float64(m.Swapped), model)
	}
	out.counter(d.failed, float64(e.server.FailedDeploys()))
}

func (e *Exporter) statistics(out emitter, s *serve.Statistics) {
	d, model, version := e.descs, text(s.Model), text(s.Version)
	out.counter(d.executions, float64(s.Executions), model, version)
	out.gauge(d.inFlight, float64(s.InFlight), model, version)
	out.gauge(d.waiting, float64(s.Waiting), model, version)
	if s.Size > 0 {
		out.gauge(d.memory, float64(s.Size), model, version)
	}
	if !s.LastInference.IsZero() {
		out.gauge(d.last, float64(s.LastInference.UnixMilli())/1e3, model, version)
	}
	// The server counts sizes one by one up to 128, and powers of two above.
	const most = 16
	buckets := make(map[float64]uint64, most)
	var n uint64
	var sum float64
	for _, b := range s.Batches {
		n += uint64(b.Infer.Count)
		sum += float64(b.Rows) * float64(b.Infer.Count)
	}
	for i := range most {
		upper := int64(1) << i
		var below uint64
		for _, b := range s.Batches {
			if b.Rows <= upper {
				below += uint64(b.Infer.Count)
			}
		}
		buckets[float64(upper)] = below
		if below == n && i >= 7 {
			break // All are inside.
		}
	}
	m, err := prometheus.NewConstHistogram(d.batch, n, sum, buckets, model, version)
	out.send(d.batch, m, err)
}

func (e *Exporter) rollout(out emitter, st rollout.Status) {
	d, model, name := e.descs, text(st.Model), text(st.Experiment)
	out.gauge(d.tried, float64(st.Requests), model, name, text(st.Champion))
	for i := range st.Challengers {
		c := &st.Challengers[i]
		version := text(c.Version)
		out.gauge(d.share, c.Share, model, name, version)
		out.gauge(d.tried, float64(c.Requests), model, name, version)
		for j := range c.Evidence {
			out.gauge(d.harm, c.Evidence[j].HarmLogE, model, name, version, text(c.Evidence[j].Guard))
			out.gauge(d.pass, c.Evidence[j].PassLogE, model, name, version, text(c.Evidence[j].Guard))
		}
	}
	if s := st.Shadow; s.Mirrored+s.Dropped > 0 {
		out.counter(d.shadow, float64(s.Agreed), model, name, "agreed")
		out.counter(d.shadow, float64(s.Compared-s.Agreed), model, name, "differed")
		out.counter(d.shadow, float64(s.Failed), model, name, "failed")
		out.counter(d.shadow, float64(s.Dropped), model, name, "dropped")
	}
}

// emitter sends metrics.
type emitter struct{ ch chan<- prometheus.Metric }

func (e emitter) gauge(d *prometheus.Desc, v float64, labels ...string) {
	m, err := prometheus.NewConstMetric(d, prometheus.GaugeValue, v, labels...)
	e.send(d, m, err)
}

func (e emitter) counter(d *prometheus.Desc, v float64, labels ...string) {
	m, err := prometheus.NewConstMetric(d, prometheus.CounterValue, v, labels...)
	e.send(d, m, err)
}

func (e emitter) send(d *prometheus.Desc, m prometheus.Metric, err error) {
	if err != nil {
		m = prometheus.NewInvalidMetric(d, err)
	}
	e.ch <- m
}
