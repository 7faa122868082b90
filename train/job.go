package train

import (
	"context"
	"iter"
	"time"
)

// Launcher runs Specs on one engine. Every method may be called from many
// goroutines, and several processes may use the same engine at once.
type Launcher interface {
	// Plan says what Submit would do, and writes nothing. What would make Submit
	// fail, or keep the job from ever starting, is in Plan.Faults; the error is
	// for a Spec that is ErrInvalid and an engine that can not be asked.
	Plan(ctx context.Context, spec Spec, opts *SubmitOptions) (*Plan, error)
	// Submit starts a job and returns once the engine has it, so that it
	// survives the death of this process. With SubmitOptions.Key it is
	// idempotent: a second Submit of an equal Spec returns the first one's job,
	// whatever its phase, and one of another Spec is a *ConflictError. A Spec
	// that can not run, as with a command that does not exist, is ErrInvalid.
	Submit(ctx context.Context, spec Spec, opts *SubmitOptions) (Job, error)
	// Attach returns the job with that id, also when only the archive still has
	// it, or ErrNotFound.
	Attach(ctx context.Context, id string) (Job, error)
	// List yields the jobs that were not deleted, oldest first where the engine
	// can sort them. A job that can not be read is yielded as an error and the
	// list goes on.
	List(ctx context.Context, opts *ListOptions) iter.Seq2[Job, error]
}

// SubmitOptions changes one Submit or Plan. nil is the zero value.
type SubmitOptions struct {
	// Key makes Submit idempotent; the job's id is derived from it. Default "":
	// each Submit is a new job with a random id.
	Key string
}

// ListOptions narrows one List. nil is the zero value: all jobs.
type ListOptions struct {
	// Labels are those that a job must have. Default: any.
	Labels map[string]string
	// Team is the one that a job must belong to. Default "": any.
	Team string
	// Active leaves out jobs that have ended. Default false.
	Active bool
}

// Match reports whether a job with the spec has the labels and the team.
func (o *ListOptions) Match(s Spec) bool {
	if o == nil {
		return true
	}
	for key, v := range o.Labels {
		if have, ok := s.Labels[key]; !ok || have != v {
			return false
		}
	}
	return o.Team == "" || o.Team == s.Team
}

// Job is a handle on one submitted job. It holds no resources: drop it, or get
// another from Attach. Every method may be called from many goroutines.
type Job interface {
	// ID identifies the job at its launcher: lower-case letters, digits and "-".
	ID() string
	// Spec is what was submitted.
	Spec() Spec
	// Status says how the job stands now.
	Status(ctx context.Context) (Status, error)
	// Why says in one answer why the job waits, was started again or failed.
	Why(ctx context.Context) (Why, error)
	// Wait returns when the job has ended and none of its processes is left.
	// The Result is then non-nil and the error says how the job failed, if it
	// did: *UserError, *KilledError, *DeadlineError or ErrCancelled. When ctx
	// ends first the Result is nil and the job runs on. A suspended job has not
	// ended.
	Wait(ctx context.Context) (*Result, error)
	// Logs yields what the job printed: the lines of all processes and attempts,
	// tagged and merged, from the first line on. Reports (see ParseReport) are
	// left out. It ends after the last line that is there now or, with Follow,
	// when the job has ended and everything was yielded. An error is the last
	// thing yielded. Breaking off the loop ends the reading.
	Logs(ctx context.Context, opts *LogOptions) iter.Seq2[Line, error]
	// Events yields what happened to the job and its objects, oldest first, as
	// far back as the engine keeps it.
	Events(ctx context.Context, opts *EventOptions) iter.Seq2[Event, error]
	// Progress is the newest that the process reported.
	Progress(ctx context.Context) (Progress, error)
	// Suspend ends the job's processes as Cancel does, but the job can be
	// resumed; it gives its machines back. It returns nil once no process is
	// left. Suspending a suspended job changes nothing, an ended one is
	// ErrConflict.
	Suspend(ctx context.Context) error
	// Resume lets a suspended job go on, in a new attempt from its newest
	// checkpoint. Resuming a job that is not suspended changes nothing, an ended
	// one is ErrConflict.
	Resume(ctx context.Context, opts *ResumeOptions) error
	// Cancel ends the job: SIGTERM to all its processes, and SIGKILL when some
	// are left after Spec.Grace. It returns nil once the job has ended. When ctx
	// ends first the job keeps its SIGTERM; another Cancel, from anywhere, takes
	// up the same grace period. Cancelling an ended job changes nothing.
	Cancel(ctx context.Context) error
	// Delete removes an ended job with its logs, and frees its key. ErrConflict
	// when the job has not ended. Deleting twice is ErrNotFound. Where the
	// launcher has an archive the job is kept there; Delete of a job that only
	// the archive has removes it from there.
	Delete(ctx context.Context) error
	// Usage is what the job took of the machines so far.
	Usage(ctx context.Context) (Usage, error)
}

