package mlflowapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
)

// The error codes of the API that this module sends or tells apart.
const (
	CodeInvalid         = "INVALID_PARAMETER_VALUE"
	CodeBadRequest      = "BAD_REQUEST"
	CodeExists          = "RESOURCE_ALREADY_EXISTS"
	CodeNotFound        = "RESOURCE_DOES_NOT_EXIST"
	CodeNoEndpoint      = "ENDPOINT_NOT_FOUND"
	CodeUnauthenticated = "UNAUTHENTICATED"
	CodeDenied          = "PERMISSION_DENIED"
	CodeConflict        = "RESOURCE_CONFLICT"
	CodeNotImplemented  = "NOT_IMPLEMENTED"
	CodeUnavailable     = "TEMPORARILY_UNAVAILABLE"
	CodeDeadline        = "DEADLINE_EXCEEDED"
	CodeCancelled       = "CANCELLED"
	CodeInternal        = "INTERNAL_ERROR"
)

// codes ties each error code to its status and to the kind it stands for,
// nil where there is none.
var codes = map[string]struct {
	status int
	kind   error
}{
	CodeInvalid:              {http.StatusBadRequest, errs.ErrInvalid},
	CodeBadRequest:           {http.StatusBadRequest, errs.ErrInvalid},
	CodeExists:               {http.StatusBadRequest, errs.ErrExists},
	"ALREADY_EXISTS":         {http.StatusConflict, errs.ErrExists},
	CodeNotFound:             {http.StatusNotFound, errs.ErrNotFound},
	"NOT_FOUND":              {http.StatusNotFound, errs.ErrNotFound},
	CodeNoEndpoint:           {http.StatusNotFound, errs.ErrUnsupported},
	CodeUnauthenticated:      {http.StatusUnauthorized, nil},
	"CUSTOMER_UNAUTHORIZED":  {http.StatusUnauthorized, nil},
	CodeDenied:               {http.StatusForbidden, nil},
	CodeConflict:             {http.StatusConflict, errs.ErrConflict},
	"ABORTED":                {http.StatusConflict, errs.ErrConflict},
	"REQUEST_LIMIT_EXCEEDED": {http.StatusTooManyRequests, errs.ErrUnavailable},
	"RESOURCE_EXHAUSTED":     {http.StatusTooManyRequests, errs.ErrUnavailable},
	CodeCancelled:            {499, nil},
	CodeNotImplemented:       {http.StatusNotImplemented, errs.ErrUnsupported},
	CodeUnavailable:          {http.StatusServiceUnavailable, errs.ErrUnavailable},
	CodeDeadline:             {http.StatusGatewayTimeout, errs.ErrUnavailable},
	CodeInternal:             {http.StatusInternalServerError, nil},
	"INVALID_STATE":          {http.StatusInternalServerError, nil},
	"DATA_LOSS":              {http.StatusInternalServerError, nil},
}

// Error is the body of an answer that is not a success.
type Error struct {
	Code    string `json:"error_code"`
	Message string `json:"message"`
}

// Errorf returns an Error.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Missing is the error of a request without a required field.
func Missing(field string) *Error {
	return Errorf(CodeInvalid, "Missing value for required parameter '%s'. See the API docs for more information about request parameters.", field)
}

// InvalidValue is the error of a request with a wrong value, given as JSON.
func InvalidValue(field, value, hint string) *Error {
	const limit = 200
	if len(value) > limit {
		value = strings.ToValidUTF8(value[:limit], "") + "…"
	}
	end := "."
	if hint != "" {
		end = ": " + hint
	}
	return Errorf(CodeInvalid, "Invalid value %s for parameter '%s' supplied%s", value, field, end)
}

// Error returns the message and the code.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Unwrap returns the kind of this module that the code stands for.
func (e *Error) Unwrap() error { return codes[e.Code].kind }

// Status returns the HTTP status of the code, 500 for one that is not known.
func (e *Error) Status() int {
	if c, ok := codes[e.Code]; ok {
		return c.status
	}
	return http.StatusInternalServerError
}

// FromKind returns what the kind of err is on the wire, with its text as the
// message, or nil when err is of no kind that a caller may be told.
func FromKind(err error) *Error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	for _, k := range [...]struct {
		kind error
		code string
	}{
		{errs.ErrInvalid, CodeInvalid},
		{errs.ErrNotFound, CodeNotFound},
		{errs.ErrExists, CodeExists},
		{errs.ErrConflict, CodeConflict},
		{errs.ErrUnsupported, CodeNotImplemented},
	} {
		if errors.Is(err, k.kind) {
			return &Error{Code: k.code, Message: strings.TrimSuffix(err.Error(), ": "+k.kind.Error())}
		}
	}
	return nil
}

// FromStatus returns the Error of an answer that has no usable body.
func FromStatus(status int, message string) *Error {
	code := CodeInternal
	switch status {
	case http.StatusBadRequest:
		code = CodeBadRequest
	case http.StatusUnauthorized:
		code = CodeUnauthenticated
	case http.StatusForbidden:
		code = CodeDenied
	case http.StatusNotFound:
		code = CodeNoEndpoint
	case http.StatusConflict:
		code = CodeConflict
	case http.StatusTooManyRequests:
		code = "RESOURCE_EXHAUSTED"
	case http.StatusNotImplemented:
		code = CodeNotImplemented
	case http.StatusServiceUnavailable, http.StatusBadGateway:
		code = CodeUnavailable
	case http.StatusGatewayTimeout:
		code = CodeDeadline
	}
	return &Error{Code: code, Message: message}
}

// fault is what is wrong with a JSON text, and where.
type fault struct {
	kind faultKind
	path string // of the field, like "metrics[3].key"
	pos  int    // of faultSyntax
	want string // of faultSyntax, and the hint of faultValue
	raw  string // the JSON of faultValue
}

type faultKind int

const (
	faultSyntax faultKind = iota
	faultValue
	faultMissing
	faultTwice
)

// in puts the name of the enclosing field before the path.
func (f *fault) in(name string) *fault {
	switch {
	case f == nil:
	case f.path == "" || f.path[0] == '[':
		f.path = name + f.path
	default:
		f.path = name + "." + f.path
	}
	return f
}

func (f *fault) err() error {
	switch {
	case f == nil:
		return nil
	case f.kind == faultValue:
		return InvalidValue(f.path, f.raw, f.want)
	case f.kind == faultMissing:
		return Missing(f.path)
	case f.kind == faultTwice:
		return Errorf(CodeInvalid, "Request specifies '%s' twice; provide only one of them.", f.path)
	}
	return Errorf(CodeBadRequest, "Malformed JSON at byte %d of the request body: want %s.", f.pos, f.want)
}
