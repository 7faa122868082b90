package collect

import "time"

// View is what a process knows of the lists.
type View struct {
	read  time.Time // Just before the lists were read; with a monotonic clock.
	names map[string]bool
}

// NewView starts a view. It must be called before the first list is read.
func NewView() *View { return &View{read: time.Now(), names: map[string]bool{}} }

// Add puts a name of a list in. Forever says that the name can never be used
// again, also by content that is copied: an erase took its rows away.
func (v *View) Add(name string, forever bool) { v.names[name] = v.names[name] || forever }

// Age is how long ago the lists were read.
func (v *View) Age() time.Duration { return time.Since(v.read) }

// Has tells whether the name is condemned.
func (v *View) Has(name string) bool {
	_, ok := v.names[name]
	return ok
}

// Erased tells whether the name is condemned forever.
func (v *View) Erased(name string) bool { return v.names[name] }

// Len is the number of names.
func (v *View) Len() int { return len(v.names) }

// Knows tells whether the lists were read before t: what was found at t may be
// relied on as long as the view.
func (v *View) Knows(t time.Time) bool { return !t.IsZero() && !t.Before(v.read) }
