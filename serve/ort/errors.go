package ort

import (
	"context"
	"fmt"
	"strings"
	"unsafe"

	"github.com/millwright-ml/millwright/internal/errs"
)

// The kinds of error this package returns; test with errors.Is.
var (
	// ErrInvalid: a file that is no model, options that are wrong, or a request
	// that the graph refuses.
	ErrInvalid = errs.ErrInvalid
	// ErrNotFound: the library or the model's file is not there.
	ErrNotFound = errs.ErrNotFound
	// ErrUnsupported: the library is too old or has no such provider, or the
	// graph has what the protocol or the library does not.
	ErrUnsupported = errs.ErrUnsupported
	// ErrUnavailable: the provider's device cannot be used.
	ErrUnavailable = errs.ErrUnavailable
	// ErrClosed: the library or the model was closed.
	ErrClosed = errs.ErrClosed
)

// The codes of ONNX Runtime's errors that have a kind of ours.
const (
	codeInvalidArgument = 2
	codeNoModel         = 4
	codeInvalidProtobuf = 7
	codeNotImplemented  = 9
	codeInvalidGraph    = 10
)

// maxMessage bounds ONNX Runtime's messages, which may quote a graph.
const maxMessage = 1000

// failure is an error of ONNX Runtime.
type failure struct {
	code int32
	text string
}

func (f *failure) Error() string { return f.text }

// Is gives the codes their kinds.
func (f *failure) Is(target error) bool {
	switch f.code {
	case codeInvalidArgument, codeNoModel, codeInvalidProtobuf, codeInvalidGraph:
		return target == ErrInvalid
	case codeNotImplemented:
		return target == ErrUnsupported
	}
	return false
}

// failed makes an error of a status and frees it.
func (a *api) failed(status uintptr) error {
	defer call(a.fn(fnReleaseStatus), status)
	text := cText(pointer(call(a.fn(fnGetErrorMessage), status)), maxMessage)
	text = strings.Join(strings.Fields(text), " ")
	if text == "" {
		text = "ONNX Runtime gave no reason"
	}
	return &failure{code: int32(call(a.fn(fnGetErrorCode), status)), text: text}
}

// try calls a function that returns a status. For its arguments holds what is said
// of call.
//
//go:uintptrescapes
func (a *api) try(fn int, args ...uintptr) error {
	if status := call(a.fn(fn), args...); status != 0 {
		return a.failed(status)
	}
	return nil
}

// refused is the error of a file that ONNX Runtime does not take: whatever its
// code, the file is wrong for this library.
func refused(err error) error {
	if f, ok := err.(*failure); ok && !f.Is(ErrInvalid) && !f.Is(ErrUnsupported) { //nolint:errorlint // It was made one call ago.
		return fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	return err
}

// ended is the error of a run that was told to end.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ort: infer: %w", context.Cause(ctx))
	}
	return fmt.Errorf("ort: infer: %w", err)
}

// cText copies a text that ends with a zero byte, or at most bytes of it.
func cText(p unsafe.Pointer, most int) string {
	if p == nil {
		return ""
	}
	n := 0
	for n < most && *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}

// cString is a text that ends with a zero byte, in Go's memory, which stays where
// it is.
func cString(s string) *byte {
	b := make([]byte, len(s)+1)
	copy(b, s)
	return &b[0]
}
