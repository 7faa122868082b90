package monitor

import (
	"fmt"
	"sync"
	"time"
)

// Bounds of what is kept for labels that come late.
const (
	keptWindows = 64
	keptEpochs  = 8
)

// LabelOutcome says what became of a label.
type LabelOutcome string

// The outcomes.
const (
	// Matched: the label was joined to its prediction and counts.
	Matched LabelOutcome = "matched"
	// Unknown: no prediction with this id is kept. It was never observed, or
	// forgotten because of MaxPending or its age.
	Unknown LabelOutcome = "unknown"
	// Duplicate: the prediction has a label already, which stays.
	Duplicate LabelOutcome = "duplicate"
	// Late: the prediction is older than LabelTTL; the label does not count.
	Late LabelOutcome = "late"
	// Rejected: the label is NaN or infinite.
	Rejected LabelOutcome = "rejected"
)

// LabelCounts counts the labels by outcome, and the predictions without one.
type LabelCounts struct {
	Matched, Unknown, Duplicate, Late, Rejected uint64
	// Pending is how many predictions wait for a label now.
	Pending int
	// Forgotten counts the predictions that were pushed out by newer ones
	// (MaxPending) before a label came.
	Forgotten uint64
	// Delay is the sum, over Matched, of the time from a prediction to its
	// label.
	Delay time.Duration
}

// labels joins labels to predictions and keeps the performance of each window
// and version. Its mutex is taken for a block of rows or for one label.
type labels struct {
	ttl time.Duration
	// horizon is how old a window is when its labels are complete.
	horizon time.Duration
	base    time.Time // Ages are told by the monotonic clock from here on.

	mu      sync.Mutex
	pending pending
	counts  LabelCounts
	windows [keptWindows]*performance // By number modulo the size.
	epochs  [keptEpochs]*performance
	hashes  [blockRows]uint32 // Scratch.
	newest  int               // Number of the newest window with rows.
	epoch   int
}

func newLabels(limit int, ttl, horizon time.Duration) *labels {
	return &labels{ttl: ttl, horizon: horizon, base: time.Now(), pending: newPending(limit)}
}

// nanos is a time in Unix nanoseconds, as if nobody had set the clock since
// the monitor was made: a jump makes no label late, and forgets none.
func (l *labels) nanos(t time.Time) int64 { return l.base.UnixNano() + int64(t.Sub(l.base)) }

// begin makes e the current epoch.
func (l *labels) begin(e *epoch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch = e.number
	l.epochs[e.number%keptEpochs] = newPerformance(0, e)
}

// add counts the rows of a block in their window and keeps the predictions.
func (l *labels) add(w *window, ids []ID, scores []float64, codes []sliceCodes, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	place := &l.windows[w.number%keptWindows]
	if *place == nil || (*place).number != w.number {
		*place = newPerformance(w.number, w.epoch)
		l.newest = max(l.newest, w.number)
	}
	(*place).rows += uint64(len(ids))
	if e := l.epochOf(uint16(w.epoch.number)); e != nil {
		e.rows += uint64(len(ids))
		e.count(codes, scores)
	}
	if l.pending.max <= 0 {
		return
	}
	hashes := l.hashes[:len(ids)]
	for i := range ids {
		if ids[i] != (ID{}) {
			hashes[i] = l.pending.hash(&ids[i])
		}
	}
	l.pending.touch(hashes)
	e := entry{at: l.nanos(at), window: uint32(w.number), epoch: uint16(w.epoch.number)}
	for i, id := range ids {
		if score := scores[i]; id != (ID{}) && score-score == 0 {
			e.id, e.score = id, score
			if codes != nil {
				e.codes = codes[i]
			}
			l.keep(&e, hashes[i])
		}
	}
}

func (l *labels) epochOf(number uint16) *performance {
	if p := l.epochs[number%keptEpochs]; p != nil && uint16(p.epoch) == number {
		return p
	}
	return nil
}

func (l *labels) keep(e *entry, hash uint32) {
	if l.ttl > 0 {
		for old := l.pending.oldest(); old != nil && e.at-old.at > 2*int64(l.ttl); old = l.pending.oldest() {
			l.forget(old)
		}
	}
	if known := l.pending.find(&e.id, hash); known != nil {
		// A request sent again: its label is for the last answer.
		if !known.labelled {
			*known = *e
		}
		return
	}
	if l.pending.n == l.pending.max {
		old := l.pending.oldest()
		if !old.labelled {
			l.counts.Forgotten++
		}
		l.forget(old)
	}
	l.pending.put(e, hash)
	l.counts.Pending++
}

func (l *labels) forget(oldest *entry) {
	if !oldest.labelled {
		l.counts.Pending--
	}
	l.pending.drop()
}

