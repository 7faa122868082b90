package rollout

import (
	"strings"
	"sync"
)

// labels remembers which arm answered a request until its labels come.
type labels struct {
	shards [shards]struct {
		mu    sync.Mutex
		known map[string]labelled
		ring  []string // The ids in the order they came.
		at    int
	}
}

// labelled is the arm of a request, the step of the ramp that it was answered on,
// and the guards that it had a label for.
type labelled struct {
	arm, step int
	done      uint64
}

func newLabels(capacity int) *labels {
	l := new(labels)
	for i := range l.shards {
		s := &l.shards[i]
		s.known = make(map[string]labelled)
		s.ring = make([]string, max(1, capacity/shards))
	}
	return l
}

// remember notes a request; the oldest one is forgotten for it.
func (l *labels) remember(id string, arm, step int) {
	s := &l.shards[xxh64(id, 0)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.known[id]; ok {
		return
	}
	delete(s.known, s.ring[s.at])
	id = strings.Clone(id) // It may lie in a request's memory.
	s.ring[s.at] = id
	s.at = (s.at + 1) % len(s.ring)
	s.known[id] = labelled{arm: arm, step: step}
}

// claim returns the arm of a request of the step, once for each guard.
func (l *labels) claim(id string, guard, step int) (arm int, ok bool) {
	s := &l.shards[xxh64(id, 0)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	q, ok := s.known[id]
	bit := uint64(1) << guard
	if !ok || q.step != step || q.done&bit != 0 {
		return 0, false
	}
	q.done |= bit
	s.known[id] = q
	return q.arm, true
}
