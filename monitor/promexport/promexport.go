package promexport

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/metrics"
)

// Options configures the collector. Nil means all defaults.
type Options = metrics.Options

// New returns a collector for the monitor. The monitors of several models may
// be registered together: the model's name is a constant label.
func New(m *monitor.Monitor, opts *Options) *Collector {
	c := &Collector{}
	c.labels.Store(&map[series]*handle{})
	model := ""
	if m != nil {
		model = m.Snapshot().Model
		c.reader = metrics.NewReader(m, opts)
	}
	for _, metric := range metrics.All() {
		c.metrics = append(c.metrics, metric)
		c.descs = append(c.descs, prometheus.NewDesc(
			metrics.Prefix+"_"+metric.Name, metric.Help, metric.Labels, prometheus.Labels{"model": text(model)}))
	}
	return c
}

// Collector shows one monitor. It implements prometheus.Collector, and can be
// served by Handler. It is safe for concurrent use.
type Collector struct {
	reader  *metrics.Reader
	metrics []metrics.Metric
	descs   []*prometheus.Desc

	// labels holds the label pairs of the series, resolved when a series was
	// first seen. It is replaced, never changed, so that scrapes do not wait
	// for one another.
	labels atomic.Pointer[map[series]*handle]
	grow   sync.Mutex
	size   atomic.Int64 // Of the last scrape.
}

// series names one of a collector's.
type series struct {
	metric metrics.ID
	labels [3]string
}

// handle is what a series always sends.
type handle struct {
	desc  *prometheus.Desc
	kind  metrics.Kind
	pairs []*dto.LabelPair
	line  []byte // Of the text format, up to the number.
	err   error
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	if c.reader == nil {
		ch <- prometheus.NewInvalidMetric(c.descs[metrics.ModelInfo], errNil)
		return
	}
	values := make([]value, 0, c.size.Load()+8)
	c.read(func(h *handle, s *metrics.Sample) {
		values = append(values, value{handle: h, number: s.Value, count: s.Count})
	})
	for i := range values {
		ch <- &values[i]
	}
}

// read gives each sample with the handle of its series.
func (c *Collector) read(emit func(*handle, *metrics.Sample)) {
	known := *c.labels.Load()
	var fresh map[series]*handle
	n := 0
	c.reader.Read(func(s metrics.Sample) {
		n++
		key := series{s.Metric, s.Labels}
		h := known[key]
		if h == nil {
			if fresh == nil {
				fresh = map[series]*handle{}
			}
			h = c.resolve(key)
			fresh[key] = h
		}
		emit(h, &s)
	})
	c.size.Store(int64(n))
	if fresh != nil {
		c.keep(fresh, n)
	}
}

// keep takes over the handles of new series. When there are twice as many as
// are needed, those of versions that are gone are among them: all go, and the
// next scrape resolves what it needs.
func (c *Collector) keep(fresh map[series]*handle, needed int) {
	c.grow.Lock()
	defer c.grow.Unlock()
	all := fresh
	if old := *c.labels.Load(); len(old)+len(fresh) <= 2*needed {
		all = maps.Clone(old)
		maps.Copy(all, fresh)
	}
	c.labels.Store(&all)
}

func (c *Collector) resolve(key series) *handle {
	m := c.metrics[key.metric]
	h := &handle{desc: c.descs[key.metric], kind: m.Kind}
	labels := make([]string, len(m.Labels))
	for i := range labels {
		labels[i] = text(key.labels[i])
	}
	// The library checks and sorts the labels, once.
	one, err := prometheus.NewConstMetric(h.desc, prometheus.UntypedValue, 0, labels...)
	if err != nil {
		h.err = err
		return h
	}
	var out dto.Metric
	h.err = one.Write(&out)
	h.pairs = out.GetLabel()
	h.line = lineOf(metrics.Prefix+"_"+m.Name, h.pairs)
	return h
}

// value is one sample of one scrape. What Write hands out points into it.
type value struct {
	*handle
	number float64
	count  uint64

	gauge   dto.Gauge
	counter dto.Counter
}

// Desc implements prometheus.Metric.
func (v *value) Desc() *prometheus.Desc { return v.desc }

// Write implements prometheus.Metric.
func (v *value) Write(out *dto.Metric) error {
	if v.err != nil {
		return v.err
	}
	out.Label = v.pairs
	switch v.kind {
	case metrics.Counter:
		v.counter.Value = &v.number
		out.Counter = &v.counter
	case metrics.Summary:
		out.Summary = &dto.Summary{SampleCount: &v.count, SampleSum: &v.number}
	default:
		v.gauge.Value = &v.number
		out.Gauge = &v.gauge
	}
	return nil
}

// text makes a name fit for a label: Prometheus refuses the whole scrape for
// one that is not UTF-8.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
