package monitor

import (
	"time"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// Snapshot is the state of a monitor at one moment, for exporters and pages.
// It is a plain value; what it points to is never changed.
type Snapshot struct {
	// Model and Version are the ones watched now.
	Model, Version string
	// Since is when this version began to be watched in this process.
	Since time.Time
	// Predictions counts the rows observed since New; Rejected those of a
	// wrong length, Dropped those after Shutdown, which are not in it.
	Predictions, Rejected, Dropped uint64
	// Positive counts those of Predictions whose score reached
	// Options.Threshold.
	Positive uint64
	// Overflowed counts the rows that Options.Overflow Drop has lost.
	Overflowed uint64
	// Unlogged counts the rows that Options.Log did not get, because it has waited
	// for too long.
	Unlogged uint64
	// Inputs counts the rows of the open window whose texts and vectors were
	// described, InputsSkipped those of all time that were left out because too many
	// waited.
	Inputs, InputsSkipped uint64
	// Schema counts what the encoders met that does not fit the reference.
	Schema SchemaCounts
	// Window is the number of the open window, WindowRows the rows in it.
	Window     int
	WindowRows uint64
	// Triggers counts the triggers that were opened.
	Triggers uint64
	// Labels counts the labels.
	Labels LabelCounts
	// Overall is the performance of all rows of the current version.
	Overall LabelReport
	// Ripe is the performance of the newest closed window that is mature; its
	// Window is 0 when there is none.
	Ripe LabelReport
	// Report is the last one of the current version; nil before the first.
	Report *Report
}

// Snapshot folds what was observed so far and returns the state.
func (m *Monitor) Snapshot() Snapshot {
	m.foldMu.Lock()
	m.flush()
	s := m.snapshot()
	m.foldMu.Unlock()
	m.addLabels(&s)
	return s
}

// SnapshotCounts is Snapshot and Counts of one moment.
func (m *Monitor) SnapshotCounts() (s Snapshot, ref, observed *profile.Reference, err error) {
	m.foldMu.Lock()
	m.flush()
	s = m.snapshot()
	ref, observed, err = m.counted()
	m.foldMu.Unlock()
	m.addLabels(&s)
	return s, ref, observed, err
}

// snapshot is the state without the labels. The caller holds foldMu.
func (m *Monitor) snapshot() Snapshot {
	s := Snapshot{
		Model: m.opts.Model, Version: m.win.epoch.version, Since: m.win.epoch.since,
		Predictions: m.observed.Load(), Positive: m.positive.Load(), Rejected: m.rejected.Load(), Dropped: m.dropped.Load(),
		Overflowed: m.overflowed.Load(), Unlogged: m.unlogged.Load(), Schema: m.schema.counts(),
		Window: m.win.number, WindowRows: m.win.cur.Rows, Report: m.last, Triggers: m.triggers.Load(),
		InputsSkipped: m.inputsSkipped.Load(),
	}
	if w := m.win.inputs; w != nil {
		s.Inputs = w.Rows
	}
	return s
}

func (m *Monitor) addLabels(s *Snapshot) {
	s.Labels = m.labels.counters()
	s.Overall = m.labels.overall()
	s.Ripe = m.labels.ripe(s.Window - 1)
}
