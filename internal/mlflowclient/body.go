package mlflowclient

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

// uploadBody is a caller's body on its way. It checks the length, remembers
// why reading failed, and is not read any more after release, as the transport
// may go on reading in the background when a server answers early.
type uploadBody struct {
	mu    sync.Mutex
	body  io.Reader // nil after release
	left  int64     // of a sized body
	sized bool
	err   error // of the body, not io.EOF
}

// Read implements io.Reader.
func (b *uploadBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.body == nil:
		return 0, io.ErrClosedPipe
	case b.err != nil:
		return 0, b.err
	case b.sized && b.left == 0:
		if b.err = b.longer(); b.err != nil {
			return 0, b.err
		}
		return 0, io.EOF
	}
	if b.sized && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.body.Read(p)
	if b.sized {
		b.left -= int64(n)
	}
	switch {
	case errors.Is(err, io.EOF) && b.sized && b.left > 0:
		b.err = fmt.Errorf("the body ended %d bytes before its size: %w: %w", b.left, io.ErrUnexpectedEOF, fs.ErrInvalid)
		err = b.err
	case err == nil && b.sized && b.left == 0:
		// The transport stops at the promised length and would never see more.
		if b.err = b.longer(); b.err != nil {
			return 0, b.err
		}
	case err != nil && !errors.Is(err, io.EOF):
		b.err = err
	}
	return n, err
}

// longer reports a body that goes on past its size.
func (b *uploadBody) longer() error {
	var one [1]byte
	for range 100 { // a reader may return nothing for a while
		n, err := b.body.Read(one[:])
		switch {
		case n > 0:
			return fmt.Errorf("the body is longer than its size: %w", fs.ErrInvalid)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// checkEnd is for a body of no bytes, which is not sent.
func (b *uploadBody) checkEnd() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.longer()
}

// release ends the use of the caller's body; a Read under way is waited for.
func (b *uploadBody) release() {
	b.mu.Lock()
	b.body = nil
	b.mu.Unlock()
}

// fault returns why the caller's body could not be sent.
func (b *uploadBody) fault() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// Close implements io.Closer for the transport; the body stays the caller's.
func (b *uploadBody) Close() error { return nil }

// downloadBody is an artifact on its way, cut after left bytes unless all is
// set.
type downloadBody struct {
	body   io.ReadCloser
	left   int64
	all    bool
	client *Client
}

// Read implements io.Reader. A lost connection is a networkError, never the
// end.
func (b *downloadBody) Read(p []byte) (int, error) {
	if !b.all {
		if b.left == 0 {
			return 0, io.EOF
		}
		if int64(len(p)) > b.left {
			p = p[:b.left]
		}
	}
	n, err := b.body.Read(p)
	b.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = b.client.network(err)
	}
	return n, err
}

// Close implements io.Closer.
func (b *downloadBody) Close() error { return b.body.Close() }
