package registry

import (
	"fmt"

	"github.com/millwright-ml/millwright/internal/errs"
)

// The kinds of error that this package and its stores return; use errors.Is.
var (
	// ErrNotFound: the model, version, alias or profile does not exist.
	ErrNotFound = errs.ErrNotFound
	// ErrExists: a model's name is taken.
	ErrExists = errs.ErrExists
	// ErrConflict: an alias was not where the caller expected it, an
	// idempotency key was used before for other content, a file changed while it
	// was being registered, or a promotion was refused.
	ErrConflict = errs.ErrConflict
	// ErrInvalid: the input breaks a rule; the text lists every fault.
	ErrInvalid = errs.ErrInvalid
	// ErrClosed: the store was closed.
	ErrClosed = errs.ErrClosed
	// ErrUnavailable: the store did not answer in time; trying again may work.
	ErrUnavailable = errs.ErrUnavailable
	// ErrUnsupported: the registry was made without Files, or the store's URL
	// names an engine that this build has no store for.
	ErrUnsupported = errs.ErrUnsupported
)

// ConflictError reports an alias that was not where the caller expected it. It
// is an ErrConflict.
type ConflictError struct {
	// Name is the model, Alias its alias.
	Name, Alias string
	// To is the version that the alias was to be moved to, 0 to delete it.
	To int
	// Want is the version that the caller expected the alias at, Have the one
	// it is at; 0 stands for an alias that does not exist.
	Want, Have int

	rollback bool
}

// Error says what was attempted and where the alias is now.
func (e *ConflictError) Error() string {
	act := fmt.Sprintf("set alias %q of %q to v%d", e.Alias, e.Name, e.To)
	switch {
	case e.rollback:
		act = fmt.Sprintf("roll back %q of %q", e.Alias, e.Name)
	case e.To == 0:
		act = fmt.Sprintf("delete alias %q of %q", e.Alias, e.Name)
	}
	cause := fmt.Sprintf("the alias moved to v%d, expected v%d", e.Have, e.Want)
	switch {
	case e.Want == 0:
		cause = fmt.Sprintf("the alias exists already, at v%d", e.Have)
	case e.Have == 0:
		cause = fmt.Sprintf("the alias does not exist, expected v%d", e.Want)
	}
	return fmt.Sprintf("registry: %s: %s: %v", act, cause, ErrConflict)
}

// Is reports that the error is an ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// DigestError reports a stored file whose bytes are not the ones that were
// registered. None of them were delivered.
type DigestError struct {
	// Name and Number are the version, Path its file. Number is 0 when Register
	// found an object damaged that it would have shared.
	Name   string
	Number int
	Path   string
	// Want is the SHA-256 recorded at registration, in lower-case hex. Have is
	// that of the stored bytes; empty when the file is missing from the store
	// or longer than recorded.
	Want, Have string

	found string // what was found, in words
}

// Error says what was found, and how to mend it.
func (e *DigestError) Error() string {
	if e.Number == 0 {
		return fmt.Sprintf("registry: register %q: file %q was stored before as object %s, which %s: it was damaged or replaced since; restore it from a backup, or delete it and register again",
			e.Name, e.Path, objectKey(e.Want), e.found)
	}
	return fmt.Sprintf("registry: %q v%d: stored file %q %s, want SHA-256 %s: it was damaged or replaced after registration; restore object %s from a backup or register the same files again",
		e.Name, e.Number, e.Path, e.found, e.Want, objectKey(e.Want))
}
