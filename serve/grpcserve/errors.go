package grpcserve

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve"
)

// The kinds of error that a Client returns; test with errors.Is. The gRPC
// status is in each of them for status.FromError.
var (
	// ErrInvalid: a request that the server refused as wrong
	// (InvalidArgument, OutOfRange), or a message that is not one.
	ErrInvalid = errs.ErrInvalid
	// ErrNotFound: the server does not know the model or its version.
	ErrNotFound = errs.ErrNotFound
	// ErrExists: what is to be made is there (AlreadyExists).
	ErrExists = errs.ErrExists
	// ErrConflict: something else came in between (Aborted).
	ErrConflict = errs.ErrConflict
	// ErrForbidden: the caller may not do that (PermissionDenied).
	ErrForbidden = serve.ErrForbidden
	// ErrUnavailable: the server cannot answer now, try again later
	// (Unavailable, ResourceExhausted).
	ErrUnavailable = errs.ErrUnavailable
	// ErrUnsupported: the server does not have this part of the protocol
	// (Unimplemented).
	ErrUnsupported = errs.ErrUnsupported
)

// toStatus gives an error of the server its code.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	if s, ok := status.FromError(err); ok {
		return s.Err()
	}
	// As over HTTP, where it is a 429 and not a 503.
	if e, ok := errors.AsType[*serve.OverloadError](err); ok && e.Share {
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	code := codes.Internal
	for _, k := range []struct {
		kind error
		code codes.Code
	}{
		// A limit that was hit because the client has gone is no fault.
		{context.Canceled, codes.Canceled},
		{context.DeadlineExceeded, codes.DeadlineExceeded},
		{serve.ErrForbidden, codes.PermissionDenied},
		{errWire, codes.InvalidArgument},
		{errs.ErrInvalid, codes.InvalidArgument},
		{errs.ErrNotFound, codes.NotFound},
		{errs.ErrExists, codes.AlreadyExists},
		{errs.ErrConflict, codes.Aborted},
		{errs.ErrUnavailable, codes.Unavailable},
		{errs.ErrClosed, codes.Unavailable},
		{errs.ErrUnsupported, codes.Unimplemented},
	} {
		if errors.Is(err, k.kind) {
			code = k.code
			break
		}
	}
	return status.Error(code, err.Error())
}

// fromStatus gives what a call returned its kind.
func fromStatus(op string, err error) error {
	if err == nil {
		return nil
	}
	var kind error
	switch status.Code(err) {
	case codes.InvalidArgument, codes.OutOfRange:
		kind = ErrInvalid
	case codes.NotFound:
		kind = ErrNotFound
	case codes.AlreadyExists:
		kind = ErrExists
	case codes.Aborted:
		kind = ErrConflict
	case codes.PermissionDenied:
		kind = ErrForbidden
	case codes.Unavailable, codes.ResourceExhausted:
		kind = ErrUnavailable
	case codes.Unimplemented:
		kind = ErrUnsupported
	case codes.Canceled:
		kind = context.Canceled
	case codes.DeadlineExceeded:
		kind = context.DeadlineExceeded
	default:
		return fmt.Errorf("grpcserve: %s: %w", op, err)
	}
	return fmt.Errorf("grpcserve: %s: %w: %w", op, err, kind)
}
