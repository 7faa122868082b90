package feed

import (
	"errors"

	"github.com/millwright-ml/millwright/internal/errs"
)

// The kinds of errors of this package, for errors.Is. Those of the dataset and
// of the loader come through as they are.
var (
	// ErrInvalid: the request is not acceptable; the text lists every fault. The
	// answer is 400.
	ErrInvalid = errs.ErrInvalid
	// ErrNotFound: there is no such dataset or version. The answer is 404.
	ErrNotFound = errs.ErrNotFound
	// ErrUnavailable: as many streams run as may. The answer is 503.
	ErrUnavailable = errs.ErrUnavailable
)

// The refusals of Options.Authorize.
var (
	// ErrUnauthenticated: the request does not say who sent it, or not in a way
	// that can be believed. The answer is 401.
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrDenied: who sent the request may not read this. The answer is 403.
	ErrDenied = errors.New("permission denied")
)
