package grpcserve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

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
	if e, ok := errors.AsType[*serve.OverloadError](err); ok {
		return overload(e, err.Error())
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

// overload is the status of a request that was turned away, with what is the header
// Retry-After over HTTP. The code is another where that has 429 and not 503.
func overload(e *serve.OverloadError, text string) error {
	s := status.New(codes.Unavailable, text)
	if e.Share {
		s = status.New(codes.ResourceExhausted, text)
	}
	if e.RetryAfter > 0 {
		if with, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)}); err == nil {
			s = with
		}
	}
	return s.Err()
}

// RetryAfter is how long a server that turned a request away asks to wait before the
// next try: the RetryInfo in the error's gRPC status. It is 0 where there is none.
func RetryAfter(err error) time.Duration {
	s, ok := status.FromError(err)
	if !ok {
		return 0
	}
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok && info.GetRetryDelay().IsValid() {
			return max(info.GetRetryDelay().AsDuration(), 0)
		}
	}
	return 0
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
