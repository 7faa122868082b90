package s3blob

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	defaultPart = 8 << 20
	// defaultInFlight parts of one body travel at a time.
	defaultInFlight = 4
	minPart         = 5 << 20 // S3's limit
	maxParts        = 10_000  // S3's limit
	maxSize         = 5 << 40 // S3's limit
	// abortTime bounds the clean-up after a failed upload.
	abortTime = 10 * time.Second
)

// partSize fits a body of the given size into S3's number of parts.
func partSize(size, part int64) (int64, error) {
	if size > maxSize {
		return 0, fmt.Errorf("%d bytes are more than the 5 TiB an object may have: %w", size, fs.ErrInvalid)
	}
	need := (size + maxParts - 1) / maxParts
	return max(part, (need+1<<20-1)>>20<<20), nil
}

// buffer returns n bytes of any content, from the store's pool when they are of
// the usual size.
func (s *Store) buffer(n int64) []byte {
	if n == s.part {
		if b, ok := s.buffers.Get().(*[]byte); ok {
			return *b
		}
	}
	return make([]byte, n)
}

func (s *Store) recycle(b []byte) {
	if b = b[:cap(b)]; int64(len(b)) == s.part {
		s.buffers.Put(&b)
	}
}

// begin opens a multipart upload.
func (w *write) begin(ctx context.Context) (*string, error) {
	in := &s3.CreateMultipartUploadInput{Bucket: &w.s.bucket, Key: &w.key, Metadata: w.metadata()}
	if w.op != "copy" { // parts that the server copies come without
		in.ChecksumAlgorithm = w.s.checksum
	}
	w.s.crypt.create(in)
	out, err := w.s.client.CreateMultipartUpload(ctx, in)
	if err != nil {
		return nil, w.s.cause(ctx, err)
	}
	return out.UploadId, nil
}

// complete makes the parts the object.
func (w *write) complete(ctx context.Context, upload *string, parts []types.CompletedPart) error {
	return w.settle(ctx, func() error {
		in := &s3.CompleteMultipartUploadInput{
			Bucket: &w.s.bucket, Key: &w.key, UploadId: upload, IfNoneMatch: w.ifNoneMatch(),
			MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		}
		w.s.crypt.complete(in)
		_, err := w.s.client.CompleteMultipartUpload(ctx, in)
		return err
	})
}

// multipart sends first and the rest of body as parts, and makes the object
// visible at the end.
func (w *write) multipart(ctx context.Context, first []byte, body io.Reader) error {
	upload, err := w.begin(ctx)
	if err != nil {
		return err
	}
	parts, err := w.sendParts(ctx, upload, first, body)
	if err == nil {
		err = w.complete(ctx, upload, parts)
	}
	if err != nil {
		w.abort(ctx, upload)
	}
	return err
}

// abort frees the parts. It goes on when ctx has ended, which may be why it is
// called; that it fails changes nothing for the caller.
func (w *write) abort(ctx context.Context, upload *string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	_, _ = w.s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &w.s.bucket, Key: &w.key, UploadId: upload})
}

// sendParts reads the body part by part and keeps a few of them in flight.
func (w *write) sendParts(ctx context.Context, upload *string, first []byte, body io.Reader) ([]types.CompletedPart, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	free := make(chan []byte, w.s.inFlight) // part buffers; nil is one not made yet
	for range w.s.inFlight {
		free <- nil
	}
	var parts []*types.CompletedPart // each written by its own goroutine
	var done atomic.Int64
	var wg sync.WaitGroup
	send := func(data []byte) {
		p := &types.CompletedPart{PartNumber: aws.Int32(int32(len(parts) + 1))}
		parts = append(parts, p)
		wg.Go(func() {
			if err := w.sendPart(ctx, upload, p, data); err != nil {
				cancel(err)
				return
			}
			w.progress(int64(len(data)), done.Add(int64(len(data))))
			free <- data
		})
	}

	<-free // first has a buffer of its own, which takes this one's place
	send(first)
	for last := false; !last && ctx.Err() == nil; {
		var data []byte
		var err error
		if data, last, err = w.nextPart(ctx, free, body, len(parts)); err != nil {
			cancel(err)
		} else if len(data) > 0 {
			send(data)
		}
	}
	wg.Wait()
	for range len(free) {
		w.s.recycle(<-free)
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	list := make([]types.CompletedPart, len(parts))
	for i, p := range parts {
		list[i] = *p
	}
	return list, nil
}

func (w *write) sendPart(ctx context.Context, upload *string, p *types.CompletedPart, data []byte) error {
	in := &s3.UploadPartInput{
		Bucket: &w.s.bucket, Key: &w.key, UploadId: upload, PartNumber: p.PartNumber, Body: bytes.NewReader(data),
		ChecksumAlgorithm: w.s.checksum,
	}
	w.s.crypt.part(in)
	out, err := w.s.client.UploadPart(ctx, in)
	if err != nil {
		return w.s.cause(ctx, err)
	}
	p.ETag = out.ETag
	if w.s.checksum != "" {
		p.ChecksumCRC32, p.ChecksumCRC32C = out.ChecksumCRC32, out.ChecksumCRC32C
		p.ChecksumCRC64NVME, p.ChecksumSHA256 = out.ChecksumCRC64NVME, out.ChecksumSHA256
	}
	return nil
}

// nextPart waits for a free buffer and fills it; no bytes at the end.
func (w *write) nextPart(ctx context.Context, free chan []byte, body io.Reader, sent int) (data []byte, last bool, err error) {
	select {
	case data = <-free:
	case <-ctx.Done():
		return nil, true, context.Cause(ctx)
	}
	if int64(cap(data)) < w.part {
		data = w.s.buffer(w.part)
	}
	data = data[:w.part]
	n, err := io.ReadFull(body, data)
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF: // bare from ReadFull; the body's own errors wrap them
		last = true
	case err != nil:
		return nil, true, err
	}
	if n > 0 && sent == maxParts {
		return nil, true, fmt.Errorf("the body is longer than %d parts of %d bytes: give its size: %w", maxParts, w.part, fs.ErrInvalid)
	}
	if n == 0 {
		free <- data // it goes back to the pool
	}
	return data[:n], last, nil
}
