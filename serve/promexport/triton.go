package promexport

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millwright-ml/millwright/serve"
)

// tritonDescs are Triton's names.
type tritonDescs struct {
	success, failure, count, executions, pending *prometheus.Desc
	request, queue, input, infer, output         *prometheus.Desc
}

func newTritonDescs(of func(name, help string, labels ...string) *prometheus.Desc) tritonDescs {
	version := func(name, help string) *prometheus.Desc { return of("nv_inference_"+name, help, "model", "version") }
	return tritonDescs{
		success:    version("request_success", "Number of successful inference requests, all batch sizes"),
		failure:    of("nv_inference_request_failure", "Number of failed inference requests, all batch sizes", "model", "version", "reason"),
		count:      version("count", "Number of inferences performed (does not include cached requests)"),
		executions: version("exec_count", "Number of model executions performed (does not include cached requests)"),
		pending:    version("pending_request_count", "Instantaneous number of pending requests awaiting execution per-model."),
		request:    version("request_duration_us", "Cumulative inference request duration in microseconds (includes cached requests)"),
		queue:      version("queue_duration_us", "Cumulative inference queuing duration in microseconds (includes cached requests)"),
		input:      version("compute_input_duration_us", "Cumulative compute input duration in microseconds (does not include cached requests)"),
		infer:      version("compute_infer_duration_us", "Cumulative compute inference duration in microseconds (does not include cached requests)"),
		output:     version("compute_output_duration_us", "Cumulative inference compute output duration in microseconds (does not include cached requests)"),
	}
}

// triton emits the deployed versions as Triton does.
func (e *Exporter) triton(out emitter, stats []serve.Statistics, status []serve.ModelStatus) {
	d := &e.descs.triton
	us := func(t serve.Tally) float64 { return float64(t.Total / time.Microsecond) }
	models := make(map[string]*serve.ModelStatus, len(status))
	for i := range status {
		models[status[i].Model] = &status[i]
	}
	for i := range stats {
		s := &stats[i]
		model, version := text(s.Model), text(s.Version)
		m := models[s.Model]
		pending := s.Waiting
		if m != nil && m.Default == s.Version {
			pending += m.Waiting
		}
		for j, n := range e.failures(key{model, version}) {
			out.counter(d.failure, float64(n), model, version, reasons[j])
		}
		out.counter(d.success, float64(s.Success.Count), model, version)
		out.counter(d.count, float64(s.Inferences), model, version)
		out.counter(d.executions, float64(s.Executions), model, version)
		out.gauge(d.pending, float64(pending), model, version)
		out.counter(d.request, us(s.Success), model, version)
		out.counter(d.queue, us(s.Queue), model, version)
		out.counter(d.input, us(s.Input), model, version)
		out.counter(d.infer, us(s.Infer), model, version)
		out.counter(d.output, us(s.Output), model, version)
	}
}

// failures returns those of a version by reason.
func (e *Exporter) failures(k key) (n [len(reasons)]uint64) {
	e.mu.Lock()
	s := e.series[k]
	e.mu.Unlock()
	if s != nil {
		for i := range n {
			n[i] = s.failures[i].Load()
		}
	}
	return n
}
