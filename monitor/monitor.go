package monitor

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// Monitor watches one model. It is a Shutdown value: its two goroutines, one
// that counts rows and one that reports, start with the first full block of
// rows, or the first row where Options ask for a clock, and end with Shutdown.
// All methods are safe for concurrent use.
//
// Lock order: turn, foldMu, then a shard's mutex or the labels' mutex. Nothing
// is locked while OnReport runs, except turn.
type Monitor struct {
	opts   Options
	labels *labels

	shards   []shard
	affinity sync.Pool // Of *shard; a hint only, each shard stays in shards.
	next     atomic.Uint32
	none     *block
	epoch    atomic.Pointer[epoch]
	left     atomic.Int64 // Rows that the open window has not leased out.
	closed   atomic.Bool
	saved    atomic.Bool // By Shutdown.
	queue    chan *block
	free     chan *block

	observed, rejected, dropped atomic.Uint64
	overflowed                  atomic.Uint64
	positive, triggers          atomic.Uint64
	unlogged                    atomic.Uint64
	inputsSkipped, anonymous    atomic.Uint64
	inputs                      chan *inputs // That wait to be described.
	inputLimit                  uint64
	described                   []float64    // Work space, under foldMu.
	toLog                       atomic.Int64 // Blocks that wait for Options.Log, or are with it.
	schema                      schema
	waiters                     atomic.Int32 // Callers that wait for room in the queue.
	room                        *sync.Cond

	foldMu    sync.Mutex // Guards what is below, down to codes.
	logging   []*block   // For the log, oldest first.
	win       *window
	closing   []*window
	reporting *window // Taken out of closing, until its report is published.
	last      *Report // Of the current epoch; what it points to never changes.
	scratch   []float64
	codes     [blockRows]sliceCodes
	saving    sync.Mutex // Held by one Save at a time.

	turn  chan struct{} // Holds one token while a window is being reported.
	start sync.Once
	stop  sync.Once
	woken chan struct{}
	// logWoken holds one token while blocks wait for the log.
	logWoken chan struct{}
	pending  chan struct{} // Holds one token while closed windows wait for the reporter.
	quit     chan struct{}
	workers  sync.WaitGroup
	done     chan struct{}
}

