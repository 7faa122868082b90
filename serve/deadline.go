package serve

import (
	"context"
	"sync"
	"time"
)

// deadlineContext is what context.WithDeadline returns, without its cost until
// somebody waits for the end: most models look at no context. The real one is
// made by the first call of Done, or by Err once it has something to say.
type deadlineContext struct {
	parent context.Context
	at     time.Time

	mu     sync.Mutex
	real   context.Context
	cancel context.CancelFunc
	ended  bool
}

// set makes it a child of parent that ends at the time, or with the parent.
func (d *deadlineContext) set(parent context.Context, at time.Time) {
	if have, ok := parent.Deadline(); ok && have.Before(at) {
		at = have
	}
	d.parent, d.at = parent, at
}

// end frees what it holds. Who still uses it finds it cancelled.
func (d *deadlineContext) end() {
	d.mu.Lock()
	d.ended = true
	if d.cancel != nil {
		d.cancel()
	}
	d.mu.Unlock()
}

// context returns the real one. The lock is held.
func (d *deadlineContext) context() context.Context {
	if d.real == nil {
		d.real, d.cancel = context.WithDeadline(d.parent, d.at)
		if d.ended {
			d.cancel()
		}
	}
	return d.real
}

func (d *deadlineContext) Deadline() (time.Time, bool) { return d.at, true }

func (d *deadlineContext) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.context().Done()
}

func (d *deadlineContext) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.real == nil && !d.ended && d.parent.Err() == nil && time.Now().Before(d.at) {
		return nil
	}
	return d.context().Err()
}

// Value asks the real context where there is one: it is how package context
// finds it as a parent.
func (d *deadlineContext) Value(key any) any {
	d.mu.Lock()
	c := d.parent
	if d.real != nil {
		c = d.real
	}
	d.mu.Unlock()
	return c.Value(key)
}
