package blob

import (
	"context"
	"fmt"
	"io"
	"io/fs"
)

// Swapper is a [Store] with compare-and-swap. Call the function [Swap], which
// has an answer for every store; this interface is for implementations. One that
// wraps another store passes the call on with [Swap] and so may report
// [ErrUnsupported].
type Swapper interface {
	// Swap writes key if the object there has the tag old (see [Tag]), and returns
	// the tag of what it wrote; of racing swaps from one tag exactly one succeeds.
	// With old "" it writes key only if it is absent, as Create does. When the
	// object has another tag, or there is none, or for old "" there is one, the
	// error is an [ErrConflict] and nothing is written. Body and size are as for
	// [Store.Create].
	Swap(ctx context.Context, key string, body io.Reader, size int64, old string) (tag string, err error)
}

// Swap replaces the object at key if it still is the one with the tag old. See
// [Swapper]; the error is an [ErrUnsupported] when the store is none.
//
//	data, tag, err := blob.ReadTagged(ctx, s, "head.json", 1<<20)
//	…
//	_, err = blob.Swap(ctx, s, "head.json", body, size, tag)
//	if errors.Is(err, blob.ErrConflict) { … read it again … }
func Swap(ctx context.Context, s Store, key string, body io.Reader, size int64, old string) (tag string, err error) {
	if w, ok := s.(Swapper); ok {
		return w.Swap(ctx, key, body, size, old)
	}
	return "", unsupported("swap", key, "compare-and-swap")
}

func unsupported(op, key, what string) error {
	return &fs.PathError{Op: op, Path: key, Err: fmt.Errorf("the store has no %s: %w", what, ErrUnsupported)}
}

// Tag is the opaque name of one state of an object: two writes of one key have
// different tags, but for equal content, which may have one. It is "" when the
// store gives none. On S3 it is the ETag.
func Tag(fi fs.FileInfo) string {
	if t, ok := fi.(interface{ Tag() string }); ok {
		return t.Tag()
	}
	return ""
}

// Opened describes the object that a reader from [Store.Get] reads from, of
// which the range may be a part: its size and its [Tag] are those of the very
// object whose bytes come. It is nil when the store does not say.
func Opened(r io.Reader) fs.FileInfo {
	s, ok := r.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return nil
	}
	fi, err := s.Stat()
	if err != nil {
		return nil
	}
	return fi
}

// NewReader gives the reader of an object its description for [Opened], for
// implementations.
func NewReader(r io.ReadCloser, fi fs.FileInfo) io.ReadCloser {
	return &openedReader{ReadCloser: r, info: fi}
}

type openedReader struct {
	io.ReadCloser
	info fs.FileInfo
}

func (r *openedReader) Stat() (fs.FileInfo, error) { return r.info, nil }

// WriteTo keeps the fast way of readers that have one.
func (r *openedReader) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, r.ReadCloser) }
