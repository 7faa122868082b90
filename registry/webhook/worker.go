package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"time"
)

const (
	// batch is how many events are read at once, and turn after how many a
	// webhook lets others go first.
	batch = 16
	turn  = 128
	// sweepEvery is how often the limits are applied, and lastWords how long
	// the store may take to end a lease at the end.
	sweepEvery = time.Minute
	lastWords  = 5 * time.Second
	maxError   = 500 // bytes of an error that are kept
)

// worker is what Start begins.
type worker struct {
	h     *Hooks
	owner string
	lease time.Duration // of one attempt, with time to spare

	mu      sync.Mutex
	cancel  context.CancelFunc // breaks requests off; nil before Start
	stopped bool
	stop    chan struct{} // closed by Shutdown: begin nothing more
	done    chan struct{} // closed when all goroutines have ended
	nudge   chan struct{} // takes one: look now
}

func (w *worker) init(h *Hooks) {
	w.h = h
	w.owner, w.lease = NewEventID(), 2*h.opts.Timeout+30*time.Second
	w.stop, w.done, w.nudge = make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
}

// Start begins to deliver, in goroutines that Shutdown ends. A second Start
// does nothing; after Shutdown it is ErrClosed. Any number of processes may
// deliver from one store: each webhook is served by one at a time.
func (h *Hooks) Start() error {
	w := &h.work
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return fmt.Errorf("webhook: start after shutdown: %w", ErrClosed)
	}
	if w.cancel == nil {
		ctx, cancel := context.WithCancel(context.Background())
		w.cancel = cancel
		go w.run(ctx)
	}
	return nil
}

// Shutdown begins no more requests and waits for those under way; when ctx
// ends first it breaks them off and returns the context's error. What was not
// delivered stays queued. It may be called again, and without Start.
func (h *Hooks) Shutdown(ctx context.Context) error {
	w := &h.work
	w.mu.Lock()
	if !w.stopped {
		w.stopped = true
		close(w.stop)
		if w.cancel == nil {
			close(w.done)
			w.cancel = func() {}
		}
	}
	cancel := w.cancel
	w.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		select {
		case <-w.done:
			return nil
		default:
		}
		cancel()
		<-w.done
		return fmt.Errorf("webhook: shutdown: deliveries under way were broken off and will be made again: %w", context.Cause(ctx))
	}
}

// wake makes the worker look at once.
func (h *Hooks) wake() {
	select {
	case h.work.nudge <- struct{}{}:
	default:
	}
}

// run claims webhooks and serves them until it is stopped.
func (w *worker) run(ctx context.Context) {
	defer close(w.done)
	defer w.cancel()
	defer w.h.send.client.CloseIdleConnections()
	var serving sync.WaitGroup
	defer serving.Wait()
	free := make(chan struct{}, w.h.opts.Workers)
	for range w.h.opts.Workers {
		free <- struct{}{}
	}
	poll := time.NewTimer(0)
	defer poll.Stop()
	waker, _ := w.h.store.(Waker)
	var swept time.Time
	for {
		var queued <-chan struct{}
		if waker != nil {
			queued = waker.Queued() // before the look: what comes later closes it
		}
		if time.Since(swept) >= sweepEvery {
			swept = time.Now()
			w.sweep(ctx)
		}
		slots := len(free) // only this goroutine takes some
		ids, err := w.claim(ctx, slots)
		if err != nil {
			w.report("claim", err)
			if errors.Is(err, ErrClosed) {
				return
			}
			queued = nil // a store that fails is asked again after a while
		}
		for _, id := range ids {
			<-free
			serving.Go(func() {
				defer func() { free <- struct{}{}; w.h.wake() }()
				w.serve(ctx, id)
			})
		}
		if len(ids) == slots {
			queued = nil // until somebody is through
		}
		poll.Reset(w.h.opts.Poll)
		select {
		case <-poll.C:
		case <-queued:
		case <-w.nudge:
		case <-w.stop:
			return
		}
	}
}

