package oip

import "github.com/millwright-ml/millwright/internal/errs"

// The kinds of error this package returns; test with errors.Is.
var (
	// ErrInvalid: bytes that are not an Open Inference Protocol message, a
	// tensor whose shape and data disagree, or a request the server refused
	// as wrong (status 400, 413, 415 or 422).
	ErrInvalid = errs.ErrInvalid
	// ErrNotFound: the server does not know the model or its version (404).
	ErrNotFound = errs.ErrNotFound
	// ErrUnavailable: the server cannot answer now, try again later (429,
	// 502, 503, 504).
	ErrUnavailable = errs.ErrUnavailable
	// ErrUnsupported: the server does not have this part of the protocol
	// (501).
	ErrUnsupported = errs.ErrUnsupported
	// ErrClosed: a reader was used after its Close.
	ErrClosed = errs.ErrClosed
)
