package fleet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/monitor"
)

const (
	stateMagic = "MWFSTAT1"
	maxState   = 1 << 30
	// keptTurns is for how many evaluations it is remembered how far a process
	// was counted whose snapshot cannot be seen any more.
	keptTurns = 1000
)

// Elector lets one of several processes lead. A k8s/leader.Elector is one, and so
// is a Lease.
type Elector interface {
	// Run calls lead while this process leads, until ctx ends. The context of
	// lead ends when another may lead.
	Run(ctx context.Context, lead func(ctx context.Context) error) error
}

// Options of an Evaluator.
type Options struct {
	// Store keeps the state; it must be able to compare and swap. All evaluators
	// of a version share it.
	Store blob.Store
	// Key of the state. Default: "evaluator/" below the prefix "monitor", with
	// model and version.
	Key string
	// Monitor is how the merged counts are judged: Model, Version, Policy, Spans
	// and Seasonal are used. What is for rows must be left alone: WindowRows,
	// WindowTime, Store, Log, OnReport, SliceBy.
	Monitor monitor.Options
	// Every is how often Run evaluates: the length of a window. Default 5 min.
	Every time.Duration
	// OnReport receives each report after it was decided for good. Default: none.
	OnReport func(monitor.Report)
	// OnError is told of snapshots that cannot be read, and of evaluations by Run
	// that failed. Default: nobody.
	OnError func(error)
}

// Stats says what an evaluator has seen.
type Stats struct {
	// Processes is how many snapshots the last evaluation has read, Foreign how
	// many of them were of another reference or version, Failed how many could
	// not be read.
	Processes, Foreign, Failed int
	// Rows is how many rows were counted in all, by whichever evaluator.
	Rows uint64
}

// Evaluator merges the counts of a fleet and decides. It is a Run value, safe for
// concurrent use.
type Evaluator struct {
	ref    *profile.Reference
	digest string
	source Source
	opts   Options

	mu      sync.Mutex // Held by one evaluation at a time.
	tag     string     // Of the state that current belongs to; "" for none yet.
	current *state
	stats   Stats
}

// state is what one evaluation leaves to the next.
type state struct {
	turn    uint64
	rows    uint64
	counted map[string]*progress // By process.
	monitor []byte               // As monitor.Store keeps it; nil before the first.
}

// progress is how far a process was counted.
type progress struct {
	number uint64
	turn   uint64 // When it was seen last.
	counts *profile.Reference
}

// New returns an evaluator over a reference. It reads nothing yet, and returns
// ErrInvalid with every fault of ref and opts.
func New(ref *profile.Reference, source Source, opts *Options) (*Evaluator, error) {
	e := &Evaluator{ref: ref, source: source}
	if opts != nil {
		e.opts = *opts
	}
	var f errs.Faults
	o := &e.opts
	f.Check(source != nil, "the source is nil")
	f.Check(o.Store != nil, "Store is nil")
	f.Check(o.Every >= 0, "Every is %s, want 0 or more", o.Every)
	m := &o.Monitor
	f.Check(m.WindowRows == 0 && m.WindowTime == 0 && m.Store == nil && m.Log == nil && m.OnReport == nil && len(m.SliceBy) == 0,
		"Monitor has WindowRows, WindowTime, Store, Log, OnReport or SliceBy, which are for rows")
	if err := f.Err("fleet: new evaluator"); err != nil {
		return nil, err
	}
	if o.Key == "" {
		o.Key = folder(defaultPrefix+"/evaluator", m.Model, m.Version) + "state"
	}
	if o.Every == 0 {
		o.Every = 5 * time.Minute
	}
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	trial, err := e.monitor(nil)
	if err != nil {
		return nil, fmt.Errorf("fleet: new evaluator: %w", err)
	}
	own, _, err := trial.Counts()
	if err != nil {
		return nil, fmt.Errorf("fleet: new evaluator: %w", err)
	}
	e.ref = own // The monitor's copy.
	e.digest, err = own.Digest()
	return e, err
}

// memory is a monitor.Store for the state of one evaluation.
type memory struct{ data []byte }

func (m *memory) Load(context.Context) ([]byte, error) {
	if m.data == nil {
		return nil, fs.ErrNotExist
	}
	return m.data, nil
}

func (m *memory) Save(_ context.Context, data []byte) error {
	m.data = data
	return nil
}

func (e *Evaluator) monitor(store *memory) (*monitor.Monitor, error) {
	o := e.opts.Monitor
	if store != nil {
		o.Store, o.SaveEvery = store, -1
	}
	return monitor.New(e.ref, &o)
}

// Stats returns the counters of the last evaluation.
func (e *Evaluator) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats
}

// Evaluate collects what was observed since the last evaluation, by whichever
// evaluator, decides on it and returns the report. It returns ErrNotFound when
// there was nothing, and ErrConflict when another evaluator was faster: the
// counts are in its window, and nothing was decided here.
func (e *Evaluator) Evaluate(ctx context.Context) (monitor.Report, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r, err := e.evaluate(ctx)
	if err != nil {
		return monitor.Report{}, fmt.Errorf("fleet: evaluate %q version %q: %w", e.opts.Monitor.Model, e.opts.Monitor.Version, err)
	}
	if e.opts.OnReport != nil {
		e.opts.OnReport(r)
	}
	return r, nil
}

