package serve

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/internal/httperr"
)

// Admission bounds how many requests of a model are answered at once, so that a
// server with more load than it can carry keeps answering as many as it can,
// soon, and refuses the rest at once.
//
// The bound follows the load: it grows while requests take about as long as
// they do at their best, and shrinks when they take twice that, which is when
// they wait for each other. Above it requests wait their turn, tenant by tenant
// (Options.Tenant), so that a tenant that sends a hundred times as much as
// another gets no more than an equal share; those that cannot be answered in
// time, and those beyond MaxWaiting, are an OverloadError.
type Admission struct {
	// Min and Max bound the number of requests of one model at once. Defaults
	// 16 and 1,000; a Max of -1 turns the admission off. A version with
	// Batching needs two batches of requests to be busy, and has at least
	// these.
	Min, Max int
	// MaxWaiting is how many requests of one model may wait. When it is
	// reached, the tenant with the most loses its latest. Default 1,000.
	MaxWaiting int
	// MaxWait is the longest wait. Default 1 s.
	MaxWait time.Duration
}

// OverloadError is a request that was turned away because the server has more
// to do than it can. It matches ErrUnavailable. Over HTTP it is a 503, or a 429
// where the tenant has sent more than its share, with a Retry-After.
type OverloadError struct {
	// Model is the model's name, Tenant whose request it is.
	Model, Tenant string
	// Share says that the tenant had more requests waiting than others.
	Share bool
	// RetryAfter is when it may be worth to try again.
	RetryAfter time.Duration

	why string
}

// Error says what was full.
func (e *OverloadError) Error() string {
	if e.Share {
		return fmt.Sprintf("%s, tenant %.100q has the most: %v", e.why, e.Tenant, ErrUnavailable)
	}
	return fmt.Sprintf("%s: %v", e.why, ErrUnavailable)
}

// Is matches ErrUnavailable.
func (e *OverloadError) Is(target error) bool { return target == ErrUnavailable }

// statusOf is the status of an error of a request.
func statusOf(err error) int {
	if e, ok := errors.AsType[*OverloadError](err); ok {
		if e.Share {
			return http.StatusTooManyRequests
		}
		return http.StatusServiceUnavailable
	}
	if _, ok := errors.AsType[*encodingError](err); ok {
		return http.StatusUnsupportedMediaType
	}
	return httperr.Status(err)
}

// limiter is the admission of one model. It outlives the model's versions.
type limiter struct {
	o     Admission
	limit atomic.Int64
	floor atomic.Int64 // What batching needs.

	inside  atomic.Int64
	waiting atomic.Int64
	// Turned away: for want of room, and of those with more than their share.
	busy, greedy atomic.Int64

	mu    sync.Mutex
	lines map[string]*line // The tenants that wait.
	turns []*line          // The same, in the order of their turns.

	// The window in which the times are averaged.
	samples, sum, most atomic.Int64
	adapting           sync.Mutex
	base               float64      // The time of a request at its best, 0 at first.
	recent             atomic.Int64 // The average of the last window.
}

// line is the waiting requests of one tenant.
type line struct {
	tenant string
	list   []*ticket
}

// ticket is a waiting request.
type ticket struct {
	admitted chan bool // False when it lost its place.
}

func newLimiter(o Admission) *limiter {
	l := &limiter{o: o, lines: make(map[string]*line)}
	l.limit.Store(int64(max(o.Min, min(o.Max, 2*o.Min))))
	return l
}

// withDefaults returns the options with their defaults.
func (a *Admission) withDefaults() Admission {
	var o Admission
	if a != nil {
		o = *a
	}
	if o.Max == 0 {
		o.Max = 1000
	}
	if o.Min <= 0 {
		o.Min = 16
	}
	o.Min = min(o.Min, max(o.Max, 1))
	if o.MaxWaiting == 0 {
		o.MaxWaiting = 1000
	}
	if o.MaxWait == 0 {
		o.MaxWait = time.Second
	}
	return o
}

