package train

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// The kinds of error that launchers and jobs return, for errors.Is.
var (
	// ErrInvalid: the Spec can not be run as it is; the text lists every fault.
	ErrInvalid = errs.ErrInvalid
	// ErrNotFound: there is no job with that id.
	ErrNotFound = errs.ErrNotFound
	// ErrConflict: the key belongs to a job with another Spec (see
	// *ConflictError), or the job's phase forbids what was asked.
	ErrConflict = errs.ErrConflict
	// ErrUnavailable: the engine refused for now; trying again may help.
	ErrUnavailable = errs.ErrUnavailable
	// ErrUnsupported: this launcher, or the system it runs on, can not do that.
	ErrUnsupported = errs.ErrUnsupported
	// ErrCancelled: Wait on a job that was cancelled.
	ErrCancelled = errors.New("cancelled")
)

// The kinds of a *KilledError, for errors.Is.
var (
	ErrOOMKilled     = errors.New("out of memory")    // killed at its memory limit
	ErrPreempted     = errors.New("preempted")        // taken away for another job, or spot
	ErrEvicted       = errors.New("evicted")          // drained, or the node was under pressure
	ErrNodeLost      = errors.New("node lost")        // the machine went away or restarted
	ErrImagePull     = errors.New("image not pulled") // the image can not be fetched
	ErrUnschedulable = errors.New("unschedulable")    // no node will ever fit
	ErrQuotaExceeded = errors.New("quota exceeded")   // a quota will never leave enough
)

// ConflictError is Submit's answer when the key is taken by a job with another
// Spec. It is ErrConflict.
type ConflictError struct {
	Job  string // id of the job that has the key
	Key  string
	Want string // Spec.Hash of what was submitted
	Have string // Spec.Hash of what the job runs
}

// Error names the key and both hashes.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("train: submit with key %q: job %q has that key and another spec (%.12s, not %.12s): %v",
		e.Key, e.Job, e.Have, e.Want, ErrConflict)
}

// Is reports whether target is ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// UserError is Wait's answer when the command ended by itself with a status
// other than 0: the program, its arguments or its data are at fault, and the
// same job would fail again.
type UserError struct {
	Job       string
	Rank      int // the process that failed first
	Attempt   int // how many times the job was started before
	ExitCode  int
	LastLines []string // the end of standard error, or of standard output when that is empty; at most 20 lines
}

// Error gives the status, what it commonly means, and the last line printed.
func (e *UserError) Error() string {
	hint := ""
	switch e.ExitCode {
	case 126:
		hint = " (the command or its interpreter can not be executed)"
	case 127:
		hint = " (the command or its interpreter was not found)"
	}
	return fmt.Sprintf("train: job %q: the command exited with status %d%s%s%s",
		e.Job, e.ExitCode, hint, where(e.Rank, e.Attempt), lastLine(e.LastLines))
}

// KilledError is Wait's answer when the command did not end by itself, or could
// never begin.
type KilledError struct {
	Job       string
	Rank      int
	Attempt   int
	Signal    string   // such as "SIGKILL"; empty when nobody was left to see which
	Kind      error    // one of the kinds above; nil when it is not known
	Cause     string   // the likely cause in words
	LastLines []string // as in UserError
}

// Error gives the signal and the likely cause.
func (e *KilledError) Error() string {
	how := "killed"
	if e.Signal != "" {
		how = "killed by " + e.Signal
	}
	kind := ""
	if e.Kind != nil {
		kind = ": " + e.Kind.Error()
	}
	return fmt.Sprintf("train: job %q: %s%s: %s%s%s", e.Job, how, where(e.Rank, e.Attempt), e.Cause, lastLine(e.LastLines), kind)
}

// Unwrap returns the kind.
func (e *KilledError) Unwrap() error { return e.Kind }

// DeadlineError is Wait's answer when the job ran into Spec.Deadline, or the
// deadline that Spec.MaxCost allows.
type DeadlineError struct {
	Job      string
	Deadline time.Duration
}

// Error names the deadline.
func (e *DeadlineError) Error() string {
	return fmt.Sprintf("train: job %q: stopped at its deadline of %v", e.Job, e.Deadline)
}

// where is silent about the only process of the first attempt.
func where(rank, attempt int) string {
	if rank == 0 && attempt == 0 {
		return ""
	}
	return fmt.Sprintf(" (rank %d, attempt %d)", rank, attempt)
}

func lastLine(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	text := strings.TrimSpace(lines[len(lines)-1])
	if text == "" {
		return ""
	}
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return fmt.Sprintf("; its last line: %q", text)
}
