package serve

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/serve/oip"
)

// batcher makes calls of one version's model for several requests at a time.
//
// At most Executions goroutines run the model, each a request's own, the leader
// of its batch. A request that finds one of these places free takes it. Others
// queue. A leader that is done hands its place to the first in the queue, which
// takes as many with it as fit. So the queue is empty unless all places are
// taken, or the leader of the next batch waits for MaxDelay.
type batcher struct {
	s *Server
	v *deployed
	o Batching

	mu      sync.Mutex
	leaders int
	queue   []*waiter // By deadline, then as they came.
	rows    int64     // In the queue.
	// gatherer is the leader that waits for MaxDelay, nil for none.
	gatherer *waiter
	// sweeper drops requests whose deadline passes while the model hangs. It
	// is set for the first of the queue, and looks again when it fires.
	sweeper *time.Timer
	armed   int64 // What it is set for, 0 for not.

	// waiters are pooled for their channels, for each batcher: a channel
	// belongs to the bubble of the test that it was made in.
	waiters sync.Pool
}

// waiter is a request in a batcher.
type waiter struct {
	share
	ctx      context.Context
	req      *oip.InferRequest
	resp     *oip.InferResponse
	deadline int64 // In nanoseconds since 1970, the last one for none.
	since    time.Time

	// wake tells it to lead, or that it is done.
	wake chan wake
	// batch is set when another leader has taken it, under the lock.
	batch *batch

	err   error
	queue time.Duration
	infer time.Duration
}

type wake int

const (
	lead wake = iota
	done
	full
)

// batch is the requests of one call of the model.
type batch struct {
	// present counts the requests whose senders still wait; at zero the
	// model's context ends.
	present atomic.Int64
	cancel  context.CancelFunc
}

// leave notes that one of the senders is gone.
func (b *batch) leave() {
	if b.present.Add(-1) == 0 {
		b.cancel()
	}
}

// do answers the request, alone or with others.
func (b *batcher) do(ctx context.Context, q *request, req *oip.InferRequest, resp *oip.InferResponse) error {
	m := b.v.measure(req, q.rows)
	if most := b.most(m.width); m.rows > most {
		return b.pieces(ctx, q, req, resp, most)
	}
	return b.one(ctx, q, req, resp, m)
}

// most returns how many rows of a width fit into a call.
func (b *batcher) most(width int64) int64 {
	return max(1, min(int64(b.o.MaxRows), b.o.MaxElements/max(width, 1)))
}

