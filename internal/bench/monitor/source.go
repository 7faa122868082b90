package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
)

const width = 32

// some rows, so that not one row's cache is measured.
const some = 256

// sample draws rows of numbers, one behind the other.
func sample(n int) []float64 {
	rng := rand.New(rand.NewPCG(1, 2))
	out := make([]float64, n*width)
	for i := range out {
		out[i] = rng.NormFloat64()
	}
	return out
}

func inputs() []profile.Input {
	list := make([]profile.Input, width)
	for i := range list {
		list[i] = profile.Input{Name: fmt.Sprintf("f%02d", i), Kind: profile.Numeric}
	}
	return list
}

// build makes a reference of rows.
func build(rows []float64, opts *profile.BuilderOptions) (*profile.Reference, error) {
	b, err := profile.NewBuilder(inputs(), opts)
	if err != nil {
		return nil, err
	}
	for r := (profile.Record{}); len(rows) > 0; rows = rows[width:] {
		r.Numbers, r.Score = rows[:width], 0.5
		if err := b.Add(&r); err != nil {
			return nil, err
		}
	}
	return b.Reference()
}

// newMonitor returns a monitor with a reference of its own.
func newMonitor(opts *monitor.Options) (*monitor.Monitor, error) {
	ref, err := build(sample(20_000), &profile.BuilderOptions{Score: true})
	if err != nil {
		return nil, err
	}
	return monitor.New(ref, opts)
}

// best is the shortest time that f takes, of as many as fit the length, an n-th of it.
func best(length time.Duration, n int, f func()) float64 {
	least := time.Hour
	for began := time.Now(); time.Since(began) < length; {
		start := time.Now()
		f()
		least = min(least, time.Since(start))
	}
	return float64(least.Nanoseconds()) / float64(n)
}

// cpu is the processor time of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func shut(ctx context.Context, m *monitor.Monitor) { _ = m.Shutdown(ctx) }
