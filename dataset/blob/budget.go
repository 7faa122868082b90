package blob

import (
	"context"
	"sync"
)

// Budget bounds the bytes that several readers hold ahead of their callers, and
// keeps their buffers for each other. Create it with [NewBudget]. It is a plain
// value, safe for concurrent use.
type Budget struct {
	mu      sync.Mutex
	total   int64
	left    int64
	waiting []*waiter // first come, first served
	buffers sync.Pool // of *[]byte
}

type waiter struct {
	n     int64
	ready chan struct{} // closed when the bytes are granted
}

// NewBudget returns a budget of so many bytes, at least one.
func NewBudget(bytes int64) *Budget {
	bytes = max(bytes, 1)
	return &Budget{total: bytes, left: bytes}
}

// acquire waits for n bytes. One that wants more than there are in all gets all.
// It returns what to give back.
func (b *Budget) acquire(ctx context.Context, n int64) (int64, error) {
	b.mu.Lock()
	n = min(n, b.total)
	if len(b.waiting) == 0 && b.left >= n {
		b.left -= n
		b.mu.Unlock()
		return n, nil
	}
	w := &waiter{n: n, ready: make(chan struct{})}
	b.waiting = append(b.waiting, w)
	b.mu.Unlock()
	select {
	case <-w.ready:
		return n, nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.ready: // granted in the same moment
		b.left += n
	default:
		for i, x := range b.waiting {
			if x == w {
				b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
				break
			}
		}
	}
	b.grant()
	return 0, ctx.Err()
}

func (b *Budget) release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
	b.grant()
}

// grant serves those in front. The caller holds the lock.
func (b *Budget) grant() {
	for len(b.waiting) > 0 && b.waiting[0].n <= b.left {
		w := b.waiting[0]
		b.waiting = b.waiting[1:]
		b.left -= w.n
		close(w.ready)
	}
}

// buffer returns n bytes of any content.
func (b *Budget) buffer(n int64) []byte {
	if p, ok := b.buffers.Get().(*[]byte); ok && int64(cap(*p)) >= n {
		return (*p)[:n]
	}
	// Of one size where it can be, so that the next one fits.
	return make([]byte, n, max(n, min(defaultPart, b.total)))
}

func (b *Budget) recycle(buf []byte) {
	if cap(buf) > 0 {
		b.buffers.Put(&buf)
	}
}
