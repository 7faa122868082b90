package rollout

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/millwright-ml/millwright/serve/rollout/anytime"
)

// state is what the replicas share, as JSON in the Store. The one that merges
// last writes it, and a decision is part of it: so it is made once.
type state struct {
	Definition string    `json:"definition"`
	Started    time.Time `json:"started"`
	Step       int       `json:"step"`
	StepAt     time.Time `json:"step_at"`
	// Ended is the zero time while it runs. Winner is the challenger that was
	// promoted, -1 for none.
	Ended  time.Time `json:"ended,omitzero"`
	Winner int       `json:"winner"`
	// Champion and the challengers' counts.
	Champion armState    `json:"champion"`
	Pairs    []pairState `json:"challengers"`
	Events   []Event     `json:"events"`
	// Recorded is how many of the events are recorded; Recorder has taken it
	// upon itself to record the next one, until Until.
	Recorded int       `json:"recorded"`
	Recorder string    `json:"recorder,omitempty"`
	Until    time.Time `json:"until,omitzero"`
}

// armState is what is known of the requests of one version.
type armState struct {
	// Requests are those of all steps that did not fail through the client.
	Requests int64 `json:"requests"`
	// Errors, Latency and Figures are those of this step: while the shares
	// are what they are, all versions have seen the same times.
	Errors  anytime.Counts    `json:"errors"`
	Latency histogram         `json:"latency,omitempty"`
	Figures []anytime.Moments `json:"figures"`
}

func (a *armState) add(d delta) {
	a.Requests += d.Errors.N
	a.Errors = a.Errors.Plus(d.Errors)
	a.Latency = a.Latency.plus(d.Latency)
	for i, m := range d.Figures {
		a.Figures[i] = a.Figures[i].Plus(m)
	}
}

// pairState is a challenger with its tests against the champion.
type pairState struct {
	armState
	Verdict Verdict      `json:"verdict,omitempty"`
	Guards  []guardState `json:"guards"`
}

// guardState is one guard of one challenger.
type guardState struct {
	// Harm is the test that rolls back, Pass the one that lets through.
	Harm anytime.RateTest `json:"harm"`
	Pass anytime.RateTest `json:"pass"`
	// Champion and Challenger are of a block that has requests of one side only
	// so far, Level the challenger's over the champion's own threshold.
	Champion   anytime.Counts `json:"a"`
	Challenger anytime.Counts `json:"b"`
	Level      anytime.Counts `json:"l"`
	// Threshold is the bin of the champion's quantile, as known before the
	// next block; -1 while it is not.
	Threshold int `json:"threshold"`
	// HarmMeans and PassMeans are the tests of means.
	HarmMeans meansTest `json:"harm_means"`
	PassMeans meansTest `json:"pass_means"`
}

// meansTest is an e-process over the steps of a ramp: the product of those of the
// steps.
type meansTest struct {
	Before float64 `json:"before"` // Logarithm, of the steps before this one.
	Now    float64 `json:"now"`
	Best   float64 `json:"best"`
}

func (m *meansTest) set(now float64) {
	m.Now = now
	m.Best = max(m.Best, m.Before+now)
}

func (m *meansTest) step() { m.Before, m.Now = m.Before+m.Now, 0 }

// newState is that of an experiment that begins.
func newState(e *Experiment, now time.Time) *state {
	s := &state{Definition: e.definition(), Started: now, StepAt: now, Winner: -1}
	s.Champion.Figures = make([]anytime.Moments, len(e.Guards))
	for range e.Challengers {
		p := pairState{Guards: make([]guardState, len(e.Guards))}
		p.Figures = make([]anytime.Moments, len(e.Guards))
		for i, g := range e.Guards {
			q := &p.Guards[i]
			q.Threshold = -1
			q.Pass.Direction = anytime.Less
			if g.Metric == Errors {
				q.Harm.Margin = g.Margin
				if !g.Superior {
					q.Pass.Margin = g.Margin
				}
			}
		}
		s.Pairs = append(s.Pairs, p)
	}
	s.Events = []Event{e.event(s, now, Started)}
	return s
}

// parseState reads the state of the same experiment.
func parseState(e *Experiment, text []byte) (*state, error) {
	s := new(state)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("rollout: experiment %q: its state in the store cannot be read: %w: %w", e.Name, err, ErrInvalid)
	}
	if s.Definition != e.definition() {
		return nil, fmt.Errorf("rollout: experiment %q: the store has another experiment of that name, or replicas run different definitions: give the new one a new name: %w", e.Name, ErrConflict)
	}
	sound := len(s.Pairs) == len(e.Challengers) && len(s.Champion.Figures) == len(e.Guards) &&
		s.Step >= 0 && s.Step < len(e.Ramp) && s.Winner < len(e.Challengers) && s.Recorded >= 0 && s.Recorded <= len(s.Events)
	for i := range s.Pairs {
		p := &s.Pairs[i]
		sound = sound && len(p.Guards) == len(e.Guards) && len(p.Figures) == len(e.Guards)
	}
	if !sound {
		return nil, fmt.Errorf("rollout: experiment %q: its state in the store is damaged: %w", e.Name, ErrInvalid)
	}
	return s, nil
}

