package monitor

import (
	"math"
	"slices"
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
	// Spans are longer windows: sums of the last windows, which are reported
	// with each and decided on whenever so many new ones are complete. What
	// each of them keeps is a window's counts, some half a kilobyte a numeric
	// feature. Default none.
	Spans []Span
	// Seasonal compares a window with what the reference holds of the hours of
	// the week that the window covers (profile.BuilderOptions.Hours), or with
	// the whole of it where that is less than Policy.MinRows rows. Default
	// false.
	Seasonal bool
	// SliceBy names categorical features whose values are looked at by
	// themselves, so that a report says which part of the traffic has moved
	// and how well each part is served. Slices of the same names in the
	// reference (profile.BuilderOptions.SliceBy) are what each is compared
	// with. Counting takes about twice the time for each. At most 4; default
	// none.
	SliceBy []string
	// InputShare is the share of rows, above 0 and up to 1, of which ObserveInputs
	// keeps texts and vectors. Default 1/16.
	InputShare float64
	// Store keeps the state across restarts; Restore takes it over. Shutdown
	// then saves the open window instead of closing it. Default none: the
	// monitor begins anew.
	Store Store
	// SaveEvery is how often the state is saved between the first row and
	// Shutdown; what a killed process had observed since is lost. Default 1
	// minute; -1 is in Shutdown only.
	SaveEvery time.Duration
	// OnError is told when a state could not be saved, from a goroutine of the
	// monitor. The next turn tries again. Default none.
	OnError func(error)
	// Log receives the rows that were counted, for instance a monitor/inferlog
	// log. Default none.
	Log RowLog
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
	// LabelHorizon is how long after the end of a window nearly all of its
	// labels are there: from then on LabelReport.Mature. Default 0: when half
	// of them are.
	LabelHorizon time.Duration
	// Threshold is the score from which on a row counts as predicted positive,
	// in confusion matrices and what is made of them. Default 0.5; 0 itself
	// cannot be asked for, and means that.
	Threshold float64
	// MaxPending is how many predictions are kept for their labels, at 64
	// to 80 bytes each. Beyond it the oldest is forgotten, and counted if
	// it had no label yet. Default 1,048,576 (1<<20); -1 keeps none.
	MaxPending int
}

// Span is a window made of several.
type Span struct {
	// Name names it in reports: "1d".
	Name string
	// Windows is how many windows it is long, from 2 to 10,000.
	Windows int
}

// maxSpan bounds the windows that are kept.
const maxSpan = 10_000

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
	names := map[string]bool{}
	for i, span := range r.Spans {
		f.Check(span.Name != "" && !names[span.Name], "Spans[%d] has no name of its own", i)
		f.Check(span.Windows >= 2 && span.Windows <= maxSpan, "Spans[%d] is %d windows long, want 2 to %d", i, span.Windows, maxSpan)
		names[span.Name] = true
	}
	f.Check(r.InputShare >= 0 && r.InputShare <= 1, "InputShare is %v, want above 0 and up to 1", r.InputShare)
	if r.InputShare == 0 {
		r.InputShare = defaultInputShare
	}
	f.Check(len(r.SliceBy) <= maxSliceBy, "SliceBy has %d names, want at most %d", len(r.SliceBy), maxSliceBy)
	f.Check(r.LabelTTL >= 0 || r.LabelTTL == off, "LabelTTL is %s, want 0 or more, or -1 for no limit", r.LabelTTL)
	f.Check(r.MaxPending >= off, "MaxPending is %d, want 0 or more, or -1 for none", r.MaxPending)
	f.Check(r.MaxPending <= math.MaxInt32/2, "MaxPending is %d, want at most %d", r.MaxPending, math.MaxInt32/2)
	f.Check(r.SaveEvery >= 0 || r.SaveEvery == off, "SaveEvery is %s, want 0 or more, or -1 for off", r.SaveEvery)
	if r.SaveEvery == 0 {
		r.SaveEvery = time.Minute
	}
	f.Check(r.LabelHorizon >= 0, "LabelHorizon is %s, want 0 or more", r.LabelHorizon)
	f.Check(r.Threshold-r.Threshold == 0, "Threshold is %v, want a number", r.Threshold)
	if r.Threshold == 0 {
		r.Threshold = 0.5
	}
	if r.LabelTTL == 0 {
		r.LabelTTL = 30 * 24 * time.Hour
	}
	if r.MaxPending == 0 {
		r.MaxPending = 1 << 20
	}
	r.Policy = r.Policy.withDefaults(&f)
	r.Spans, r.SliceBy = slices.Clone(r.Spans), slices.Clone(r.SliceBy)
	return r, f.Err("monitor: options")
}
