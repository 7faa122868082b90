package serve

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/millwright-ml/millwright/serve/oip"
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
	in      []byte
	out     []byte
	packed  []byte // The answer in a content encoding.
	decoder oip.Decoder
}

func (b *buffer) release() {
	for _, s := range []*[]byte{&b.in, &b.out, &b.packed} {
		if cap(*s) > keepBuffer {
			*s = nil
		}
	}
	b.decoder.Reset()
	buffers.Put(b)
}

// text is a request's body.
type text struct {
	body []byte
	// json is the length of the JSON in front of binary tensor data,
	// oip.JSONOnly without any.
	json int
}

// receive reads the body of r, out of its content encoding, into the memory of
// b.
func (b *buffer) receive(r *http.Request, o *Options) (text, error) {
	n, err := oip.HeaderLength(r.Header)
	if err != nil {
		return text{}, err
	}
	lead := oip.Lead(n)
	body, length := io.Reader(r.Body), r.ContentLength
	if enc := r.Header["Content-Encoding"]; len(enc) > 0 && enc[0] != "" && enc[0] != "identity" {
		if o.MaxBody >= 0 && length > o.MaxBody {
			return text{}, tooLarge(o.MaxBody)
		}
		in, err := oip.Inflate(r.Body, strings.Join(enc, ","), &oip.InflateOptions{Ratio: o.MaxRatio})
		if err != nil {
			return text{}, &encodingError{err}
		}
		defer in.Close()
		body, length = in, -1
	}
	if b.in, err = readBody(b.in, lead, body, length, o.MaxBody); err != nil {
		return text{}, err
	}
	return text{b.in[lead:], n}, nil
}

// encodingError is a content encoding that is not known: status 415.
type encodingError struct{ error }

func (e *encodingError) Unwrap() error { return e.error }

// readBody reads a body of an announced length, -1 for unknown, into the memory
// of b behind lead bytes that are left free. The memory grows with what has
// arrived and not with what was announced. A body of more than limit bytes is a
// *http.MaxBytesError, at once when its length was announced.
func readBody(b []byte, lead int, body io.Reader, length, limit int64) ([]byte, error) {
	if limit >= 0 && length > limit {
		return b, tooLarge(limit)
	}
	if want := lead + int(min(max(length, 512), firstRead)); cap(b) < want {
		b = make([]byte, 0, want)
	}
	b = b[:lead]
	for {
		if len(b) == cap(b) {
			b = grow(b, int64(lead)+length)
		}
		n, err := body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		have := int64(len(b) - lead)
		switch {
		case limit >= 0 && have > limit:
			return b, tooLarge(limit)
		case err == nil:
		case errors.Is(err, io.EOF):
			return b, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			if length < 0 {
				return b, fmt.Errorf("the body ended after %d bytes: %w", have, ErrInvalid)
			}
			return b, fmt.Errorf("the body ended after %d of %d bytes: %w", have, length, ErrInvalid)
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
	if errors.Is(err, ErrInvalid) {
		return err
	}
	return fmt.Errorf("read the body: %w: %w", err, ErrInvalid)
}
