package rollout

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/serve/rollout/anytime"
)

// judge makes the decisions that the state allows, and moves the ramp on.
func (s *state) judge(e *Experiment, now time.Time) {
	if !s.Ended.IsZero() {
		return
	}
	level := e.Ramp[s.Step].Alpha
	for i := range s.Pairs {
		if p := &s.Pairs[i]; p.Verdict == "" {
			if guard := s.harmed(e, p, level); guard >= 0 {
				s.decide(e, now, i, Rollback, s.explain(e, i, guard))
			}
		}
	}
	if s.Step == len(e.Ramp)-1 && later(s.StepAt, now) >= e.Ramp[s.Step].For {
		for i := range s.Pairs {
			if p := &s.Pairs[i]; s.Winner < 0 && p.Verdict == "" && s.passed(e, p) {
				s.Winner = i
				s.decide(e, now, i, Promote, "all guards passed")
			}
		}
	}
	if e.MaxDuration > 0 && later(s.Started, now) >= e.MaxDuration {
		s.rest(e, now, fmt.Sprintf("undecided after %v", e.MaxDuration))
	}
	if s.Winner >= 0 {
		s.rest(e, now, fmt.Sprintf("version %q was promoted", e.Challengers[s.Winner].Version))
	}
	running := false
	for _, p := range s.Pairs {
		running = running || p.Verdict == ""
	}
	if !running {
		s.Ended = now
		return
	}
	s.ramp(e, now)
}

// harmed returns the guard that has proof of harm, -1 for none.
func (s *state) harmed(e *Experiment, p *pairState, level float64) int {
	if s.Champion.Requests < e.MinSamples || p.Requests < e.MinSamples {
		return -1
	}
	limit := math.Log(float64(len(e.Guards)*len(e.Challengers)) / level)
	worst, most := -1, limit
	for j := range e.Guards {
		if harm, _ := p.Guards[j].logs(&e.Guards[j]); harm >= most {
			worst, most = j, harm
		}
	}
	return worst
}

// passed reports whether all guards have proof that there is no harm. The level
// needs no share for each guard: a harmful challenger has to get past all of them.
func (s *state) passed(e *Experiment, p *pairState) bool {
	if s.Champion.Requests < e.MinSamples || p.Requests < e.MinSamples {
		return false
	}
	limit := math.Log(float64(len(e.Challengers)) / e.Alpha)
	for j := range e.Guards {
		if _, pass := p.Guards[j].logs(&e.Guards[j]); pass < limit {
			return false
		}
	}
	return true
}

// rest keeps the champion against all challengers that are not decided on.
func (s *state) rest(e *Experiment, now time.Time, reason string) {
	for i := range s.Pairs {
		if s.Pairs[i].Verdict == "" {
			s.decide(e, now, i, Keep, reason)
		}
	}
}

// decide settles a challenger.
func (s *state) decide(e *Experiment, now time.Time, i int, v Verdict, reason string) {
	s.Pairs[i].Verdict = v
	ev := e.event(s, now, Decided)
	ev.Challenger, ev.Verdict, ev.Reason = e.Challengers[i].Version, v, reason
	ev.Evidence = s.evidence(e, i)
	s.Events = append(s.Events, ev)
}

// ramp goes to the next step when this one has seen enough.
func (s *state) ramp(e *Experiment, now time.Time) {
	step := e.Ramp[s.Step]
	if s.Step == len(e.Ramp)-1 || later(s.StepAt, now) < step.For {
		return
	}
	for i := range s.Pairs {
		if p := &s.Pairs[i]; p.Verdict == "" && p.Errors.N < step.Samples {
			return
		}
	}
	s.next(now)
	ev := e.event(s, now, Ramped)
	ev.Reason = fmt.Sprintf("step %d of %d", s.Step+1, len(e.Ramp))
	s.Events = append(s.Events, ev)
}

// evidence is what is known of a challenger now.
func (s *state) evidence(e *Experiment, i int) []Evidence {
	p := &s.Pairs[i]
	list := make([]Evidence, len(e.Guards))
	for j := range e.Guards {
		g, q := &e.Guards[j], &p.Guards[j]
		v := Evidence{
			Guard: g.Name, Metric: g.Metric, Margin: g.Margin, Superior: g.Superior,
			Champion:   side(e, j, &s.Champion, len(e.Guards)*len(e.Challengers)),
			Challenger: side(e, j, &p.armState, len(e.Guards)*len(e.Challengers)),
			HarmLimit:  math.Log(float64(len(e.Guards)*len(e.Challengers)) / e.Ramp[s.Step].Alpha),
			PassLimit:  math.Log(float64(len(e.Challengers)) / e.Alpha),
		}
		v.HarmLogE, v.PassLogE = q.logs(g)
		v.Requests = [2]int64{s.Champion.Requests, p.Requests}
		list[j] = v
	}
	return list
}

// side is the figure of one arm with its confidence sequence. All of an
// experiment's hold together at its level.
func side(e *Experiment, j int, a *armState, intervals int) Side {
	g := &e.Guards[j]
	alpha := e.Alpha / float64(2*intervals)
	switch g.Metric {
	case Errors:
		low, high := anytime.RateBounds(a.Errors, alpha)
		return Side{N: a.Errors.N, Value: a.Errors.Rate(), Low: low, High: high}
	case Latency:
		n := a.Latency.total()
		if n == 0 {
			return Side{}
		}
		low, high := anytime.RankBounds(n, g.Quantile, alpha)
		v := Side{N: n, Value: binEnd(a.Latency.rank(int64(math.Ceil(g.Quantile * float64(n))))).Seconds()}
		if low > 0 {
			// The value is somewhere in its bin.
			v.Low = binEnd(max(0, a.Latency.rank(low)-1)).Seconds()
		}
		v.High = -1
		if high <= n {
			v.High = binEnd(a.Latency.rank(high)).Seconds()
		}
		return v
	}
	m := a.Figures[j]
	low, high := anytime.MeanBounds(m, alpha)
	v := Side{N: m.N, Value: g.figure(m.Mean()), Low: g.figure(low), High: g.figure(high)}
	v.Low, v.High = min(v.Low, v.High), max(v.Low, v.High)
	return v
}

// explain says why a guard failed.
func (s *state) explain(e *Experiment, i, guard int) string {
	list := s.evidence(e, i)
	var also []string
	for j, v := range list {
		if j != guard && v.HarmLogE >= v.HarmLimit {
			also = append(also, v.Guard)
		}
	}
	text := list[guard].String()
	if len(also) > 0 {
		text += "; also " + strings.Join(also, ", ")
	}
	return text
}
