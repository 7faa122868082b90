package monitor

import (
	"fmt"
	"time"
)

// State is what the windows of a version come to.
type State string

// The states.
const (
	// StateOK: no window of late shows a drift.
	StateOK State = "ok"
	// StateWarn: one or more of the last N windows show a drift, fewer than K.
	StateWarn State = "warn"
	// StateDrift: K of the last N windows showed a drift, and the effects have
	// not gone back below Leave times their floors in N windows since.
	StateDrift State = "drift"
	// StateCooldown: a drift has ended, or was resolved, and no trigger opens
	// until the time Cooldown has passed since the last.
	StateCooldown State = "cooldown"
)

// Trigger asks for something to be done about a version. There is one at a
// time.
type Trigger struct {
	// Key names the trigger for whoever acts on it: model, version, the start
	// of the reference's digest and the number of the trigger. Replicas that
	// watch the same version come to the same keys, so that acting on a key
	// once is acting once.
	Key string `json:"key"`
	// New is true in the report that opened the trigger.
	New bool `json:"new,omitempty"`
	// Opened is the end of the window that opened it, Window its number, Span
	// its length where it is not a single one.
	Opened time.Time `json:"opened"`
	Window int       `json:"window"`
	Span   string    `json:"span,omitempty"`
	// Causes are those of that window.
	Causes []string `json:"causes,omitempty"`
}

// machine makes states of windows: K of N to enter, Leave to leave, Cooldown
// before the next. It belongs to one epoch.
type machine struct {
	prefix  string // Of the keys of triggers.
	state   State
	hits    map[string][]bool // By length: of the last windows, which showed a drift.
	calm    int               // Windows one after the other that are below Leave.
	number  int               // Of the last trigger.
	last    time.Time         // When it opened.
	trigger *Trigger
}

func newMachine(e *epoch, model string) *machine {
	return &machine{
		prefix: fmt.Sprintf("%s/%s/%.12s/", model, e.version, e.digest),
		state:  StateOK, hits: map[string][]bool{},
	}
}

// step takes one report that decides, of a window or a span, and returns
// whether it asks for a trigger.
func (m *machine) step(r *Report, p *Policy) bool {
	if r.Verdict == Insufficient {
		return false
	}
	hits := append(m.hits[r.Span], r.Verdict == Drift)
	if len(hits) > p.N {
		hits = hits[len(hits)-p.N:]
	}
	m.hits[r.Span] = hits
	n := 0
	for _, hit := range hits {
		if hit {
			n++
		}
	}
	if r.Span == "" {
		m.calm++
	}
	if !r.calm(p) {
		m.calm = 0
	}
	return n >= p.K
}

// calm reports whether everything is below the lower threshold.
func (r *Report) calm(p *Policy) bool {
	for _, f := range r.Features {
		if len(f.Rules) > 0 || f.Adjusted <= r.Alpha && f.Effect > 0 && f.Effect >= p.Leave*f.Floor {
			return false
		}
	}
	return true
}

// decide takes the reports of a window and of the spans that end with it, and
// writes state and trigger into the first.
func (m *machine) decide(r *Report, p *Policy) {
	var cause *Report
	if m.step(r, p) {
		cause = r
	}
	for i := range r.Longer {
		if l := &r.Longer[i]; l.Decides && m.step(l, p) && cause == nil {
			cause = l
		}
	}
	if r.To.Before(m.last) {
		m.last = r.To // The clock was set back.
	}
	cooling := !m.last.IsZero() && r.To.Sub(m.last) < p.Cooldown
	if m.state == StateDrift && m.calm >= p.N {
		m.leave()
	}
	if m.state == StateCooldown && !cooling {
		m.state = StateOK
	}
	opened := false
	if m.state == StateOK || m.state == StateWarn {
		switch {
		case cause != nil && !cooling:
			m.state, opened = StateDrift, true
			m.number++
			m.last, m.calm = r.To, 0
			m.trigger = &Trigger{
				Key: fmt.Sprintf("%s%d", m.prefix, m.number), Opened: r.To, Window: r.Window, Span: cause.Span, Causes: cause.Causes,
			}
		case m.anyHit():
			m.state = StateWarn
		default:
			m.state = StateOK
		}
	}
	r.State = m.state
	if m.trigger != nil {
		t := *m.trigger
		t.New = opened
		r.Trigger = &t
	}
}

func (m *machine) anyHit() bool {
	for _, hits := range m.hits {
		for _, hit := range hits {
			if hit {
				return true
			}
		}
	}
	return false
}

// leave ends a drift. What has been seen of it is forgotten, or it would open
// the next trigger.
func (m *machine) leave() {
	m.state, m.trigger, m.calm = StateCooldown, nil, 0
	clear(m.hits)
}

// Resolve says that what a trigger asked for is done without a new version, or
// need not be: the state becomes StateCooldown, or StateOK where the policy has
// none, and a later drift opens the next trigger. It returns ErrNotFound when no
// trigger of that key is open.
func (m *Monitor) Resolve(key string) error {
	h := m.epoch.Load().history
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.machine.trigger; t == nil || t.Key != key {
		return fmt.Errorf("monitor: resolve %q: no such trigger is open: %w", key, ErrNotFound)
	}
	h.machine.leave()
	return nil
}
