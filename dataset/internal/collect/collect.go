// Package collect holds the rules by which unused objects are deleted while
// others write, without a lock and without a conditional delete.
//
// A collector finds the names that nothing it must keep refers to, and publishes
// them as one list: they are condemned. From then on no writer may let a log
// refer to such a name, be it content that it was about to write, content that
// is there already, or a file of an older version: it takes another name. A
// writer may go on for a lease with what it knew of the lists, so a reference
// that is made in ignorance of a list appears soon after that list, or never.
// When the grace is over, which is much longer than a lease, the collector
// looks at all references a second time: what is still unused can never be used
// again, and is deleted. The list stands for another grace after that, so that a
// collector that was slow, or one that repeats the work of one that was killed,
// never meets a name that has come back.
//
// All ages are counted by the clock of the store, or by the monotonic clock of
// one process, so that clocks that differ do no harm. What is left to trust is
// that a request takes effect within the grace less the lease after it was
// sent.
//
// The rules are pure functions. Their test is a model that drives them through
// every order of the steps of writers and collectors that are slow or killed,
// and shows for each rule what breaks without it.
package collect

import "time"

// Rules are the two spans of time on which everything rests.
type Rules struct {
	// Lease is how long a process may rely on what it read: a writer on the
	// lists, a collector on a list being open.
	Lease time.Duration
	// Grace is how long a list stands before its names are deleted, how long it
	// stands after that, and how old an object is before it is condemned.
	Grace time.Duration
}

// Valid tells whether the rules are safe.
func (r Rules) Valid() bool { return r.Lease > 0 && r.Grace >= 2*r.Lease }

// Relies tells whether a process may still act on what it read that long ago.
func (r Rules) Relies(age time.Duration) bool { return age >= 0 && age <= r.Lease }

// Condemns tells whether an object belongs on a list. The age only keeps the
// objects of busy writers out of it: nothing rests on the time of an object.
func (r Rules) Condemns(used bool, age time.Duration) bool { return !used && age >= r.Grace }

// Step is what a collector does with a list.
type Step int

// The steps, in their order.
const (
	Wait   Step = iota // The grace is not over.
	Sweep              // Look again at what is used, and delete the rest.
	Retire             // Everything is deleted; the names must not come back yet.
	Forget             // Delete the list.
)

// Next is the step that is due: published is the age of the list, and swept
// that of the note that its names were deleted, negative when there is none.
func (r Rules) Next(published, swept time.Duration) Step {
	switch {
	case swept >= r.Grace:
		return Forget
	case swept >= 0:
		return Retire
	case published >= r.Grace:
		return Sweep
	}
	return Wait
}
