package leader

import (
	"context"
	"errors"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/millwright-ml/millwright/k8s/internal/kube"
)

// watchedLock is client-go's lock with three additions: it knows the term of the
// leadership, tells errors, and does not give the Lease back while lead runs.
type watchedLock struct {
	resourcelock.Interface

	report func(error)

	mu     sync.Mutex
	now    *candidacy
	number int64
	asked  bool // a question had an answer, or was lost on the way
}

var errLeading = errors.New("the leadership is not over")

func (l *watchedLock) begin(s *candidacy) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = s
}

// term is the number of the leadership that was written last.
func (l *watchedLock) term() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.number
}

// Get reads the Lease.
func (l *watchedLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	r, raw, err := l.Interface.Get(ctx)
	if !apierrors.IsNotFound(err) {
		l.answered(ctx, err)
	}
	if err == nil && r.HolderIdentity != "" && r.HolderIdentity != l.Identity() {
		l.mu.Lock()
		now := l.now
		l.mu.Unlock()
		if now.leads() {
			now.stop() // another leads already: there is nothing to wait for
		}
	}
	return r, raw, err
}

// Create makes the Lease.
func (l *watchedLock) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	err := l.Interface.Create(ctx, r)
	if !apierrors.IsAlreadyExists(err) {
		l.answered(ctx, err)
	}
	l.wrote(r, err)
	return err
}

// Update renews the Lease, or gives it back.
func (l *watchedLock) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	if r.HolderIdentity == "" {
		l.mu.Lock()
		now := l.now
		l.mu.Unlock()
		if now.leads() {
			return errLeading // the Lease runs out by itself
		}
	}
	err := l.Interface.Update(ctx, r)
	if !apierrors.IsConflict(err) {
		l.answered(ctx, err)
	}
	l.wrote(r, err)
	return err
}

func (l *watchedLock) wrote(r resourcelock.LeaderElectionRecord, err error) {
	if err != nil || r.HolderIdentity == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.number = int64(r.LeaderTransitions) + 1
}

// answered tells an error. One that asking again will not help ends the
// candidacy, if it is the first: a cluster that was reached before, or not to be
// reached, may just have been restarted, and refuses all until it knows the rights.
func (l *watchedLock) answered(ctx context.Context, err error) {
	l.mu.Lock()
	kind := refusal(err)
	first, now := !l.asked, l.now
	l.asked = l.asked || kind == nil
	l.mu.Unlock()
	if err == nil || ctx.Err() != nil {
		return
	}
	if first && kind != nil {
		now.refused = fmt.Errorf("the cluster refuses the Lease: %w: %w", err, kind)
		now.withdraw()
		return
	}
	l.report(err)
}

func refusal(err error) error {
	switch {
	case apierrors.IsForbidden(err):
		return kube.ErrForbidden
	case apierrors.IsUnauthorized(err):
		return kube.ErrUnauthorized
	case apierrors.IsNotFound(err):
		return kube.ErrNotFound
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return kube.ErrInvalid
	}
	return nil
}
