package s3blob

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/millwright-ml/millwright/dataset/blob"
)

const (
	// createMark is the metadata that tells a writer its own object.
	createMark = "millwright-create"
	// settleTries bounds how often a write is repeated that was refused over
	// something that is then not there, as others were deleting it.
	settleTries = 5
	// maxHashed is the largest body of known hash that goes in one request.
	maxHashed = 64 << 20
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
	w := &write{s: s, op: op, name: key, key: full, mark: crand.Text(), total: size}
	if err := w.send(ctx, body, size); err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			return pe
		}
		return &fs.PathError{Op: op, Path: key, Err: err}
	}
	return nil
}

func (w *write) send(ctx context.Context, body io.Reader, size int64) (err error) {
	if w.part, err = partSize(size, w.s.part); err != nil {
		return err
	}
	if h, ok := body.(*blob.Hashed); ok && int64(len(h.Bytes())) == size && size <= maxHashed {
		if err := w.look(ctx, w.s.singleWriter || size > w.part); err != nil {
			return err
		}
		sum := h.Sum()
		return w.put(ctx, h.Bytes(), hex.EncodeToString(sum[:]))
	}
	body = blob.Body(ctx, body, size)
	// A small body is read whole before anything is sent.
	first, whole, err := w.s.readFirst(body, size, w.part)
	if err != nil {
		return err
	}
	if err := w.look(ctx, w.s.singleWriter || !whole); err != nil {
		return err
	}
	if whole {
		return w.put(ctx, first, "")
	}
	return w.multipart(ctx, first, body)
}

// look reports an object in the way of a create. Without conditional writes this
// is all there is; before many bytes it spares sending them in vain.
func (w *write) look(ctx context.Context, need bool) error {
	if w.op != "create" || !need {
		return nil
	}
	_, err := w.head(ctx)
	switch {
	case err == nil:
		return fs.ErrExist
	case isAbsent(err):
		return nil
	}
	return w.s.cause(ctx, err)
}

// readFirst reads the body up to one part, and reports whether that was all.
func (s *Store) readFirst(body io.Reader, size, part int64) (first []byte, whole bool, err error) {
	if size >= 0 && size <= part {
		first = make([]byte, size)
		if _, err := io.ReadFull(body, first); err != nil {
			return nil, false, err
		}
		// Body turns one byte too many into an error.
		_, err = io.Copy(io.Discard, body)
		return first, true, err
	}
	if size < 0 {
		// Most of unknown size are small, so the buffer grows with the body.
		var buf bytes.Buffer
		_, err := io.CopyN(&buf, body, part)
		if err == io.EOF { //nolint:errorlint // CopyN returns it bare.
			return buf.Bytes(), true, nil
		}
		return buf.Bytes(), false, err
	}
	first = s.buffer(part)
	_, err = io.ReadFull(body, first)
	return first, false, err
}

// write is one object on its way.
type write struct {
	s      *Store
	op     string
	name   string // the caller's key
	key    string // full, in the bucket
	mark   string
	part   int64  // bytes
	total  int64  // bytes of the body; -1 when unknown
	old    string // the tag that a swap replaces
	source string // of a copy, as the header has it
	tag    string // of the object, once it is written
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

// put sends the whole object; sum is its SHA-256 in hex where that is known.
func (w *write) put(ctx context.Context, data []byte, sum string) error {
	var heeded error
	err := w.settle(ctx, func() error {
		in := &s3.PutObjectInput{
			Bucket: &w.s.bucket, Key: &w.key, Body: bytes.NewReader(data),
			IfNoneMatch: w.ifNoneMatch(), Metadata: w.metadata(), ChecksumAlgorithm: w.s.checksum,
		}
		w.s.crypt.put(in)
		out, err := w.s.client.PutObject(ctx, in, hashed(sum))
		if err == nil {
			w.tag = tagOf(out.ETag)
			heeded = w.s.heeded(out.ServerSideEncryption, out.SSECustomerAlgorithm, out.SSECustomerKeyMD5)
		}
		return err
	})
	if err == nil && heeded != nil {
		// What was to be secret must not stay in the clear.
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
		defer cancel()
		_, deleteErr := w.s.client.DeleteObject(clean, &s3.DeleteObjectInput{Bucket: &w.s.bucket, Key: &w.key})
		return errors.Join(heeded, deleteErr)
	}
	if err == nil {
		w.progress(int64(len(data)), int64(len(data)))
	}
	return err
}

// hashed has the request signed over a hash that is known already.
func hashed(sum string) func(*s3.Options) {
	return func(o *s3.Options) {
		if sum == "" {
			return
		}
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("millwright:hash",
				func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
					return next.HandleInitialize(v4.SetPayloadHash(ctx, sum), in)
				}), middleware.Before)
		})
	}
}

func (w *write) progress(bytes, done int64) {
	if w.s.progress != nil {
		w.s.progress(Transfer{Key: w.name, Bytes: bytes, Done: done, Total: w.total})
	}
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
		head, headErr := w.head(ctx)
		switch {
		case headErr == nil && head.Metadata[createMark] == w.mark:
			w.tag = tagOf(head.ETag)
			return nil // an earlier attempt got through, and its answer was lost
		case isConflict(err) && w.op == "copy":
			return fmt.Errorf("the source was replaced while it was copied: %w", blob.ErrConflict)
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

// head looks at the object that is there: its mark says whether this write sent
// it.
func (w *write) head(ctx context.Context) (*s3.HeadObjectOutput, error) {
	in := &s3.HeadObjectInput{Bucket: &w.s.bucket, Key: &w.key}
	w.s.crypt.head(in)
	return w.s.client.HeadObject(ctx, in)
}
