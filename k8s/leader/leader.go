package leader

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/k8s/internal/kube"
)

var (
	// ErrInvalid is for options or names that cannot be.
	ErrInvalid = errs.ErrInvalid
	// ErrConflict is for a Run that was called while another goes on.
	ErrConflict = errs.ErrConflict
	// ErrForbidden says that the cluster refuses the Lease to this caller.
	ErrForbidden = kube.ErrForbidden
	// ErrLost is the cause of the end of lead's context when the Lease could not
	// be renewed in time.
	ErrLost = errors.New("leadership was lost")
)

// Options changes an Elector. nil is the zero value.
type Options struct {
	// Identity is how this process is named in the Lease; a random end is added,
	// so that a process that starts again is another one. Default: the host's
	// name.
	Identity string
	// Duration is how long the others wait for a leader that is silent, in whole
	// seconds, rounded up. Default 15 s, at least 1 s.
	Duration time.Duration
	// Renew is how long a leader tries to renew before it stops. It has to be
	// less than Duration: the difference is what lead has to stop. Default: two
	// thirds of Duration.
	Renew time.Duration
	// Retry is the time between two looks; up to 1.2 times as much is added, so
	// that candidates do not ask in step. Default: a fifth of Renew.
	Retry time.Duration
	// OnChange is called when another process is seen to lead. Default: nobody is
	// told.
	OnChange func(identity string)
	// OnError is called with errors after which the election goes on. Default:
	// nobody is told.
	OnError func(err error)
}

// Elector is one candidate. Make one for each Lease and process.
type Elector struct {
	lock    *watchedLock
	subject string
	opts    Options
	running atomic.Bool
	leading atomic.Bool
	holder  atomic.Pointer[string]
}

// New returns a candidate for the Lease with that namespace and name in the
// cluster of cfg. The cluster is not asked.
func New(cfg *rest.Config, namespace, name string, opts *Options) (*Elector, error) {
	if cfg == nil {
		return nil, fmt.Errorf("leader: new %q: no configuration of a cluster was given: %w", namespace+"/"+name, ErrInvalid)
	}
	cfg = rest.CopyConfig(cfg)
	if cfg.UserAgent == "" {
		cfg.UserAgent = "millwright-leader"
	}
	client, err := coordination.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("leader: new %q: %w: %w", namespace+"/"+name, err, ErrInvalid)
	}
	return newElector(func(identity string) resourcelock.Interface {
		return &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: name},
			Client:     client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		}
	}, namespace, name, opts)
}

func newElector(lock func(identity string) resourcelock.Interface, namespace, name string, opts *Options) (*Elector, error) {
	e := &Elector{subject: namespace + "/" + name}
	if opts != nil {
		e.opts = *opts
	}
	o := &e.opts
	if o.Identity == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "host"
		}
		o.Identity = host
	}
	o.Identity += "_" + strings.ToLower(rand.Text()[:10])
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
	var f errs.Faults
	for _, part := range [][2]string{{"namespace", namespace}, {"name", name}} {
		if problems := validation.IsDNS1123Subdomain(part[1]); len(problems) > 0 {
			f.Addf("%s %q: %s", part[0], part[1], strings.Join(problems, ", "))
		}
	}
	f.Check(o.Duration >= time.Second && o.Duration <= 24*time.Hour, "duration is %v, want 1s to 24h", o.Duration)
	f.Check(o.Renew > 0 && o.Renew < o.Duration, "renew is %v, want less than the duration of %v", o.Renew, o.Duration)
	f.Check(o.Retry > 0 && float64(o.Retry)*leaderelection.JitterFactor < float64(o.Renew),
		"retry is %v, want less than the renew time of %v by a factor of %v", o.Retry, o.Renew, leaderelection.JitterFactor)
	if err := f.Err(fmt.Sprintf("leader: new %q", e.subject)); err != nil {
		return nil, err
	}
	e.lock = &watchedLock{Interface: lock(o.Identity), report: e.report}
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

// Term is the number of the leadership of which lead got ctx: whoever leads after
// another has a greater one, as long as nobody deletes the Lease. It is 0 for
// another context.
func Term(ctx context.Context) int64 {
	term, _ := ctx.Value(termKey{}).(int64)
	return term
}

