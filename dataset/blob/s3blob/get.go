package s3blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/millwright-ml/millwright/dataset/blob"
)

// Get implements [blob.Store]. A body that breaks off is gone on with where it
// stopped, of the same object; when that was replaced meanwhile the reader fails
// with [blob.ErrConflict].
func (s *Store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	full, err := s.key(ctx, "get", key)
	if err != nil {
		return nil, err
	}
	if off < 0 {
		return nil, &fs.PathError{Op: "get", Path: key, Err: fmt.Errorf("offset %d is negative: %w", off, fs.ErrInvalid)}
	}
	if n == 0 {
		return s.getNothing(ctx, key, off) // an empty range cannot be asked for
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: &full}
	s.crypt.get(in)
	ranged := off > 0 || n > 0
	switch {
	case n > 0 && n-1 <= math.MaxInt64-off:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	case ranged:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", off))
	}
	out, err := s.client.GetObject(ctx, in)
	if statusOf(err) == http.StatusRequestedRangeNotSatisfiable {
		return s.getNothing(ctx, key, off)
	}
	if err != nil {
		return nil, s.fail(ctx, "get", key, err)
	}
	size := aws.ToInt64(out.ContentLength)
	if ranged {
		if size, err = s.total(out, off); err != nil {
			_ = out.Body.Close() // unread
			return nil, &fs.PathError{Op: "get", Path: key, Err: err}
		}
	}
	return &body{
		s: s, ctx: ctx, in: in, r: out.Body, off: off, end: off + aws.ToInt64(out.ContentLength),
		info: blob.NewTaggedInfo(key, size, aws.ToTime(out.LastModified), tagOf(out.ETag)),
	}, nil
}

// total is the size of the object that a range was read of.
func (s *Store) total(out *s3.GetObjectOutput, off int64) (int64, error) {
	rest, ok := strings.CutPrefix(aws.ToString(out.ContentRange), fmt.Sprintf("bytes %d-", off))
	if !ok {
		return 0, fmt.Errorf("the server at %s ignores ranges: %w", s.endpoint, ErrUnsupported)
	}
	_, total, _ := strings.Cut(rest, "/")
	size, err := strconv.ParseInt(total, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the server at %s answers a range with %.100q: %w", s.endpoint, *out.ContentRange, ErrUnavailable)
	}
	return size, nil
}

// getNothing answers a range without bytes: fine up to the end of the object.
func (s *Store) getNothing(ctx context.Context, key string, off int64) (io.ReadCloser, error) {
	fi, err := s.stat(ctx, "get", key)
	if err != nil {
		return nil, err
	}
	if off > fi.Size() {
		err := fmt.Errorf("offset %d is outside the object of %d bytes: %w", off, fi.Size(), fs.ErrInvalid)
		return nil, &fs.PathError{Op: "get", Path: key, Err: err}
	}
	return blob.NewReader(io.NopCloser(bytes.NewReader(nil)), fi), nil
}

// body reads one answer, and asks again for the rest when it breaks off.
type body struct {
	s    *Store
	ctx  context.Context // of the Get
	in   *s3.GetObjectInput
	r    io.ReadCloser
	off  int64 // of the next byte, in the object
	end  int64
	info fs.FileInfo
	try  int // since the last byte
	err  error
}

// Stat describes the object, for [blob.Opened].
func (b *body) Stat() (fs.FileInfo, error) { return b.info, nil }

// Close gives up what is unread.
func (b *body) Close() error { return b.r.Close() }

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	for b.err == nil {
		n, err := b.r.Read(p)
		b.off += int64(n)
		switch {
		case b.off >= b.end && err != nil:
			b.err = io.EOF
		case err != nil:
			b.err = b.resume(err)
		}
		if n > 0 {
			b.try = 0
			return n, nil
		}
		if len(p) == 0 {
			break
		}
	}
	return 0, b.err
}

// resume asks for the rest behind a fault; nil when it comes.
func (b *body) resume(why error) error {
	if errors.Is(why, io.EOF) {
		why = io.ErrUnexpectedEOF
	}
	if b.try >= settleTries {
		return fmt.Errorf("the answer broke off at byte %d of %d again and again: %w: %w", b.off, b.end, why, ErrUnavailable)
	}
	if b.ctx.Err() != nil {
		return b.ctx.Err()
	}
	if err := pause(b.ctx, b.try); err != nil {
		return err
	}
	in := *b.in
	in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", b.off, b.end-1))
	if tag := blob.Tag(b.info); tag != "" {
		in.IfMatch = aws.String(quoted(tag))
	}
	out, err := b.s.client.GetObject(b.ctx, &in)
	switch {
	case isConflict(err) || isAbsent(err):
		return fmt.Errorf("the object was replaced while it was read: %w", blob.ErrConflict)
	case err != nil:
		return b.s.cause(b.ctx, err)
	}
	_ = b.r.Close() // broken
	b.r = out.Body
	if _, err := b.s.total(out, b.off); err != nil {
		return err
	}
	b.try++
	return nil
}

// tagOf takes an ETag out of its quotes, which not every answer has.
func tagOf(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }

func quoted(tag string) string { return `"` + tag + `"` }
