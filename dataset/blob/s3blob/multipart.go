package s3blob

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	minPart  = 8 << 20
	maxParts = 10_000  // S3's limit
	maxSize  = 5 << 40 // S3's limit
	inFlight = 4
	// abortTime bounds the clean-up after a failed upload.
	abortTime = 10 * time.Second
)

// partSize fits a body of the given size into S3's number of parts.
func partSize(size int64) (int64, error) {
	if size > maxSize {
		return 0, fmt.Errorf("%d bytes are more than the 5 TiB an object may have: %w", size, fs.ErrInvalid)
	}
	need := (size + maxParts - 1) / maxParts
	return max(minPart, (need+1<<20-1)>>20<<20), nil
}

// multipart sends first and the rest of body as parts, and makes the object
// visible at the end.
func (w *write) multipart(ctx context.Context, first []byte, body io.Reader) error {
	out, err := w.s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &w.s.bucket, Key: &w.key, Metadata: w.metadata(),
	})
	if err != nil {
		return w.s.cause(ctx, err)
	}
	parts, err := w.sendParts(ctx, out.UploadId, first, body)
	if err == nil {
		err = w.settle(ctx, func() error {
			_, err := w.s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
				Bucket: &w.s.bucket, Key: &w.key, UploadId: out.UploadId, IfNoneMatch: w.ifNoneMatch(),
				MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
			})
			return err
		})
	}
	if err != nil {
		w.abort(ctx, out.UploadId)
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
	free := make(chan []byte, inFlight) // part buffers; nil is one not made yet
	for range inFlight {
		free <- nil
	}
	var parts []*types.CompletedPart // each written by its own goroutine
	var wg sync.WaitGroup
	send := func(data []byte) {
		p := &types.CompletedPart{PartNumber: aws.Int32(int32(len(parts) + 1))}
		parts = append(parts, p)
		wg.Go(func() {
			out, err := w.s.client.UploadPart(ctx, &s3.UploadPartInput{
				Bucket: &w.s.bucket, Key: &w.key, UploadId: upload, PartNumber: p.PartNumber, Body: bytes.NewReader(data),
			})
			if err != nil {
				cancel(w.s.cause(ctx, err))
				return
			}
			p.ETag = out.ETag
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
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	done := make([]types.CompletedPart, len(parts))
	for i, p := range parts {
		done[i] = *p
	}
	return done, nil
}

// nextPart waits for a free buffer and fills it; no bytes at the end.
func (w *write) nextPart(ctx context.Context, free <-chan []byte, body io.Reader, sent int) (data []byte, last bool, err error) {
	select {
	case data = <-free:
	case <-ctx.Done():
		return nil, true, context.Cause(ctx)
	}
	if int64(cap(data)) < w.part {
		data = make([]byte, w.part)
	}
	n, err := io.ReadFull(body, data[:w.part])
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF: // bare from ReadFull; the body's own errors wrap them
		last = true
	case err != nil:
		return nil, true, err
	}
	if n > 0 && sent == maxParts {
		return nil, true, fmt.Errorf("the body is longer than %d parts of %d bytes: give its size: %w", maxParts, w.part, fs.ErrInvalid)
	}
	return data[:n], last, nil
}
