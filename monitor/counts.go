package monitor

import (
	"fmt"
	"time"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/internal/errs"
)

// Counts returns the reference of the current version and what was observed
// over its bins since that version began in this process: counters that only
// grow, from which replicas can be added up (the sum of the rates of each bin,
// beside the reference's shares, is the fleet's drift). The reference must not
// be changed; the counts are the caller's.
func (m *Monitor) Counts() (ref, observed *profile.Reference, err error) {
	m.foldMu.Lock()
	defer m.foldMu.Unlock()
	m.flush()
	return m.counted()
}

// counted is Counts. The caller holds foldMu.
func (m *Monitor) counted() (ref, observed *profile.Reference, err error) {
	e := m.win.epoch
	h := e.history
	h.mu.Lock()
	defer h.mu.Unlock()
	sum := h.total.Clone()
	for _, w := range m.unreported(e) {
		if err := sum.Merge(w.cur); err != nil {
			return nil, nil, err
		}
	}
	if h.restored != nil {
		if err := sum.Sub(h.restored); err != nil {
			return nil, nil, err
		}
	}
	return e.ref, sum, nil
}

// unreported returns the windows of an epoch that its history has not taken in
// yet, the open one last. The caller holds foldMu and the history's mutex.
func (m *Monitor) unreported(e *epoch) []*window {
	var out []*window
	if r := m.reporting; r != nil && !r.added && r.epoch == e {
		out = append(out, r)
	}
	for _, w := range m.closing {
		if w.epoch == e {
			out = append(out, w)
		}
	}
	return append(out, m.win)
}

// Add counts rows that were observed elsewhere: counts over the layout of the
// reference, as Counts of another replica returns them, or the difference of two
// of those. They are part of the open window, of Snapshot.Predictions and of
// Counts; ids, labels and slices are of rows only. It returns ErrInvalid when there
// are no rows, the layout is another one, or Options.WindowRows is set, ErrClosed
// after Shutdown.
func (m *Monitor) Add(counts *profile.Reference) error {
	var f errs.Faults
	m.foldMu.Lock()
	defer m.foldMu.Unlock()
	if m.closed.Load() {
		return fmt.Errorf("monitor: add counts: the monitor is shut down: %w", ErrClosed)
	}
	f.Check(m.opts.WindowRows == 0, "WindowRows is set: windows cannot close in the midst of counts")
	if checkPair(&f, m.win.epoch.ref, counts); f.Err("") != nil {
		return f.Err("monitor: add counts")
	}
	now := time.Now()
	w := m.win
	if w.cur.Rows == 0 {
		w.from = now
	}
	bare := *counts
	bare.Outcomes, bare.Chunks, bare.Slices = nil, nil, nil
	if err := w.cur.Merge(&bare); err != nil {
		return fmt.Errorf("monitor: add counts: %w", err)
	}
	w.newest = now
	m.observed.Add(counts.Rows)
	return nil
}
