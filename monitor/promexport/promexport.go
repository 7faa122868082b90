package promexport

import (
	"errors"
	"math"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millwright-ml/millwright/monitor"
)

// Options configures the collector. Nil means all defaults.
type Options struct {
	// MaxSeries bounds the series of one scrape. The series of the features
	// are left out from the end of the monitor's ranking, which begins with
	// the worst; the others, some 30, always stay. Default 5000; -1 is off.
	MaxSeries int
}

// New returns a collector for the monitor. The monitors of several models may
// be registered together: the model's name is a constant label.
func New(m *monitor.Monitor, opts *Options) prometheus.Collector {
	c := &collector{monitor: m, limit: 5000}
	model := ""
	if m != nil {
		model = m.Snapshot().Model
	}
	if opts != nil && opts.MaxSeries != 0 {
		c.limit = opts.MaxSeries
	}
	c.describe(prometheus.Labels{"model": text(model)})
	return c
}

// collector implements prometheus.Collector. It never changes.
type collector struct {
	monitor *monitor.Monitor
	limit   int
	all     []*prometheus.Desc

	info, predictions, dropped, truncated                *prometheus.Desc
	rows, evaluated, state, drifted                      *prometheus.Desc
	score, noise, pvalue, mean, nulls, outOfRange, other *prometheus.Desc
	predictionScore, predictionMean                      *prometheus.Desc
	labels, pending, forgotten, coverage, realized       *prometheus.Desc
}

func (c *collector) describe(model prometheus.Labels) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		d := prometheus.NewDesc("millwright_"+name, help, labels, model)
		c.all = append(c.all, d)
		return d
	}
	c.info = desc("model_info", "The version that is watched; always 1.", "version")
	c.predictions = desc("predictions_total", "Rows observed.")
	c.dropped = desc("observations_dropped_total", "Rows not observed, by reason.", "reason")
	c.rows = desc("window_rows", "Rows of the last window.", "version")
	c.evaluated = desc("evaluation_timestamp_seconds", "When the last window was closed, in Unix time.", "version")
	c.state = desc("drift_state", "Verdict of the last window: 0 ok, 2 drift, -1 too few rows.", "version")
	c.drifted = desc("drift_features", "Features of the last window that drifted or exceeded a limit.", "version")
	c.score = desc("feature_drift_score", "Difference of the feature from the reference in the last window.", "version", "feature", "method")
	c.noise = desc("feature_drift_noise_floor", "Score that chance alone makes at this number of rows.", "version", "feature", "method")
	c.pvalue = desc("feature_drift_pvalue", "Probability of such a difference without drift, not corrected for the number of features.", "version", "feature", "method")
	c.mean = desc("feature_mean", "Mean of a numeric feature in the last window.", "version", "feature")
	c.nulls = desc("feature_null_ratio", "Share of missing values in the last window.", "version", "feature")
	c.outOfRange = desc("feature_out_of_range_ratio", "Share of numbers outside the reference's range in the last window.", "version", "feature")
	c.other = desc("feature_unseen_category_ratio", "Share of categories that the reference does not name in the last window.", "version", "feature")
	c.predictionScore = desc("prediction_drift_score", "Difference of the model's output from the reference in the last window.", "version", "method")
	c.predictionMean = desc("prediction_mean", "Mean of the model's output in the last window.", "version")
	c.labels = desc("labels_total", "Labels received, by what became of them.", "result")
	c.pending = desc("pending_predictions", "Predictions that wait for a label.")
	c.forgotten = desc("pending_predictions_forgotten_total", "Predictions pushed out by newer ones before a label came.")
	c.coverage = desc("label_coverage_ratio", "Share of rows that have a label.", "version", "scope")
	c.realized = desc("realized_metric", "Metric of the rows that have a label.", "version", "metric", "scope")
	c.truncated = desc("series_truncated", "Series left out of this scrape because of the limit.")
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.all {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	if c.monitor == nil {
		ch <- prometheus.NewInvalidMetric(c.info, errors.New("promexport: collect: the monitor is nil"))
		return
	}
	s := c.monitor.Snapshot()
	e := emitter{ch: ch, version: text(s.Version)}
	e.gauge(c.info, 1, e.version)
	e.counter(c.predictions, s.Predictions)
	e.counter(c.dropped, s.Rejected, "rejected")
	e.counter(c.dropped, s.Dropped, "closed")

	l := s.Labels
	e.counter(c.labels, l.Matched, string(monitor.Matched))
	e.counter(c.labels, l.Unknown, string(monitor.Unknown))
	e.counter(c.labels, l.Duplicate, string(monitor.Duplicate))
	e.counter(c.labels, l.Late, string(monitor.Late))
	e.counter(c.labels, l.Rejected, string(monitor.Rejected))
	e.gauge(c.pending, float64(l.Pending))
	e.counter(c.forgotten, l.Forgotten)
	c.performance(&e, s.Overall, "version")
	if s.Ripe.Window > 0 {
		c.performance(&e, s.Ripe, "window")
	}
	truncated := 0
	if r := s.Report; r != nil {
		c.report(&e, r)
		e.n++ // Room for series_truncated.
		for i := range r.Features {
			truncated += c.feature(&e, &r.Features[i])
		}
	}
	e.gauge(c.truncated, float64(truncated))
}

