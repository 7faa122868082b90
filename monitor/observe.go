package monitor

import (
	"math"
	"sync/atomic"
)

// Observe counts one prediction: the row that the model saw, in the order of
// the reference's features, and the score it gave. A slot holds the number, or
// the code of the category as EncodeString returns it; NaN is a missing value.
// The id is what Label refers to later; use the zero ID when no label will
// come. A score that is NaN or infinite is counted and never joined to a label.
//
// Observe copies the row, allocates nothing, waits for no I/O and is safe for
// concurrent use. A row of another length than the reference is not counted
// but shows in Snapshot as rejected; after Shutdown rows show as dropped, and
// as overflowed where Options.Overflow says so.
func (m *Monitor) Observe(row []float64, score float64, id ID) {
	s := m.affinity.Get().(*shard)
	s.mu.Lock()
	b := s.cur
	if b.n >= b.limit {
		var lost *atomic.Uint64
		if b, lost = m.refill(s); b == nil {
			s.mu.Unlock()
			m.affinity.Put(s)
			lost.Add(1)
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
	spill := b.n == b.limit && !m.push(s) && m.opts.Overflow == Inline
	s.mu.Unlock()
	m.affinity.Put(s)
	if spill {
		m.spill(s)
	}
}

// ObserveBatch counts the rows of one request: rows holds them one after the
// other, scores and ids one for each row. It is Observe at half the cost. No
// scores at all count as missing ones, and no ids as zero ones. A batch whose
// rows have another length than the reference, or that has not a score and an
// id for each of them, shows in Snapshot as rejected.
func (m *Monitor) ObserveBatch(rows, scores []float64, ids []ID) {
	n := len(scores)
	s := m.affinity.Get().(*shard)
	defer m.affinity.Put(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	for done := 0; ; {
		b := s.cur
		if b.n >= b.limit {
			var lost *atomic.Uint64
			if b, lost = m.refill(s); b == nil {
				lost.Add(uint64(max(n-done, 1)))
				return
			}
		}
		if scores == nil && b.width > 0 {
			n = len(rows) / b.width
		}
		if n == 0 && len(rows) == 0 {
			return
		}
		if len(rows) != n*b.width || len(ids) != n && len(ids) != 0 {
			m.rejected.Add(uint64(max(n-done, 1)))
			return
		}
		k := min(b.limit-b.n, n-done)
		b.append(rows[done*b.width:(done+k)*b.width], part(scores, done, k), part(ids, done, k), k)
		done += k
		if b.n == b.limit && !m.push(s) && m.opts.Overflow == Inline {
			s.mu.Unlock()
			m.spill(s)
			s.mu.Lock()
		}
		if done == n {
			return
		}
	}
}

// part returns k values from a place on, nil when there are none at all.
func part[T any](s []T, from, k int) []T {
	if len(s) == 0 {
		return nil
	}
	return s[from : from+k]
}

// append adds k rows, for which there is room.
func (b *block) append(rows, scores []float64, ids []ID, k int) {
	copy(b.rows[b.n*b.width:], rows)
	if scores != nil {
		copy(b.scores[b.n:], scores)
	} else {
		for i := range k {
			b.scores[b.n+i] = math.NaN()
		}
	}
	if ids != nil {
		copy(b.ids[b.n:], ids)
	} else {
		clear(b.ids[b.n : b.n+k])
	}
	b.n += k
}
