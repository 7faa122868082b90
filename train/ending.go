package train

import (
	"errors"
	"fmt"
	"time"
)

// Ending says how a job or an attempt ended, as data: launchers keep it with
// their objects, and archives in their files. The zero value is success.
type Ending struct {
	Cause     Cause         `json:"cause,omitempty"`    // "" is success
	ExitCode  int           `json:"exitCode,omitempty"` // -1 when it is not known
	Rank      int           `json:"rank,omitempty"`
	Attempt   int           `json:"attempt,omitempty"`
	Signal    string        `json:"signal,omitempty"`
	Text      string        `json:"text,omitempty"` // KilledError.Cause
	LastLines []string      `json:"lastLines,omitempty"`
	Deadline  time.Duration `json:"deadline,omitempty"` // when the cause is CauseDeadline
}

var kinds = map[Cause]error{
	CauseOOM:           ErrOOMKilled,
	CausePreempted:     ErrPreempted,
	CauseEvicted:       ErrEvicted,
	CauseNodeLost:      ErrNodeLost,
	CauseImagePull:     ErrImagePull,
	CauseUnschedulable: ErrUnschedulable,
	CauseQuota:         ErrQuotaExceeded,
}

// Err is the error that Wait returns for it; nil for success.
func (e Ending) Err(job string) error {
	switch e.Cause {
	case "":
		return nil
	case CauseUser:
		return &UserError{Job: job, Rank: e.Rank, Attempt: e.Attempt, ExitCode: e.ExitCode, LastLines: e.LastLines}
	case CauseCancelled:
		return fmt.Errorf("train: job %q: %w", job, ErrCancelled)
	case CauseDeadline:
		return &DeadlineError{Job: job, Deadline: e.Deadline}
	}
	text := e.Text
	if text == "" {
		text = string(e.Cause)
	}
	return &KilledError{
		Job: job, Rank: e.Rank, Attempt: e.Attempt, Signal: e.Signal,
		Kind: kinds[e.Cause], Cause: text, LastLines: e.LastLines,
	}
}

// Phase is the final phase that it leads to.
func (e Ending) Phase() Phase {
	switch e.Cause {
	case "":
		return Succeeded
	case CauseCancelled:
		return Cancelled
	default:
		return Failed
	}
}

// Infra reports whether a cause is the infrastructure's doing, so that
// Retry.Infra counts it.
func (c Cause) Infra() bool {
	switch c {
	case CausePreempted, CauseEvicted, CauseNodeLost, CauseKilled:
		return true
	default:
		return false
	}
}

// EndingOf is the Ending whose Err is the error that Wait returned.
func EndingOf(err error) Ending {
	if err == nil {
		return Ending{}
	}
	if e, ok := errors.AsType[*UserError](err); ok {
		return Ending{Cause: CauseUser, ExitCode: e.ExitCode, Rank: e.Rank, Attempt: e.Attempt, LastLines: e.LastLines}
	}
	if e, ok := errors.AsType[*DeadlineError](err); ok {
		return Ending{Cause: CauseDeadline, ExitCode: -1, Deadline: e.Deadline}
	}
	if e, ok := errors.AsType[*KilledError](err); ok {
		out := Ending{
			Cause: CauseKilled, ExitCode: -1, Rank: e.Rank, Attempt: e.Attempt,
			Signal: e.Signal, Text: e.Cause, LastLines: e.LastLines,
		}
		for cause, kind := range kinds {
			if e.Kind == kind { //nolint:errorlint // the kind itself, not what it may wrap
				out.Cause = cause
			}
		}
		return out
	}
	if errors.Is(err, ErrCancelled) {
		return Ending{Cause: CauseCancelled, ExitCode: -1}
	}
	return Ending{Cause: CauseKilled, ExitCode: -1, Text: err.Error()}
}