// LogOptions changes one Logs. nil is the zero value.
type LogOptions struct {
	// Follow waits for more until the job has ended. Default false.
	Follow bool
	// After is the Cursor of the last line that the reader has: what it has is
	// not repeated, what it lacks is not lost. Default "": from the first line.
	After string
	// Since leaves out lines known to be older. Default zero: none.
	Since time.Time
	// Rank is the one process whose lines are wanted. Default nil: all.
	Rank *int
	// Tail is how many lines are wanted of the end of what is there now, before
	// those that follow. Default 0: all of them.
	Tail int
}

// EventOptions changes one Events. nil is the zero value.
type EventOptions struct {
	// Follow waits for more until the job has ended. Default false.
	Follow bool
}

// ResumeOptions changes what a resumed job gets, where the engine can
// (otherwise ErrUnsupported). nil changes nothing. Job.Spec stays what was
// submitted.
type ResumeOptions struct {
	GPU       *GPU
	Resources *Resources
	Nodes     int // 0: as before
}

// Phase is where a job stands.
type Phase string

// The phases. Requeued and Suspended lead back to Queued or Starting; the last
// three are final.
const (
	Queued     Phase = "queued"     // the engine has it and waits for room or quota
	Admitted   Phase = "admitted"   // its quota is reserved
	Scheduling Phase = "scheduling" // nodes are looked for
	Starting   Phase = "starting"   // its processes are being made
	Running    Phase = "running"    // all its processes run
	Requeued   Phase = "requeued"   // an attempt ended and another is to start
	Suspended  Phase = "suspended"  // by Suspend, until Resume
	Succeeded  Phase = "succeeded"  // exit status 0
	Failed     Phase = "failed"     // any other end, also by the deadline
	Cancelled  Phase = "cancelled"  // ended by Cancel
)

// Ended reports whether the phase is final.
func (p Phase) Ended() bool { return p == Succeeded || p == Failed || p == Cancelled }

// Status is how a job stands at one moment.
type Status struct {
	Phase     Phase     `json:"phase"`
	Reason    string    `json:"reason,omitempty"` // why, in words; empty when the phase says it all
	Cause     Cause     `json:"cause,omitempty"`  // the same as a kind
	Submitted time.Time `json:"submitted"`
	Started   time.Time `json:"started,omitzero"`  // of the first attempt; zero before
	Finished  time.Time `json:"finished,omitzero"` // zero before the end
	Attempt   int       `json:"attempt"`           // how many times the job was started before this time
	Nodes     int       `json:"nodes"`             // wanted
	Ready     int       `json:"ready"`             // of them, with all their processes running
	Where     []Place   `json:"where,omitempty"`   // where the newest attempt runs or ran
}

// Place is one machine that a job has.
type Place struct {
	Node string `json:"node"`          // the machine's name
	Rank int    `json:"rank"`          // which of the job's nodes it is
	GPU  string `json:"gpu,omitempty"` // type of its GPUs, as the machine names it
}

// Result is how a job ended.
type Result struct {
	ExitCode int // of the command; -1 when it was killed before it could say
	Started  time.Time
	Finished time.Time
	Attempts int    // how often the job was started
	Output   string // Spec.Output
}

// Line is one line of a job's output.
type Line struct {
	Time    time.Time `json:"time"`             // when it was written, as well as the launcher knows
	Rank    int       `json:"rank"`             // which of the job's processes (on clusters: nodes) printed it
	Attempt int       `json:"attempt"`          // how many times the job was started before
	Stream  string    `json:"stream"`           // "stdout" or "stderr"
	Text    string    `json:"text"`             // without the line break; not always valid UTF-8
	Cut     bool      `json:"cut,omitempty"`    // the line was longer than MaxLine and goes on in the stream's next Line
	Cursor  string    `json:"cursor,omitempty"` // for LogOptions.After: everything up to here was read
}

// MaxLine is the most bytes that one Line's Text holds.
const MaxLine = 64 << 10
