package s3blob

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/millwright-ml/millwright/dataset/blob"
)

// Stat implements [blob.Store].
func (s *Store) Stat(ctx context.Context, key string) (fs.FileInfo, error) {
	return s.stat(ctx, "stat", key)
}

func (s *Store) stat(ctx context.Context, op, key string) (fs.FileInfo, error) {
	full, err := s.key(ctx, op, key)
	if err != nil {
		return nil, err
	}
	in := &s3.HeadObjectInput{Bucket: &s.bucket, Key: &full}
	s.crypt.head(in)
	out, err := s.client.HeadObject(ctx, in)
	if isAbsent(err) {
		return nil, &fs.PathError{Op: op, Path: key, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, s.fail(ctx, op, key, err)
	}
	return blob.NewTaggedInfo(key, aws.ToInt64(out.ContentLength), aws.ToTime(out.LastModified), tagOf(out.ETag)), nil
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
				if !ok || !strings.HasPrefix(key, prefix) || isProbe(key) || blob.ValidateKey(key) != nil {
					continue
				}
				if !yield(blob.NewTaggedInfo(key, aws.ToInt64(o.Size), aws.ToTime(o.LastModified), tagOf(o.ETag)), nil) {
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
	if isProbe(key) {
		return "", &fs.PathError{Op: op, Path: key, Err: fmt.Errorf("%q is the folder of what Open finds out: %w", probeDir, fs.ErrInvalid)}
	}
	if err := ctx.Err(); err != nil {
		return "", &fs.PathError{Op: op, Path: key, Err: err}
	}
	return s.prefix + key, nil
}
