package leader

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/k8s/internal/kube"
)

// Memory is a Lease in memory for tests with a false clock, which real sockets
// do not run on. It fails as it is told.
type Memory struct {
	mu      sync.Mutex
	now     *record
	version int
	// Down fails the requests of the identities in it; "" stands for all.
	down map[string]bool
	// Refuse fails every request with it.
	Refuse error
	Writes int
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

// Remove deletes the Lease.
func (m *Memory) Remove() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = nil
}

// Holder is who the Lease names, and its term.
func (m *Memory) Holder() (string, int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now == nil {
		return "", 0
	}
	return m.now.holder, m.now.term
}

// Candidate is New on the memory.
func (m *Memory) Candidate(namespace, name string, opts *Options) (*Elector, error) {
	identity := ""
	if opts != nil {
		identity = opts.Identity
	}
	return newElector(&memoryLock{m, identity}, namespace, name, opts)
}

type memoryLock struct {
	m        *Memory
	identity string
}

func (l *memoryLock) do(ctx context.Context, write func() error) (record, error) {
	// A request takes a while.
	sleep(ctx, 10*time.Millisecond)
	if ctx.Err() != nil {
		return record{}, ctx.Err()
	}
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.m.Refuse != nil {
		return record{}, l.m.Refuse
	}
	if l.m.down[""] || l.m.down[l.identity] {
		return record{}, kube.ErrUnavailable
	}
	if err := write(); err != nil {
		return record{}, err
	}
	return *l.m.now, nil
}

func (l *memoryLock) get(ctx context.Context) (record, error) {
	return l.do(ctx, func() error {
		if l.m.now == nil {
			return kube.ErrNotFound
		}
		return nil
	})
}

func (l *memoryLock) create(ctx context.Context, r record) (record, error) {
	return l.do(ctx, func() error {
		if l.m.now != nil {
			return kube.ErrExists
		}
		l.m.put(r)
		return nil
	})
}

func (l *memoryLock) update(ctx context.Context, r record) (record, error) {
	return l.do(ctx, func() error {
		if l.m.now == nil {
			return kube.ErrNotFound
		}
		if l.m.now.version != r.version {
			return kube.ErrConflict
		}
		l.m.put(r)
		return nil
	})
}

func (m *Memory) put(r record) {
	m.version++
	m.Writes++
	r.version = strconv.Itoa(m.version)
	m.now = &r
}
