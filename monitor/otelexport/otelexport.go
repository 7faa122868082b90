package otelexport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/metrics"
)

// ErrInvalid marks arguments that cannot be used.
var ErrInvalid = errs.ErrInvalid

// Options configures the instruments. Nil means all defaults.
type Options = metrics.Options

// Register creates the instruments and the callback that observes them. The
// monitors of several models may share a meter. Unregister ends it. It returns
// ErrInvalid without a monitor or a meter, and what the meter returns.
func Register(m *monitor.Monitor, meter metric.Meter, opts *Options) (metric.Registration, error) {
	var f errs.Faults
	f.Check(m != nil, "the monitor is nil")
	f.Check(meter != nil, "the meter is nil")
	if err := f.Err("otelexport: register"); err != nil {
		return nil, err
	}
	e := &exporter{reader: metrics.NewReader(m, opts), model: m.Snapshot().Model, list: metrics.All(), series: map[series]metric.MeasurementOption{}}
	if err := e.instruments(meter); err != nil {
		return nil, fmt.Errorf("otelexport: register: %w", err)
	}
	registration, err := meter.RegisterCallback(e.observe, e.all...)
	if err != nil {
		return nil, fmt.Errorf("otelexport: register: %w", err)
	}
	return registration, nil
}

type series struct {
	metric metrics.ID
	labels [3]string
}

// exporter observes one monitor.
type exporter struct {
	reader *metrics.Reader
	model  string
	list   []metrics.Metric
	all    []metric.Observable
	// By metric; those of another kind are nil.
	gauges   []metric.Float64ObservableGauge
	counters []metric.Int64ObservableCounter
	sums     []metric.Float64ObservableCounter

	mu     sync.Mutex // A provider with two readers may collect twice at once.
	series map[series]metric.MeasurementOption
}

func (e *exporter) instruments(meter metric.Meter) error {
	var faults []error
	n := len(e.list)
	e.gauges, e.counters, e.sums = make([]metric.Float64ObservableGauge, n), make([]metric.Int64ObservableCounter, n), make([]metric.Float64ObservableCounter, n)
	keep := func(o metric.Observable, err error) {
		faults = append(faults, err)
		e.all = append(e.all, o)
	}
	for i, m := range e.list {
		name, help, unit := Name(m), metric.WithDescription(m.Help), metric.WithUnit(m.Unit)
		var err error
		switch m.Kind {
		case metrics.Counter:
			e.counters[i], err = meter.Int64ObservableCounter(name, help, unit)
			keep(e.counters[i], err)
		case metrics.Summary:
			e.sums[i], err = meter.Float64ObservableCounter(name, help, unit)
			keep(e.sums[i], err)
			e.counters[i], err = meter.Int64ObservableCounter(name+".count", metric.WithDescription("How many values "+name+" is the sum of."), metric.WithUnit("1"))
			keep(e.counters[i], err)
		default:
			e.gauges[i], err = meter.Float64ObservableGauge(name, help, unit)
			keep(e.gauges[i], err)
		}
	}
	return errors.Join(faults...)
}

// Name returns what a metric is called here.
func Name(m metrics.Metric) string {
	name := m.Name
	for _, said := range []string{"_total", "_seconds"} {
		name = strings.TrimSuffix(name, said)
	}
	return metrics.Prefix + "." + strings.ReplaceAll(name, "_", ".")
}

func (e *exporter) observe(_ context.Context, o metric.Observer) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	e.reader.Read(func(s metrics.Sample) {
		n++
		key := series{s.Metric, s.Labels}
		with, ok := e.series[key]
		if !ok {
			with = metric.WithAttributeSet(e.attributes(key))
			e.series[key] = with
		}
		switch e.list[s.Metric].Kind {
		case metrics.Counter:
			o.ObserveInt64(e.counters[s.Metric], int64(s.Value), with)
		case metrics.Summary:
			o.ObserveFloat64(e.sums[s.Metric], s.Value, with)
			o.ObserveInt64(e.counters[s.Metric], int64(s.Count), with)
		default:
			o.ObserveFloat64(e.gauges[s.Metric], s.Value, with)
		}
	})
	if len(e.series) > 2*n { // Those of versions that are gone are among them.
		clear(e.series)
	}
	return nil
}

// attributes are those of a series, resolved once.
func (e *exporter) attributes(key series) attribute.Set {
	list := []attribute.KeyValue{attribute.String(metrics.Prefix+".model.name", e.model)}
	for i, label := range e.list[key.metric].Labels {
		name := metrics.Prefix + "." + label
		switch label {
		case "version":
			name = metrics.Prefix + ".model.version"
		case "feature":
			name = metrics.Prefix + ".feature.name"
		case "bin":
			name = metrics.Prefix + ".feature.bin"
		}
		list = append(list, attribute.String(name, strings.ToValidUTF8(key.labels[i], "\uFFFD")))
	}
	return attribute.NewSet(list...)
}
