package rollout

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/serve"
)

// Options tune a Rollout. Nil means the defaults.
type Options struct {
	// Store keeps the state: share one among the replicas of a service, and
	// among its restarts. Default a Mem of its own.
	Store Store
	// Interval is the time between two merges: how soon a bad version is
	// noticed. Default 500 ms.
	Interval time.Duration
	// Outage is how long the Store may be out of reach before this replica
	// sends all traffic to the champion, because nobody watches the
	// challengers. Default 30 s.
	Outage time.Duration
	// OnEvent is told of each event, in every replica, in order; from the
	// goroutine of Run. Events from before this replica began are left out.
	OnEvent func(Event)
	// Record makes a decision last: it moves the alias of a registry, or notes
	// the refusal there, see the package's example. One replica is chosen to
	// call it, once for each Decided event; again after an error or when the
	// replica died in it, so that it should bear repetition. Default nil.
	Record func(ctx context.Context, e Event) error
	// Labels is how many requests are remembered for Rollout.Label. Default
	// 65,536.
	Labels int
	// Logger is told of events and of what goes wrong. Default none.
	Logger *slog.Logger
}

// Rollout runs one Experiment on one server. Make it with New, then Run it.
//
// It is a serve.Router and a serve.Observer, which Run ties to the server. All
// methods may be called from many goroutines.
type Rollout struct {
	exp     Experiment
	opts    Options
	me      string // This replica.
	split   Splitter
	arms    []arm // The champion first.
	routes  atomic.Pointer[routes]
	tallies *tallies
	labels  *labels
	shadow  *mirror

	// Of the goroutine of Run.
	mine   []delta   // Counted, and not in the store yet.
	told   int       // Events that were told; -1 before the first state.
	inTime time.Time // The last time that the store answered.

	mu   sync.Mutex
	last *state // As of the last merge; never changed.
}

// arm is a version with what its requests are called.
type arm struct {
	version, variant string
	from, end        int // The buckets that are the arm's at most.
}

// routes is where the traffic goes now. It never changes.
type routes struct {
	// all is the arm of all requests, after a promotion; -1.
	all int
	// ends are the ends of the arms' buckets on this step, 0 for none.
	ends []int
	off  bool // Every request gets the default version.
	step int  // Of the ramp.
}

// New checks an experiment and returns its Rollout. The error is an ErrInvalid
// that says all that is wrong.
func New(e Experiment, opts *Options) (*Rollout, error) {
	e = e.withDefaults()
	if err := e.check(); err != nil {
		return nil, err
	}
	r := &Rollout{exp: e, split: NewSplitter(e.Salt), told: -1, me: rand.Text()}
	if opts != nil {
		r.opts = *opts
	}
	o := &r.opts
	if o.Store == nil {
		o.Store = new(Mem)
	}
	o.Interval = cmp.Or(o.Interval, 500*time.Millisecond)
	o.Outage = cmp.Or(o.Outage, 30*time.Second)
	o.Labels = cmp.Or(o.Labels, 1<<16)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Interval < 0 || o.Outage < 0 || o.Labels < 0 {
		return nil, fmt.Errorf("rollout: experiment %q: Interval %v, Outage %v and Labels %d are to be above 0: %w", e.Name, o.Interval, o.Outage, o.Labels, ErrInvalid)
	}
	r.arms = append(r.arms, arm{version: e.Champion, variant: e.Name + "/" + e.Champion})
	from := 0
	for _, c := range e.Challengers {
		end := min(Buckets, from+int(math.Round(c.Share*Buckets)))
		r.arms = append(r.arms, arm{version: c.Version, variant: e.Name + "/" + c.Version, from: from, end: end})
		from = end
	}
	r.tallies = newTallies(len(r.arms), e.Guards)
	for _, g := range e.Guards {
		if g.Metric == Label {
			r.labels = newLabels(o.Labels)
		}
	}
	if e.Shadow != nil {
		r.shadow = newMirror(&r.exp)
	}
	r.routes.Store(&routes{all: -1, off: true})
	return r, nil
}

// Route implements serve.Router.
func (r *Rollout) Route(_ context.Context, c *serve.Call) string {
	if c.Model != r.exp.Model {
		return ""
	}
	now := r.routes.Load()
	i := now.all
	if i < 0 {
		if now.off {
			return ""
		}
		key := r.exp.Key(c)
		if key == "" {
			return ""
		}
		i = r.arm(now, r.split.Bucket(key))
	}
	a := &r.arms[i]
	c.Variant = a.variant
	return a.version
}

// arm returns whose a bucket is.
func (r *Rollout) arm(now *routes, bucket int) int {
	for i := 1; i < len(now.ends); i++ {
		if bucket >= r.arms[i].from && bucket < now.ends[i] {
			return i
		}
	}
	return 0
}

// Version returns the version that a key gets now, "" for the server's default.
func (r *Rollout) Version(key string) string {
	now := r.routes.Load()
	switch {
	case now.all >= 0:
		return r.arms[now.all].version
	case now.off || key == "":
		return ""
	}
	return r.arms[r.arm(now, r.split.Bucket(key))].version
}

// Observe implements serve.Observer.
func (r *Rollout) Observe(x *serve.Exchange) {
	if x.Variant == "" || x.Model != r.exp.Model {
		return
	}
	for i := range r.arms {
		// Without a version the request was turned away before it got to one.
		if a := &r.arms[i]; a.variant != x.Variant || a.version != x.Version {
			continue
		}
		r.tallies.observe(i, x)
		if r.labels != nil && x.Err == nil {
			r.labels.remember(x.RequestID, i, r.routes.Load().step)
		}
		if r.shadow != nil && i == 0 && x.Err == nil {
			r.shadow.offer(x)
		}
		return
	}
}

