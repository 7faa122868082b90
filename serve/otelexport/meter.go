package otelexport

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"

	"github.com/millwright-ml/millwright/serve"
)

// meter implements serve.Binder.
type meter struct {
	server               *serve.Server
	request, queue, call metric.Float64Histogram
	rows, io             metric.Int64Counter

	active, executions, limit, waiting, refused, deployments, swaps metric.Int64Observable

	// turned has a *bound for each model, for requests that come to no version.
	turned sync.Map
}

// newMeter makes the instruments, and a func that ends them.
func newMeter(server *serve.Server, m metric.Meter) (*meter, func() error, error) {
	t := &meter{server: server}
	var list []error
	seconds := func(name, help string) metric.Float64Histogram {
		h, err := m.Float64Histogram("millwright.serve."+name, metric.WithUnit("s"), metric.WithDescription(help),
			metric.WithExplicitBucketBoundaries(1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 10))
		list = append(list, err)
		return h
	}
	count := func(name, unit, help string) metric.Int64Counter {
		c, err := m.Int64Counter("millwright.serve."+name, metric.WithUnit(unit), metric.WithDescription(help))
		list = append(list, err)
		return c
	}
	seen := func(name, unit, help string) metric.Int64Observable {
		c, err := m.Int64ObservableCounter("millwright.serve."+name, metric.WithUnit(unit), metric.WithDescription(help))
		list = append(list, err)
		return c
	}
	level := func(name, help string) metric.Int64Observable {
		c, err := m.Int64ObservableUpDownCounter("millwright.serve."+name, metric.WithUnit("{request}"), metric.WithDescription(help))
		list = append(list, err)
		return c
	}
	t.request = seconds("request.duration", "Time from the header to the encoded answer.")
	t.queue = seconds("queue.duration", "Time that requests waited to be admitted and for the model.")
	t.call = seconds("model.duration", "Time that requests were in the model.")
	t.rows = count("rows", "{row}", "Rows answered.")
	t.io = count("io", "By", "Bytes of the bodies and of the answers.")
	t.active = level("active_requests", "Requests being answered.")
	t.waiting = level("admission.waiting", "Requests that wait to be admitted.")
	limit, err := m.Int64ObservableGauge("millwright.serve.admission.limit", metric.WithUnit("{request}"), metric.WithDescription("Requests that are admitted at once, just now."))
	t.limit = limit
	list = append(list, err)
	t.executions = seen("executions", "{call}", "Calls of the model.")
	t.refused = seen("admission.refused", "{request}", "Requests turned away, by reason.")
	t.deployments = seen("deployments", "{version}", "Versions deployed.")
	t.swaps = seen("swaps", "{swap}", "Times that another version became the default.")
	if err := errors.Join(list...); err != nil {
		return nil, nil, err
	}
	r, err := m.RegisterCallback(t.collect, t.active, t.waiting, t.limit, t.executions, t.refused, t.deployments, t.swaps)
	if err != nil {
		return nil, nil, err
	}
	return t, r.Unregister, nil
}

// Bind implements serve.Binder.
func (t *meter) Bind(model string, v serve.VersionInfo) (serve.Observer, func()) {
	if _, ok := t.turned.Load(model); !ok {
		t.turned.LoadOrStore(model, t.bind(modelName.String(model)))
	}
	return t.bind(modelName.String(model), modelVersion.String(v.Version)), nil
}

// Observe implements serve.Observer, for requests that came to no version.
func (t *meter) Observe(x *serve.Exchange) {
	if b, ok := t.turned.Load(x.Model); ok {
		b.(*bound).count(x)
	}
}

// collect is called when the metrics are collected.
func (t *meter) collect(_ context.Context, o metric.Observer) error {
	list := t.server.Status()
	for i := range list {
		m := &list[i]
		model := modelName.String(m.Model)
		attrs := metric.WithAttributeSet(attribute.NewSet(model))
		if m.Limit > 0 {
			o.ObserveInt64(t.limit, m.Limit, attrs)
			o.ObserveInt64(t.waiting, m.Waiting, attrs)
			o.ObserveInt64(t.refused, m.Refused, metric.WithAttributeSet(attribute.NewSet(model, refusal.String("capacity"))))
			o.ObserveInt64(t.refused, m.RefusedShare, metric.WithAttributeSet(attribute.NewSet(model, refusal.String("share"))))
		}
		o.ObserveInt64(t.deployments, m.Deployed, attrs)
		o.ObserveInt64(t.swaps, m.Swapped, attrs)
	}
	// Without a name it does not fail.
	stats, _ := t.server.Statistics("", "")
	for i := range stats {
		s := &stats[i]
		attrs := metric.WithAttributeSet(attribute.NewSet(modelName.String(s.Model), modelVersion.String(s.Version)))
		o.ObserveInt64(t.active, s.InFlight, attrs)
		o.ObserveInt64(t.executions, s.Executions, attrs)
	}
	return nil
}

// bound is what the requests of one version are counted by.
type bound struct {
	t     *meter
	base  []attribute.KeyValue
	plain record
	in    []metric.AddOption
	out   []metric.AddOption

	// codes are the attributes of each status, made when it is first seen.
	codes [600]atomic.Pointer[record]
}

// record is a set of attributes in the two forms that instruments take it.
type record struct {
	record []metric.RecordOption
	add    []metric.AddOption
}

func newRecord(list ...attribute.KeyValue) *record {
	set := metric.WithAttributeSet(attribute.NewSet(list...))
	return &record{[]metric.RecordOption{set}, []metric.AddOption{set}}
}

func (t *meter) bind(base ...attribute.KeyValue) *bound {
	with := func(kv attribute.KeyValue) []attribute.KeyValue {
		return append(slices.Clip(base), kv)
	}
	return &bound{
		t: t, base: base, plain: *newRecord(base...),
		in:  newRecord(with(semconv.NetworkIODirectionReceive)...).add,
		out: newRecord(with(semconv.NetworkIODirectionTransmit)...).add,
	}
}

// Observe implements serve.Observer.
func (b *bound) Observe(x *serve.Exchange) {
	ctx := context.Background()
	b.t.queue.Record(ctx, x.Queue.Seconds(), b.plain.record...)
	b.t.call.Record(ctx, x.Infer.Seconds(), b.plain.record...)
	if x.Err == nil {
		b.t.rows.Add(ctx, x.Rows, b.plain.add...)
	}
	b.count(x)
}

// count counts what needs no version.
func (b *bound) count(x *serve.Exchange) {
	ctx := context.Background()
	b.t.request.Record(ctx, x.Duration.Seconds(), b.code(x.Status).record...)
	if x.BytesIn > 0 {
		b.t.io.Add(ctx, x.BytesIn, b.in...)
	}
	if x.BytesOut > 0 {
		b.t.io.Add(ctx, x.BytesOut, b.out...)
	}
}

// code returns the attributes with a status.
func (b *bound) code(status int) *record {
	if status < 0 || status >= len(b.codes) {
		return &b.plain
	}
	if r := b.codes[status].Load(); r != nil {
		return r
	}
	list := append(slices.Clip(b.base), semconv.HTTPResponseStatusCode(status))
	if status >= 400 {
		list = append(list, errorType(status))
	}
	r := newRecord(list...)
	b.codes[status].Store(r)
	return r
}
