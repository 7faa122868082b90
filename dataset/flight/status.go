package flight

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/millwright-ml/millwright/dataset/feed"
	"github.com/millwright-ml/millwright/internal/errs"
)

// status gives an error its gRPC code. What is not the request's fault is told
// to OnError, and to the client only in general: it may name the store.
func (s *service) status(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	code := codeOf(err)
	text := err.Error()
	switch code {
	case codes.Internal, codes.Unavailable, codes.Unimplemented:
		if s.opts.OnError != nil {
			s.opts.OnError(ctx, err)
		}
	}
	if code == codes.Internal {
		text = "flight: the server failed; its log says why"
	}
	return status.Error(code, text)
}

func codeOf(err error) codes.Code {
	for _, k := range []struct {
		kind error
		code codes.Code
	}{
		{feed.ErrUnauthenticated, codes.Unauthenticated},
		{feed.ErrDenied, codes.PermissionDenied},
		{errs.ErrInvalid, codes.InvalidArgument},
		{errs.ErrNotFound, codes.NotFound},
		{errs.ErrConflict, codes.FailedPrecondition},
		{errs.ErrUnsupported, codes.Unimplemented},
		{errs.ErrUnavailable, codes.Unavailable},
		{context.DeadlineExceeded, codes.DeadlineExceeded},
		{context.Canceled, codes.Canceled},
	} {
		if errors.Is(err, k.kind) {
			return k.code
		}
	}
	if s, ok := status.FromError(err); ok {
		return s.Code() // Of gRPC itself, when sending failed.
	}
	return codes.Internal
}
