package serve

import "github.com/millwright-ml/millwright/internal/errs"

// The kinds of error this package returns, and the kinds that a Model may
// return from Infer to choose the HTTP status; test with errors.Is.
var (
	// ErrInvalid: a request or a deployment that is wrong (400).
	ErrInvalid = errs.ErrInvalid
	// ErrNotFound: no such model, or not this version of it (404).
	ErrNotFound = errs.ErrNotFound
	// ErrExists: the same model value is deployed already (409).
	ErrExists = errs.ErrExists
	// ErrConflict: the default version cannot be removed beside others (409).
	ErrConflict = errs.ErrConflict
	// ErrUnavailable: try again later (503).
	ErrUnavailable = errs.ErrUnavailable
	// ErrUnsupported: the model cannot do what is asked (501).
	ErrUnsupported = errs.ErrUnsupported
	// ErrClosed: the server was shut down (503).
	ErrClosed = errs.ErrClosed
)
