package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"time"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/internal/errs"
)

// ErrInjected is in every error that this package makes up.
var ErrInjected = errors.New("injected fault")

// ErrUnavailable is what a store reports that gave up on its server.
var ErrUnavailable = errs.ErrUnavailable

// Fault is something that goes wrong with one call. The zero value is nothing.
type Fault struct {
	call func(ctx context.Context, c Call, next func() error) error
	body func(ctx context.Context, r io.ReadCloser) io.ReadCloser
}

func injected(c Call, why error) error {
	return &fs.PathError{Op: string(c.Op), Path: c.Key, Err: fmt.Errorf("%w: %w", ErrInjected, why)}
}

// LostReply does what was asked and then reports a timeout, as when the
// connection breaks before the answer: the caller cannot know.
func LostReply() Fault {
	return Func(func(_ context.Context, c Call, next func() error) error {
		if err := next(); err != nil {
			return err
		}
		return injected(c, os.ErrDeadlineExceeded)
	})
}

// LostRequest does nothing and reports a timeout: to the caller it looks like
// [LostReply].
func LostRequest() Fault {
	return Func(func(_ context.Context, c Call, _ func() error) error { return injected(c, os.ErrDeadlineExceeded) })
}

// WonButRefused does what was asked and then says that another was first, as a
// client sees it that repeats a request whose first answer was lost: Create
// reports [fs.ErrExist], Swap [blob.ErrConflict], any other call nothing.
func WonButRefused() Fault {
	return Func(func(_ context.Context, c Call, next func() error) error {
		if err := next(); err != nil {
			return err
		}
		return refusal(c)
	})
}

func refusal(c Call) error {
	switch c.Op {
	case Create:
		return injected(c, fs.ErrExist)
	case Swap:
		return injected(c, blob.ErrConflict)
	case Put, Copy, Delete, Get, Stat, List:
	}
	return nil
}

// Status does nothing and reports what an HTTP answer of that status means for a
// store: 412 a lost Create or Swap, though nothing may be there; 409, 429 and
// all from 500 on an [ErrUnavailable]; 403 an [fs.ErrPermission]; 404 an
// [fs.ErrNotExist].
func Status(status int) Fault {
	return Func(func(_ context.Context, c Call, _ func() error) error {
		kind := error(ErrUnavailable)
		switch status {
		case http.StatusPreconditionFailed:
			if err := refusal(c); err != nil {
				return err
			}
		case http.StatusForbidden, http.StatusUnauthorized:
			kind = fs.ErrPermission
		case http.StatusNotFound:
			kind = fs.ErrNotExist
		}
		return injected(c, fmt.Errorf("status %d %s: %w", status, http.StatusText(status), kind))
	})
}

// Error does nothing and reports err.
func Error(err error) Fault {
	return Func(func(_ context.Context, c Call, _ func() error) error { return injected(c, err) })
}

// Hang waits until the caller's context ends.
func Hang() Fault {
	return Func(func(ctx context.Context, c Call, _ func() error) error {
		<-ctx.Done()
		return injected(c, ctx.Err())
	})
}

// Func is a fault of the test's own: f may call next, which does what was asked,
// once or never, and what it returns is the call's error.
func Func(f func(ctx context.Context, c Call, next func() error) error) Fault {
	return Fault{call: f}
}

// Truncate lets a body break off after n bytes with [io.ErrUnexpectedEOF]; a
// shorter one ends as it should.
func Truncate(n int64) Fault {
	return bodyFault(func(_ context.Context, r io.Reader) io.Reader {
		return io.MultiReader(io.LimitReader(r, n), &brokenOff{rest: r})
	})
}

// brokenOff fails where a body was cut, unless that was its end.
type brokenOff struct{ rest io.Reader }

func (b *brokenOff) Read([]byte) (int, error) {
	var one [1]byte
	if _, err := io.ReadFull(b.rest, one[:]); err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("%w: the body broke off: %w", ErrInjected, io.ErrUnexpectedEOF)
}

// Cut ends a body after n bytes as if that were all, as a careless proxy does.
func Cut(n int64) Fault {
	return bodyFault(func(_ context.Context, r io.Reader) io.Reader { return io.LimitReader(r, n) })
}

// Flip damages byte n of a body by one bit.
func Flip(n int64) Fault {
	return bodyFault(func(_ context.Context, r io.Reader) io.Reader { return &flipped{r: r, left: n} })
}

type flipped struct {
	r    io.Reader
	left int64
}

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if f.left >= 0 && f.left < int64(n) {
		p[f.left] ^= 1
	}
	f.left -= int64(n)
	return n, err
}

// Slow gives a body in pieces of n bytes with a pause before each.
func Slow(n int, pause time.Duration) Fault {
	return bodyFault(func(ctx context.Context, r io.Reader) io.Reader {
		return &slow{ctx: ctx, r: r, n: max(n, 1), pause: pause}
	})
}

type slow struct {
	ctx   context.Context // of the Get, as a reader takes none
	r     io.Reader
	n     int
	pause time.Duration
}

func (s *slow) Read(p []byte) (int, error) {
	timer := time.NewTimer(s.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	}
	return s.r.Read(p[:min(len(p), s.n)])
}

func bodyFault(wrap func(context.Context, io.Reader) io.Reader) Fault {
	return Fault{body: func(ctx context.Context, r io.ReadCloser) io.ReadCloser {
		return struct {
			io.Reader
			io.Closer
		}{wrap(ctx, r), r}
	}}
}
