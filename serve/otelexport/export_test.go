package otelexport

import (
	"context"

	"go.opentelemetry.io/otel/metric"

	"github.com/millwright-ml/millwright/serve"
)

// Bound returns what a server is given to tell of a version's exchanges.
func Bound(s *serve.Server, p metric.MeterProvider) (serve.Observer, error) {
	m, _, err := newMeter(s, p.Meter(scope))
	if err != nil {
		return nil, err
	}
	o, _ := m.Bind("double", serve.VersionInfo{Version: "1"})
	return o, nil
}

// Begin returns what a server calls when a request begins.
func Begin(o *Options) func(context.Context, *serve.Call) (context.Context, serve.Observer) {
	return newTracer(o).Begin
}
