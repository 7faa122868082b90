package monitor

import (
	"runtime"
	"sync"
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

// Observe counts one prediction: the row that the model saw, in the order of
// the reference's features, and the score it gave. A slot holds the number, or
// the code of the category as EncodeString returns it; NaN is a missing value.
// The id is what Label refers to later; use the zero ID when no label will
// come. A score that is NaN or infinite is counted and never joined to a label.
//
// Observe copies the row, allocates nothing, waits for no I/O and is safe for
// concurrent use. A row of another length than the reference is not counted
// but shows in Snapshot as rejected; after Shutdown rows show as dropped.
func (m *Monitor) Observe(row []float64, score float64, id ID) {
	s := m.affinity.Get().(*shard)
	s.mu.Lock()
	b := s.cur
	if b.n >= b.limit {
		if b = m.refill(s); b == nil {
			s.mu.Unlock()
			m.affinity.Put(s)
			m.dropped.Add(1)
			return
		}
	}
	if len(row) != b.width {
		s.mu.Unlock()
		m.affinity.Put(s)
		m.rejected.Add(1)
		return
	}
	n := b.n
	copy(b.rows[n*b.width:(n+1)*b.width], row)
	b.scores[n] = score
	b.ids[n] = id
	b.n = n + 1
	spill := b.n == b.limit && !m.push(s)
	s.mu.Unlock()
	m.affinity.Put(s)
	if spill {
		m.spill(s)
	}
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
// folder cannot keep up or is inside OnReport.
func (m *Monitor) spill(s *shard) {
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

// refill gives the shard a block with room, or returns nil when the monitor
// is shut down. The caller holds s.mu, which refill may release for a while.
func (m *Monitor) refill(s *shard) *block {
	for s.cur.limit > 0 && s.cur.n == s.cur.limit {
		s.mu.Unlock()
		m.spill(s)
		s.mu.Lock()
	}
	if s.cur.n < s.cur.limit {
		return s.cur
	}
	if m.closed.Load() {
		return nil
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
	return b
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