func (c *collector) performance(e *emitter, l monitor.LabelReport, scope string) {
	e.gauge(c.coverage, l.Coverage, e.version, scope)
	for _, m := range []struct {
		name  string
		value float64
	}{
		{"auc", l.AUC}, {"log_loss", l.LogLoss}, {"brier", l.Brier}, {"accuracy", l.Accuracy}, {"positive_rate", l.PositiveRate},
	} {
		if !math.IsNaN(m.value) {
			e.gauge(c.realized, m.value, e.version, m.name, scope)
		}
	}
}

func (c *collector) report(e *emitter, r *monitor.Report) {
	state := map[monitor.Verdict]float64{monitor.OK: 0, monitor.Drift: 2, monitor.Insufficient: -1}[r.Verdict]
	e.gauge(c.state, state, e.version)
	e.gauge(c.drifted, float64(r.Alarms()), e.version)
	e.gauge(c.rows, float64(r.Rows), e.version)
	e.gauge(c.evaluated, float64(r.To.UnixMilli())/1e3, e.version)
	if p := r.Score; p != nil {
		e.gauge(c.predictionScore, p.Score, e.version, p.Method)
		if !p.Categorical() {
			e.gauge(c.predictionMean, p.Mean, e.version)
		}
	}
}

// feature emits the series of a feature, or returns how many they are when
// there is no room for all of them.
func (c *collector) feature(e *emitter, f *monitor.FeatureReport) (truncated int) {
	series := 6
	if f.Categorical() {
		series = 5
	}
	if c.limit >= 0 && e.n+series > c.limit {
		return series
	}
	name := text(f.Name)
	e.gauge(c.score, f.Score, e.version, name, f.Method)
	e.gauge(c.noise, f.NoiseFloor, e.version, name, f.Method)
	e.gauge(c.pvalue, f.PValue, e.version, name, f.Method)
	e.gauge(c.nulls, f.Nulls, e.version, name)
	if f.Categorical() {
		e.gauge(c.other, f.Unseen, e.version, name)
	} else {
		e.gauge(c.mean, f.Mean, e.version, name)
		e.gauge(c.outOfRange, f.OutOfRange, e.version, name)
	}
	return 0
}

// emitter sends metrics and counts them.
type emitter struct {
	ch      chan<- prometheus.Metric
	version string
	n       int
}

func (e *emitter) gauge(d *prometheus.Desc, v float64, labels ...string) {
	e.send(d, prometheus.GaugeValue, v, labels)
}

func (e *emitter) counter(d *prometheus.Desc, n uint64, labels ...string) {
	e.send(d, prometheus.CounterValue, float64(n), labels)
}

func (e *emitter) send(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels []string) {
	metric, err := prometheus.NewConstMetric(d, kind, v, labels...)
	if err != nil {
		metric = prometheus.NewInvalidMetric(d, err)
	}
	e.ch <- metric
	e.n++
}

// text makes a name fit for a label: Prometheus refuses the whole scrape for
// one that is not UTF-8.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
