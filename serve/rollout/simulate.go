package rollout

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/rollout/anytime"
)

// Request is a simulated request.
type Request struct {
	// Failed counts for Errors; one that failed has nothing else.
	Failed bool
	// Duration is for Latency, Figure for Score and Label.
	Duration time.Duration
	Figure   float64
}

// Scenario is traffic as it might be, to try an experiment on before it is run:
// how often would it be wrong, how long would it take?
type Scenario struct {
	// Champion draws a request that the champion answers, Challengers the same
	// for each challenger, in the order of the experiment. step counts the
	// merges from 0, for traffic that changes.
	Champion    func(r *rand.Rand, step int) Request
	Challengers []func(r *rand.Rand, step int) Request
	// LabelDelay is how many merges after its request a label comes, for
	// guards on Label. Default 0: at once.
	LabelDelay int
	// Labelled is the part of the requests that get a label at all, above 0
	// and at most 1. Default 1.
	Labelled float64
	// Requests is how many there are from one merge to the next, of all
	// versions. Default 100.
	Requests int
	// Interval is the time between two merges. Default 1 s.
	Interval time.Duration
	// Merges is when a run ends. Default 1,000.
	Merges int
	// Runs is how many are simulated. Default 200.
	Runs int
	// Seed makes the runs the same each time.
	Seed uint64
}

// Outcome is what became of the challengers, in their order.
type Outcome struct {
	Challengers []ChallengerOutcome
}

// ChallengerOutcome has the shares of the runs by verdict; what is left was not
// decided.
type ChallengerOutcome struct {
	Promoted, RolledBack, Kept float64
	// Requests is the median of the challenger's requests until its verdict, 0
	// without one.
	Requests int64
}

// Simulate runs an experiment on a scenario: the tests and decisions are those of
// a Rollout. Key, Shadow and Guard.Value are not used.
func Simulate(e Experiment, s Scenario) (Outcome, error) {
	if e.Key == nil {
		e.Key = RequestID()
	}
	e = e.withDefaults()
	for i := range e.Guards {
		if g := &e.Guards[i]; g.Value == nil {
			g.Value = func(*serve.Exchange) (float64, bool) { return 0, false }
		}
	}
	if err := e.check(); err != nil {
		return Outcome{}, err
	}
	orDefault(&s.Requests, 100)
	orDefault(&s.Merges, 1000)
	orDefault(&s.Runs, 200)
	orDefault(&s.Interval, time.Second)
	orDefault(&s.Labelled, 1)
	var f errs.Faults
	f.Check(s.Champion != nil && !slices.ContainsFunc(s.Challengers, func(d func(*rand.Rand, int) Request) bool { return d == nil }), "a draw is nil")
	f.Check(len(s.Challengers) == len(e.Challengers), "the scenario has %d challengers, the experiment %d", len(s.Challengers), len(e.Challengers))
	f.Check(s.Requests > 0 && s.Merges > 0 && s.Runs > 0 && s.Interval > 0, "Requests, Merges, Runs and Interval are to be above 0")
	f.Check(s.LabelDelay >= 0, "LabelDelay is %d, want 0 or more", s.LabelDelay)
	f.Check(s.Labelled > 0 && s.Labelled <= 1, "Labelled is %v, want above 0 and at most 1", s.Labelled)
	if err := f.Err(fmt.Sprintf("rollout: simulate %.100q", e.Name)); err != nil {
		return Outcome{}, err
	}
	counts := make([]map[Verdict]int, len(e.Challengers))
	requests := make([][]int64, len(e.Challengers))
	for run := range s.Runs {
		end := s.run(&e, rand.New(rand.NewPCG(s.Seed, uint64(run))))
		for i := range end.Pairs {
			if counts[i] == nil {
				counts[i] = make(map[Verdict]int)
			}
			if v := end.Pairs[i].Verdict; v != "" {
				counts[i][v]++
				requests[i] = append(requests[i], end.Pairs[i].Requests)
			}
		}
	}
	var out Outcome
	share := func(n int) float64 { return float64(n) / float64(s.Runs) }
	for i, c := range counts {
		q := ChallengerOutcome{Promoted: share(c[Promote]), RolledBack: share(c[Rollback]), Kept: share(c[Keep])}
		if n := len(requests[i]); n > 0 {
			slices.Sort(requests[i])
			q.Requests = requests[i][n/2]
		}
		out.Challengers = append(out.Challengers, q)
	}
	return out, nil
}

func orDefault[T int | float64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// run is one run until it is over.
func (s *Scenario) run(e *Experiment, r *rand.Rand) *state {
	now := time.Unix(0, 0).UTC()
	end := newState(e, now)
	arms := make([]delta, 1+len(e.Challengers))
	seen := make([]anytime.Moments, len(arms)*len(e.Guards))
	// The labels that come at each merge.
	type label struct {
		arm, step int
		figure    float64
	}
	due := make([][]label, s.LabelDelay+1)
	for step := 0; step < s.Merges && end.Ended.IsZero(); step++ {
		for i := range arms {
			arms[i] = delta{Figures: make([]anytime.Moments, len(e.Guards))}
		}
		for range s.Requests {
			i := s.pick(e, end, r.Float64())
			draw := s.Champion
			if i > 0 {
				draw = s.Challengers[i-1]
			}
			q := draw(r, step)
			arms[i].count(e.Guards, q, seen[i*len(e.Guards):])
			if !q.Failed && (s.Labelled == 1 || r.Float64() < s.Labelled) {
				at := (step + s.LabelDelay) % len(due)
				due[at] = append(due[at], label{i, end.Step, q.Figure})
			}
		}
		at := step % len(due)
		for _, l := range due[at] {
			if l.step == end.Step {
				arms[l.arm].figures(e.Guards, Label, l.figure, seen[l.arm*len(e.Guards):])
			}
		}
		due[at] = due[at][:0]
		for i := range arms {
			arms[i].Latency = arms[i].Latency.plus(nil)
		}
		end.merge(e, arms)
		now = now.Add(s.Interval)
		end.judge(e, now)
	}
	return end
}

// pick returns the arm at a place of the split.
func (s *Scenario) pick(e *Experiment, end *state, at float64) int {
	share := e.Ramp[end.Step].Share
	from := 0.0
	for i, c := range e.Challengers {
		if at >= from && at < from+share*c.Share && end.Pairs[i].Verdict == "" {
			return i + 1
		}
		from += c.Share
	}
	return 0
}

// count counts a simulated request.
func (d *delta) count(guards []Guard, q Request, seen []anytime.Moments) {
	d.Errors.N++
	if q.Failed {
		d.Errors.K++
		return
	}
	timed := false
	for i := range guards {
		if guards[i].Metric == Latency && !timed {
			timed = true
			d.Latency = append(d.Latency, bin{binOf(q.Duration), 1})
		}
	}
	d.figures(guards, Score, q.Figure, seen)
}

// figures counts a figure for the guards of a metric.
func (d *delta) figures(guards []Guard, m Metric, figure float64, seen []anytime.Moments) {
	for i := range guards {
		if g := &guards[i]; g.Metric == m {
			loss := g.loss(figure)
			expected := (seen[i].Sum + 0.5) / float64(seen[i].N+1)
			seen[i].Add(loss)
			d.Figures[i].AddExpected(loss, expected)
		}
	}
}
