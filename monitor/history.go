package monitor

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// history is what a version remembers of its closed windows: their counts, as
// far as longer spans need them, the design effects and the state. Windows are
// added by whoever holds the turn to report; the mutex is for the others.
type history struct {
	mu      sync.Mutex
	panes   []*pane // A ring of the newest, next the oldest of them once it is full.
	next    int
	closed  int // Windows added in all.
	spans   []span
	design  design
	machine *machine
	total   *profile.Reference // Of all windows added in this process.
	// restored is what of the open windows an earlier process has counted, nil
	// for nothing.
	restored *profile.Reference
	before   struct { // Counters at the end of the last window.
		misfits  SchemaCounts
		rejected uint64
	}
}

// pane is a closed window in a ring.
type pane struct {
	from, to time.Time
	cur      *profile.Reference
}

// span is one longer length: the sum of the last windows, kept by adding the
// newest and taking the oldest away.
type span struct {
	Span
	sum *profile.Reference
	// since counts the windows since the sum was last made anew, which keeps
	// rounding from adding up and the range from only becoming wider.
	since int
}

func newHistory(e *epoch, o *Options) *history {
	h := &history{machine: newMachine(e, o.Model), total: e.bare.Empty()}
	longest := 0
	for _, s := range o.Spans {
		h.spans = append(h.spans, span{Span: s, sum: e.bare.Empty()})
		longest = max(longest, s.Windows)
	}
	h.panes = make([]*pane, 0, longest)
	return h
}

// back returns the nth newest pane, 0 the newest, nil where there is none.
func (h *history) back(n int) *pane {
	if n >= len(h.panes) {
		return nil
	}
	return h.panes[(h.next-1-n+2*len(h.panes))%len(h.panes)]
}

