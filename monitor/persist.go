package monitor

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// A state is stateMagic, the sections below and a CRC-32C of all before it.
// Another layout of the sections gets another magic: a state lives from one
// process to the next, and one that cannot be read costs a window.
const stateMagic = "MWMSTAT2"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// state encodes everything that outlives the process, in one moment.
func (m *Monitor) state() []byte {
	w, f, epoch := m.freeze()
	f.write(w, epoch)
	return binary.LittleEndian.AppendUint32(w.b, crc32.Checksum(w.b, castagnoli))
}

// freeze encodes all but the labels, of which it returns a copy.
func (m *Monitor) freeze() (*writer, *frozen, int) {
	m.foldMu.Lock()
	defer m.foldMu.Unlock()
	m.flush()
	e := m.win.epoch
	h := e.history
	h.mu.Lock()
	defer h.mu.Unlock()
	w := &writer{b: []byte(stateMagic)}
	w.text(m.opts.Model)
	w.text(e.version)
	w.text(e.digest)
	w.int(len(e.slices))
	for _, v := range []uint64{m.observed.Load(), m.rejected.Load(), m.dropped.Load(), m.overflowed.Load(), m.positive.Load(), m.triggers.Load()} {
		w.uint(v)
	}
	w.misfits(m.schema.counts())

	// Windows that no report has taken in yet, the open one last. One that is
	// in OnReport right now is in the history already.
	open := m.unreported(e)
	w.int(len(open))
	for _, o := range open {
		w.window(o)
	}
	h.write(w)
	return w, m.labels.freeze(e.number), e.number
}

// setState is the reverse of state. It changes nothing when it fails.
func (m *Monitor) setState(data []byte) error {
	const tail = 4
	damaged := fmt.Errorf("monitor: restore: the state is damaged, or was written by another version of the library: %w", ErrInvalid)
	if len(data) < len(stateMagic)+tail || string(data[:len(stateMagic)]) != stateMagic ||
		crc32.Checksum(data[:len(data)-tail], castagnoli) != binary.LittleEndian.Uint32(data[len(data)-tail:]) {
		return damaged
	}
	r := &reader{b: data[len(stateMagic) : len(data)-tail]}
	m.foldMu.Lock()
	defer m.foldMu.Unlock()
	m.flush()
	e := m.win.epoch
	if model, version, digest, slicings := r.text(), r.text(), r.text(), r.int(maxSliceBy); !r.bad &&
		(model != m.opts.Model || version != e.version || digest != e.digest || slicings != len(e.slices)) {
		return fmt.Errorf("monitor: restore: the state is of model %q version %q with reference %.12s, not of %q %q with %.12s and the same options: %w",
			model, version, digest, m.opts.Model, e.version, e.digest, ErrConflict)
	}
	if m.observed.Load() > 0 {
		return fmt.Errorf("monitor: restore: rows were observed before: %w", ErrInvalid)
	}
	counters := [6]uint64{r.uint(), r.uint(), r.uint(), r.uint(), r.uint(), r.uint()}
	misfits := r.misfits()
	open := make([]*window, r.int(maxClosing+2))
	for i := range open {
		open[i] = m.newWindow(e, 0, time.Time{})
		r.window(open[i])
	}
	fresh := newHistory(e, &m.opts)
	fresh.read(r, e)
	labels := newLabels(m.opts.MaxPending, m.opts.LabelTTL, m.opts.LabelHorizon)
	labels.begin(e)
	labels.read(r, e)
	if r.bad || len(r.b) > 0 || len(open) == 0 {
		return damaged
	}
	for i, w := range open {
		// The options may have changed: a window that is full closes with its
		// next row.
		if w.number < 1 || i > 0 && w.number != open[i-1].number+1 {
			return damaged
		}
	}
	h := e.history
	h.mu.Lock()
	defer h.mu.Unlock()
	h.take(fresh)
	h.restored = e.bare.Empty()
	for _, w := range open {
		if err := h.restored.Merge(w.cur); err != nil {
			return damaged
		}
	}
	m.labels.take(labels)
	for i, c := range []interface{ Store(uint64) }{&m.observed, &m.rejected, &m.dropped, &m.overflowed, &m.positive, &m.triggers} {
		c.Store(counters[i])
	}
	m.schema.set(misfits)
	m.win = open[len(open)-1]
	m.closing = append(m.closing, open[:len(open)-1]...)
	if t := uint64(m.opts.WindowRows); t > 0 {
		for m.win.target = t; m.win.target <= m.win.cur.Rows; m.win.target += t {
		}
		m.left.Store(int64(m.win.target - m.win.cur.Rows))
	}
	if len(m.closing) > 0 {
		m.announce()
	}
	return nil
}

func (w *writer) misfits(s SchemaCounts) {
	for _, v := range []uint64{s.Absent, s.Mistyped, s.Unknown, s.Mismatched} {
		w.uint(v)
	}
}

