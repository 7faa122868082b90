package promexport

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/rollout"
)

// ErrInvalid is the kind of error of options that cannot be used; test with
// errors.Is.
var ErrInvalid = errs.ErrInvalid

// Options configure an Exporter. Nil means the defaults.
type Options struct {
	// Buckets are the upper bounds of the histograms of durations, in seconds,
	// growing. Default 13 from 100 µs to 10 s; of queue durations, too.
	Buckets []float64
	// NativeFactor makes the histograms of durations native ones as well, for
	// a Prometheus that scrapes these: each bucket is wider than the one
	// before by at most this factor, for example 1.1. Default 0: off.
	NativeFactor float64
	// Retain is how many versions of a model that are gone keep their series,
	// the newest. Default 2; -1 is none.
	Retain int
	// Exemplar names the trace of a request, in at most 64 characters; its
	// duration then has the label trace_id as an exemplar, which leads from a
	// bucket of the histogram to a trace that fell into it. "" is for a request
	// that has none. [Traceparent] takes the caller's. The handler that is
	// scraped must have promhttp.HandlerOpts.EnableOpenMetrics. Default nil: no
	// exemplars.
	Exemplar func(x *serve.Exchange) string
	// Triton adds the counters by the names that Triton gives them. Default
	// false.
	Triton bool
}

// Exporter counts the requests of one server and shows them to Prometheus: it
// is a prometheus.Collector and a serve.Binder. It needs no closing; Detach takes
// it off the server.
type Exporter struct {
	server *serve.Server
	opts   Options
	descs  *descs
	detach func()

	duration, queue, infer *prometheus.HistogramVec

	mu     sync.Mutex
	series map[key]*series
	gone   map[string][]key // Of each model, the versions that are gone, the newest last.

	// turned has a *series for each model, for requests that come to no
	// version.
	turned sync.Map

	rollouts  []*rollout.Rollout
	decisions map[decision]uint64
}

type key struct{ model, version string }

type decision struct{ model, verdict string }

// New returns an exporter that is attached to the server. ErrInvalid lists all
// that is wrong with the options.
func New(server *serve.Server, opts *Options) (*Exporter, error) {
	e := &Exporter{
		server: server, series: make(map[key]*series), gone: make(map[string][]key), decisions: make(map[decision]uint64),
		descs: newDescs(),
	}
	if opts != nil {
		e.opts = *opts
	}
	o := &e.opts
	if len(o.Buckets) == 0 {
		o.Buckets = []float64{1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 10}
	}
	if o.Retain == 0 {
		o.Retain = 2
	}
	var f errs.Faults
	f.Check(server != nil, "the server is nil")
	f.Check(slices.IsSortedFunc(o.Buckets, func(a, b float64) int {
		if a < b {
			return -1
		}
		return 1
	}) && !slices.ContainsFunc(o.Buckets, math.IsNaN), "Buckets are %v, want numbers that grow", o.Buckets)
	f.Check(o.NativeFactor == 0 || o.NativeFactor > 1 && !math.IsInf(o.NativeFactor, 0), "NativeFactor is %v, want above 1, or 0", o.NativeFactor)
	f.Check(o.Retain >= -1, "Retain is %d, want -1 or more", o.Retain)
	if err := f.Err("promexport: new"); err != nil {
		return nil, err
	}
	e.duration = e.histogram("request_duration_seconds", "Time from the header to the encoded answer.")
	e.queue = e.histogram("queue_duration_seconds", "Time that requests waited to be admitted and for the model.")
	e.infer = e.histogram("model_duration_seconds", "Time that requests were in the model.")
	e.detach = server.Attach(e)
	return e, nil
}

func (e *Exporter) histogram(name, help string) *prometheus.HistogramVec {
	o := prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: e.opts.Buckets}
	if e.opts.NativeFactor > 0 {
		o.NativeHistogramBucketFactor, o.NativeHistogramMaxBucketNumber = e.opts.NativeFactor, 160
	}
	return prometheus.NewHistogramVec(o, []string{"model", "version"})
}

