package llm

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// queue lets so many requests of a model run at once. The others wait: those of a
// higher priority go first, and among the tenants of one priority each gets its
// share, however many requests it sends.
type queue struct {
	limit, most int
	longest     time.Duration

	mu      sync.Mutex
	inside  int
	waiting int
	now     float64 // The virtual time: of who went last.
	lines   map[string]*line
	turns   map[string]float64 // Of the next turns of who waited lately.
}

// line is what one tenant has waiting.
type line struct {
	tenant *Tenant
	list   []*ticket
	next   float64 // The virtual time of its turn.
}

// ticket is one request that waits.
type ticket struct{ in chan bool } // False when it lost its place.

func newQueue(limit, most int, longest time.Duration) *queue {
	return &queue{limit: limit, most: most, longest: longest, lines: make(map[string]*line), turns: make(map[string]float64)}
}

// enter waits for the request's turn. The caller leaves.
func (q *queue) enter(ctx context.Context, t *Tenant) error {
	q.mu.Lock()
	if q.inside < q.limit && q.waiting == 0 {
		q.inside++
		q.mu.Unlock()
		return nil
	}
	ticket, err := q.add(t)
	q.mu.Unlock()
	if err != nil {
		return err
	}
	var expired <-chan time.Time
	if q.longest > 0 {
		timer := time.NewTimer(q.longest)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case in := <-ticket.in:
		return q.outcome(in)
	case <-expired:
		err = q.busy("the model is busy: the request was not its turn in time", http.StatusServiceUnavailable)
	case <-ctx.Done():
		err = ctx.Err()
	}
	q.mu.Lock()
	l := q.lines[t.Name]
	at := -1
	if l != nil {
		at = slices.Index(l.list, ticket)
	}
	if at >= 0 {
		q.remove(l, at)
	}
	q.mu.Unlock()
	if at >= 0 {
		return err
	}
	// It got its answer meanwhile.
	if <-ticket.in {
		q.leave()
		return err
	}
	return q.outcome(false)
}

func (q *queue) outcome(in bool) error {
	if in {
		return nil
	}
	return q.busy(fmt.Sprintf("the model is busy: %d requests wait already, and the tenant has the most of them", q.most), http.StatusTooManyRequests)
}

func (q *queue) busy(why string, status int) *Error {
	kind := typeServer
	if status == http.StatusTooManyRequests {
		kind = typeRate
	}
	return &Error{Status: status, Type: kind, Code: "overloaded", Message: why, RetryAfter: time.Second}
}

// add makes a request wait. The lock is held.
func (q *queue) add(t *Tenant) (*ticket, error) {
	mine := q.lines[t.Name]
	if q.waiting >= q.most && !q.displace(t, mine) {
		return nil, q.outcome(false)
	}
	if mine == nil {
		mine = &line{tenant: t, next: max(q.now, q.turns[t.Name])}
		q.lines[t.Name] = mine
	}
	ticket := &ticket{in: make(chan bool, 1)}
	mine.list = append(mine.list, ticket)
	q.waiting++
	return ticket, nil
}

// displace takes the place of the latest request of who has the most for its
// share, of the lowest priority. The lock is held.
func (q *queue) displace(t *Tenant, mine *line) bool {
	var worst *line
	for _, l := range q.lines {
		if worst == nil || l.tenant.Priority < worst.tenant.Priority || l.tenant.Priority == worst.tenant.Priority && l.excess() > worst.excess() {
			worst = l
		}
	}
	if worst == nil || worst == mine || worst.tenant.Priority > t.Priority {
		return false
	}
	n := 1.0
	if mine != nil {
		n = float64(len(mine.list) + 1)
	}
	if worst.tenant.Priority == t.Priority && n/t.share() >= worst.excess() {
		return false
	}
	last := worst.list[len(worst.list)-1]
	q.remove(worst, len(worst.list)-1)
	last.in <- false
	return true
}

func (l *line) excess() float64 { return float64(len(l.list)) / l.tenant.share() }

func (t *Tenant) share() float64 {
	if t.Share <= 0 {
		return 1
	}
	return t.Share
}

// remove takes a ticket out of a line. The lock is held.
func (q *queue) remove(l *line, at int) {
	l.list = slices.Delete(l.list, at, at+1)
	q.waiting--
	if len(l.list) == 0 {
		delete(q.lines, l.tenant.Name)
	}
}

// leave ends a request that was let in, and lets in whose turn it is.
func (q *queue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.inside--
	for q.inside < q.limit && q.waiting > 0 {
		var first *line
		for _, l := range q.lines {
			if first == nil || l.tenant.Priority > first.tenant.Priority || l.tenant.Priority == first.tenant.Priority &&
				(l.next < first.next || l.next == first.next && l.tenant.Name < first.tenant.Name) {
				first = l
			}
		}
		ticket := first.list[0]
		q.now = max(q.now, first.next)
		// A tenant with twice the share has its next turn in half the time.
		first.next = q.now + 1/first.tenant.share()
		q.turns[first.tenant.Name] = first.next
		q.remove(first, 0)
		q.inside++
		ticket.in <- true
	}
	if q.waiting == 0 {
		clear(q.turns)
	}
}