// New returns a monitor that compares what it observes with ref, of which it
// keeps a copy. It returns ErrInvalid with every fault of ref and opts.
func New(ref *profile.Reference, opts *Options) (*Monitor, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	own, err := cloneReference(ref)
	if err != nil {
		return nil, err
	}
	e, err := newEpoch(1, own, o.Version, &o)
	if err != nil {
		return nil, err
	}
	n := shardCount()
	m := &Monitor{
		opts:     o,
		labels:   newLabels(o.MaxPending, o.LabelTTL, o.LabelHorizon),
		shards:   make([]shard, n),
		none:     noBlock(),
		queue:    make(chan *block, 2*n),
		free:     make(chan *block, 3*n),
		room:     sync.NewCond(new(sync.Mutex)),
		inputs:   make(chan *inputs, waitingInputs),
		scratch:  make([]float64, gathered*blockRows),
		turn:     make(chan struct{}, 1),
		woken:    make(chan struct{}, 1),
		logWoken: make(chan struct{}, 1),
		pending:  make(chan struct{}, 1),
		quit:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	for i := range m.shards {
		m.shards[i].cur = m.none
	}
	m.affinity.New = func() any { return &m.shards[int(m.next.Add(1)-1)%n] }
	m.inputLimit = inputLimit(o.InputShare)
	m.epoch.Store(e)
	m.win = m.newWindow(e, 1, time.Time{})
	m.left.Store(int64(o.WindowRows))
	m.labels.begin(e)
	return m, nil
}

// Cut closes the open window: it folds every row whose Observe has returned,
// compares, decides, calls OnReport and returns the report. Windows that have
// closed by themselves before are reported first. It waits for an OnReport
// that is running; the error is ctx's when that takes too long, and the window
// stays open. It returns ErrInvalid when there was no row since the last
// window, ErrClosed after Shutdown.
func (m *Monitor) Cut(ctx context.Context) (Report, error) {
	if m.closed.Load() {
		return Report{}, fmt.Errorf("monitor: cut: the monitor is shut down: %w", ErrClosed)
	}
	if err := m.takeTurn(ctx); err != nil {
		return Report{}, fmt.Errorf("monitor: cut: OnReport has not returned: %w", err)
	}
	w := m.closeWindow()
	m.reportUntil(w)
	switch {
	case w == nil && m.closed.Load():
		return Report{}, fmt.Errorf("monitor: cut: the monitor is shut down: %w", ErrClosed)
	case w == nil:
		return Report{}, fmt.Errorf("monitor: cut: no row was observed since the last window: %w", ErrInvalid)
	}
	return w.report, nil
}

// closeWindow closes the open window if it has rows.
func (m *Monitor) closeWindow() *window {
	m.foldMu.Lock()
	defer m.foldMu.Unlock()
	m.flush()
	if m.win.cur.Rows == 0 {
		return nil
	}
	return m.rotate()
}

func (m *Monitor) takeTurn(ctx context.Context) error {
	select {
	case m.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case m.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// reportUntil reports the closed windows in their order, up to and including
// last or, when that is nil, all, and gives the turn back.
func (m *Monitor) reportUntil(last *window) {
	defer func() { <-m.turn }()
	for {
		m.foldMu.Lock()
		if len(m.closing) == 0 {
			m.foldMu.Unlock()
			return
		}
		w := m.closing[0]
		m.closing = m.closing[1:]
		m.reporting = w
		m.foldMu.Unlock()
		w.report = m.report(w)
		m.publish(w)
		if m.opts.OnReport != nil {
			m.opts.OnReport(w.report)
		}
		if w == last {
			return
		}
	}
}

// publish shows the report in snapshots, unless its version is gone.
func (m *Monitor) publish(w *window) {
	m.foldMu.Lock()
	defer m.foldMu.Unlock()
	m.reporting = nil
	if w.epoch == m.epoch.Load() {
		m.last = &w.report
	}
}

// Reset goes over to a new reference after a promotion. Rows of the old one
// that no window has closed over make a last window of the old version, which
// is reported in its turn. Predictions that wait for labels stay, and
// their labels count for the version that made them. In the instant of a Reset
// a row that was encoded for the old reference may be counted with the new, or
// be rejected when their number of features differs.
//
// It returns ErrInvalid with every fault of ref, ErrClosed after Shutdown.
func (m *Monitor) Reset(ref *profile.Reference, version string) error {
	own, err := cloneReference(ref)
	if err != nil {
		return err
	}
	m.foldMu.Lock()
	defer m.foldMu.Unlock()
	if m.closed.Load() {
		return fmt.Errorf("monitor: reset to version %q: the monitor is shut down: %w", version, ErrClosed)
	}
	old := m.epoch.Load()
	e, err := newEpoch(old.number+1, own, version, &m.opts)
	if err != nil {
		return err
	}
	m.epoch.Store(e) // From here on each new block is of the new epoch.
	m.last = nil
	var fresh []*block
	place := func(b *block) {
		if b.epoch == old {
			m.fold(b)
		} else {
			fresh = append(fresh, b)
		}
	}
	for i := range m.shards {
		if b := m.take(&m.shards[i]); b != nil {
			place(b)
		}
	}
	for empty := false; !empty; {
		select {
		case b := <-m.queue:
			place(b)
		default:
			empty = true
		}
	}
	if m.win.cur.Rows > 0 {
		m.rotate()
		m.announce()
	}
	m.makeRoom()
	m.win = m.newWindow(e, m.win.number, m.win.to)
	m.labels.begin(e)
	for _, b := range fresh {
		m.fold(b)
	}
	return nil
}

// Shutdown stops the monitor: rows observed later are counted as dropped. The
// rows of the open window make a last report or, with Options.Store, are saved
// with it for the next process. Labels still join, and Snapshot
// and Performance still answer. When ctx ends first it returns ctx's error,
// and can be called again; calling it after success does nothing.
func (m *Monitor) Shutdown(ctx context.Context) error {
	m.closed.Store(true)
	m.makeRoom() // Who waits for the log finds the monitor closed.
	if err := m.takeTurn(ctx); err != nil {
		return fmt.Errorf("monitor: shutdown: OnReport has not returned: %w", err)
	}
	if m.opts.Store == nil {
		m.closeWindow()
	}
	m.reportUntil(nil)
	if m.opts.Store != nil && !m.saved.Load() {
		if err := m.Save(ctx); err != nil {
			return fmt.Errorf("monitor: shutdown: %w", err)
		}
		m.saved.Store(true)
	}
	m.stop.Do(func() { close(m.quit) })
	m.makeRoom()                         // Who waits for room finds the monitor closed.
	m.start.Do(func() { close(m.done) }) // The goroutines were never needed.
	select {
	case <-m.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("monitor: shutdown: the folder has not ended: %w", context.Cause(ctx))
	}
}
