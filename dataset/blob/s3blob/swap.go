package s3blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/millwright-ml/millwright/dataset/blob"
)

// Swap implements [blob.Swapper] with a PUT of If-Match, of bodies of up to one
// part (8 MiB by default). When an answer is lost and another writer has replaced the object
// meanwhile nobody can tell whether this swap happened before: that is an
// [ErrUnavailable]. A store whose server ignores If-Match reports
// [ErrUnsupported]; with Options.SingleWriter Swap looks before it writes.
func (s *Store) Swap(ctx context.Context, key string, body io.Reader, size int64, old string) (string, error) {
	tag, err := s.swap(ctx, key, body, size, old)
	if err == nil {
		return tag, nil
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return "", err
	}
	return "", &fs.PathError{Op: "swap", Path: key, Err: err}
}

func (s *Store) swap(ctx context.Context, key string, body io.Reader, size int64, old string) (string, error) {
	full, err := s.key(ctx, "swap", key)
	if err != nil {
		return "", err
	}
	data, whole, err := s.readFirst(blob.Body(ctx, body, size), size, s.part)
	if err != nil {
		return "", err
	}
	if !whole {
		return "", fmt.Errorf("a swap takes a body of up to %d bytes: %w", s.part, fs.ErrInvalid)
	}
	w := &write{s: s, op: "swap", key: full, mark: rand.Text(), old: old}
	if s.singleWriter || !s.swaps {
		return w.lookAndPut(ctx, data)
	}
	if old == "" {
		w.op = "create"
		err := w.put(ctx, data, "")
		if errors.Is(err, fs.ErrExist) {
			err = blob.ErrConflict
		}
		return w.tag, err
	}
	return w.swap(ctx, data)
}

// lookAndPut is all that can be done without conditional writes.
func (w *write) lookAndPut(ctx context.Context, data []byte) (string, error) {
	if !w.s.singleWriter {
		return "", fmt.Errorf("bucket %q at %s: the server does not heed If-Match: %w", w.s.bucket, w.s.endpoint, ErrUnsupported)
	}
	have := ""
	head, err := w.head(ctx)
	switch {
	case err == nil:
		have = tagOf(head.ETag)
	case !isAbsent(err):
		return "", w.s.cause(ctx, err)
	}
	if have != w.old {
		return "", blob.ErrConflict
	}
	return w.tag, w.put(ctx, data, "")
}

// swap sends the object itself again where the SDK would, as only so it is known
// whether an earlier attempt may have got through.
func (w *write) swap(ctx context.Context, data []byte) (string, error) {
	doubt := false
	var last error
	for try := range settleTries {
		in := &s3.PutObjectInput{Bucket: &w.s.bucket, Key: &w.key, Body: bytes.NewReader(data), IfMatch: aws.String(quoted(w.old)), Metadata: w.metadata()}
		w.s.crypt.put(in)
		in.ChecksumAlgorithm = w.s.checksum
		out, err := w.s.client.PutObject(ctx, in, once)
		if err == nil {
			return tagOf(out.ETag), w.s.heeded(out.ServerSideEncryption, out.SSECustomerAlgorithm, out.SSECustomerKeyMD5)
		}
		last = err
		clear := isConflict(err) || isAbsent(err)
		if clear && !doubt && statusOf(err) != 409 {
			return "", blob.ErrConflict
		}
		if code, _ := answer(err); !clear && code != "" && statusOf(err) < 500 {
			return "", w.s.cause(ctx, err)
		}
		doubt = doubt || !clear
		head, headErr := w.head(ctx)
		switch {
		case headErr == nil && head.Metadata[createMark] == w.mark:
			return tagOf(head.ETag), nil // an attempt got through, and its answer was lost
		case headErr != nil && !isAbsent(headErr):
			return "", errors.Join(w.s.cause(ctx, err), w.s.cause(ctx, headErr))
		case headErr == nil && tagOf(head.ETag) == w.old: // nothing has happened yet
		case doubt:
			return "", fmt.Errorf("the answer was lost, and another writer has replaced the object since: %w", ErrUnavailable)
		default:
			return "", blob.ErrConflict
		}
		if err := pause(ctx, try); err != nil {
			return "", err
		}
	}
	return "", w.s.cause(ctx, last)
}

// once leaves repeating to the caller.
func once(o *s3.Options) { o.RetryMaxAttempts = 1 }