// Run stands for election until ctx ends, and calls lead whenever this process
// leads. The context of lead ends when the Lease is lost, with ErrLost as its
// cause, or when ctx ends; lead then has the difference between Duration and
// Renew to return, and after ctx as long as it needs: the Lease is kept until it
// has. After a loss Run stands again. When lead returns by itself, Run gives the
// Lease back and returns what lead returned. When ctx ends Run gives the Lease
// back and returns nil, or the error of lead if it is another than that of ctx.
//
// A cluster that refuses the very first question, as for a right that is missing,
// ends Run with the error. Later errors are told to OnError and tried again.
func (e *Elector) Run(ctx context.Context, lead func(ctx context.Context) error) error {
	if !e.running.CompareAndSwap(false, true) {
		return fmt.Errorf("leader: run %q: it runs already: %w", e.subject, ErrConflict)
	}
	defer e.running.Store(false)
	for ctx.Err() == nil {
		done, err := e.stand(ctx, lead)
		switch {
		case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
			return nil
		case done || err != nil:
			return err
		}
	}
	return nil
}

// stand is one candidacy, up to the end of the leadership that it leads to. It
// reports whether lead returned by itself, or ctx ended.
func (e *Elector) stand(ctx context.Context, lead func(context.Context) error) (bool, error) {
	// The election outlives ctx until lead has returned: only then may another
	// process lead.
	election, stop := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), klog.Logger{}))
	defer stop()
	s := &candidacy{stop: stop, ended: make(chan struct{})}
	defer context.AfterFunc(ctx, s.withdraw)()
	e.lock.begin(s)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: e.lock, LeaseDuration: e.opts.Duration, RenewDeadline: e.opts.Renew, RetryPeriod: e.opts.Retry,
		ReleaseOnCancel: true, // which watchedLock puts off until lead has returned
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(term context.Context) { e.lead(ctx, term, s, lead) },
			OnStoppedLeading: func() {},
			OnNewLeader:      e.changed,
		},
	})
	if err != nil {
		return true, fmt.Errorf("leader: run %q: %w: %w", e.subject, err, ErrInvalid)
	}
	elector.Run(election)
	if led := s.over(); led {
		<-s.ended
	}
	if s.refused != nil {
		return true, fmt.Errorf("leader: run %q: %w", e.subject, s.refused)
	}
	return s.returned, s.err
}

// lead runs the caller's function for one leadership.
func (e *Elector) lead(ctx, term context.Context, s *candidacy, lead func(context.Context) error) {
	if !s.start() {
		return
	}
	defer close(s.ended)
	defer s.stop()
	e.leading.Store(true)
	defer e.leading.Store(false)
	own, cancel := context.WithCancelCause(context.WithValue(ctx, termKey{}, e.lock.term()))
	defer cancel(nil)
	defer context.AfterFunc(term, func() {
		e.leading.Store(false)
		cancel(ErrLost)
	})()
	// A lead that ends its goroutine, as t.FailNow does, has ended too.
	s.returned, s.err = true, fmt.Errorf("leader: run %q: lead ended its goroutine: %w", e.subject, ErrInvalid)
	err := lead(own)
	s.err = err
	if errors.Is(context.Cause(own), ErrLost) {
		s.returned, s.err = false, nil // what it says is of a leadership that is over
	}
}

func (e *Elector) changed(identity string) {
	e.holder.Store(&identity)
	if identity != e.opts.Identity && e.opts.OnChange != nil {
		e.opts.OnChange(identity)
	}
}

func (e *Elector) report(err error) {
	if e.opts.OnError != nil {
		e.opts.OnError(fmt.Errorf("leader: run %q: %w", e.subject, err))
	}
}

// candidacy is the state of one stand.
type candidacy struct {
	stop  context.CancelFunc
	ended chan struct{} // closed when lead has returned

	mu        sync.Mutex
	leading   bool
	withdrawn bool

	returned bool // of lead, by itself; read after ended
	err      error
	refused  error // set before stop
}

// withdraw ends a candidacy that has not led to a leadership.
func (s *candidacy) withdraw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.leading {
		s.withdrawn = true
		s.stop()
	}
}

// start turns the candidacy into a leadership, unless it was withdrawn.
func (s *candidacy) start() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leading = !s.withdrawn
	return s.leading
}

// over ends the candidacy and reports whether there was a leadership.
func (s *candidacy) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.withdrawn = true
	return s.leading
}

// leads reports whether lead has begun and not yet returned.
func (s *candidacy) leads() bool {
	s.mu.Lock()
	leading := s.leading
	s.mu.Unlock()
	select {
	case <-s.ended:
		return false
	default:
		return leading
	}
}