// Label tells a figure of a request that was answered before, by its id: for
// the Label guard of the name. It reports whether the request is remembered by
// this replica and had no label of that guard yet; LabelVersion is for where
// labels come to other replicas, or after a restart.
//
// A label of a request from before the present step of the ramp counts for
// nothing and is false, too: under other shares the versions have answered at
// other times, and what has changed since would look like a difference of the
// versions. So the last step should last longer than labels take to come.
func (r *Rollout) Label(guard, requestID string, value float64) bool {
	i := r.labelGuard(guard)
	if i < 0 {
		return false
	}
	arm, ok := r.labels.claim(requestID, i, r.routes.Load().step)
	if ok {
		r.tallies.label(arm, i, value)
	}
	return ok
}

// LabelVersion is Label for callers who know, from an inference log, which
// version answered a request of this experiment, and when. It reports whether
// there is such a guard and such a version, and the request is of the present step
// of the ramp.
func (r *Rollout) LabelVersion(guard, version string, answered time.Time, value float64) bool {
	i := r.labelGuard(guard)
	if s := r.snapshot(); s == nil || answered.Before(s.StepAt) {
		return false
	}
	for j := range r.arms {
		if i >= 0 && r.arms[j].version == version {
			r.tallies.label(j, i, value)
			return true
		}
	}
	return false
}

func (r *Rollout) labelGuard(name string) int {
	for i, g := range r.exp.Guards {
		if g.Metric == Label && g.Name == name {
			return i
		}
	}
	return -1
}

// Run ties the experiment to the server and runs it: it routes, counts, merges
// with the other replicas and decides. The versions should be deployed; a
// request for one that is not gets the default version and is not counted.
//
// It returns nil when the experiment is over and its decisions are recorded: a
// version that was promoted is then the server's default. It returns ctx.Err()
// when ctx ends first; the experiment goes on where a Run with the same Store
// takes it up. Errors: ErrNotFound when the model is not deployed, ErrConflict
// when the Store has another experiment of the name, ErrInvalid for a damaged
// state. A Store that is out of reach is waited for.
func (r *Rollout) Run(ctx context.Context, server Host) error {
	if err := server.SetRouter(r.exp.Model, r); err != nil {
		return fmt.Errorf("rollout: run %q: %w", r.exp.Name, err)
	}
	detach := server.Attach(r)
	defer func() {
		detach()
		r.routes.Store(&routes{all: -1, off: true})
		// A model that was undeployed meanwhile has no router to take away.
		_ = server.SetRouter(r.exp.Model, nil)
	}()
	var workers sync.WaitGroup
	defer workers.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if r.shadow != nil {
		r.shadow.start(ctx, &workers, server)
	}
	r.inTime = time.Now()
	tick := time.NewTicker(r.opts.Interval)
	defer tick.Stop()
	for {
		over, err := r.merge(ctx, server)
		if over || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return r.leave(ctx, server)
		}
	}
}

// leave brings what was counted into the store before Run ends.
func (r *Rollout) leave(ctx context.Context, server Host) error {
	const most = 5 * time.Second
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
	defer cancel()
	if over, err := r.merge(last, server); over || err != nil {
		return err
	}
	return ctx.Err()
}

// merge takes one turn with the store, and reports whether all is over. Errors
// that may pass are logged.
func (r *Rollout) merge(ctx context.Context, server Host) (over bool, err error) {
	s, err := r.exchange(ctx)
	switch {
	case err == nil:
	case errors.Is(err, ErrConflict), errors.Is(err, ErrInvalid):
		return false, err
	default:
		if ctx.Err() == nil {
			r.opts.Logger.Warn("rollout: the store is out of reach", "experiment", r.exp.Name, "error", err)
		}
		if time.Since(r.inTime) >= r.opts.Outage {
			r.routes.Store(&routes{all: -1, off: true})
		}
		return false, nil
	}
	r.inTime = time.Now()
	r.adopt(s)
	if s.Ended.IsZero() {
		return false, r.record(ctx, s)
	}
	if s.Winner >= 0 {
		version := r.exp.Challengers[s.Winner].Version
		if err := server.SetDefault(r.exp.Model, version); err != nil {
			r.opts.Logger.Error("rollout: a version was promoted and is not here", "experiment", r.exp.Name, "version", version, "error", err)
			return false, r.record(ctx, s)
		}
	}
	if err := r.record(ctx, s); err != nil {
		return false, err
	}
	return r.opts.Record == nil || r.snapshot().Recorded == len(s.Events), nil
}

// adopt makes a state that the store has this replica's.
func (r *Rollout) adopt(s *state) {
	now := &routes{all: -1, step: s.Step}
	switch {
	case s.Winner >= 0:
		now.all = s.Winner + 1
	case !s.Ended.IsZero():
		now.off = true
	default:
		share := r.exp.Ramp[s.Step].Share
		now.ends = make([]int, len(r.arms))
		for i := range s.Pairs {
			a := r.arms[i+1]
			if s.Pairs[i].Verdict == "" {
				now.ends[i+1] = a.from + max(1, int(math.Round(share*float64(a.end-a.from))))
			}
		}
	}
	r.routes.Store(now)
	if r.shadow != nil {
		r.shadow.adopt(s)
	}
	r.mu.Lock()
	r.last = s
	r.mu.Unlock()
	for ; r.told < len(s.Events); r.told++ {
		e := s.Events[r.told]
		r.opts.Logger.Info("rollout: "+string(e.Kind), "experiment", e.Experiment, "share", e.Share, "challenger", e.Challenger, "verdict", e.Verdict, "reason", e.Reason)
		if r.opts.OnEvent != nil {
			r.opts.OnEvent(e)
		}
	}
}

func (r *Rollout) snapshot() *state {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
