package monitor

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Sizes of the buffers between Observe and the windows.
const (
	blockRows  = 128       // Amortises the hand-over to a few ns a row.
	blockBytes = 256 << 10 // Wide rows get shorter blocks.
	minRows    = 8
)

// block holds rows on their way to a window. Its rows belong to one epoch.
type block struct {
	epoch  *epoch
	width  int
	n      int // Rows in it.
	limit  int // Rows it may take.
	first  time.Time
	rows   []float64 // Row-major, width numbers a row.
	scores []float64
	ids    []ID
}

// noBlock stands for "none": it takes no row, so that Observe has one test for
// a block that is full and a block that is not there. It is never written.
func noBlock() *block { return &block{} }

// shard is one place where rows go in. Every block is at any time in a shard,
// in the queue, or being folded under foldMu; so whoever holds foldMu can
// reach all rows whose Observe has returned.
type shard struct {
	mu  sync.Mutex
	cur *block
	_   [128 - 16]byte // Keep neighbours off each other's cache line.
}

func shardCount() int {
	n := 2
	for n < 2*runtime.GOMAXPROCS(0) {
		n *= 2
	}
	return n
}

// push hands the shard's full block to the folder, or returns false when the
// queue is full. The caller holds s.mu.
func (m *Monitor) push(s *shard) bool {
	select {
	case m.queue <- s.cur:
		s.cur = m.none
		m.wake()
		return true
	default:
		return false
	}
}

// spill folds the shard's full block on the caller's goroutine, because the
// folder cannot keep up.
func (m *Monitor) spill(s *shard) {
	if m.logBehind() {
		m.waitForLog()
	}
	m.foldMu.Lock()
	defer m.foldMu.Unlock()
	s.mu.Lock()
	b := s.cur
	if b.limit == 0 || b.n < b.limit {
		s.mu.Unlock()
		return // Somebody else has taken it.
	}
	s.cur = m.none
	s.mu.Unlock()
	m.fold(b)
}

// waitForRoom returns when the queue has room, or may have. A full block stays
// in its shard meanwhile, where a flush finds it.
func (m *Monitor) waitForRoom() {
	m.waiters.Add(1)
	defer m.waiters.Add(-1)
	m.wake()
	m.room.L.Lock()
	defer m.room.L.Unlock()
	// The folder takes a block out of the queue first and this lock second.
	if len(m.queue) == cap(m.queue) && !m.closed.Load() {
		m.room.Wait()
	}
}

// makeRoom wakes who waits for room.
func (m *Monitor) makeRoom() {
	m.room.L.Lock()
	defer m.room.L.Unlock()
	m.room.Broadcast()
}

// refill gives the shard a block with room, or returns nil and the counter of
// the rows that are lost. The caller holds s.mu, which refill may release for a
// while.
func (m *Monitor) refill(s *shard) (*block, *atomic.Uint64) {
	for s.cur.limit > 0 && s.cur.n == s.cur.limit && !m.push(s) {
		switch m.opts.Overflow {
		case Drop:
			return nil, &m.overflowed
		case Block:
			s.mu.Unlock()
			m.waitForRoom()
		default:
			s.mu.Unlock()
			m.spill(s)
		}
		s.mu.Lock()
		if m.closed.Load() {
			return nil, &m.dropped
		}
	}
	if s.cur.n < s.cur.limit {
		return s.cur, nil
	}
	if m.closed.Load() {
		return nil, &m.dropped
	}
	if m.opts.WindowTime > 0 || m.opts.Store != nil {
		m.begin() // The first window begins with the first row.
	}
	// The epoch is read under s.mu: Reset publishes the new one before it
	// visits the shards, so it meets every block of the old one.
	e := m.epoch.Load()
	var b *block
	select {
	case b = <-m.free:
	default:
		b = &block{}
	}
	b.prepare(e, m.lease(e))
	s.cur = b
	return b, nil
}

func (b *block) prepare(e *epoch, limit int) {
	if b.epoch != e {
		b.epoch, b.width = e, e.width
		b.rows = resize(b.rows, e.blockRows*e.width)
		b.scores = resize(b.scores, e.blockRows)
		b.ids = resize(b.ids, e.blockRows)
	}
	b.n, b.limit, b.first = 0, limit, time.Now()
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// lease returns how many rows a new block may take. Where windows close by
// themselves, all leases together never exceed what the open window has room
// for, and they shrink towards its end: so the window's last row is the last
// of its block, and the window closes with that row, not some blocks later.
func (m *Monitor) lease(e *epoch) int {
	if m.opts.WindowRows == 0 {
		return e.blockRows
	}
	for {
		left := m.left.Load()
		n := min(max(left/int64(2*len(m.shards)), 1), int64(e.blockRows))
		if m.left.CompareAndSwap(left, left-n) {
			return int(n)
		}
	}
}

// flush folds all rows whose Observe has returned. The caller holds foldMu.
func (m *Monitor) flush() {
	for i := range m.shards {
		if b := m.take(&m.shards[i]); b != nil {
			m.fold(b)
		}
	}
	m.drain()
	for m.describe() {
	}
}

// take removes the shard's block and gives the rest of its lease back; nil
// when there is none. The caller holds foldMu.
func (m *Monitor) take(s *shard) *block {
	s.mu.Lock()
	b := s.cur
	s.cur = m.none
	s.mu.Unlock()
	if b.limit == 0 {
		return nil
	}
	m.left.Add(int64(b.limit - b.n))
	b.limit = b.n
	return b
}

// drain folds the queue. The caller holds foldMu.
func (m *Monitor) drain() {
	for {
		select {
		case b := <-m.queue:
			m.fold(b)
		default:
			return
		}
	}
}
