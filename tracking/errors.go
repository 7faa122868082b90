package tracking

import (
	"fmt"

	"github.com/millwright-ml/millwright/internal/errs"
)

// The error kinds of this package and of every Store; test with errors.Is.
var (
	// ErrNotFound: the experiment, run or artifact does not exist.
	ErrNotFound = errs.ErrNotFound
	// ErrExists: the experiment name or run id is taken.
	ErrExists = errs.ErrExists
	// ErrConflict: a param would change its value; see ParamConflictError.
	ErrConflict = errs.ErrConflict
	// ErrInvalid: a name, value, limit or page token is wrong.
	ErrInvalid = errs.ErrInvalid
	// ErrClosed: the Client was shut down or the Store closed.
	ErrClosed = errs.ErrClosed
	// ErrUnavailable: the store cannot be reached or written now; the same
	// call may succeed later. Also: metric points were dropped because the
	// buffer was full.
	ErrUnavailable = errs.ErrUnavailable
	// ErrUnsupported: the Client has no artifact store, or the Store cannot do
	// this.
	ErrUnsupported = errs.ErrUnsupported
)

// ParamConflictError reports the attempt to change a param, which is written
// once. It is an ErrConflict. Nothing of the batch was stored.
type ParamConflictError struct {
	Run           RunID
	Key, Old, New string
}

// Error names the key, the stored and the refused value.
func (e *ParamConflictError) Error() string {
	return fmt.Sprintf("run %q: param %q is %q already and cannot become %q, params are written once: conflict",
		e.Run, e.Key, shorten(e.Old), shorten(e.New))
}

// Is reports whether target is ErrConflict.
func (e *ParamConflictError) Is(target error) bool { return target == ErrConflict }

// shorten keeps outside text in an error message readable.
func shorten(s string) string {
	const limit = 120
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
