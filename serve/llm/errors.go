package llm

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// The kinds of error this package returns; test with errors.Is.
var (
	// ErrInvalid: a configuration, or a request, that cannot be.
	ErrInvalid = errs.ErrInvalid
	// ErrNotFound: there is no such model, or the tenant may not use it.
	ErrNotFound = errs.ErrNotFound
	// ErrUnavailable: no upstream answers, or the limit of a tenant is reached.
	ErrUnavailable = errs.ErrUnavailable
	// ErrClosed: the gateway was shut down.
	ErrClosed = errs.ErrClosed
)

// Error is an answer in the shape of OpenAI's API. Hooks and authenticators may
// return one to choose what the client sees; any other error of theirs is a 500
// without its text.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Type and Code are the two by which clients tell errors apart, Param the
	// field at fault. Code and Param may be empty.
	Type, Code, Param string
	// Message is for people. It must have no secrets.
	Message string
	// RetryAfter is when it may be worth to try again. 0 says nothing.
	RetryAfter time.Duration

	cause error
}

// Error is the message, for logs.
func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("llm: %s: %v", e.Message, e.cause)
	}
	return "llm: " + e.Message
}

// Unwrap returns what caused it.
func (e *Error) Unwrap() error { return e.cause }

// Is matches the kind that belongs to the status.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrInvalid:
		return e.Status == http.StatusBadRequest || e.Status == http.StatusRequestEntityTooLarge
	case ErrNotFound:
		return e.Status == http.StatusNotFound
	case ErrUnavailable:
		return e.Status == http.StatusTooManyRequests || e.Status >= http.StatusBadGateway
	}
	return false
}

// The types of error that OpenAI's clients know.
const (
	typeInvalid   = "invalid_request_error"
	typeAuth      = "authentication_error"
	typeServer    = "server_error"
	typeRate      = "rate_limit_error"
	typeQuota     = "insufficient_quota"
	codeUpstream  = "upstream_error"
	codeTimeout   = "upstream_timeout"
	codeNoReplica = "upstream_unavailable"
)

func invalid(param, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Type: typeInvalid, Param: param, Message: fmt.Sprintf(format, args...)}
}

// asError is the answer for any error.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Status: http.StatusInternalServerError, Type: typeServer, Message: "the gateway failed", cause: err}
}

// appendJSON appends the error as a JSON object.
func (e *Error) appendJSON(dst []byte) []byte {
	text := func(s string) []byte {
		b, _ := json.Marshal(s) //nolint:errchkjson // A string always has one.
		return b
	}
	orNull := func(s string) []byte {
		if s == "" {
			return []byte("null")
		}
		return text(s)
	}
	dst = append(append(dst, `{"error":{"message":`...), text(e.Message)...)
	dst = append(append(dst, `,"type":`...), text(e.Type)...)
	dst = append(append(dst, `,"param":`...), orNull(e.Param)...)
	dst = append(append(dst, `,"code":`...), orNull(e.Code)...)
	return append(dst, "}}"...)
}

// write answers a request with the error.
func (e *Error) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	if e.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	b := e.appendJSON(nil)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(e.Status)
	_, _ = w.Write(b) // The client may have gone.
}