// reset adapts the limiter to a change of the versions: what is the best time
// has to be found anew.
func (l *limiter) reset(versions []*deployed) {
	floor := 0
	for _, v := range versions {
		if v.batcher != nil {
			floor = max(floor, 2*v.batcher.o.MaxRows*v.batcher.o.Executions)
		}
	}
	l.adapting.Lock()
	l.base = 0
	l.adapting.Unlock()
	l.floor.Store(int64(floor))
	if l.limit.Load() < int64(floor) {
		l.limit.Store(int64(floor))
	}
}

// try admits a request if there is room and nobody waits.
func (l *limiter) try() bool {
	for l.waiting.Load() == 0 {
		n := l.inside.Load()
		if n >= l.limit.Load() {
			return false
		}
		if l.inside.CompareAndSwap(n, n+1) {
			if n >= l.most.Load() {
				l.most.Store(n + 1)
			}
			return true
		}
	}
	return false
}

// enter admits a request, at once or when it is its turn. The caller leaves.
func (l *limiter) enter(ctx context.Context, c *Call) error {
	if l.try() {
		return nil
	}
	if c.Shadow {
		return l.refuse(c, "the server is busy and the request is a shadow's", false)
	}
	most := l.o.MaxWait
	if at, ok := ctx.Deadline(); ok {
		// An answer takes its time, too.
		most = min(most, time.Until(at)-time.Duration(l.recent.Load()))
	}
	if wait, share := l.estimate(c.Tenant); wait > most {
		return l.refuse(c, fmt.Sprintf("the wait would be %v, %v is left", wait.Round(time.Millisecond), max(most, 0).Round(time.Millisecond)), share)
	}
	t, err := l.queue(c)
	if t == nil {
		return err
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case ok := <-t.admitted:
		return l.outcome(c, ok)
	case <-timer.C:
		err = l.refuse(c, fmt.Sprintf("it was not answered within %v", most), false)
	case <-ctx.Done():
		err = fmt.Errorf("the request ended while it waited: %w", ctx.Err())
	}
	if l.withdraw(c.Tenant, t) {
		return err
	}
	// It got its answer meanwhile.
	return l.outcome(c, <-t.admitted)
}

func (l *limiter) outcome(c *Call, ok bool) error {
	if ok {
		return nil
	}
	return l.refuse(c, fmt.Sprintf("%d requests wait already", l.o.MaxWaiting), true)
}

func (l *limiter) refuse(c *Call, why string, share bool) error {
	drained := time.Duration(l.recent.Load() * l.waiting.Load() / max(l.limit.Load(), 1))
	return &OverloadError{
		Model: c.Model, Tenant: c.Tenant, Share: share, why: why,
		RetryAfter: min(max(drained, time.Second), time.Minute),
	}
}

// refused counts a request that was not admitted.
func (l *limiter) refused(err error) {
	e, ok := errors.AsType[*OverloadError](err)
	switch {
	case !ok: // Its client went away.
	case e.Share:
		l.greedy.Add(1)
	default:
		l.busy.Add(1)
	}
}

// estimate is how long a request of the tenant would wait that comes now, and
// whether the tenant has more than an equal share of those that wait.
func (l *limiter) estimate(tenant string) (wait time.Duration, share bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	mine, tenants := 0, len(l.turns)
	if line := l.lines[tenant]; line != nil {
		mine = len(line.list)
	} else {
		tenants++
	}
	// Of each round of turns one is the tenant's.
	before := min(int64(mine)*int64(tenants)+int64(tenants)-1, l.waiting.Load())
	return time.Duration(l.recent.Load() * before / max(l.limit.Load(), 1)), tenants > 1 && int64(mine)*int64(tenants) > l.waiting.Load()
}