// pieces cuts a request that is too large. The pieces queue one after the
// other, so that small requests come in between.
func (b *batcher) pieces(ctx context.Context, q *request, req *oip.InferRequest, resp *oip.InferResponse, most int64) error {
	var parts []oip.InferResponse
	var bad RowErrors
	for from := int64(0); from < q.rows; from += most {
		to := min(q.rows, from+most)
		part := sliceRequest(req, from, to)
		var out oip.InferResponse
		m := b.v.measure(part, to-from)
		err := b.one(ctx, q, part, &out, m)
		if rows, ok := errors.AsType[RowErrors](err); ok {
			if bad == nil {
				bad = RowErrors{}
			}
			for row, err := range rows {
				bad[row+int(from)] = err
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := b.v.checkResponse(part, &out, to-from); err != nil {
			return &badAnswer{err}
		}
		parts = append(parts, out)
	}
	if bad != nil {
		return bad
	}
	joinResponses(resp, parts)
	return nil
}

// badAnswer is an answer that does not have the model's signature.
type badAnswer struct{ err error }

func (e *badAnswer) Error() string {
	return "the model's answer does not have its signature: " + e.err.Error()
}

// one answers a request that fits into a call.
func (b *batcher) one(ctx context.Context, q *request, req *oip.InferRequest, resp *oip.InferResponse, m share) error {
	since := time.Now()
	b.mu.Lock()
	if b.leaders < b.o.Executions && len(b.queue) == 0 && b.o.MaxDelay == 0 {
		// Nobody else is here: no batch, and no more than two locks.
		b.leaders++
		b.mu.Unlock()
		defer b.next()
		err := b.s.run(ctx, b.v, req, resp)
		d := time.Since(since)
		q.split.infer += d
		b.v.count.execution(m.rows, d)
		return err
	}
	if len(b.queue) >= b.o.MaxQueue {
		b.mu.Unlock()
		return fmt.Errorf("%d requests wait for the model already: %w", b.o.MaxQueue, ErrUnavailable)
	}
	w, _ := b.waiters.Get().(*waiter)
	if w == nil {
		w = &waiter{wake: make(chan wake, 1)}
	}
	*w = waiter{share: m, ctx: ctx, req: req, resp: resp, deadline: deadlineOf(ctx), since: since, wake: w.wake}
	if b.leaders < b.o.Executions && b.gatherer == nil {
		b.leaders++
		b.mu.Unlock()
		b.lead(w)
	} else {
		b.push(w)
		b.mu.Unlock()
		b.wait(w)
	}
	err := w.err
	q.split.queue += w.queue
	q.split.infer += w.infer
	*w = waiter{wake: w.wake}
	b.waiters.Put(w)
	return err
}

// waiting returns how many requests wait for the model.
func (b *batcher) waiting() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := int64(len(b.queue))
	if b.gatherer != nil {
		n++
	}
	return n
}

// deadlineOf returns when a context ends.
func deadlineOf(ctx context.Context) int64 {
	if at, ok := ctx.Deadline(); ok {
		return at.UnixNano()
	}
	return math.MaxInt64
}

// gone returns the channel that tells that the sender is gone. The deadline is
// the sweeper's matter, which has one timer for all.
func gone(ctx context.Context) <-chan struct{} {
	if d, ok := ctx.(*deadlineContext); ok {
		ctx = d.parent
	}
	return ctx.Done()
}

// push queues a request. The lock is held.
func (b *batcher) push(w *waiter) {
	at := len(b.queue)
	if at > 0 && b.queue[at-1].deadline > w.deadline {
		at = sort.Search(at, func(i int) bool { return b.queue[i].deadline > w.deadline })
	}
	b.queue = slices.Insert(b.queue, at, w)
	b.rows += w.rows
	if at == 0 {
		b.arm()
	}
	if g := b.gatherer; g != nil && b.rows+g.rows >= b.most(w.width) {
		b.gatherer = nil
		g.wake <- full
	}
}

// remove takes a request out of the queue. The lock is held.
func (b *batcher) remove(at int) {
	b.rows -= b.queue[at].rows
	b.queue = slices.Delete(b.queue, at, at+1)
}

// arm sets the sweeper for the first of the queue. The lock is held.
func (b *batcher) arm() {
	if len(b.queue) == 0 {
		return
	}
	first := b.queue[0].deadline
	if first == math.MaxInt64 || b.armed != 0 && b.armed <= first {
		return
	}
	b.armed = first
	d := time.Until(time.Unix(0, first))
	if b.sweeper == nil {
		b.sweeper = time.AfterFunc(d, b.sweep)
	} else {
		b.sweeper.Reset(d)
	}
}

// sweep drops the requests whose time is up.
func (b *batcher) sweep() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed = 0
	b.expire(time.Now())
	b.arm()
}

// expire drops the requests at the front whose deadline has passed. The lock is
// held.
func (b *batcher) expire(now time.Time) {
	at := now.UnixNano()
	for len(b.queue) > 0 && b.queue[0].deadline <= at {
		w := b.queue[0]
		b.remove(0)
		w.err = fmt.Errorf("the time was up before the model was free: %w", context.DeadlineExceeded)
		w.queue = now.Sub(w.since)
		w.wake <- done
	}
}

