package s3blob

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"net/http"
	"path"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/millwright-ml/millwright/dataset/blob"
)

// Get implements [blob.Store].
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
	if ranged && !strings.HasPrefix(aws.ToString(out.ContentRange), fmt.Sprintf("bytes %d-", off)) {
		_ = out.Body.Close() // unread
		err := fmt.Errorf("the server at %s ignores ranges: %w", s.endpoint, ErrUnsupported)
		return nil, &fs.PathError{Op: "get", Path: key, Err: err}
	}
	return out.Body, nil
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
	return io.NopCloser(bytes.NewReader(nil)), nil
}

// Stat implements [blob.Store].
func (s *Store) Stat(ctx context.Context, key string) (fs.FileInfo, error) {
	return s.stat(ctx, "stat", key)
}

func (s *Store) stat(ctx context.Context, op, key string) (fs.FileInfo, error) {
	full, err := s.key(ctx, op, key)
	if err != nil {
		return nil, err
	}
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &full})
	if isAbsent(err) {
		return nil, &fs.PathError{Op: op, Path: key, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, s.fail(ctx, op, key, err)
	}
	return blob.NewInfo(key, aws.ToInt64(out.ContentLength), aws.ToTime(out.LastModified)), nil
}

// List implements [blob.Store], a page of 1,000 keys a request. Objects whose
// keys are not valid, such as the folder marks of some tools, are left out.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		if err := blob.ValidatePrefix(prefix); err != nil {
			yield(nil, err)
			return
		}
		asked := prefix
		if folder, last := path.Split(prefix); last == "." || last == ".." {
			asked = folder // MinIO takes such a prefix for a path and refuses it
		}
		pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.prefix + asked)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(nil, s.fail(ctx, "list", prefix, err))
				return
			}
			for _, o := range page.Contents {
				key, ok := strings.CutPrefix(aws.ToString(o.Key), s.prefix)
				if !ok || !strings.HasPrefix(key, prefix) || blob.ValidateKey(key) != nil {
					continue
				}
				if !yield(blob.NewInfo(key, aws.ToInt64(o.Size), aws.ToTime(o.LastModified)), nil) {
					return
				}
			}
		}
	}
}

// Delete implements [blob.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	full, err := s.key(ctx, "delete", key)
	if err != nil {
		return err
	}
	_, err = s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &full})
	if err != nil && !isAbsent(err) {
		return s.fail(ctx, "delete", key, err)
	}
	return nil
}

// key checks the call and gives the key's full form in the bucket.
func (s *Store) key(ctx context.Context, op, key string) (string, error) {
	if err := blob.ValidateKey(key); err != nil {
		return "", err
	}
	if err := blob.ValidateKey(s.prefix + key); err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", &fs.PathError{Op: op, Path: key, Err: err}
	}
	return s.prefix + key, nil
}
