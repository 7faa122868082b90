package serve

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

const (
	// firstRead is what is set aside for a body before any of it is there,
	// whatever length was announced.
	firstRead = 64 << 10
	// keepBuffer is the largest buffer that is kept for the next request.
	keepBuffer = 1 << 20
)

// buffers hold the text of requests and responses.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

// buffer is the room for one request.
type buffer struct {
	in  []byte
	out []byte
}

func (b *buffer) release() {
	if cap(b.in) > keepBuffer {
		b.in = nil
	}
	if cap(b.out) > keepBuffer {
		b.out = nil
	}
	buffers.Put(b)
}

// readBody reads the body of r into the memory of b, which grows with what has
// arrived and not with what was announced. A body of more than limit bytes is a
// *http.MaxBytesError, at once when its length was announced.
func readBody(b []byte, r *http.Request, limit int64) ([]byte, error) {
	if limit >= 0 && r.ContentLength > limit {
		return b, tooLarge(limit)
	}
	b = b[:0]
	if want := min(max(r.ContentLength, 512), firstRead); int64(cap(b)) < want {
		b = make([]byte, 0, want)
	}
	for {
		if len(b) == cap(b) {
			b = grow(b, r.ContentLength)
		}
		n, err := r.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case limit >= 0 && int64(len(b)) > limit:
			return b, tooLarge(limit)
		case err == nil:
		case errors.Is(err, io.EOF):
			return b, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			if r.ContentLength < 0 {
				return b, fmt.Errorf("the body ended after %d bytes: %w", len(b), ErrInvalid)
			}
			return b, fmt.Errorf("the body ended after %d of %d bytes: %w", len(b), r.ContentLength, ErrInvalid)
		default:
			return b, bodyError(err)
		}
	}
}

// grow doubles the room, up to what was announced.
func grow(b []byte, announced int64) []byte {
	size := 2 * cap(b)
	if announced > int64(len(b)) && announced < int64(size) {
		size = int(announced)
	}
	return append(make([]byte, 0, size), b...)
}

func tooLarge(limit int64) error {
	return fmt.Errorf("the body is too large, at most %d bytes are taken: %w", limit, &http.MaxBytesError{Limit: limit})
}

// bodyError gives a fault of reading its kind: what a handler around this one
// has limited stays that, the rest is the client's connection.
func bodyError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fmt.Errorf("the body is too large: %w", err)
	}
	return fmt.Errorf("read the body: %w: %w", err, ErrInvalid)
}
