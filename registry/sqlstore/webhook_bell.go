package sqlstore

import "sync"

// bell wakes those who wait for something that this process does.
type bell struct {
	mu     sync.Mutex
	rung   chan struct{}
	closed bool
}

// wait returns a channel that is closed at the next ring.
func (b *bell) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil && !b.closed {
		close(b.rung)
		b.rung = nil
	}
}

// close rings for good.
func (b *bell) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.closed = true
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	close(b.rung)
}

// Queued implements webhook.Waker.
func (s *Store) Queued() <-chan struct{} { return s.queued.wait() }
