package leader_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/k8s/leader"
)

// replicas are candidates that note who leads when.
type replicas struct {
	t    *testing.T
	m    leader.Memory
	mu   sync.Mutex
	now  map[string]int64 // who leads, and its term
	past []string
	// overlap accepts two leaders for a while.
	overlap bool
	wait    sync.WaitGroup
}

func (r *replicas) start(ctx context.Context, name string) *leader.Elector {
	e, err := r.m.Candidate("ns", "loop", &leader.Options{Identity: name})
	require.NoError(r.t, err)
	r.wait.Go(func() {
		err := e.Run(ctx, func(ctx context.Context) error {
			r.mu.Lock()
			if len(r.now) > 0 && !r.overlap {
				r.t.Errorf("%s leads beside %v", name, r.now)
			}
			r.now[name] = leader.Term(ctx)
			r.past = append(r.past, name)
			r.mu.Unlock()
			<-ctx.Done()
			pass(time.Second) // it takes a while to stop
			r.mu.Lock()
			delete(r.now, name)
			r.mu.Unlock()
			return ctx.Err()
		})
		if err != nil {
			r.t.Errorf("%s: %v", name, err)
		}
	})
	return e
}

func (r *replicas) leading() (string, int64) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, term := range r.now {
		return name, term
	}
	return "", 0
}

// pass lets the clock of the bubble run on.
func pass(d time.Duration) { <-time.After(d) }

func TestOneOfThreeLeads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &replicas{t: t, now: map[string]int64{}}
		stops := map[string]context.CancelFunc{}
		electors := map[string]*leader.Elector{}
		for i := range 3 {
			name := fmt.Sprint("replica-", i)
			ctx, cancel := context.WithCancel(t.Context())
			stops[name] = cancel
			electors[name] = r.start(ctx, name)
		}
		pass(5 * time.Second)
		first, term := r.leading()
		require.NotEmpty(t, first)
		require.EqualValues(t, 1, term)
		for name, e := range electors {
			require.Equal(t, electors[first].Identity(), e.Leader(), "everyone knows the leader")
			require.Equal(t, name == first, e.Leading())
		}

		// An hour without trouble changes nothing.
		pass(time.Hour)
		now, _ := r.leading()
		require.Equal(t, first, now)

		// An orderly end hands over at the next look.
		stops[first]()
		pass(6 * time.Second)
		second, term := r.leading()
		require.NotEqual(t, first, second)
		require.NotEmpty(t, second)
		require.Greater(t, term, int64(1))

		// A leader that the cluster no longer hears stops by itself, before another
		// starts: start() fails the test if two ever lead at once.
		r.m.Cut(second, true)
		pass(40 * time.Second)
		third, newer := r.leading()
		require.NotEmpty(t, third)
		require.NotEqual(t, second, third)
		require.Greater(t, newer, term)
		require.False(t, electors[second].Leading())

		// The cluster goes away for longer than anybody may lead, and comes back.
		r.m.Cut("", true)
		pass(time.Minute)
		nobody, _ := r.leading()
		require.Empty(t, nobody)
		r.m.Cut("", false)
		pass(40 * time.Second)
		again, last := r.leading()
		require.NotEmpty(t, again)
		require.GreaterOrEqual(t, last, newer, "the same process may lead on")

		// A short outage is nobody's end.
		r.m.Cut("", true)
		pass(6 * time.Second)
		r.m.Cut("", false)
		pass(40 * time.Second)
		same, unchanged := r.leading()
		require.Equal(t, again, same)
		require.Equal(t, last, unchanged)

		for _, stop := range stops {
			stop()
		}
		r.wait.Wait()
		require.Empty(t, r.m.Holder(), "the last one gave the Lease back")
	})
}

// Somebody deletes the Lease: there is one leader after a while.
func TestLeaseDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &replicas{t: t, now: map[string]int64{}, overlap: true}
		ctx, cancel := context.WithCancel(t.Context())
		r.start(ctx, "a")
		r.start(ctx, "b")
		pass(5 * time.Second)
		r.m.Remove()
		pass(30 * time.Second)
		who, _ := r.leading()
		require.NotEmpty(t, who)
		require.Len(t, r.now, 1)
		cancel()
		r.wait.Wait()
	})
}

func TestLeadEndsByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m leader.Memory
		e, err := m.Candidate("ns", "loop", nil)
		require.NoError(t, err)
		require.NotEmpty(t, e.Identity())
		broken := errors.New("broken")
		require.Equal(t, broken, e.Run(t.Context(), func(context.Context) error { return broken }))
		require.Empty(t, m.Holder())
		require.NoError(t, e.Run(t.Context(), func(context.Context) error {
			require.ErrorIs(t, e.Run(t.Context(), nil), leader.ErrConflict)
			return nil
		}), "and may stand again")
		err = e.Run(t.Context(), func(context.Context) error { runtime.Goexit(); return nil })
		require.ErrorContains(t, err, "lead ended its goroutine")
		require.Zero(t, leader.Term(t.Context()))

		ctx, cancel := context.WithCancel(t.Context())
		stopped := errors.New("not in order")
		err = e.Run(ctx, func(ctx context.Context) error {
			cancel()
			<-ctx.Done()
			pass(time.Minute) // it leads until it returns, and so it renews
			require.Equal(t, e.Identity(), m.Holder())
			return stopped
		})
		require.Equal(t, stopped, err)
		require.NoError(t, e.Run(ctx, nil), "a context that ended already elects nobody")
	})
}

// A cluster that refuses at first is a fault of the wiring; later it is weather.
func TestRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m leader.Memory
		no := apierrors.NewForbidden(schema.GroupResource{Resource: "leases"}, "loop", errors.New("no"))
		m.Refuse(no)
		var mu sync.Mutex
		var heard []error
		e, err := m.Candidate("ns", "loop", &leader.Options{OnError: func(err error) {
			mu.Lock()
			heard = append(heard, err)
			mu.Unlock()
		}})
		require.NoError(t, err)
		err = e.Run(t.Context(), func(context.Context) error { return nil })
		require.ErrorIs(t, err, leader.ErrForbidden)
		require.ErrorContains(t, err, `leader: run "ns/loop"`)
		require.Empty(t, heard)

		m.Refuse(nil)
		other, err := m.Candidate("ns", "loop", nil)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		wait.Go(func() {
			_ = other.Run(ctx, func(ctx context.Context) error { <-ctx.Done(); return nil })
		})
		pass(time.Second)
		waiting, stop := context.WithTimeout(t.Context(), 10*time.Second)
		wait.Go(func() {
			pass(4 * time.Second)
			m.Refuse(no)
		})
		require.NoError(t, e.Run(waiting, nil))
		require.NotEmpty(t, heard)
		stop()

		// Nor is it a fault of the wiring when the cluster was away before.
		m.Refuse(errors.New("connection refused"))
		late, err := m.Candidate("ns", "loop", nil)
		require.NoError(t, err)
		waiting, stop = context.WithTimeout(t.Context(), 20*time.Second)
		defer stop()
		wait.Go(func() {
			pass(5 * time.Second)
			m.Refuse(no)
		})
		require.NoError(t, late.Run(waiting, nil))
		cancel()
		wait.Wait()
	})
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	_, err := leader.New(&rest.Config{Host: "http://127.0.0.1:1"}, "A", "", &leader.Options{Duration: 48 * time.Hour, Renew: 49 * time.Hour, Retry: -1})
	require.ErrorIs(t, err, leader.ErrInvalid)
	for _, part := range []string{`namespace "A"`, `name ""`, "duration is 48h0m0s", "renew is 49h0m0s", "retry is -1ns"} {
		require.ErrorContains(t, err, part)
	}
	_, err = leader.New(nil, "a", "b", nil)
	require.ErrorIs(t, err, leader.ErrInvalid)
	e, err := leader.New(&rest.Config{Host: "http://127.0.0.1:1"}, "a", "b", nil)
	require.NoError(t, err)
	require.Empty(t, e.Leader())
	require.False(t, e.Leading())
}