// wait waits in the queue until the request was answered or has to lead.
func (b *batcher) wait(w *waiter) {
	select {
	case what := <-w.wake:
		if what == lead {
			b.lead(w)
		}
		return
	case <-gone(w.ctx):
	}
	b.mu.Lock()
	taken := w.batch
	if at := slices.Index(b.queue, w); at >= 0 {
		b.remove(at)
		b.mu.Unlock()
		w.err = w.ctx.Err()
		w.queue = time.Since(w.since)
		return
	}
	b.mu.Unlock()
	// A leader has it, or it leads: its memory is in use until it is told.
	if taken != nil {
		taken.leave()
	}
	if <-w.wake == lead {
		b.lead(w)
	}
}

// lead makes the next call of the model, with w in it.
func (b *batcher) lead(w *waiter) {
	defer b.next()
	if b.o.MaxDelay > 0 {
		b.gather(w)
	}
	list, all := b.take(w)
	// Also when the model ends the goroutine: nobody waits for ever.
	defer func() {
		for i := range list {
			b.deliver(list, i, errors.New("the model ended the goroutine of its call"))
		}
	}()
	if len(list) == 0 {
		return
	}
	now := time.Now()
	for _, w := range list {
		w.queue = now.Sub(w.since)
	}
	if len(list) == 1 {
		b.single(list, 0)
		return
	}
	b.together(list, all)
}

// gather waits for MaxDelay, counted from when the request came, for others.
func (b *batcher) gather(w *waiter) {
	left := b.o.MaxDelay - time.Since(w.since)
	b.mu.Lock()
	if left <= 0 || b.rows+w.rows >= b.most(w.width) {
		b.mu.Unlock()
		return
	}
	b.gatherer = w
	b.mu.Unlock()
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-w.wake:
		return
	case <-timer.C:
	case <-w.ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gatherer == w {
		b.gatherer = nil
		return
	}
	// It was woken at the same time.
	<-w.wake
}

// take returns the requests of the leader's batch: itself, unless its time is
// up, and from the queue those that can be with it, first deadline first.
func (b *batcher) take(w *waiter) ([]*waiter, *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := w.ctx.Err(); err != nil {
		w.err = fmt.Errorf("the request ended before the model was free: %w", err)
		w.queue = time.Since(w.since)
		return nil, nil
	}
	if len(b.queue) == 0 {
		return []*waiter{w}, nil
	}
	b.expire(time.Now())
	all := new(batch)
	list := make([]*waiter, 1, min(len(b.queue)+1, b.o.MaxRows))
	list[0] = w
	rows, most := w.rows, b.most(w.width)
	rest := b.queue[:0]
	for _, o := range b.queue {
		if rows+o.rows > most || !(w.plain && o.plain || b.v.mergeable(w.req, o.req)) {
			rest = append(rest, o)
			continue
		}
		rows += o.rows
		b.rows -= o.rows
		if err := o.ctx.Err(); err != nil {
			rows -= o.rows
			o.err = fmt.Errorf("the request ended before the model was free: %w", err)
			o.wake <- done
			continue
		}
		o.batch = all
		list = append(list, o)
	}
	clear(b.queue[len(rest):])
	b.queue = rest
	all.present.Store(int64(len(list)))
	// Places may be free that nobody took while the leader waited.
	if b.leaders < b.o.Executions && len(b.queue) > 0 {
		b.leaders++
		b.promote()
	}
	return list, all
}

// next hands the leader's place to the first of the queue, or gives it up.
func (b *batcher) next() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) > 0 {
		b.expire(time.Now())
	}
	b.promote()
}

// promote makes the first of the queue the leader in a place that is taken
// already, or gives up the place. The lock is held.
func (b *batcher) promote() {
	if len(b.queue) == 0 || b.gatherer != nil {
		b.leaders--
		return
	}
	w := b.queue[0]
	b.remove(0)
	w.wake <- lead
}

// stop lets go of the sweeper, when the model is closed.
func (b *batcher) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sweeper != nil {
		b.sweeper.Stop()
	}
}
