// Package errs holds the error kinds that every public package re-exports, so
// that errors.Is gives one answer across packages, and the collector that lets
// a validation report all its faults at once.
package errs

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds. A package wraps one of them with the operation, the subject and
// the likely cause in front.
var (
	ErrNotFound    = errors.New("not found")
	ErrExists      = errors.New("already exists")
	ErrConflict    = errors.New("conflict")
	ErrInvalid     = errors.New("invalid")
	ErrClosed      = errors.New("closed")
	ErrUnavailable = errors.New("unavailable")
	ErrUnsupported = fmt.Errorf("not supported by this implementation: %w", errors.ErrUnsupported)
)

// Faults collects what is wrong with one value. The zero value is ready.
type Faults struct {
	list []string
}

// Addf records one fault.
func (f *Faults) Addf(format string, args ...any) {
	f.list = append(f.list, fmt.Sprintf(format, args...))
}

// Check records the fault unless ok.
func (f *Faults) Check(ok bool, format string, args ...any) {
	if !ok {
		f.Addf(format, args...)
	}
}

// Err returns nil when there are no faults, else one ErrInvalid that names the
// subject and lists every fault.
func (f *Faults) Err(subject string) error {
	if len(f.list) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", subject, strings.Join(f.list, "; "), ErrInvalid)
}
