package judge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/monitor"
)

// Observer is what a worker needs of [monitor.Monitor].
type Observer interface {
	Observe(row []float64, score float64, id monitor.ID)
}

// OnlineOptions say how a worker takes and scores samples. Nil means all defaults.
type OnlineOptions struct {
	// Share of the samples to take, by their ids (Sampled). Default 1.
	Share float64
	// Salt of the choice. Default "".
	Salt string
	// Queue is how many samples may wait. What comes while it is full is
	// dropped and counted. Default 256.
	Queue int
	// Workers is how many samples are scored at once. Default 2.
	Workers int
	// Observer is shown each result as a row: the values of the scorers in
	// their order, NaN where there is none, and the first one as the score.
	// A monitor whose reference was made of the same columns (Inputs,
	// Result.Record) finds their drift: of scores, lengths, refusals,
	// distances. Default none.
	Observer Observer
	// OnResult is told each result, from the workers' goroutines, several at
	// once. Default none.
	OnResult func(Result)
}

const (
	defaultQueue   = 256
	defaultWorkers = 2
)

// Online scores samples behind the path of requests. Offer never waits; Run does
// the work.
type Online struct {
	scorers []Scorer
	opts    OnlineOptions
	queue   chan Sample
	room    chan struct{} // one slot: a sample has left the queue
	stop    chan struct{} // closed by Shutdown
	running atomic.Bool

	mu     sync.RWMutex // held for reading while a sample goes into the queue
	closed bool

	offered, sampledOut, dropped, scored, failed, skipped atomic.Uint64
}

// OnlineStats counts samples. Offered = SampledOut + Dropped + Scored + Failed +
// Skipped + Pending.
type OnlineStats struct {
	Offered, SampledOut, Dropped uint64
	// Scored have all their scores. Failed lack at least one; Skipped lack one
	// because of the budget.
	Scored, Failed, Skipped uint64
	// Pending wait or are being scored.
	Pending uint64
}

// NewOnline makes a worker. It starts nothing.
func NewOnline(scorers []Scorer, opts *OnlineOptions) (*Online, error) {
	var o OnlineOptions
	if opts != nil {
		o = *opts
	}
	var f errs.Faults
	f.Check(o.Share >= 0 && o.Share <= 1, "Share is %v", o.Share)
	f.Check(o.Queue >= 0, "Queue is %d", o.Queue)
	f.Check(o.Workers >= 0, "Workers is %d", o.Workers)
	err := f.Err("options")
	if err == nil {
		err = checkScorers(scorers)
	}
	if err != nil {
		return nil, fmt.Errorf("judge: new online: %w", err)
	}
	o.Share = or(o.Share, 1)
	o.Workers = or(o.Workers, defaultWorkers)
	return &Online{scorers: scorers, opts: o, queue: make(chan Sample, or(o.Queue, defaultQueue)), room: make(chan struct{}, 1), stop: make(chan struct{})}, nil
}

// Offer hands a sample over, and says whether it was taken: it may not be in the
// share, the queue may be full, the worker may be shut down. It never waits.
func (o *Online) Offer(s Sample) bool {
	o.offered.Add(1)
	if !Sampled(s.ID, o.opts.Salt, o.opts.Share) {
		o.sampledOut.Add(1)
		return false
	}
	if taken, _ := o.try(s); taken {
		return true
	}
	o.dropped.Add(1)
	return false
}

// Put hands a sample over as Offer does, and waits while the queue is full: for what
// is behind the path of requests already, like the rows of a log. It returns nil for
// a sample that is not in the share, ErrClosed after Shutdown, and the error of the
// context when that ends.
func (o *Online) Put(ctx context.Context, s Sample) error {
	o.offered.Add(1)
	if !Sampled(s.ID, o.opts.Salt, o.opts.Share) {
		o.sampledOut.Add(1)
		return nil
	}
	for {
		taken, closed := o.try(s)
		if taken {
			o.signal() // For another Put, if there is more room.
			return nil
		}
		err := ctx.Err()
		if closed {
			err = fmt.Errorf("judge: put %q: %w", s.ID, ErrClosed)
		}
		if err != nil {
			o.dropped.Add(1)
			return err
		}
		select {
		case <-o.room:
		case <-o.stop:
		case <-ctx.Done():
		}
	}
}

// try puts a sample into the queue if there is room.
func (o *Online) try(s Sample) (taken, closed bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.closed {
		return false, true
	}
	select {
	case o.queue <- s:
		return true, false
	default:
		return false, false
	}
}

func (o *Online) signal() {
	select {
	case o.room <- struct{}{}:
	default:
	}
}

// Run scores what is offered until the context ends or Shutdown has been called
// and the queue is empty. It returns nil then. What the end of the context leaves
// in the queue is counted as dropped. A second Run is an error.
func (o *Online) Run(ctx context.Context) error {
	if o.running.Swap(true) {
		return fmt.Errorf("judge: run: it runs already, or has: %w", ErrClosed)
	}
	var all sync.WaitGroup
	for range o.opts.Workers {
		all.Go(func() { o.work(ctx) })
	}
	all.Wait()
	o.close()
	for {
		select {
		case <-o.queue:
			o.dropped.Add(1)
		default:
			return nil
		}
	}
}

func (o *Online) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-o.queue:
			o.signal()
			o.one(ctx, s)
			continue
		case <-o.stop:
		}
		// Nothing comes any more: what is there is the rest.
		select {
		case s := <-o.queue:
			o.one(ctx, s)
		default:
			return
		}
	}
}

func (o *Online) one(ctx context.Context, s Sample) {
	r, _ := score(ctx, s, o.scorers, nil) // No journal, no error.
	failed, skipped := false, false
	for i := range r.Scores {
		if err := r.Scores[i].Err; err != nil {
			skipped = skipped || errors.Is(err, ErrBudget)
			failed = failed || !errors.Is(err, ErrBudget)
		}
	}
	if o.opts.Observer != nil {
		row := r.row()
		o.opts.Observer.Observe(row, row[0], monitor.NewID(s.ID, 0))
	}
	if o.opts.OnResult != nil {
		o.opts.OnResult(r)
	}
	switch {
	case failed:
		o.failed.Add(1)
	case skipped:
		o.skipped.Add(1)
	default:
		o.scored.Add(1)
	}
}

// close lets nothing more into the queue.
func (o *Online) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.closed = true
		close(o.stop)
	}
}

// Shutdown takes no more samples; Run scores those that wait and returns. It does
// not wait for that.
func (o *Online) Shutdown() { o.close() }

// Stats returns the counts so far.
func (o *Online) Stats() OnlineStats {
	// What ends is read before what begins, so that Pending is never negative.
	s := OnlineStats{
		Scored: o.scored.Load(), Failed: o.failed.Load(), Skipped: o.skipped.Load(),
		Dropped: o.dropped.Load(), SampledOut: o.sampledOut.Load(),
	}
	s.Offered = o.offered.Load()
	s.Pending = s.Offered - s.SampledOut - s.Dropped - s.Scored - s.Failed - s.Skipped
	return s
}
