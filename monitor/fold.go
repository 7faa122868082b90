package monitor

import (
	"time"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// maxClosing is how many windows may wait for OnReport before the open one
// grows instead.
const maxClosing = 4

// epoch is one reference and what depends on it. It never changes.
type epoch struct {
	number    int
	version   string
	ref       *profile.Reference
	encoder   *Encoder
	width     int
	blockRows int
}

func newEpoch(number int, ref *profile.Reference, version string) *epoch {
	e := &epoch{number: number, version: version, ref: ref, encoder: newEncoder(ref), width: len(ref.Features), blockRows: blockRows}
	for e.blockRows > minRows && e.blockRows*(8*e.width+24) > blockBytes {
		e.blockRows /= 2
	}
	return e
}

// window is what was observed between two cuts. foldMu guards it while it is
// open; closed, it belongs to the goroutine that reports it.
type window struct {
	epoch    *epoch
	number   int
	target   uint64 // Rows to close at, 0 for none.
	from, to time.Time
	cur      *profile.Reference
	report   Report
}

func (m *Monitor) newWindow(e *epoch, number int, after time.Time) *window {
	return &window{epoch: e, number: number, target: uint64(m.opts.WindowRows), to: after, cur: e.ref.Empty()}
}

// fold counts a block into the open window and frees it. The caller holds
// foldMu.
func (m *Monitor) fold(b *block) {
	for from := 0; from < b.n; {
		to := b.n
		if w := m.win; w.target > 0 {
			to = from + int(min(uint64(to-from), w.target-w.cur.Rows))
		}
		m.foldRows(b, from, to)
		from = to
		if w := m.win; w.target > 0 && w.cur.Rows == w.target {
			if len(m.closing) < maxClosing {
				m.rotate()
				m.wake()
			} else {
				w.target += uint64(m.opts.WindowRows)
				m.left.Add(int64(m.opts.WindowRows))
			}
		}
	}
	b.n, b.limit = 0, 0
	select {
	case m.free <- b:
	default:
	}
}

func (m *Monitor) foldRows(b *block, from, to int) {
	w := m.win
	if w.cur.Rows == 0 {
		w.from = b.first
		if w.from.Before(w.to) { // The block began before the last cut.
			w.from = w.to
		}
	}
	// Column by column, so that one feature's counts and lookup table stay in
	// the nearest cache for the whole block.
	col := m.scratch[:to-from]
	for j := range w.cur.Features {
		for i := range col {
			col[i] = b.rows[(from+i)*b.width+j]
		}
		w.cur.Features[j].Bins.AddFloats(col)
	}
	if w.cur.Score != nil {
		w.cur.Score.AddFloats(b.scores[from:to])
	}
	w.cur.Rows += uint64(to - from)
	m.observed.Add(uint64(to - from))
	m.labels.add(w, b.ids[from:to], b.scores[from:to], b.first)
}

// rotate closes the open window and opens the next. The caller holds foldMu.
func (m *Monitor) rotate() *window {
	w := m.win
	w.to = time.Now()
	m.closing = append(m.closing, w)
	m.win = m.newWindow(w.epoch, w.number+1, w.to)
	if w.target > 0 {
		m.left.Add(int64(m.win.target) - int64(w.target) + int64(w.cur.Rows))
	}
	return w
}

// wake tells the folder that there is work, and starts it if need be.
func (m *Monitor) wake() {
	m.start.Do(func() { go m.run() })
	select {
	case m.woken <- struct{}{}:
	default:
	}
}

// run is the folder: one goroutine from the first full block to Shutdown.
func (m *Monitor) run() {
	defer close(m.done)
	for {
		select {
		case <-m.woken:
		case <-m.quit:
			return // Shutdown folds and reports what is left.
		}
		for m.foldOne() {
		}
		if m.opts.WindowRows > 0 && m.left.Load() <= 0 {
			// The rest of the window is spread over the shards.
			m.foldMu.Lock()
			m.flush()
			m.foldMu.Unlock()
		}
		if m.waiting() {
			m.turn <- struct{}{}
			m.reportUntil(nil)
		}
	}
}

// foldOne folds one block of the queue, false when it is empty. It gives
// foldMu back after each, so that nobody waits for a whole queue.
func (m *Monitor) foldOne() bool {
	m.foldMu.Lock()
	defer m.foldMu.Unlock()
	select {
	case b := <-m.queue:
		m.fold(b)
		return true
	default:
		return false
	}
}

func (m *Monitor) waiting() bool {
	m.foldMu.Lock()
	defer m.foldMu.Unlock()
	return len(m.closing) > 0
}
