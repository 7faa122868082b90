package train

import (
	"context"
	"iter"
	"time"
)

// Launcher runs Specs on one engine. Every method may be called from many
// goroutines, and several processes may use the same engine at once.
type Launcher interface {
	// Submit starts a job and returns once the engine has it, so that it
	// survives the death of this process. With SubmitOptions.Key it is
	// idempotent: a second Submit of an equal Spec returns the first one's job,
	// whatever its phase, and one of another Spec is a *ConflictError. A Spec
	// that can not run, as with a command that does not exist, is ErrInvalid.
	Submit(ctx context.Context, spec Spec, opts *SubmitOptions) (Job, error)
	// Attach returns the job with that id, or ErrNotFound.
	Attach(ctx context.Context, id string) (Job, error)
	// List yields every job that was not deleted, oldest first. A job that can
	// not be read is yielded as an error and the list goes on.
	List(ctx context.Context) iter.Seq2[Job, error]
}

// SubmitOptions changes one Submit. nil is the zero value.
type SubmitOptions struct {
	// Key makes Submit idempotent; the job's id is derived from it. Default "":
	// each Submit is a new job with a random id.
	Key string
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
	// Wait returns when the job has ended and none of its processes is left.
	// The Result is then non-nil and the error says how the job failed, if it
	// did: *UserError, *KilledError, *DeadlineError or ErrCancelled. When ctx
	// ends first the Result is nil and the job runs on.
	Wait(ctx context.Context) (*Result, error)
	// Logs yields what the job printed, from the first line on. It ends after
	// the last line that is there now or, with Follow, when the job has ended
	// and everything was yielded. An error is the last thing yielded. Breaking
	// off the loop ends the reading.
	Logs(ctx context.Context, opts *LogOptions) iter.Seq2[Line, error]
	// Cancel ends the job: SIGTERM to all its processes, and SIGKILL when some
	// are left after Spec.Grace. It returns nil once the job has ended. When ctx
	// ends first the job keeps its SIGTERM; another Cancel, from anywhere, takes
	// up the same grace period. Cancelling an ended job changes nothing.
	Cancel(ctx context.Context) error
	// Delete removes an ended job with its logs, and frees its key. ErrConflict
	// when the job has not ended. Deleting twice is ErrNotFound.
	Delete(ctx context.Context) error
}

// LogOptions changes one Logs. nil is the zero value.
type LogOptions struct {
	// Follow waits for more until the job has ended. Default false.
	Follow bool
}

// Phase is where a job stands. It moves forward only.
type Phase string

// The phases, in order. The last three are final.
const (
	Queued    Phase = "queued"    // the engine has it and waits for room
	Starting  Phase = "starting"  // its process is being made
	Running   Phase = "running"   // its process runs
	Succeeded Phase = "succeeded" // exit status 0
	Failed    Phase = "failed"    // any other end, also by the deadline
	Cancelled Phase = "cancelled" // ended by Cancel
)

// Ended reports whether the phase is final.
func (p Phase) Ended() bool { return p == Succeeded || p == Failed || p == Cancelled }

// Status is how a job stands at one moment.
type Status struct {
	Phase     Phase
	Reason    string // why, in words; empty when the phase says it all
	Submitted time.Time
	Started   time.Time // zero before Running
	Finished  time.Time // zero before the end
}

// Result is how a job ended.
type Result struct {
	ExitCode int // of the command; -1 when it was killed before it could say
	Started  time.Time
	Finished time.Time
	Output   string // Spec.Output
}

// Line is one line of a job's output.
type Line struct {
	Time    time.Time // when it was written, as well as the launcher knows
	Rank    int       // which of the job's processes printed it; 0 for a job of one
	Attempt int       // how many times the job was started before
	Stream  string    // "stdout" or "stderr"
	Text    string    // without the line break; not always valid UTF-8
	Cut     bool      // the line was longer than MaxLine and goes on in the stream's next Line
}

// MaxLine is the most bytes that one Line's Text holds.
const MaxLine = 64 << 10