func (r *reader) misfits() SchemaCounts {
	return SchemaCounts{r.uint(), r.uint(), r.uint(), r.uint()}
}

func (w *writer) window(o *window) {
	w.int(o.number)
	w.time(o.from)
	w.time(o.to)
	w.time(o.newest)
	w.misfits(o.misfits)
	w.uint(o.rejected)
	w.b = o.cur.AppendCounts(w.b)
	for _, values := range o.parts {
		for _, part := range values {
			if w.bool(part != nil); part != nil {
				w.b = part.AppendCounts(w.b)
			}
		}
	}
}

func (r *reader) window(o *window) {
	o.number = r.int(1 << 30)
	o.from, o.to, o.newest = r.time(), r.time(), r.time()
	o.misfits, o.rejected = r.misfits(), r.uint()
	r.counts(o.cur)
	for _, values := range o.parts {
		for i := range values {
			if r.bool() {
				values[i] = o.epoch.bare.Empty()
				r.counts(values[i])
			}
		}
	}
}

// counts reads into an empty window of the epoch.
func (r *reader) counts(into *profile.Reference) {
	rest, err := into.SetCounts(r.b)
	if err != nil {
		r.fail()
		return
	}
	r.b = rest
}

// write encodes a history. The caller holds h.mu.
func (h *history) write(w *writer) {
	w.int(h.closed)
	w.int(len(h.panes))
	for i := range h.panes { // The oldest first.
		p := h.back(len(h.panes) - 1 - i)
		w.time(p.from)
		w.time(p.to)
		w.b = p.cur.AppendCounts(w.b)
	}
	w.int(len(h.design.recent))
	for i := range h.design.recent {
		c := h.design.recent[(h.design.next+i)%len(h.design.recent)]
		w.int(len(c))
		for _, f := range c {
			w.floats(f)
		}
	}
	w.misfits(h.before.misfits)
	w.uint(h.before.rejected)
	m := h.machine
	w.text(string(m.state))
	w.int(m.calm)
	w.int(m.number)
	w.time(m.last)
	for _, name := range h.lengths() {
		w.int(len(m.hits[name]))
		for _, hit := range m.hits[name] {
			w.bool(hit)
		}
	}
	if w.bool(m.trigger != nil); m.trigger != nil {
		t := m.trigger
		w.text(t.Key)
		w.time(t.Opened)
		w.int(t.Window)
		w.text(t.Span)
		w.int(len(t.Causes))
		for _, c := range t.Causes {
			w.text(c)
		}
	}
}

// lengths names the lengths that are decided on.
func (h *history) lengths() []string {
	names := []string{""}
	for _, s := range h.spans {
		names = append(names, s.Name)
	}
	return names
}

// read decodes a history into a new one. What the options no longer ask for is
// left out.
func (h *history) read(r *reader, e *epoch) {
	closed := r.int(1 << 30)
	for range r.count(1) {
		p := &pane{r.time(), r.time(), e.bare.Empty()}
		if r.counts(p.cur); r.bad {
			return
		}
		if h.add(p) != nil {
			r.fail()
		}
	}
	h.closed = closed
	for range r.int(keptRecent) {
		c := make(recentWindow, r.int(len(e.ref.Features)+1))
		for i := range c {
			if c[i] = r.floats(); len(c[i]) > 0 && !e.fits(i, len(c[i])-1) {
				r.fail()
			}
		}
		h.design.recent = append(h.design.recent, c)
	}
	h.before.misfits, h.before.rejected = r.misfits(), r.uint()
	m := h.machine
	m.state = State(r.text())
	switch m.state {
	case StateOK, StateWarn, StateDrift, StateCooldown:
	default:
		r.fail()
	}
	m.calm, m.number, m.last = r.int(1<<30), r.int(1<<30), r.time()
	for _, name := range h.lengths() {
		for range r.int(maxHits) {
			m.hits[name] = append(m.hits[name], r.bool())
		}
	}
	if !r.bool() {
		return
	}
	t := &Trigger{Key: r.text(), Opened: r.time(), Window: r.int(1 << 30), Span: r.text()}
	for range r.int(shownCauses) {
		t.Causes = append(t.Causes, r.text())
	}
	m.trigger = t
}

// fits reports whether a feature, or the score behind them, has so many
// differences.
func (e *epoch) fits(feature, n int) bool {
	b := e.ref.Score
	if feature < len(e.ref.Features) {
		b = e.ref.Features[feature].Bins
	}
	if b == nil {
		return false
	}
	if b.Kind == profile.Categorical {
		return n == len(b.Counts)
	}
	return n == 1
}

// take becomes another history, whose owner gives it up. The caller holds h.mu.
func (h *history) take(o *history) {
	h.panes, h.next, h.closed, h.spans = o.panes, o.next, o.closed, o.spans
	h.total = h.total.Empty()
	h.design, h.machine, h.before = o.design, o.machine, o.before
}
