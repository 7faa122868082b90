package leader

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/k8s/internal/kube"
)

var (
	// ErrInvalid: options or names that cannot be.
	ErrInvalid = errs.ErrInvalid
	// ErrConflict: Run was called while it runs.
	ErrConflict = errs.ErrConflict
	// ErrLost is the cause of the end of lead's context when the Lease could not
	// be renewed in time.
	ErrLost = errors.New("leadership was lost")
)

// Options changes an Elector. nil is the zero value.
type Options struct {
	// Identity names this process in the Lease; no two may have the same.
	// Default: the host's name with a random end.
	Identity string
	// Duration is how long the others wait for a leader that is silent, in whole
	// seconds, rounded up. Default 15 s, at least 1 s.
	Duration time.Duration
	// Renew is how long a leader tries to renew before it stops. It has to be
	// less than Duration: the difference is what lead has to stop. Default: two
	// thirds of Duration.
	Renew time.Duration
	// Retry is the time between two looks, with some jitter. Default: a
	// fifth of Renew.
	Retry time.Duration
	// OnChange is called, from one goroutine, when another process is seen to
	// lead. Default: nobody is told.
	OnChange func(identity string)
	// OnError is called, from one goroutine, with errors after which the election
	// goes on. Default: nobody is told.
	OnError func(err error)
}

// Elector is one candidate. Make one for each Lease and process.
type Elector struct {
	lock    lock
	subject string
	opts    Options
	running atomic.Bool
	leading atomic.Bool
	holder  atomic.Pointer[string]

	// Of the goroutine of Run.
	seen    record    // as last read
	changed time.Time // when seen changed last, by our own clock
	reached bool      // the cluster answered once
}

// New returns a candidate for the Lease with that namespace and name in the
// cluster of cfg. The cluster is not asked.
func New(cfg *rest.Config, namespace, name string, opts *Options) (*Elector, error) {
	client, err := kube.New(cfg, &kube.Options{FieldManager: "millwright-leader"})
	if err != nil {
		return nil, err
	}
	return newElector(&leaseLock{client: client, namespace: namespace, name: name}, namespace, name, opts)
}

func newElector(l lock, namespace, name string, opts *Options) (*Elector, error) {
	e := &Elector{lock: l, subject: namespace + "/" + name}
	if opts != nil {
		e.opts = *opts
	}
	o := &e.opts
	if o.Identity == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "host"
		}
		o.Identity = host + "-" + strings.ToLower(rand.Text()[:10])
	}
	var f errs.Faults
	for what, value := range map[string]string{"namespace": namespace, "name": name} {
		if problems := validation.IsDNS1123Subdomain(value); len(problems) > 0 {
			f.Addf("%s %q: %s", what, value, strings.Join(problems, ", "))
		}
	}
	if o.Duration == 0 {
		o.Duration = 15 * time.Second
	}
	o.Duration = time.Duration(math.Ceil(o.Duration.Seconds())) * time.Second
	if o.Renew == 0 {
		o.Renew = o.Duration * 2 / 3
	}
	if o.Retry == 0 {
		o.Retry = o.Renew / 5
	}
	f.Check(o.Duration >= time.Second && o.Duration <= 24*time.Hour, "duration is %v, want 1s to 24h", o.Duration)
	f.Check(o.Renew > 0 && o.Renew < o.Duration, "renew is %v, want less than the duration of %v", o.Renew, o.Duration)
	f.Check(o.Retry > 0 && o.Retry < o.Renew, "retry is %v, want less than the renew time of %v", o.Retry, o.Renew)
	if err := f.Err(fmt.Sprintf("leader: new %q", e.subject)); err != nil {
		return nil, err
	}
	return e, nil
}

// Identity is how this process is named in the Lease.
func (e *Elector) Identity() string { return e.opts.Identity }

// Leader is who was seen to lead last; empty when nobody was.
func (e *Elector) Leader() string {
	if p := e.holder.Load(); p != nil {
		return *p
	}
	return ""
}

// Leading reports whether this process leads.
func (e *Elector) Leading() bool { return e.leading.Load() }

type termKey struct{}

// Term is the number of the leadership of which lead got ctx: each new leader has
// a greater one. It is 0 for another context.
func Term(ctx context.Context) int64 {
	term, _ := ctx.Value(termKey{}).(int64)
	return term
}

// Run stands for election until ctx ends, and calls lead whenever this process
// leads. The context of lead ends when the Lease is lost, with ErrLost as its
// cause, or when ctx ends; lead then has the difference between Duration and
// Renew to return. After a loss Run stands again. When lead returns by itself,
// Run gives the Lease back and returns what lead returned. When ctx ends Run
// gives the Lease back and returns nil.
//
// A cluster that refuses the very first question, as for a right that is missing,
// ends Run with the error. Later errors are told to OnError and tried again.
func (e *Elector) Run(ctx context.Context, lead func(ctx context.Context) error) error {
	if !e.running.CompareAndSwap(false, true) {
		return fmt.Errorf("leader: run %q: it runs already: %w", e.subject, ErrConflict)
	}
	defer e.running.Store(false)
	for {
		started, err := e.acquire(ctx)
		if err != nil {
			return err
		}
		if started.IsZero() {
			return nil // ctx ended
		}
		done, err := e.serve(ctx, started, lead)
		if done {
			return err
		}
	}
}