// queue makes the request wait. It returns no ticket when the request was
// admitted after all, or refused.
func (l *limiter) queue(c *Call) (*ticket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	mine := l.lines[c.Tenant]
	if int(l.waiting.Load()) >= l.o.MaxWaiting {
		longest := slices.MaxFunc(l.turns, func(a, b *line) int { return len(a.list) - len(b.list) })
		if mine != nil && len(mine.list) >= len(longest.list) || len(longest.list) <= 1 {
			return nil, l.refuse(c, fmt.Sprintf("%d requests wait already", l.o.MaxWaiting), len(l.turns) > 1)
		}
		last := longest.list[len(longest.list)-1]
		longest.list = longest.list[:len(longest.list)-1]
		l.waiting.Add(-1)
		last.admitted <- false
	}
	t := &ticket{admitted: make(chan bool, 1)}
	// From here on who leaves looks at the lines. Who left before has made
	// room that is seen here.
	l.waiting.Add(1)
	if mine == nil {
		mine = &line{tenant: c.Tenant}
		l.lines[c.Tenant] = mine
		l.turns = append(l.turns, mine)
	}
	mine.list = append(mine.list, t)
	l.admit()
	return t, nil
}

// withdraw takes a ticket back. It is false when the ticket was answered.
func (l *limiter) withdraw(tenant string, t *ticket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	mine := l.lines[tenant]
	if mine == nil {
		return false
	}
	at := slices.Index(mine.list, t)
	if at < 0 {
		return false
	}
	mine.list = slices.Delete(mine.list, at, at+1)
	l.waiting.Add(-1)
	if len(mine.list) == 0 {
		l.drop(mine)
	}
	return true
}

// drop forgets a tenant that does not wait. The lock is held.
func (l *limiter) drop(mine *line) {
	delete(l.lines, mine.tenant)
	l.turns = slices.DeleteFunc(l.turns, func(o *line) bool { return o == mine })
}

// admit lets in whose turn it is while there is room. The lock is held.
func (l *limiter) admit() {
	for len(l.turns) > 0 {
		n := l.inside.Load()
		if n >= l.limit.Load() {
			return
		}
		if !l.inside.CompareAndSwap(n, n+1) {
			continue
		}
		if n >= l.most.Load() {
			l.most.Store(n + 1)
		}
		first := l.turns[0]
		t := first.list[0]
		first.list = first.list[1:]
		// The tenant's next turn is after everybody else's.
		l.turns = append(l.turns[1:], first)
		if len(first.list) == 0 {
			l.drop(first)
		}
		l.waiting.Add(-1)
		t.admitted <- true
	}
}

// leave ends an admitted request. Of those that succeeded the time counts.
func (l *limiter) leave(took time.Duration, counts bool) {
	l.inside.Add(-1)
	if counts {
		l.sum.Add(int64(took))
		if l.samples.Add(1) >= max(50, l.limit.Load()) && l.adapting.TryLock() {
			l.adapt()
			l.adapting.Unlock()
		}
	}
	if l.waiting.Load() > 0 {
		l.mu.Lock()
		l.admit()
		l.mu.Unlock()
	}
}

// adapt moves the limit after a window of requests. The lock is held.
func (l *limiter) adapt() {
	n := l.samples.Swap(0)
	sum, most := l.sum.Swap(0), l.most.Swap(0)
	if n == 0 {
		return
	}
	mean := float64(sum) / float64(n)
	l.recent.Store(int64(mean))
	// The best time is forgotten slowly, for a model that became slower.
	if l.base *= 1.005; l.base == 0 || mean < l.base {
		l.base = mean
	}
	limit := float64(l.limit.Load())
	next := 0.7*limit + 0.3*(limit*max(0.5, min(1, 2*l.base/mean))+math.Sqrt(limit))
	if mean < 1.2*l.base {
		// Far from full: a model that waits for others can take many.
		next = 1.5 * limit
	}
	if next > limit && float64(most) < limit/2 {
		return // The limit was not felt: nothing is known above it.
	}
	least := max(int64(l.o.Min), l.floor.Load())
	l.limit.Store(max(least, min(int64(math.Round(next)), int64(l.o.Max))))
}
