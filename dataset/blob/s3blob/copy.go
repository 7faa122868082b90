package s3blob

import (
	"context"
	"crypto/rand"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/millwright-ml/millwright/dataset/blob"
)

const (
	maxCopy         = 5 << 30 // S3's limit for one request
	defaultCopyPart = 1 << 30
)

// Copy implements [blob.Copier] on the server, in parts above
// Options.CopyPart.
func (s *Store) Copy(ctx context.Context, from, to string) error {
	source, err := s.key(ctx, "copy", from)
	if err != nil {
		return err
	}
	target, err := s.key(ctx, "copy", to)
	if err != nil {
		return err
	}
	fi, err := s.stat(ctx, "copy", from)
	if err != nil {
		return err
	}
	w := &write{s: s, op: "copy", key: target, mark: rand.Text()}
	w.source = escaped(s.bucket + "/" + source)
	if fi.Size() <= s.copyPart {
		err = w.copy(ctx, fi)
	} else {
		err = w.copyParts(ctx, fi)
	}
	if err != nil {
		return &fs.PathError{Op: "copy", Path: to, Err: err}
	}
	return nil
}

// copy gives the new object metadata of its own, without which S3 refuses to copy
// an object onto itself.
func (w *write) copy(ctx context.Context, fi fs.FileInfo) error {
	return w.settle(ctx, func() error {
		in := &s3.CopyObjectInput{
			Bucket: &w.s.bucket, Key: &w.key, CopySource: &w.source, CopySourceIfMatch: aws.String(quoted(blob.Tag(fi))),
			MetadataDirective: types.MetadataDirectiveReplace, Metadata: w.metadata(),
		}
		w.s.crypt.copy(in)
		_, err := w.s.client.CopyObject(ctx, in)
		return err
	})
}

func (w *write) copyParts(ctx context.Context, fi fs.FileInfo) error {
	upload, err := w.begin(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	each := max(w.s.copyPart, (fi.Size()+maxParts-1)/maxParts)
	var ranges []blob.Range // all but the last of one size, as S3 wants them
	for off := int64(0); off < fi.Size(); off += each {
		ranges = append(ranges, blob.Range{Off: off, Len: min(each, fi.Size()-off)})
	}
	parts := make([]types.CompletedPart, len(ranges))
	slots := make(chan struct{}, w.s.inFlight)
	var wg sync.WaitGroup
	for i, r := range ranges {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			in := &s3.UploadPartCopyInput{
				Bucket: &w.s.bucket, Key: &w.key, UploadId: upload, PartNumber: aws.Int32(int32(i + 1)), //nolint:gosec // at most 10,000
				CopySource: &w.source, CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", r.Off, r.Off+r.Len-1)),
				CopySourceIfMatch: aws.String(quoted(blob.Tag(fi))),
			}
			w.s.crypt.copyPart(in)
			out, err := w.s.client.UploadPartCopy(ctx, in)
			if err != nil {
				cancel(w.s.cause(ctx, err))
				return
			}
			parts[i] = types.CompletedPart{PartNumber: in.PartNumber, ETag: out.CopyPartResult.ETag}
		})
	}
	wg.Wait()
	err = context.Cause(ctx)
	if err == nil {
		err = w.complete(ctx, upload, parts)
	}
	if err != nil {
		w.abort(ctx, upload)
	}
	return err
}

// escaped leaves no character to the taste of a server that decodes it.
func escaped(path string) string {
	return strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(path))
}
