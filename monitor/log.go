package monitor

import "time"

// logBlocks is how many blocks for each shard may wait for Options.Log before
// Observe waits for it, too, and hardBlocks how many there may ever be: windows
// close whatever the log does, and bring some more each.
const (
	logBlocks  = 4
	hardBlocks = 32
)

// logRows hands a folded block to the log. The caller holds foldMu.
func (m *Monitor) logRows(b *block) {
	if n := len(m.logging); n > 0 && m.logging[n-1].join(b) {
		m.release(b)
		return
	}
	if len(m.logging) >= hardBlocks*len(m.shards) {
		m.unlogged.Add(uint64(b.n))
		m.release(b)
		return
	}
	m.logging = append(m.logging, b)
	m.toLog.Add(1)
	m.begin()
	signal(m.logWoken)
}

// join appends the rows of another block of the same time, if there is room:
// windows and snapshots leave blocks of a few rows behind.
func (b *block) join(o *block) bool {
	if b.epoch != o.epoch || b.n+o.n > b.epoch.blockRows || o.first.Sub(b.first).Abs() > time.Second {
		return false
	}
	b.append(o.rows[:o.n*o.width], o.scores[:o.n], o.ids[:o.n], o.n)
	return true
}

// release frees a block.
func (m *Monitor) release(b *block) {
	b.n, b.limit = 0, 0
	select {
	case m.free <- b:
	default:
	}
}

// logBehind reports whether so much waits for the log that no more shall be
// folded.
func (m *Monitor) logBehind() bool {
	return m.opts.Log != nil && int(m.toLog.Load()) >= logBlocks*len(m.shards) && !m.closed.Load()
}

// waitForLog returns when the log has caught up.
func (m *Monitor) waitForLog() {
	m.room.L.Lock()
	defer m.room.L.Unlock()
	for m.logBehind() {
		m.room.Wait()
	}
}

// logger gives the log what was folded, one block after the other, until
// Shutdown.
func (m *Monitor) logger() {
	for {
		select {
		case <-m.logWoken:
			m.logAll()
		case <-m.quit:
			m.logAll() // Shutdown has folded everything.
			return
		}
	}
}

func (m *Monitor) logAll() {
	for {
		m.foldMu.Lock()
		if len(m.logging) == 0 {
			m.foldMu.Unlock()
			return
		}
		b := m.logging[0]
		m.logging[0] = nil
		m.logging = m.logging[1:]
		m.foldMu.Unlock()
		m.opts.Log.LogRows(Rows{
			Model: m.opts.Model, Version: b.epoch.version, Time: b.first, Reference: b.epoch.ref,
			Values: b.rows[:b.n*b.width], Scores: b.scores[:b.n], IDs: b.ids[:b.n],
		})
		m.release(b)
		m.toLog.Add(-1)
		m.makeRoom()
		m.wake() // The folder may have paused.
	}
}
