package monitor

import (
	"math"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Options configures a Monitor. Nil means all defaults.
type Options struct {
	// Model and Version name what is watched, in reports and metrics. Version
	// is that of the first reference; Reset brings later ones. Default empty.
	Model, Version string
	// Policy decides when a difference is a drift.
	Policy Policy
	// WindowRows closes a window by itself as soon as it has so many rows.
	// While OnReport is busy and four windows wait for it, the open window
	// grows instead, by WindowRows at a time. Default 0: only Cut closes.
	WindowRows int
	// WindowTime closes a window by itself after so much time, counted from
	// the first row on and by a clock that nobody can set. A window may then
	// be empty. Together with WindowRows, whichever comes first closes it.
	// Default 0: no clock.
	WindowTime time.Duration
	// Overflow says what Observe does when rows come faster than they can be
	// counted behind it. Default Inline.
	Overflow Overflow
	// OnReport receives the report of each window, in their order and never
	// two at once, from the goroutine of Cut or Shutdown or one of the
	// monitor's own. It may take its time, since Observe and Label do
	// not wait for it, and it may call every method except Cut and Shutdown,
	// which wait for it. Default none.
	OnReport func(Report)
	// LabelTTL is how long after a prediction its label still counts. A later
	// one is Late, and after twice the time the prediction is forgotten.
	// Default 30 days (720h); -1 is no limit.
	LabelTTL time.Duration
	// MaxPending is how many predictions are kept for their labels, at 56
	// to 72 bytes each. Beyond it the oldest is forgotten, and counted if
	// it had no label yet. Default 1,048,576 (1<<20); -1 keeps none.
	MaxPending int
}

// Overflow is what Observe does when a block of rows is full and the queue to
// the goroutine that counts them is, too.
type Overflow int

// The ways to overflow.
const (
	// Inline counts the block on the goroutine of the caller, which takes some
	// 150 nanoseconds a row. Nothing is lost, and memory is bounded.
	Inline Overflow = iota
	// Drop loses the row and counts it in Snapshot.Overflowed.
	Drop
	// Block waits until there is room.
	Block
)

// Policy decides. A feature drifts in a window when the difference from the
// reference is significant after correction for the number of features, and
// larger than both the effect floor and the difference that chance alone makes
// between samples of these sizes. The four shares are limits instead: rates
// that need no distribution, only allowance for the noise of counting.
type Policy struct {
	// Alpha is the level of significance for the whole window: the share of
	// drift alarms that are false (Benjamini-Hochberg), which on clean data is
	// the share of windows with any. Above 0 and below 1. Default 0.001.
	Alpha float64
	// MinRows is the least number of rows in a window to decide on; with
	// fewer the verdict is Insufficient. Default 500.
	MinRows int
	// Numeric is the effect floor for numbers, as Wasserstein-1 distance in
	// standard deviations of the reference. Default 0.1; -1 is no floor.
	Numeric float64
	// Categorical is the effect floor for categories, as Jensen-Shannon
	// distance in base 2, from 0 to 1. Default 0.1; -1 is no floor.
	Categorical float64
	// NullShare is how much the share of missing values may rise above the
	// reference's, as a part of all rows. Default 0.01; -1 is off.
	NullShare float64
	// NonFiniteShare is the same for infinite values. Default 0.01; -1 is off.
	NonFiniteShare float64
	// OutOfRangeShare is the share of rows that may lie above the largest or
	// below the smallest value of the reference, each side by itself.
	// Default 0.01; -1 is off.
	OutOfRangeShare float64
	// UnseenShare is how much the share of categories that the reference does
	// not name may rise. Default 0.01; -1 is off.
	UnseenShare float64
}

// off is the value of a limit that is switched off.
const off = -1

func (o *Options) withDefaults() (Options, error) {
	var r Options
	if o != nil {
		r = *o
	}
	var f errs.Faults
	f.Check(r.WindowRows >= 0, "WindowRows is %d, want 0 or more", r.WindowRows)
	f.Check(r.WindowTime >= 0, "WindowTime is %s, want 0 or more", r.WindowTime)
	f.Check(r.Overflow >= Inline && r.Overflow <= Block, "Overflow is %d, want Inline, Drop or Block", r.Overflow)
	f.Check(r.LabelTTL >= 0 || r.LabelTTL == off, "LabelTTL is %s, want 0 or more, or -1 for no limit", r.LabelTTL)
	f.Check(r.MaxPending >= off, "MaxPending is %d, want 0 or more, or -1 for none", r.MaxPending)
	f.Check(r.MaxPending <= math.MaxInt32/2, "MaxPending is %d, want at most %d", r.MaxPending, math.MaxInt32/2)
	if r.LabelTTL == 0 {
		r.LabelTTL = 30 * 24 * time.Hour
	}
	if r.MaxPending == 0 {
		r.MaxPending = 1 << 20
	}
	r.Policy = r.Policy.withDefaults(&f)
	return r, f.Err("monitor: options")
}

func (p Policy) withDefaults(f *errs.Faults) Policy {
	f.Check(p.Alpha >= 0 && p.Alpha < 1, "Policy.Alpha is %v, want above 0 and below 1", p.Alpha)
	f.Check(p.MinRows >= 0, "Policy.MinRows is %d, want 0 or more", p.MinRows)
	if p.Alpha == 0 {
		p.Alpha = 1e-3
	}
	if p.MinRows == 0 {
		p.MinRows = 500
	}
	for _, l := range []struct {
		name     string
		v        *float64
		standard float64
	}{
		{"Numeric", &p.Numeric, 0.1},
		{"Categorical", &p.Categorical, 0.1},
		{"NullShare", &p.NullShare, 0.01},
		{"NonFiniteShare", &p.NonFiniteShare, 0.01},
		{"OutOfRangeShare", &p.OutOfRangeShare, 0.01},
		{"UnseenShare", &p.UnseenShare, 0.01},
	} {
		ok := *l.v == off || *l.v >= 0 && !math.IsInf(*l.v, 0)
		f.Check(ok, "Policy.%s is %v, want 0 or more, or -1 for off", l.name, *l.v)
		if *l.v == 0 {
			*l.v = l.standard
		}
	}
	return p
}