// merge adds one block of requests, by arm with the champion first, to the
// tests. A block is judged by what was known before it.
func (s *state) merge(e *Experiment, arms []delta) {
	for i := range s.Pairs {
		p := &s.Pairs[i]
		if p.Verdict != "" {
			continue
		}
		for j := range e.Guards {
			p.Guards[j].merge(&e.Guards[j], arms[0], arms[i+1])
		}
	}
	s.Champion.add(arms[0])
	for i := range s.Pairs {
		s.Pairs[i].add(arms[i+1])
	}
	for i := range s.Pairs {
		p := &s.Pairs[i]
		if p.Verdict != "" {
			continue
		}
		for j := range e.Guards {
			p.Guards[j].update(&e.Guards[j], j, &s.Champion, &p.armState)
		}
	}
}

// merge takes a block into the tests of rates.
func (q *guardState) merge(g *Guard, champion, challenger delta) {
	var a, b, level anytime.Counts
	switch g.Metric {
	case Errors:
		a, b, level = champion.Errors, challenger.Errors, challenger.Errors
	case Latency:
		if q.Threshold < 0 {
			return
		}
		// Slower than the champion's quantile, and slower than the margin
		// above it: at equal rates the challenger is slower by the margin.
		a, b = champion.Latency.over(q.Threshold), challenger.Latency.over(g.slower(q.Threshold))
		level = challenger.Latency.over(q.Threshold)
	default:
		return
	}
	q.Champion, q.Challenger, q.Level = q.Champion.Plus(a), q.Challenger.Plus(b), q.Level.Plus(level)
	if q.Champion.N == 0 || q.Challenger.N == 0 {
		return
	}
	q.Harm.Add(q.Champion, q.Challenger)
	if g.Superior {
		q.Pass.Add(q.Champion, q.Level)
	} else {
		q.Pass.Add(q.Champion, q.Challenger)
	}
	q.Champion, q.Challenger, q.Level = anytime.Counts{}, anytime.Counts{}, anytime.Counts{}
}

// slower is the bin whose end is nearest to Margin above that of a bin.
func (g *Guard) slower(i int) int {
	want := float64(binEnd(i)) * (1 + g.Margin)
	j := binOf(time.Duration(min(want, math.MaxInt64/2)))
	if j > 0 && want-float64(binEnd(j-1)) < float64(binEnd(j))-want {
		j--
	}
	return max(i, j)
}

// update brings what is computed from sums in line with them.
func (q *guardState) update(g *Guard, i int, champion, challenger *armState) {
	switch g.Metric {
	case Latency:
		// A block that has begun keeps its threshold. The sample is enough for
		// a few requests above the quantile.
		if q.Champion.N > 0 || q.Challenger.N > 0 {
			return
		}
		if n := champion.Latency.total(); float64(n)*(1-g.Quantile) >= 3 && n >= 30 {
			q.Threshold = champion.Latency.rank(int64(math.Ceil(g.Quantile * float64(n))))
		}
	case Score, Label:
		margin := g.Margin / (g.Max - g.Min)
		a, b := champion.Figures[i], challenger.Figures[i]
		q.HarmMeans.set(anytime.MeansLogE(a, b, margin, anytime.Greater))
		if g.Superior {
			margin = 0
		}
		q.PassMeans.set(anytime.MeansLogE(a, b, margin, anytime.Less))
	}
}

// logs are the logarithms of the greatest e-values so far.
func (q *guardState) logs(g *Guard) (harm, pass float64) {
	if g.Metric == Score || g.Metric == Label {
		return q.HarmMeans.Best, q.PassMeans.Best
	}
	return q.Harm.Best, q.Pass.Best
}

// next begins another step of the ramp.
func (s *state) next(now time.Time) {
	s.Step++
	s.StepAt = now
	forget := func(a *armState) {
		a.Errors, a.Latency = anytime.Counts{}, nil
		clear(a.Figures)
	}
	forget(&s.Champion)
	for i := range s.Pairs {
		p := &s.Pairs[i]
		forget(&p.armState)
		for j := range p.Guards {
			p.Guards[j].HarmMeans.step()
			p.Guards[j].PassMeans.step()
		}
	}
}
