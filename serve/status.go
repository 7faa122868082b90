package serve

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// ModelStatus says how a model stands: what it is served by, how full it is,
// and what was turned away.
type ModelStatus struct {
	Model string
	// Default is the version that answers when none is named, Versions are
	// all; "" and none when the model was undeployed.
	Default  string
	Versions []string
	// Limit is how many requests are admitted at once just now, Admitted how
	// many are, Waiting how many wait for that; 0 without admission.
	Limit, Admitted, Waiting int64
	// Refused is how many requests were turned away because the server was
	// full, RefusedShare how many because their tenant had more than its
	// share. Both count shadow requests, too.
	Refused, RefusedShare int64
	// Deployed counts the versions that were deployed, Swapped how often
	// another version became the default.
	Deployed, Swapped int64
}

// history counts what became of a model, also while it is not deployed.
type history struct {
	deployed, swapped atomic.Int64
	limiter           *limiter // The last one. Guarded by Server.mu.
}

// Status returns the status of each model that was ever deployed, in the order
// of their names.
func (s *Server) Status() []ModelStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.table.Load()
	list := make([]ModelStatus, 0, len(s.past))
	for name, h := range s.past {
		st := ModelStatus{Model: name, Deployed: h.deployed.Load(), Swapped: h.swapped.Load()}
		if m := now.models[name]; m != nil {
			st.Default, st.Versions = m.def.version, m.numbers()
		}
		if l := h.limiter; l != nil {
			st.Limit, st.Admitted, st.Waiting = l.limit.Load(), l.inside.Load(), l.waiting.Load()
			st.Refused, st.RefusedShare = l.busy.Load(), l.greedy.Load()
		}
		list = append(list, st)
	}
	slices.SortFunc(list, func(a, b ModelStatus) int { return cmp.Compare(a.Model, b.Model) })
	return list
}

// Default returns the version that answers when none is named, "" for a model
// that is not deployed.
func (s *Server) Default(model string) string {
	if m := s.table.Load().models[model]; m != nil {
		return m.def.version
	}
	return ""
}

// FailedDeploys counts the calls of Deploy that returned an error.
func (s *Server) FailedDeploys() int64 { return s.failedDeploys.Load() }
