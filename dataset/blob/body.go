package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Body wraps what a caller gave to Create or Put, for implementations: the
// reader fails with ctx.Err() once ctx has ended, and with an [fs.ErrInvalid]
// instead of [io.EOF] when the body is shorter or longer than size bytes. A body
// that is too short is an [io.ErrUnexpectedEOF] as well. Size -1 accepts any
// length; a nil body or a smaller size fails at the first Read.
func Body(ctx context.Context, body io.Reader, size int64) io.Reader {
	return &bodyReader{ctx: ctx, body: body, size: size}
}

type bodyReader struct {
	ctx  context.Context // for the length of one call, as a reader cannot take it
	body io.Reader
	size int64
	read int64
	err  error
}

func (b *bodyReader) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.err = b.check(); b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	if b.size >= 0 && b.read == b.size {
		// One byte more than promised is enough to know that the size is wrong.
		p = make([]byte, 1)
		n, err := b.body.Read(p)
		if n > 0 {
			b.err = fmt.Errorf("the body is longer than the %d bytes promised: %w", b.size, fs.ErrInvalid)
			return 0, b.err
		}
		b.err = err
		return 0, err
	}
	if b.size >= 0 && int64(len(p)) > b.size-b.read {
		p = p[:b.size-b.read]
	}
	n, err := b.body.Read(p)
	b.read += int64(n)
	if errors.Is(err, io.EOF) && b.read < b.size {
		err = fmt.Errorf("the body ended after %d of %d bytes: %w: %w", b.read, b.size, io.ErrUnexpectedEOF, fs.ErrInvalid)
	}
	b.err = err
	return n, err
}

func (b *bodyReader) check() error {
	switch {
	case b.ctx.Err() != nil:
		return b.ctx.Err()
	case b.body == nil:
		return fmt.Errorf("the body is nil: %w", fs.ErrInvalid)
	case b.size < -1:
		return fmt.Errorf("the size %d is negative: %w", b.size, fs.ErrInvalid)
	}
	return nil
}
