package monitor

import "github.com/millwright-ml/millwright/dataset/profile"

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
