package s3blob

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/millwright-ml/millwright/dataset/blob"
)

const (
	// createMark is the metadata that tells a writer its own object.
	createMark = "millwright-create"
	// settleTries bounds how often a write is repeated that was refused over
	// something that is then not there, as others were deleting it.
	settleTries = 5
)

// Create implements [blob.Store].
func (s *Store) Create(ctx context.Context, key string, body io.Reader, size int64) error {
	return s.write(ctx, "create", key, body, size)
}

// Put implements [blob.Store].
func (s *Store) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	return s.write(ctx, "put", key, body, size)
}

func (s *Store) write(ctx context.Context, op, key string, body io.Reader, size int64) error {
	full, err := s.key(ctx, op, key)
	if err != nil {
		return err
	}
	part, err := partSize(size)
	if err != nil {
		return &fs.PathError{Op: op, Path: key, Err: err}
	}
	w := &write{s: s, op: op, key: full, mark: crand.Text(), part: part}
	body = blob.Body(ctx, body, size)
	// A small body is read whole before anything is sent.
	first, whole, err := readFirst(body, size, part)
	if err != nil {
		return &fs.PathError{Op: op, Path: key, Err: err}
	}
	if op == "create" && (s.singleWriter || !whole) {
		// Without conditional writes this look is all there is. Before many parts
		// it spares sending them in vain.
		_, err := s.stat(ctx, op, key)
		if err == nil {
			return &fs.PathError{Op: op, Path: key, Err: fs.ErrExist}
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if whole {
		err = w.put(ctx, first)
	} else {
		err = w.multipart(ctx, first, body)
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: key, Err: err}
	}
	return nil
}

// readFirst reads the body up to one part, and reports whether that was all.
func readFirst(body io.Reader, size, part int64) (first []byte, whole bool, err error) {
	if size < 0 || size > part {
		var buf bytes.Buffer // grows with the body: most of unknown size are small
		_, err := io.CopyN(&buf, body, part)
		if err == io.EOF { //nolint:errorlint // CopyN returns it bare.
			return buf.Bytes(), true, nil
		}
		return buf.Bytes(), false, err
	}
	first = make([]byte, size)
	if _, err := io.ReadFull(body, first); err != nil {
		return nil, false, err
	}
	// Body turns one byte too many into an error.
	_, err = io.Copy(io.Discard, body)
	return first, true, err
}

// write is one object on its way.
type write struct {
	s    *Store
	op   string
	key  string // full, in the bucket
	mark string
	part int64 // bytes
}

// ifNoneMatch is the header that lets the server decide a race of creators.
func (w *write) ifNoneMatch() *string {
	if w.op == "create" && !w.s.singleWriter {
		return aws.String("*")
	}
	return nil
}

func (w *write) metadata() map[string]string {
	return map[string]string{createMark: w.mark}
}

func (w *write) put(ctx context.Context, data []byte) error {
	return w.settle(ctx, func() error {
		_, err := w.s.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &w.s.bucket, Key: &w.key, Body: bytes.NewReader(data),
			IfNoneMatch: w.ifNoneMatch(), Metadata: w.metadata(),
		})
		return err
	})
}

// settle sends the request that makes the object visible, and finds out what a
// refusal means.
func (w *write) settle(ctx context.Context, send func() error) error {
	var err error
	for try := range settleTries {
		if err = send(); err == nil {
			return nil
		}
		code, _ := answer(err)
		// A repeated Complete finds its upload gone when the first one went through.
		gone := code == "NoSuchUpload"
		if !isConflict(err) && !gone && code != codeIsFolder && code != codeDenied {
			break
		}
		own, headErr := w.own(ctx)
		switch {
		case headErr == nil && own:
			return nil // an earlier attempt got through, and its answer was lost
		case headErr == nil && isConflict(err):
			return fs.ErrExist
		case headErr != nil && !isAbsent(headErr):
			return w.s.cause(ctx, headErr)
		case gone:
			return fmt.Errorf("the upload was aborted by someone else: %w", ErrUnavailable)
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
	if isConflict(err) {
		return fmt.Errorf("the key kept being created and deleted by others: %w", ErrUnavailable)
	}
	return w.s.cause(ctx, err)
}

// pause waits 10 ms and twice as long with each try, more or less.
func pause(ctx context.Context, try int) error {
	d := 10 * time.Millisecond << try
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// own reports whether the object that is there is the one this write sent.
func (w *write) own(ctx context.Context) (bool, error) {
	out, err := w.s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &w.s.bucket, Key: &w.key})
	if err != nil {
		return false, err
	}
	return out.Metadata[createMark] == w.mark, nil
}