// join finds the prediction and counts the label; false when the id is not
// known, which the caller counts if it stays so.
func (l *labels) join(id ID, y float64, now time.Time) (LabelOutcome, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.pending.find(&id, l.pending.hash(&id))
	switch {
	case e == nil:
		return Unknown, false
	case e.labelled:
		l.counts.Duplicate++
		return Duplicate, true
	case l.ttl > 0 && l.nanos(now)-e.at > int64(l.ttl):
		l.counts.Late++
		return Late, true
	}
	e.labelled = true
	l.counts.Pending--
	l.counts.Matched++
	l.counts.Delay += max(time.Duration(l.nanos(now)-e.at), 0)
	if p := l.windows[e.window%keptWindows]; p != nil && p.number == int(e.window) {
		p.add(e.score, y)
	}
	if p := l.epochOf(e.epoch); p != nil {
		p.add(e.score, y)
		p.label(e.codes, e.score, y)
	}
	return Matched, true
}

// count counts a label that was not joined.
func (l *labels) count(o LabelOutcome) LabelOutcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o == Rejected {
		l.counts.Rejected++
	} else {
		l.counts.Unknown++
	}
	return o
}

// close notes when a window has ended.
func (l *labels) close(number int, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.windows[number%keptWindows]; p != nil && p.number == number {
		p.end = at
	}
}

// mature reports whether labels of a window that come from now on are few.
func (l *labels) mature(p *performance) bool {
	if l.horizon == 0 {
		return 2*p.labelled >= p.rows
	}
	return !p.end.IsZero() && l.nanos(time.Now())-l.nanos(p.end) >= int64(l.horizon)
}

// window returns the label metrics of a window.
func (l *labels) window(number int) (LabelReport, error) {
	l.mu.Lock()
	p := l.windows[max(number, 0)%keptWindows]
	newest := l.newest
	mature := false
	if p != nil && p.number == number {
		mature = l.mature(p)
		p = p.clone()
	} else {
		p = nil
	}
	l.mu.Unlock()
	if p == nil {
		if newest == 0 {
			return LabelReport{}, fmt.Errorf("monitor: performance of window %d: no row was observed yet: %w", number, ErrNotFound)
		}
		return LabelReport{}, fmt.Errorf("monitor: performance of window %d: windows %d to %d are kept: %w",
			number, max(1, newest-keptWindows+1), newest, ErrNotFound)
	}
	r := p.report()
	r.Mature = mature
	return r, nil
}

// overall returns the label metrics of all windows of the current epoch.
func (l *labels) overall() LabelReport {
	l.mu.Lock()
	p := l.epochs[l.epoch%keptEpochs].clone()
	l.mu.Unlock()
	return p.report()
}

// ripe returns the metrics of the newest window of the current epoch up to
// number that is mature, the zero report when there is none.
func (l *labels) ripe(number int) LabelReport {
	l.mu.Lock()
	var p *performance
	for n := number; n > 0 && n > l.newest-keptWindows && p == nil; n-- {
		if w := l.windows[n%keptWindows]; w != nil && w.number == n && w.epoch == l.epoch && l.mature(w) {
			p = w.clone()
		}
	}
	l.mu.Unlock()
	if p == nil {
		return LabelReport{}
	}
	r := p.report()
	r.Mature = true
	return r
}

func (l *labels) counters() LabelCounts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// Label tells the monitor what the prediction with the id should have been: 0
// or 1 for a classifier, any finite number for a regression. It counts in the
// window that the prediction was observed in, also when that is closed, and in
// the version that made it. A label may come as soon as Observe has returned.
func (m *Monitor) Label(id ID, y float64) LabelOutcome {
	if y-y != 0 {
		return m.labels.count(Rejected)
	}
	now := time.Now()
	if o, known := m.labels.join(id, y, now); known {
		return o
	}
	// The prediction may still be in a block.
	m.foldMu.Lock()
	m.flush()
	m.foldMu.Unlock()
	if o, known := m.labels.join(id, y, now); known {
		return o
	}
	return m.labels.count(Unknown)
}

// Performance returns the label metrics of one window, by the number in its
// report or that of the open one. The last 64 windows are kept; it returns
// ErrNotFound for others.
func (m *Monitor) Performance(window int) (LabelReport, error) {
	m.foldMu.Lock()
	m.flush()
	m.foldMu.Unlock()
	return m.labels.window(window)
}

// Overall returns the label metrics of all rows of the current version, whose
// windows need not be kept any more.
func (m *Monitor) Overall() LabelReport {
	m.foldMu.Lock()
	m.flush()
	m.foldMu.Unlock()
	return m.labels.overall()
}
