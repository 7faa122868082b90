package leader

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// Memory is a Lease in memory for tests with a false clock, which real sockets
// do not run on. It fails as it is told.
type Memory struct {
	mu      sync.Mutex
	now     *resourcelock.LeaderElectionRecord
	version int
	down    map[string]bool
	refuse  error
}

// Cut makes the requests of an identity fail ("" for all), or work again.
func (m *Memory) Cut(identity string, cut bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down == nil {
		m.down = map[string]bool{}
	}
	m.down[identity] = cut
}

// Refuse makes every request fail with err.
func (m *Memory) Refuse(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse = err
}

// Remove deletes the Lease.
func (m *Memory) Remove() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = nil
}

// Holder is who the Lease names.
func (m *Memory) Holder() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now == nil {
		return ""
	}
	return m.now.HolderIdentity
}

// Candidate is New on the memory.
func (m *Memory) Candidate(namespace, name string, opts *Options) (*Elector, error) {
	return newElector(func(identity string) resourcelock.Interface {
		return &memoryLock{m: m, identity: identity}
	}, namespace, name, opts)
}

type memoryLock struct {
	m        *Memory
	identity string
	read     int // the version that was read last
}

var leases = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}

func (l *memoryLock) do(ctx context.Context, work func() error) error {
	select { // a request takes a while
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10 * time.Millisecond):
	}
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	name, _, _ := strings.Cut(l.identity, "_")
	switch {
	case l.m.refuse != nil:
		return l.m.refuse
	case l.m.down[""] || l.m.down[name]:
		return apierrors.NewServiceUnavailable("cut off")
	}
	return work()
}

func (l *memoryLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	var r resourcelock.LeaderElectionRecord
	err := l.do(ctx, func() error {
		if l.m.now == nil {
			return apierrors.NewNotFound(leases, "loop")
		}
		r, l.read = *l.m.now, l.m.version
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	raw, err := json.Marshal(r)
	return &r, raw, err
}

func (l *memoryLock) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.do(ctx, func() error {
		if l.m.now != nil {
			return apierrors.NewAlreadyExists(leases, "loop")
		}
		l.put(r)
		return nil
	})
}

func (l *memoryLock) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.do(ctx, func() error {
		if l.m.now == nil {
			return apierrors.NewNotFound(leases, "loop")
		}
		if l.m.version != l.read {
			return apierrors.NewConflict(leases, "loop", nil)
		}
		l.put(r)
		return nil
	})
}

func (l *memoryLock) put(r resourcelock.LeaderElectionRecord) {
	l.m.version++
	l.m.now, l.read = &r, l.m.version
}

func (l *memoryLock) RecordEvent(string) {}
func (l *memoryLock) Identity() string   { return l.identity }
func (l *memoryLock) Describe() string   { return "memory" }
