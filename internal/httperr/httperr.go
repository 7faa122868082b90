// Package httperr maps the error kinds to HTTP statuses, in one place for
// every handler of the module.
package httperr

import (
	"context"
	"errors"
	"net/http"

	"github.com/millwright-ml/millwright/internal/errs"
)

// StatusClientClosed is the customary status, in logs, of a request whose
// client went away before the answer.
const StatusClientClosed = 499

// Status returns the HTTP status for an error. A fault of the caller is a 4xx;
// an error of no known kind is a 500.
func Status(err error) int {
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errs.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, errs.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, errs.ErrExists), errors.Is(err, errs.ErrConflict):
		return http.StatusConflict
	case errors.Is(err, errs.ErrUnsupported):
		return http.StatusNotImplemented
	case errors.Is(err, errs.ErrUnavailable), errors.Is(err, errs.ErrClosed):
		return http.StatusServiceUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	case errors.Is(err, context.Canceled):
		return StatusClientClosed
	}
	return http.StatusInternalServerError
}