func (w *worker) claim(ctx context.Context, slots int) ([]string, error) {
	select {
	case <-w.stop:
		return nil, nil
	default:
	}
	if slots == 0 {
		return nil, nil
	}
	at := now()
	return w.h.store.Claim(ctx, w.owner, at, at.Add(w.lease), slots)
}

// sweep applies the limits, for as long as there is something to do.
func (w *worker) sweep(ctx context.Context) {
	o := &w.h.opts
	for {
		at := now()
		more, err := w.h.store.Sweep(ctx, Limits{Now: at, Expire: at.Add(-o.MaxAge), Pending: o.MaxPending, Forget: at.Add(-o.KeepFailed)})
		if err != nil {
			w.report("sweep", err)
		}
		select {
		case <-w.stop:
			return
		default:
		}
		if err != nil || !more {
			return
		}
	}
}

// serve sends what is queued for one webhook, in order.
func (w *worker) serve(ctx context.Context, id string) {
	l := Lease{Webhook: id, Owner: w.owner}
	wait := time.Duration(0)
	for sent, going := 0, true; going && sent < turn; {
		l.Until = now().Add(w.lease)
		r, list, err := w.h.store.Pending(ctx, l, batch)
		if err != nil {
			if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
				w.report("read the queue", err)
			}
			break
		}
		l.Seen = r.Updated
		going = len(list) > 0
		for i := 0; i < len(list) && going; i++ {
			wait, going = w.deliver(ctx, &l, r, list[i])
			sent++
		}
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	at := now()
	if err := w.h.store.Release(end, l, at, at.Add(wait)); err != nil {
		w.report("release", err)
	}
}

// deliver makes one attempt; going is false when the next event may not be
// sent, for so long.
func (w *worker) deliver(ctx context.Context, l *Lease, r Record, d Delivery) (wait time.Duration, going bool) {
	select {
	case <-w.stop:
		return 0, false
	default:
	}
	a := w.attempt(ctx, r, d)
	if ctx.Err() != nil {
		return 0, false // broken off by Shutdown, which is no fault of the receiver
	}
	at := now()
	o := Outcome{Delivered: a.err == nil, Time: at}
	if a.err != nil {
		wait = max(w.retry(d.Attempts), a.wait)
		o.Failed = a.final || at.Add(wait).Sub(d.Time) > w.h.opts.MaxAge
		o.Error = cutTo(a.err.Error(), maxError)
		w.h.opts.Logger.Warn("webhook: delivery failed", slog.String("webhook", r.ID), slog.String("name", r.Name),
			slog.String("event", string(d.Event)), slog.Int64("number", d.Number), slog.Int("attempt", d.Attempts+1),
			slog.Bool("final", o.Failed), slog.String("error", o.Error))
	}
	l.Until = at.Add(w.lease)
	held, err := w.h.store.Settle(ctx, *l, d.Number, o)
	if err != nil {
		w.report("settle", err)
		return w.h.opts.FirstRetry, false
	}
	if a.err != nil && !o.Failed {
		return wait, false
	}
	return 0, held
}

func (w *worker) attempt(ctx context.Context, r Record, d Delivery) answer {
	if _, err := w.h.rules.checkURL(r.URL); err != nil { // the rules may have changed since
		return answer{err: err, final: true}
	}
	secret, err := w.h.keys.open(r.ID, r.Secret)
	if err != nil {
		return answer{err: err} // to be sent by who has the key, never unsigned
	}
	return w.h.send.post(ctx, r.URL, secret, deliveryID(d.EventID, r.ID), d.Body)
}

// retry is the wait after so many failures and one more.
func (w *worker) retry(failures int) time.Duration {
	o := &w.h.opts
	d := o.LastRetry
	if failures < 40 {
		if shifted := o.FirstRetry << failures; shifted > 0 && shifted>>failures == o.FirstRetry {
			d = min(shifted, d)
		}
	}
	return d/2 + mathrand.N(d+1) // so that receivers that come back are not stormed
}

func (w *worker) report(what string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	w.h.opts.Logger.Error("webhook: "+what, slog.String("error", err.Error()))
}
