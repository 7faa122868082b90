package rollout

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// Shadow sends requests that the champion has answered to the challengers as
// well, after the answer, and compares the outputs. Nobody waits for it: it has
// its own queue, workers and deadline, and what does not fit into the queue is
// counted and left out. Shadow requests are not counted by the guards.
type Shadow struct {
	// Fraction of the champion's requests, above 0 and at most 1. Default 1.
	Fraction float64
	// Queue is how many requests may wait. Default 256.
	Queue int
	// Workers is how many run at once. Default 2.
	Workers int
	// Timeout is the longest time for one request. Default 5 s.
	Timeout time.Duration
	// Tolerance is how far two floats may be apart to agree, the champion's
	// being the wanted one. Default Rel 1e-6.
	Tolerance serve.Tolerance
	// OnResult is told of each comparison, from the workers, several at once.
	// The tensors in it are its to keep: for a drift test of the outputs, or a
	// log of those that differ. Default nil.
	OnResult func(ShadowResult)
}

// ShadowResult is one request that the champion and a challenger answered.
type ShadowResult struct {
	// Version is the challenger's, RequestID the request's.
	Version, RequestID string
	Request            *oip.InferRequest
	// Champion and Challenger are the answers; Challenger is nil when Err is
	// not.
	Champion, Challenger *oip.InferResponse
	Err                  error
	// Diff is how they compare (serve.Compare), when Err is nil.
	Diff serve.Difference
	// Duration is the challenger's.
	Duration time.Duration
}

// ShadowStatus counts shadow requests.
type ShadowStatus struct {
	// Mirrored were taken into the queue, Dropped found it full.
	Mirrored, Dropped int64
	// Compared were answered: Agreed of them within the tolerances. Failed were
	// not answered, TimedOut of them in time.
	Compared, Agreed, Failed, TimedOut int64
	// TopOne of TopOneRows rows of scores have their greatest in the same place.
	TopOne, TopOneRows int64
	// Largest is the largest difference of two numbers.
	Largest float64
}

func (s Shadow) withDefaults() Shadow {
	s.Fraction = cmp.Or(s.Fraction, 1)
	s.Queue = cmp.Or(s.Queue, 256)
	s.Workers = cmp.Or(s.Workers, 2)
	s.Timeout = cmp.Or(s.Timeout, 5*time.Second)
	if s.Tolerance == (serve.Tolerance{}) {
		s.Tolerance.Rel = 1e-6
	}
	return s
}

func (s *Shadow) check(f *errs.Faults) {
	f.Check(s.Fraction > 0 && s.Fraction <= 1, "Shadow.Fraction is %v, want above 0 and at most 1", s.Fraction)
	f.Check(s.Queue > 0 && s.Workers > 0 && s.Timeout > 0, "Shadow has Queue %d, Workers %d, Timeout %v, want all above 0", s.Queue, s.Workers, s.Timeout)
	f.Check(s.Tolerance.Abs >= 0 && s.Tolerance.Rel >= 0, "Shadow.Tolerance has Abs %v and Rel %v, want 0 or more", s.Tolerance.Abs, s.Tolerance.Rel)
}

// mirror runs a Shadow.
type mirror struct {
	exp      *Experiment
	opts     *Shadow
	queue    chan mirrored
	versions atomic.Pointer[[]string] // The challengers that are not decided on.

	mirrored, dropped atomic.Int64

	mu     sync.Mutex
	counts ShadowStatus
}

// mirrored is a copy of an exchange.
type mirrored struct {
	id   string
	req  *oip.InferRequest
	resp *oip.InferResponse
}

func newMirror(e *Experiment) *mirror {
	m := &mirror{exp: e, opts: e.Shadow, queue: make(chan mirrored, e.Shadow.Queue)}
	m.versions.Store(new([]string))
	return m
}

// adopt takes the challengers from a state.
func (m *mirror) adopt(s *state) {
	var list []string
	for i, p := range s.Pairs {
		if p.Verdict == "" {
			list = append(list, m.exp.Challengers[i].Version)
		}
	}
	m.versions.Store(&list)
}

// offer copies an exchange into the queue, if there is room.
func (m *mirror) offer(x *serve.Exchange) {
	if len(*m.versions.Load()) == 0 || m.opts.Fraction < 1 && rand.Float64() >= m.opts.Fraction {
		return
	}
	// Before the copy, which costs more than the rest.
	if len(m.queue) == cap(m.queue) {
		m.dropped.Add(1)
		return
	}
	q := mirrored{id: x.RequestID, req: copyRequest(x.Request), resp: &oip.InferResponse{
		ModelName: x.Response.ModelName, ModelVersion: x.Response.ModelVersion, ID: x.Response.ID, Outputs: copyTensors(x.Response.Outputs),
	}}
	select {
	case m.queue <- q:
		m.mirrored.Add(1)
	default:
		m.dropped.Add(1)
	}
}

func copyRequest(r *oip.InferRequest) *oip.InferRequest {
	return &oip.InferRequest{ID: r.ID, Parameters: maps.Clone(r.Parameters), Inputs: copyTensors(r.Inputs)}
}

func copyTensors(list []oip.Tensor) []oip.Tensor {
	out := slices.Clone(list)
	for i := range out {
		out[i] = out[i].Clone()
		out[i].Parameters = maps.Clone(out[i].Parameters)
	}
	return out
}

// start starts the workers, which end with ctx.
func (m *mirror) start(ctx context.Context, workers *sync.WaitGroup, server Host) {
	for range m.opts.Workers {
		workers.Go(func() {
			for {
				select {
				case q := <-m.queue:
					for _, version := range *m.versions.Load() {
						m.run(ctx, server, version, q)
					}
				case <-ctx.Done():
					return
				}
			}
		})
	}
}

// run answers one copy by one challenger.
func (m *mirror) run(ctx context.Context, server Host, version string, q mirrored) {
	limited, cancel := context.WithTimeout(ctx, m.opts.Timeout)
	defer cancel()
	start := time.Now()
	resp, err := server.Do(limited, &serve.Call{Model: m.exp.Model, Version: version, Request: q.req, RequestID: q.id, Shadow: true})
	res := ShadowResult{
		Version: version, RequestID: q.id, Request: q.req, Champion: q.resp, Challenger: resp, Err: err, Duration: time.Since(start),
	}
	if err == nil {
		res.Diff = serve.Compare(q.resp, resp, &m.opts.Tolerance)
	} else if ctx.Err() != nil {
		return // The end of Run, not of the challenger.
	}
	m.count(&res, errors.Is(err, context.DeadlineExceeded))
	if m.opts.OnResult != nil {
		m.opts.OnResult(res)
	}
}

func (m *mirror) count(res *ShadowResult, late bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &m.counts
	if res.Err != nil {
		c.Failed++
		if late {
			c.TimedOut++
		}
		return
	}
	c.Compared++
	if res.Diff.Equal() {
		c.Agreed++
	}
	c.TopOne += res.Diff.TopOne
	c.TopOneRows += res.Diff.TopOneRows
	c.Largest = max(c.Largest, res.Diff.Largest)
}

func (m *mirror) status() ShadowStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.counts
	s.Mirrored, s.Dropped = m.mirrored.Load(), m.dropped.Load()
	return s
}