// Detach takes the exporter off the server; what it has counted stays until the
// registry forgets it.
func (e *Exporter) Detach() { e.detach() }

// Bind implements serve.Binder.
func (e *Exporter) Bind(model string, v serve.VersionInfo) (serve.Observer, func()) {
	k := key{text(model), text(v.Version)}
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.series[k]
	if s == nil {
		s = &series{
			key:      k,
			duration: e.duration.WithLabelValues(k.model, k.version),
			queue:    e.queue.WithLabelValues(k.model, k.version),
			infer:    e.infer.WithLabelValues(k.model, k.version),
			trace:    e.opts.Exemplar,
		}
		e.series[k] = s
	}
	turned, _ := e.turned.LoadOrStore(model, &series{key: key{model: k.model}})
	turned.(*series).front.Store(nil)
	s.users++
	s.digest, s.platform = text(v.Digest), text(v.Platform)
	e.gone[k.model] = slices.DeleteFunc(e.gone[k.model], func(o key) bool { return o == k })
	return s, func() { e.unbind(s) }
}

// unbind forgets a version that is gone, or an older one in its place.
func (e *Exporter) unbind(s *series) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.users--; s.users > 0 {
		return // Another deployment has the same name.
	}
	list := append(e.gone[s.key.model], s.key)
	for len(list) > max(e.opts.Retain, 0) {
		k := list[0]
		list = list[1:]
		delete(e.series, k)
		for _, h := range []*prometheus.HistogramVec{e.duration, e.queue, e.infer} {
			h.DeleteLabelValues(k.model, k.version)
		}
	}
	e.gone[s.key.model] = list
}

// Observe implements serve.Observer, for requests that came to no version.
func (e *Exporter) Observe(x *serve.Exchange) {
	v, ok := e.turned.Load(x.Model)
	if !ok {
		return // A model that nobody has deployed has no series.
	}
	v.(*series).count(x)
	if !e.opts.Triton || x.Err == nil {
		return
	}
	// Triton knows none without a version. It has to be settled now: a count
	// that moved with the default would grow and shrink.
	front := v.(*series).front.Load()
	if def := e.server.Default(x.Model); front == nil || front.version != def {
		e.mu.Lock()
		front = &named{def, e.series[key{text(x.Model), text(def)}]}
		e.mu.Unlock()
		v.(*series).front.Store(front)
	}
	if front.series != nil {
		front.series.failures[reason(x)].Add(1)
	}
}

// Event counts a decision of a rollout: call it in rollout.Options.OnEvent, or
// give it there.
func (e *Exporter) Event(ev rollout.Event) {
	if ev.Kind != rollout.Decided {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.decisions[decision{text(ev.Model), string(ev.Verdict)}]++
}

// Watch shows how an experiment stands until stop is called.
func (e *Exporter) Watch(r *rollout.Rollout) (stop func(), err error) {
	if r == nil {
		return nil, fmt.Errorf("promexport: watch: the rollout is nil: %w", ErrInvalid)
	}
	st := r.Status()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, o := range e.rollouts {
		// Two of one name would be the same series, which fails the scrape.
		if have := o.Status(); o == r || have.Model == st.Model && have.Experiment == st.Experiment {
			return nil, fmt.Errorf("promexport: watch: experiment %q of %q is watched already: %w", st.Experiment, st.Model, ErrInvalid)
		}
	}
	e.rollouts = append(slices.Clone(e.rollouts), r)
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.rollouts = slices.DeleteFunc(slices.Clone(e.rollouts), func(o *rollout.Rollout) bool { return o == r })
	}, nil
}

// text makes a name fit for a label: Prometheus refuses the whole scrape for
// one that is not UTF-8.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

var (
	_ serve.Binder         = (*Exporter)(nil)
	_ prometheus.Collector = (*Exporter)(nil)
)
