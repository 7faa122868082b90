package rollout

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/rollout/anytime"
)

// shards keep the goroutines of requests out of each other's way.
const shards = 8

// tally is what is counted of the requests of one arm.
type tally struct {
	errors  anytime.Counts
	bins    []uint32          // By bin; nil where no guard looks at latency.
	figures []anytime.Moments // By guard; those of Score and Label are used.
	// seen are the figures of all time, from which the next one is expected.
	seen []anytime.Moments
}

// tallies are the counts of this process that are not merged yet.
type tallies struct {
	guards  []Guard
	latency bool
	shards  [shards]struct {
		mu   sync.Mutex
		arms []tally
		_    [64]byte // Shards lie on lines of their own.
	}
}

func newTallies(arms int, guards []Guard) *tallies {
	t := &tallies{guards: guards}
	for _, g := range guards {
		t.latency = t.latency || g.Metric == Latency
	}
	for i := range t.shards {
		s := &t.shards[i]
		s.arms = make([]tally, arms)
		for j := range s.arms {
			a := &s.arms[j]
			if t.latency {
				a.bins = make([]uint32, binCount)
			}
			a.figures = make([]anytime.Moments, len(guards))
			a.seen = make([]anytime.Moments, len(guards))
		}
	}
	return t
}

// observe counts one exchange.
func (t *tallies) observe(arm int, x *serve.Exchange) {
	failed, counts := outcome(x.Err)
	if !counts {
		return
	}
	s := &t.shards[rand.Uint32N(shards)]
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &s.arms[arm]
	a.errors.N++
	if failed {
		a.errors.K++
		return
	}
	if t.latency {
		a.bins[binOf(x.Duration)]++
	}
	for i := range t.guards {
		if g := &t.guards[i]; g.Metric == Score {
			if v, ok := g.Value(x); ok {
				a.add(i, g.loss(v))
			}
		}
	}
}

// outcome says whether an exchange failed, and whether it counts at all.
func outcome(err error) (failed, counts bool) {
	switch {
	case err == nil:
		return false, true
	case errors.Is(err, serve.ErrInvalid), errors.Is(err, serve.ErrNotFound), errors.Is(err, context.Canceled):
		return false, false
	}
	return true, true
}

// label counts one figure that came later.
func (t *tallies) label(arm, guard int, value float64) {
	s := &t.shards[rand.Uint32N(shards)]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arms[arm].add(guard, t.guards[guard].loss(value))
}

func (a *tally) add(i int, loss float64) {
	seen := &a.seen[i]
	expected := (seen.Sum + 0.5) / float64(seen.N+1)
	seen.Add(loss)
	a.figures[i].AddExpected(loss, expected)
}

// loss brings a figure between 0, the best, and 1, the worst.
func (g *Guard) loss(v float64) float64 {
	v = (v - g.Min) / (g.Max - g.Min)
	if !g.LowerIsBetter {
		v = 1 - v
	}
	if !(v >= 0) { // NaN counts as the worst.
		if v < 0 {
			return 0
		}
		return 1
	}
	return min(v, 1)
}

// figure is the inverse of loss.
func (g *Guard) figure(loss float64) float64 {
	if !g.LowerIsBetter {
		loss = 1 - loss
	}
	return g.Min + loss*(g.Max-g.Min)
}

// delta is what one merge adds, arm by arm. Deltas add up.
type delta struct {
	Errors  anytime.Counts
	Latency histogram
	Figures []anytime.Moments
}

func (d *delta) add(o delta) {
	d.Errors = d.Errors.Plus(o.Errors)
	d.Latency = d.Latency.plus(o.Latency)
	if d.Figures == nil {
		d.Figures = make([]anytime.Moments, len(o.Figures))
	}
	for i, m := range o.Figures {
		d.Figures[i] = d.Figures[i].Plus(m)
	}
}

// take returns what was counted since the last call, by arm.
func (t *tallies) take() []delta {
	arms := make([]delta, len(t.shards[0].arms))
	for i := range t.shards {
		t.takeShard(i, arms)
	}
	return arms
}

func (t *tallies) takeShard(i int, arms []delta) {
	s := &t.shards[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	for j := range s.arms {
		a := &s.arms[j]
		d := delta{Errors: a.errors, Figures: a.figures}
		if a.errors.N > 0 {
			for k, n := range a.bins {
				if n > 0 {
					d.Latency = append(d.Latency, bin{k, int64(n)})
					a.bins[k] = 0
				}
			}
		}
		arms[j].add(d)
		a.errors = anytime.Counts{}
		clear(a.figures)
	}
}

// empty reports whether there is nothing in the deltas.
func empty(arms []delta) bool {
	for _, d := range arms {
		if d.Errors.N > 0 {
			return false
		}
		for _, m := range d.Figures {
			if m.N > 0 {
				return false
			}
		}
	}
	return true
}

// later is the time from a to b, 0 when clocks disagree.
func later(a, b time.Time) time.Duration { return max(0, b.Sub(a)) }
