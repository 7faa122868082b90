package main

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/promexport"
)

// round fits a block, so that nothing is folded within it.
const round = 120

// hot is what a row costs: to its caller, alone and with another core at it, and to be
// counted.
func hot(ctx context.Context, c *config) ([]figure, error) {
	before := heap()
	m, err := newMonitor(&monitor.Options{MaxPending: -1})
	if err != nil {
		return nil, err
	}
	defer shut(ctx, m)
	memory := float64(heap()-before) / width
	rows := sample(some)
	put := func() {
		for i := range round {
			at := i % some * width
			m.Observe(rows[at:at+width], 0.5, monitor.ID{})
		}
	}
	into, fold := time.Hour, time.Hour
	for began := time.Now(); time.Since(began) < c.length; {
		start := time.Now()
		put()
		into = min(into, time.Since(start))
		start = time.Now()
		m.Snapshot()
		fold = min(fold, time.Since(start))
	}
	observe := float64(into.Nanoseconds()) / round
	allocated := allocations(put) / round // The blocks are there by now.
	// In a loop without an end, with the counting behind it: on each of two cores.
	const many = 1 << 14
	loop := func() {
		for i := range many {
			at := i % some * width
			m.Observe(rows[at:at+width], 0.5, monitor.ID{})
		}
	}
	var mu sync.Mutex
	both := 0.0
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			took := best(c.length, many, loop)
			mu.Lock()
			both = max(both, took)
			mu.Unlock()
		})
	}
	group.Wait()
	out := []figure{
		{name: "Observe a row of 32", value: observe, unit: "ns", aim: 30},
		{name: "its allocations", value: math.Round(100*allocated) / 100, unit: "", aim: 0.01},
		{name: "fold a row", value: float64(fold.Nanoseconds()) / round, unit: "ns", aim: 150},
		{name: fmt.Sprintf("Observe without a pause from two goroutines on %d cores, folding included", runtime.GOMAXPROCS(0)), value: both, unit: "ns"},
		{name: "memory a feature, shards included", value: memory / 1024, unit: "KiB"},
	}
	return out, nil
}

func allocations(f func()) float64 {
	var before, after runtime.MemStats
	const turns = 100
	for range turns {
		f()
	}
	runtime.ReadMemStats(&before)
	for range turns {
		f()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / turns
}

// heap is how much is in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// decisions is what comparing a window costs.
func decisions(ctx context.Context, c *config) ([]figure, error) {
	ref, err := build(sample(5_000), nil)
	if err != nil {
		return nil, err
	}
	cur := ref.Window()
	for rows := sample(1_000); len(rows) > 0; rows = rows[width:] {
		if err := cur.Observe(rows[:width], 0); err != nil {
			return nil, err
		}
	}
	took := best(c.length, width, func() { _, err = monitor.Compare(ref, cur, nil) })
	return []figure{{name: "Compare a feature", value: took, unit: "ns", aim: 5000}}, err
}

// scrapes is what Prometheus costs.
func scrapes(ctx context.Context, c *config) ([]figure, error) {
	m, err := newMonitor(nil)
	if err != nil {
		return nil, err
	}
	defer shut(ctx, m)
	for rows := sample(1_000); len(rows) > 0; rows = rows[width:] {
		m.Observe(rows[:width], 0.5, monitor.ID{})
	}
	if _, err := m.Cut(ctx); err != nil {
		return nil, err
	}
	collector := promexport.New(m, nil)
	registry := prometheus.NewRegistry()
	if err := registry.Register(collector); err != nil {
		return nil, err
	}
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics", http.NoBody)
	took := func(h http.Handler) float64 {
		return best(c.length, 1e6, func() { h.ServeHTTP(httptest.NewRecorder(), request) })
	}
	return []figure{
		{name: "scrape 32 features, promexport.Handler", value: took(promexport.Handler(nil, collector)), unit: "ms", aim: 1},
		{name: "the same, Collector through promhttp", value: took(promhttp.HandlerFor(registry, promhttp.HandlerOpts{})), unit: "ms", aim: 1},
	}, nil
}
