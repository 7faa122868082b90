package monitor

import (
	"sync"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// shownUnseen is how many unseen categories a report names.
const shownUnseen = 5

// unseen notes which categories of one feature the reference does not name. It
// is bounded (1,024 names, a sketch of how many there are), and it never makes
// anybody wait: a name that comes while another one is noted, or the report
// reads, is left out.
type unseen struct {
	mu    sync.Mutex
	names profile.Column
}

func (u *unseen) note(s string) {
	if !u.mu.TryLock() {
		return
	}
	u.names.AddString(s)
	u.mu.Unlock()
}

// take returns what was noted since the last time.
func (u *unseen) take() (top []string, distinct uint64) {
	u.mu.Lock()
	names := u.names
	u.names = profile.Column{}
	u.mu.Unlock()
	for _, c := range names.Top(shownUnseen) {
		top = append(top, c.Value)
	}
	return top, names.Distinct()
}
