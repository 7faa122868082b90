package sysmetrics

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/tracking"
)

// The error kinds of this package.
var (
	// ErrUnsupported: there is no /proc, this is no Linux.
	ErrUnsupported = errs.ErrUnsupported
	// ErrInvalid: the system's answer could not be read, or an option is wrong.
	ErrInvalid = errs.ErrInvalid
)

// Options of Run. The zero value is ready, and so is a nil pointer.
type Options struct {
	// Every is the time between two samples, at least 10 ms. Default 10 s.
	Every time.Duration
	// Node tells apart the machines of a training that several have part in:
	// the keys begin with "system/<Node>/". Default none.
	Node string
	// Disk is a folder of the file system that is measured. Default "/".
	Disk string
	// NvidiaSMI is the program nvidia-smi, "-" for none. Default: the one in
	// PATH, if there is one.
	NvidiaSMI string
	// OnError is told of what could not be sampled. What could is recorded.
	// Default nil.
	OnError func(error)
}

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Every == 0 {
		out.Every = 10 * time.Second
	}
	if out.Disk == "" {
		out.Disk = "/"
	}
	return out
}

// Run samples the machine and records metrics of run until ctx ends, and then
// returns nil; a last sample is taken when it ends at least a second after the
// one before. Steps count the samples and go on after those that the run has. It blocks; a
// program starts it beside its training and waits for it before it ends the
// run:
//
//	ctx, stop := context.WithCancel(ctx)
//	var wg sync.WaitGroup
//	wg.Go(func() { err = sysmetrics.Run(ctx, run, nil) })
//	…
//	stop()
//	wg.Wait()
//	run.End(…)
//
// A first sample that fails altogether is returned as an error, ErrUnsupported
// where there is no /proc. Points go through Run.Metric and so never wait for
// the store.
func Run(ctx context.Context, run *tracking.Run, opts *Options) error {
	o := opts.withDefaults()
	if o.Every < 10*time.Millisecond {
		return fmt.Errorf("sysmetrics: Every is %v, want 10ms or more: %w", o.Every, ErrInvalid)
	}
	prefix := "system/"
	if o.Node != "" {
		prefix += o.Node + "/"
	}
	if err := tracking.ValidateKey(prefix + "cpu_utilization_percentage"); err != nil {
		return fmt.Errorf("sysmetrics: Node: %w", err)
	}
	step, err := nextStep(ctx, run, prefix)
	if err != nil {
		return err
	}
	s := &sampler{opts: o, smi: findSMI(o.NvidiaSMI)}
	if _, err := s.sample(ctx); err != nil { // where CPU and network begin
		return err
	}
	tick := time.NewTicker(o.Every)
	defer tick.Stop()
	last := time.Now()
	for {
		ended := false
		select {
		case <-tick.C:
		case <-ctx.Done():
			if time.Since(last) < time.Second {
				return nil
			}
			ended = true
		}
		last = time.Now()
		values, err := s.sample(context.WithoutCancel(ctx))
		if err != nil && o.OnError != nil {
			o.OnError(err)
		}
		for key, value := range values {
			run.Metric(prefix+key, value, step)
		}
		step++
		if ended {
			return nil
		}
	}
}

// nextStep is the step after the last that the run has under prefix.
func nextStep(ctx context.Context, run *tracking.Run, prefix string) (int64, error) {
	info, err := run.Info(ctx)
	if err != nil {
		return 0, err
	}
	next := int64(0)
	for key, m := range info.Metrics {
		if rest, ok := strings.CutPrefix(key, prefix); ok && !strings.Contains(rest, "/") {
			next = max(next, m.Step+1)
		}
	}
	return next, nil
}

// sampler keeps what a sample needs of earlier ones.
type sampler struct {
	opts Options
	smi  string // path of nvidia-smi, empty for none

	began     bool
	cpu       cpuTimes
	first     traffic
	smiFaults int // failures in a row
}

// sample measures once. The error joins what failed; the map has the rest. The
// first call gives no values, and fails when anything of the system does.
func (s *sampler) sample(ctx context.Context) (map[string]float64, error) {
	values := map[string]float64{}
	var faults []error
	note := func(what string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("sysmetrics: %s: %w", what, err))
		}
	}
	cpu, err := readCPU()
	note("CPU", err)
	if err == nil {
		if used, ok := cpu.since(s.cpu); ok && s.began {
			values["cpu_utilization_percentage"] = used
		}
		s.cpu = cpu
	}
	mem, err := readMemory()
	note("memory", err)
	if err == nil {
		values["system_memory_usage_megabytes"] = float64(mem.total-mem.available) / 1e6
		values["system_memory_usage_percentage"] = percent(mem.total-mem.available, mem.total)
	}
	disk, err := readDisk(s.opts.Disk)
	note("disk", err)
	if err == nil {
		values["disk_usage_megabytes"] = float64(disk.used) / 1e6
		values["disk_available_megabytes"] = float64(disk.available) / 1e6
		values["disk_usage_percentage"] = percent(disk.used, disk.used+disk.available)
	}
	net, err := readTraffic()
	note("network", err)
	if err == nil {
		if !s.began {
			s.first = net
		}
		values["network_receive_megabytes"] = grown(s.first.received, net.received)
		values["network_transmit_megabytes"] = grown(s.first.sent, net.sent)
	}
	if !s.began {
		s.began = true
		return nil, errors.Join(faults...)
	}
	note("GPU", s.gpus(ctx, values))
	return values, errors.Join(faults...)
}

// grown is what a counter of bytes gained, in megabytes; an interface that went
// away takes its count along.
func grown(from, to uint64) float64 {
	if to < from {
		return 0
	}
	return float64(to-from) / 1e6
}

func percent(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}