// add puts a closed window into the ring and the sums.
func (h *history) add(p *pane) error {
	h.closed++
	if err := h.total.Merge(p.cur); err != nil {
		return err
	}
	if cap(h.panes) == 0 {
		return nil
	}
	for i := range h.spans {
		s := &h.spans[i]
		if oldest := h.back(s.Windows - 1); oldest != nil {
			if err := s.sum.Sub(oldest.cur); err != nil {
				return err
			}
		}
		if err := s.sum.Merge(p.cur); err != nil {
			return err
		}
	}
	if len(h.panes) < cap(h.panes) {
		h.panes = append(h.panes, p)
		h.next = len(h.panes) % cap(h.panes)
	} else {
		h.panes[h.next] = p
		h.next = (h.next + 1) % len(h.panes)
	}
	for i := range h.spans {
		s := &h.spans[i]
		if s.since++; s.since >= s.Windows {
			if err := h.renew(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// renew makes the sum of a span from its windows.
func (h *history) renew(s *span) error {
	s.since = 0
	s.sum = s.sum.Empty()
	for n := min(s.Windows, len(h.panes)) - 1; n >= 0; n-- {
		if err := s.sum.Merge(h.back(n).cur); err != nil {
			return err
		}
	}
	return nil
}

// report compares a closed window, and the spans that end with it, with the
// reference, and decides.
func (m *Monitor) report(w *window) Report {
	e, p := w.epoch, &m.opts.Policy
	h := e.history
	h.mu.Lock()
	defer h.mu.Unlock()
	r, ref := m.compareWith(w.from, w.to, w.cur, e, "", m.opts.WindowTime, w)
	r.Window = w.number
	if r.Verdict != Insufficient {
		h.design.observe(ref, w.cur)
	}
	r.Quality = h.quality(w, p)
	r.Slices = m.compareSlices(w, p, r.Alpha)
	r.nameUnseen(e)
	all, counted, _ := beside(ref, w.cur, w, p, make([]float64, len(ref.Features)+1))
	r.explain(all, counted, p)
	r.Labels, _ = m.labels.window(w.number)
	r.Estimated = estimated(e.ref, w.cur.Score, m.opts.Threshold)
	if err := h.add(&pane{w.from, w.to, w.cur}); err == nil {
		for i := range h.spans {
			r.Longer = append(r.Longer, m.longer(e, &h.spans[i], w.number)...)
		}
	}
	h.machine.decide(&r, p)
	if r.Trigger != nil && r.Trigger.New {
		m.triggers.Add(1)
	}
	w.added = true
	r.Key = key(&r, w.cur)
	return r
}

// longer reports a span whose windows are complete, nothing otherwise.
func (m *Monitor) longer(e *epoch, s *span, number int) []Report {
	h := e.history
	if len(h.panes) < s.Windows || s.sum.Rows == 0 {
		return nil
	}
	from, to := h.back(s.Windows-1).from, h.back(0).to
	r, ref := m.compareWith(from, to, s.sum, e, s.Name, m.opts.WindowTime*time.Duration(s.Windows), nil)
	r.Window, r.Windows = number, s.Windows
	r.Decides = h.closed%s.Windows == 0
	r.explain(ref, s.sum, &m.opts.Policy)
	r.Key = key(&r, s.sum)
	return []Report{r}
}

// compareWith compares counts of a time with the part of the reference that
// belongs to it, which it returns, too. w is nil for counts of several windows.
func (m *Monitor) compareWith(from, to time.Time, cur *profile.Reference, e *epoch, span string, length time.Duration, w *window) (Report, *profile.Reference) {
	p := &m.opts.Policy
	ref, season := e.ref, ""
	if m.opts.Seasonal {
		ref, season = seasonal(e.ref, from, to, uint64(p.MinRows))
	}
	if length == 0 {
		length = to.Sub(from)
	}
	alpha := p.alpha(length, 1+len(m.opts.Spans))
	all, counted, effects := beside(ref, cur, w, p, e.history.design.effects(e.ref, p, alpha))
	r := compare(all, counted, p, alpha, effects)
	r.Model, r.Version = m.opts.Model, e.version
	r.Span, r.Season, r.From, r.To = span, season, from, to
	return r, ref
}

// seasonal returns the reference of the hours of the week that a time covers,
// and their name. Where they are all hours, or too few rows, it is the whole.
func seasonal(ref *profile.Reference, from, to time.Time, minRows uint64) (*profile.Reference, string) {
	const week = 7 * 24
	first := from.Truncate(time.Hour)
	hours := int(to.Add(-time.Nanosecond).Sub(first)/time.Hour) + 1
	if from.IsZero() || hours < 1 || hours >= week {
		return ref, ""
	}
	sum := ref.Window()
	start := profile.HourOf(from)
	for i := range hours {
		part := ref.Slice(profile.HourOfWeek, strconv.Itoa((start+i)%week))
		if part == nil {
			continue
		}
		if err := sum.Merge(part); err != nil {
			return ref, ""
		}
	}
	if sum.Rows < max(minRows, 1) {
		return ref, ""
	}
	if hours == 1 {
		return sum, strconv.Itoa(start)
	}
	return sum, fmt.Sprintf("%d-%d", start, (start+hours-1)%week)
}

// quality applies the limits of a window as a whole.
func (h *history) quality(w *window, p *Policy) []Finding {
	var out []Finding
	add := func(rule Rule, value, limit float64, text string) {
		out = append(out, Finding{rule, text, value, limit})
	}
	rows := w.cur.Rows
	if p.MinVolume > 0 && rows < p.MinVolume {
		add(RuleVolume, float64(rows), float64(p.MinVolume), fmt.Sprintf("%d rows, want at least %d", rows, p.MinVolume))
	}
	if p.MaxVolume > 0 && rows > p.MaxVolume {
		add(RuleVolume, float64(rows), float64(p.MaxVolume), fmt.Sprintf("%d rows, want at most %d", rows, p.MaxVolume))
	}
	last := w.newest
	if last.IsZero() {
		last = w.from
	}
	if silence := w.to.Sub(last); p.MaxSilence > 0 && silence > p.MaxSilence {
		add(RuleFreshness, silence.Seconds(), p.MaxSilence.Seconds(),
			fmt.Sprintf("the last row came %s before the end of the window, want at most %s", silence.Round(time.Second), p.MaxSilence))
	}
	if p.SchemaShare != off {
		was := h.before
		for _, c := range []struct {
			what string
			n    uint64
		}{
			{"have a wrong length", w.rejected - was.rejected},
			{"are of a type that does not fit", w.misfits.Mismatched - was.misfits.Mismatched},
			{"lack a feature", w.misfits.Absent - was.misfits.Absent},
			{"have a value of a wrong type", w.misfits.Mistyped - was.misfits.Mistyped},
			{"have values that are no feature", w.misfits.Unknown - was.misfits.Unknown},
		} {
			if share := float64(c.n) / float64(max(rows, 1)); c.n > 0 && share > p.SchemaShare {
				share = min(share, 1)
				add(RuleSchema, share, p.SchemaShare, fmt.Sprintf("%s of rows %s", percent(share), c.what))
			}
		}
	}
	h.before.misfits, h.before.rejected = w.misfits, w.rejected
	return out
}