// acquire waits until this process holds the Lease and returns when it asked for
// it, or the zero time when ctx ended.
func (e *Elector) acquire(ctx context.Context) (time.Time, error) {
	for ctx.Err() == nil {
		started := time.Now()
		held, err := e.try(ctx)
		switch {
		case held:
			return started, nil
		case err != nil && ctx.Err() == nil:
			if !e.reached && refused(err) {
				return time.Time{}, fmt.Errorf("leader: run %q: %w", e.subject, err)
			}
			e.report(err)
		}
		sleep(ctx, e.jittered())
	}
	return time.Time{}, nil
}

// refused reports whether asking again will not help.
func refused(err error) bool {
	return errors.Is(err, kube.ErrForbidden) || errors.Is(err, kube.ErrUnauthorized) ||
		errors.Is(err, kube.ErrInvalid) || errors.Is(err, kube.ErrNotFound) || errors.Is(err, kube.ErrUnsupported)
}

// serve runs lead and keeps the Lease meanwhile. It reports whether Run is done.
func (e *Elector) serve(ctx context.Context, renewed time.Time, lead func(context.Context) error) (bool, error) {
	leadCtx, cancel := context.WithCancelCause(context.WithValue(ctx, termKey{}, e.seen.term))
	defer cancel(nil)
	e.leading.Store(true)
	defer e.leading.Store(false)
	ended := make(chan error, 1)
	go func() {
		// A lead that ends its goroutine, as t.FailNow does, has ended too.
		err := fmt.Errorf("leader: run %q: lead ended its goroutine: %w", e.subject, ErrInvalid)
		defer func() { ended <- err }()
		err = lead(leadCtx)
	}()
	timer := time.NewTimer(e.jittered())
	defer timer.Stop()
	asking := context.WithoutCancel(ctx) // a lead that winds up after ctx still leads
	for {
		select {
		case err := <-ended:
			e.release(asking)
			if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				err = nil
			}
			return true, err
		case <-timer.C:
		}
		if started := time.Now(); e.renew(asking, renewed) {
			renewed = started
			timer.Reset(e.jittered())
			continue
		}
		if left := e.opts.Renew - time.Since(renewed); left > 0 && e.seen.holder == e.opts.Identity {
			timer.Reset(min(e.jittered(), left))
			continue
		}
		e.leading.Store(false)
		cancel(ErrLost)
		<-ended // what it says is of a leadership that is over
		return ctx.Err() != nil, nil
	}
}

// renew asks once, and gives up when the leadership would be over.
func (e *Elector) renew(ctx context.Context, renewed time.Time) bool {
	ctx, cancel := context.WithDeadline(ctx, renewed.Add(e.opts.Renew))
	defer cancel()
	held, err := e.try(ctx)
	if err != nil {
		e.report(err)
	}
	return held
}

// try looks at the Lease and takes or renews it if that is due.
func (e *Elector) try(ctx context.Context) (bool, error) {
	now, err := e.lock.get(ctx)
	absent := errors.Is(err, kube.ErrNotFound)
	if err != nil && !absent {
		return false, err
	}
	e.reached = e.reached || err == nil
	if e.leading.Load() && (absent || now.holder != e.opts.Identity || now.term != e.seen.term) {
		e.observe(record{holder: now.holder, term: max(now.term, e.seen.term), version: now.version})
		e.seen.holder = "" // not ours, whoever it says: another process may have our name
		return false, nil
	}
	if !absent && (now.version != e.seen.version || e.changed.IsZero()) {
		e.observe(now)
	}
	free := absent || now.holder == "" || now.holder == e.opts.Identity || time.Since(e.changed) >= now.duration
	if !free {
		return false, nil
	}
	want := record{holder: e.opts.Identity, duration: e.opts.Duration, term: now.term, acquired: now.acquired}
	if absent || now.holder != e.opts.Identity || !e.leading.Load() {
		want.term, want.acquired = max(now.term, e.seen.term)+1, time.Now()
	}
	if absent {
		now, err = e.lock.create(ctx, want)
	} else {
		want.version = now.version
		now, err = e.lock.update(ctx, want)
	}
	if errors.Is(err, kube.ErrConflict) || errors.Is(err, kube.ErrExists) {
		return false, nil // another was quicker: the next look shows who
	}
	if err != nil {
		return false, err
	}
	e.reached = true
	e.observe(now)
	return true, nil
}

// observe notes a change of the Lease.
func (e *Elector) observe(now record) {
	if now.holder != e.seen.holder && now.holder != "" && now.holder != e.opts.Identity && e.opts.OnChange != nil {
		e.opts.OnChange(now.holder)
	}
	e.seen, e.changed = now, time.Now()
	e.holder.Store(&now.holder)
}

// release gives the Lease back, so that the next leader need not wait.
func (e *Elector) release(ctx context.Context) {
	e.leading.Store(false)
	ctx, cancel := context.WithTimeout(ctx, e.opts.Renew)
	defer cancel()
	free := record{version: e.seen.version, duration: time.Second, term: e.seen.term, acquired: e.seen.acquired}
	now, err := e.lock.update(ctx, free)
	if err != nil {
		e.report(err) // it runs out by itself
		return
	}
	e.observe(now)
}

func (e *Elector) report(err error) {
	if e.opts.OnError != nil {
		e.opts.OnError(fmt.Errorf("leader: run %q: %w", e.subject, err))
	}
}

// jittered is Retry and up to a fifth more, so that candidates do not ask in step.
func (e *Elector) jittered() time.Duration {
	return e.opts.Retry + time.Duration(mathrand.Int64N(int64(e.opts.Retry)/5+1))
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
