package tracking

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// maxBackoff is the longest pause between two attempts to reach a store that
// fails.
const maxBackoff = 30 * time.Second

// recorder moves points from Run.Metric to the store. One lock guards all
// buffers; it is held for a few nanoseconds and never during I/O.
type recorder struct {
	store   Store
	onError func(error)
	logger  *slog.Logger
	every   time.Duration
	max     int

	fullError error // made once: drops come in masses

	wake chan struct{} // the worker has something to do soon
	full chan struct{} // a whole batch is waiting, do it now
	stop chan struct{} // closed by the first shutdown
	done chan struct{} // closed by the worker when it ends

	mu       sync.Mutex
	closed   bool
	started  bool
	abort    context.CancelFunc // ends the worker's store calls; set with started
	buffered int                // points in buffers or under way to the store
	dirty    map[*runBuffer]struct{}
	unheard  loss // what OnError was not told yet
	unsaid   loss // what no Flush has returned yet
}

// runBuffer is one handle's part of the recorder, guarded by its lock.
type runBuffer struct {
	run     RunID
	sending chan struct{} // holds a token while one goroutine stores points
	points  []Metric
	spare   []Metric // an empty slice to use again
	dropped uint64
	unsaid  loss // what Flush has not returned yet
}

// loss counts dropped points and keeps the first reason.
type loss struct {
	points uint64
	first  error
}

func (l *loss) add(n int, reason error) {
	if l.points == 0 {
		l.first = reason
	}
	l.points += uint64(n)
}

// take returns the loss as an error, nil when there is none, and forgets it.
func (l *loss) take() error {
	if l.points == 0 {
		return nil
	}
	err := fmt.Errorf("tracking: %d metric points dropped: %w", l.points, l.first)
	*l = loss{}
	return err
}

func newRecorder(store Store, o Options) *recorder {
	return &recorder{
		store: store, onError: o.OnError, logger: o.Logger, every: o.FlushEvery, max: o.MaxBuffered,
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
		dirty:     map[*runBuffer]struct{}{},
		fullError: fmt.Errorf("the buffer of %d points is full, the store does not keep up: %w", o.MaxBuffered, ErrUnavailable),
	}
}

func (c *recorder) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *recorder) dropped(b *runBuffer) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return b.dropped
}

// add is the recording path: no I/O, no error, bounded memory.
func (c *recorder) add(b *runBuffer, m Metric) {
	fault := pointFault(&m)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed { // nobody is left to tell
		b.dropped++
		return
	}
	if !c.started {
		c.startLocked()
	}
	switch {
	case fault != "":
		c.drop(b, 1, fmt.Errorf("run %q: %s: %w", b.run, fault, ErrInvalid))
	case c.buffered >= c.max:
		c.drop(b, 1, c.fullError)
	default:
		if b.points == nil {
			b.points, b.spare = b.spare, nil
		}
		b.points = append(b.points, m)
		c.buffered++
		switch len(b.points) {
		case 1:
			c.dirty[b] = struct{}{}
			signal(c.wake)
		case MaxBatchMetrics:
			signal(c.full)
		}
	}
}

// pointFault says in words what makes the store refuse the point, "" when
// nothing does: one bad point must not take the rest of its batch along.
func pointFault(m *Metric) string {
	if fault := keyFault(m.Key); fault != "" {
		return fmt.Sprintf("key %q: %s", shorten(m.Key), fault)
	}
	if m.Link == nil {
		return ""
	}
	var f faults
	linkFaults(&f, m)
	return f.text()
}

// drop counts lost points and has the worker tell of them; the caller holds
// mu.
func (c *recorder) drop(b *runBuffer, n int, reason error) {
	b.dropped += uint64(n)
	b.unsaid.add(n, reason)
	c.unsaid.add(n, reason)
	c.unheard.add(n, reason)
	signal(c.wake)
}

// signal leaves one token in a channel of capacity one.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (c *recorder) startLocked() {
	c.started = true
	var ctx context.Context
	ctx, c.abort = context.WithCancel(context.Background())
	go c.work(ctx)
}

// work is the one background goroutine.
func (c *recorder) work(ctx context.Context) {
	defer close(c.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	pause, full := c.every, c.full
	for {
		select {
		case <-c.wake:
		case <-c.stop:
			return
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-full:
			timer.Stop()
		case <-c.stop:
			return
		}
		if err := c.drainAll(ctx); err != nil {
			c.report(fmt.Errorf("tracking: flush, will be tried again: %w", err))
			// Try again later, and not sooner because more points arrive.
			pause, full = min(2*pause, max(maxBackoff, c.every)), nil
			signal(c.wake)
		} else {
			pause, full = c.every, c.full
		}
		c.mu.Lock()
		lost := c.unheard.take()
		c.mu.Unlock()
		if lost != nil {
			c.report(lost)
		}
	}
}

func (c *recorder) report(err error) {
	c.logger.Warn("metric points not stored", "error", err)
	if c.onError != nil {
		c.onError(err)
	}
}

// drainAll stores what all handles have buffered and returns the first error
// that may pass; points refused for good are counted as lost.
func (c *recorder) drainAll(ctx context.Context) error {
	c.mu.Lock()
	buffers := make([]*runBuffer, 0, len(c.dirty))
	for b := range c.dirty {
		buffers = append(buffers, b)
	}
	c.mu.Unlock()
	var first error
	for _, b := range buffers {
		if err := c.drain(ctx, b); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// drain stores what one handle had buffered at the time of the call. It waits
// for a drain under way, so that on return those points are stored too. Points
// that could not be stored for a reason that may pass are put back.
func (c *recorder) drain(ctx context.Context, b *runBuffer) error {
	select {
	case b.sending <- struct{}{}:
		defer func() { <-b.sending }()
	case <-ctx.Done():
		return fmt.Errorf("tracking: flush run %q: %w", b.run, context.Cause(ctx))
	}
	c.mu.Lock()
	all := b.points
	b.points = nil
	delete(c.dirty, b)
	c.mu.Unlock()
	points := all
	for len(points) > 0 {
		n := min(len(points), MaxBatchMetrics)
		err := c.store.LogBatch(ctx, b.run, Batch{Metrics: points[:n]})
		c.mu.Lock()
		switch {
		case err == nil:
		case permanent(err):
			c.drop(b, n, err)
		default:
			b.points = append(points, b.points...)
			c.dirty[b] = struct{}{}
			c.mu.Unlock()
			return err
		}
		c.buffered -= n
		c.mu.Unlock()
		points = points[n:]
	}
	if cap(all) <= 4*MaxBatchMetrics { // a burst's memory is given back
		c.mu.Lock()
		b.spare = all[:0]
		c.mu.Unlock()
	}
	return nil
}

// permanent reports whether the same batch would be refused again.
func permanent(err error) bool {
	for _, kind := range []error{ErrInvalid, ErrNotFound, ErrConflict, ErrClosed, ErrUnsupported} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// flush drains one handle and reports its losses once.
func (c *recorder) flush(ctx context.Context, b *runBuffer) error {
	err := c.drain(ctx, b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsaid.points -= b.unsaid.points
	return errors.Join(err, b.unsaid.take())
}

// shutdown is Client.Shutdown.
func (c *recorder) shutdown(ctx context.Context) error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.stop)
	}
	started := c.started
	c.mu.Unlock()
	if !started {
		return nil
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		c.abort()
		return fmt.Errorf("tracking: shutdown: %w", context.Cause(ctx))
	}
	err := c.drainAll(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("tracking: shutdown, %d metric points are not stored yet: %w", c.buffered, err)
	}
	c.abort()
	return c.unsaid.take()
}
