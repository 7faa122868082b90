package remote

import "github.com/millwright-ml/millwright/internal/errs"

// The kinds of error this package returns; test with errors.Is.
var (
	// ErrInvalid: options that are wrong, or a request that the other side
	// refused as wrong.
	ErrInvalid = errs.ErrInvalid
	// ErrUnavailable: the other side cannot be reached, does not answer, is
	// overloaded or does not have the model; try again later.
	ErrUnavailable = errs.ErrUnavailable
	// ErrUnsupported: the other side does not have this part of the protocol.
	ErrUnsupported = errs.ErrUnsupported
	// ErrClosed: the model was closed.
	ErrClosed = errs.ErrClosed
)