func (e *Evaluator) evaluate(ctx context.Context) (monitor.Report, error) {
	before, tag, err := e.load(ctx)
	if err != nil {
		return monitor.Report{}, err
	}
	next, window, err := e.collect(ctx, before)
	if err != nil {
		return monitor.Report{}, err
	}
	if window.Rows == 0 {
		return monitor.Report{}, fmt.Errorf("no process has observed a row since the last time: %w", ErrNotFound)
	}
	store := &memory{before.monitor}
	m, err := e.monitor(store)
	if err != nil {
		return monitor.Report{}, err
	}
	defer func() { _ = m.Shutdown(ctx) }() // It has no row and no goroutine.
	if before.monitor != nil {
		if err := m.Restore(ctx); err != nil {
			return monitor.Report{}, err
		}
	}
	if err := m.Add(window); err != nil {
		return monitor.Report{}, err
	}
	report, err := m.Cut(ctx)
	if err != nil {
		return monitor.Report{}, err
	}
	if err := m.Save(ctx); err != nil {
		return monitor.Report{}, err
	}
	next.monitor = store.data
	data := next.encode()
	tag, err = blob.Swap(ctx, e.opts.Store, e.opts.Key, bytes.NewReader(data), int64(len(data)), tag)
	if err != nil {
		// It may have happened all the same: the next turn reads what is there.
		e.current, e.tag = nil, ""
		return monitor.Report{}, fmt.Errorf("keep the state: %w", err)
	}
	e.current, e.tag = next, tag
	e.stats.Rows = next.rows
	return report, nil
}

// load returns the newest state and its tag.
func (e *Evaluator) load(ctx context.Context) (*state, string, error) {
	data, tag, err := blob.ReadTagged(ctx, e.opts.Store, e.opts.Key, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return &state{counted: map[string]*progress{}}, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("read the state: %w", err)
	}
	if e.current != nil && tag == e.tag {
		return e.current, tag, nil
	}
	s, err := e.decode(data)
	if err != nil {
		return nil, "", fmt.Errorf("read the state: %w", err)
	}
	return s, tag, nil
}

// collect reads the snapshots and returns what is new in them.
func (e *Evaluator) collect(ctx context.Context, before *state) (*state, *profile.Reference, error) {
	next := &state{turn: before.turn + 1, rows: before.rows, counted: map[string]*progress{}}
	for name, p := range before.counted {
		if p.turn+keptTurns > before.turn {
			next.counted[name] = p
		}
	}
	window := e.ref.Window()
	e.stats = Stats{Rows: before.rows}
	failed := func(err error) {
		e.stats.Failed++
		e.opts.OnError(err)
	}
	err := e.source.Snapshots(ctx, e.opts.Monitor.Model, e.opts.Monitor.Version, func(s *Snapshot) {
		e.stats.Processes++
		if s.Model != e.opts.Monitor.Model || s.Version != e.opts.Monitor.Version || s.Reference != e.digest {
			e.stats.Foreign++
			return
		}
		if err := e.add(next, window, s); err != nil {
			failed(err)
		}
	}, failed)
	next.rows += window.Rows
	return next, window, err
}

// add merges what a snapshot has beyond what of its process was counted.
func (e *Evaluator) add(next *state, window *profile.Reference, s *Snapshot) error {
	known := next.counted[s.Process]
	if known != nil && s.Number <= known.number {
		next.counted[s.Process] = &progress{known.number, next.turn, known.counts}
		return nil // It was seen before.
	}
	counts, err := s.Counts(e.ref)
	if err != nil {
		return err
	}
	fresh := counts.Clone()
	if known != nil {
		if err := fresh.Sub(known.counts); err != nil {
			return fmt.Errorf("fleet: counts of %q have become fewer: %w", s.Process, ErrInvalid)
		}
	}
	if err := window.Merge(fresh); err != nil {
		return err
	}
	next.counted[s.Process] = &progress{s.Number, next.turn, counts}
	return nil
}

// Run evaluates now and then while it is elected, until ctx ends.
func (e *Evaluator) Run(ctx context.Context, elector Elector) error {
	return elector.Run(ctx, func(ctx context.Context) error {
		ticker := time.NewTicker(e.opts.Every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if _, err := e.Evaluate(ctx); err != nil && !errors.Is(err, ErrNotFound) && ctx.Err() == nil {
					e.opts.OnError(err)
				}
			case <-ctx.Done():
				return nil
			}
		}
	})
}

func (s *state) encode() []byte {
	b := []byte(stateMagic)
	b = binary.AppendUvarint(b, s.turn)
	b = binary.AppendUvarint(b, s.rows)
	b = binary.AppendUvarint(b, uint64(len(s.counted)))
	for name, p := range s.counted {
		b = appendText(b, name)
		b = binary.AppendUvarint(b, p.number)
		b = binary.AppendUvarint(b, p.turn)
		b = appendText(b, string(p.counts.AppendCounts(nil)))
	}
	b = appendText(b, string(s.monitor))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func (e *Evaluator) decode(data []byte) (*state, error) {
	r, err := open(data, stateMagic)
	if err != nil {
		return nil, err
	}
	s := &state{turn: r.uint(), rows: r.uint(), counted: map[string]*progress{}}
	for n := r.uint(); n > 0 && !r.bad; n-- {
		name := r.text()
		p := &progress{number: r.uint(), turn: r.uint(), counts: e.ref.Window()}
		rest, err := p.counts.SetCounts([]byte(r.bytes(maxSnapshot)))
		r.bad = r.bad || err != nil || len(rest) > 0
		s.counted[name] = p
	}
	s.monitor = []byte(r.bytes(maxState))
	if r.bad || len(r.b) > 0 {
		return nil, fmt.Errorf("the state is of another reference: use another Key: %w", ErrInvalid)
	}
	return s, nil
}
