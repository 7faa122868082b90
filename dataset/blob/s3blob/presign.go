package s3blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// maxSigned is how long S3 lets a signed URL live.
const maxSigned = 7 * 24 * time.Hour

// SignGet returns a URL with which whoever has it reads the object until it
// expires, in at most seven days. The object need not be there.
func (s *Store) SignGet(ctx context.Context, key string, expires time.Duration) (string, error) {
	full, err := s.signed(ctx, "sign", key, expires)
	if err == nil && s.crypt.customer() {
		err = s.unsigned("sign", key)
	}
	if err != nil {
		return "", err
	}
	req, err := s3.NewPresignClient(s.client).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &full}, s3.WithPresignExpires(expires))
	if err != nil {
		return "", s.fail(ctx, "sign", key, err)
	}
	return req.URL, nil
}

// SignPut returns a URL to which whoever has it can PUT the object, in place of
// what is there, until it expires, in at most seven days.
func (s *Store) SignPut(ctx context.Context, key string, expires time.Duration) (string, error) {
	full, err := s.signed(ctx, "sign", key, expires)
	if err == nil && s.crypt != (crypt{}) {
		err = s.unsigned("sign", key)
	}
	if err != nil {
		return "", err
	}
	req, err := s3.NewPresignClient(s.client).PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: &full}, s3.WithPresignExpires(expires))
	if err != nil {
		return "", s.fail(ctx, "sign", key, err)
	}
	return req.URL, nil
}

// CreateUpload begins an upload of 1 to 10,000 parts, and returns its id and
// the URL to PUT each part to: part i+1 goes to urls[i]. All parts but the last
// must have 5 MiB or more. Nothing is visible before CompleteUpload, and an
// upload that is neither completed nor aborted stays in the bucket.
func (s *Store) CreateUpload(ctx context.Context, key string, parts int, expires time.Duration) (upload string, urls []string, err error) {
	full, err := s.signed(ctx, "create upload", key, expires)
	if err == nil && s.crypt.customer() {
		err = s.unsigned("create upload", key)
	}
	if err != nil {
		return "", nil, err
	}
	if parts < 1 || parts > maxParts {
		return "", nil, &fs.PathError{Op: "create upload", Path: key, Err: fmt.Errorf("%d parts, want 1 to %d: %w", parts, maxParts, fs.ErrInvalid)}
	}
	in := &s3.CreateMultipartUploadInput{Bucket: &s.bucket, Key: &full}
	s.crypt.create(in)
	out, err := s.client.CreateMultipartUpload(ctx, in)
	if err != nil {
		return "", nil, s.fail(ctx, "create upload", key, err)
	}
	signer := s3.NewPresignClient(s.client)
	for i := range parts {
		req, err := signer.PresignUploadPart(ctx, &s3.UploadPartInput{
			Bucket: &s.bucket, Key: &full, UploadId: out.UploadId, PartNumber: aws.Int32(int32(i + 1)), //nolint:gosec // at most maxParts
		}, s3.WithPresignExpires(expires))
		if err != nil {
			return "", nil, errors.Join(s.fail(ctx, "create upload", key, err), s.AbortUpload(context.WithoutCancel(ctx), key, *out.UploadId))
		}
		urls = append(urls, req.URL)
	}
	return aws.ToString(out.UploadId), urls, nil
}

// CompleteUpload makes the object of the parts, by number, whose ETags the
// answers to them had. An upload or a part that is not there is an
// [fs.ErrInvalid].
func (s *Store) CompleteUpload(ctx context.Context, key, upload string, etags map[int]string) error {
	const op = "complete upload"
	full, err := s.key(ctx, op, key)
	if err != nil {
		return err
	}
	var parts []types.CompletedPart
	for _, n := range slices.Sorted(maps.Keys(etags)) {
		if n < 1 || n > maxParts {
			return &fs.PathError{Op: op, Path: key, Err: fmt.Errorf("part number %d, want 1 to %d: %w", n, maxParts, fs.ErrInvalid)}
		}
		parts = append(parts, types.CompletedPart{PartNumber: aws.Int32(int32(n)), ETag: aws.String(etags[n])}) //nolint:gosec // at most maxParts
	}
	if len(parts) == 0 || upload == "" {
		return &fs.PathError{Op: op, Path: key, Err: fmt.Errorf("there is no upload id, or no part: %w", fs.ErrInvalid)}
	}
	_, err = s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &s.bucket, Key: &full, UploadId: &upload, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	switch code, text := answer(err); code {
	case "NoSuchUpload", "InvalidPart", "InvalidPartOrder", "EntityTooSmall", "InvalidRequest", "MalformedXML":
		return &fs.PathError{Op: op, Path: key, Err: fmt.Errorf("%s: %s: %w", code, text, fs.ErrInvalid)}
	}
	if err != nil {
		return s.fail(ctx, op, key, err)
	}
	return nil
}

// AbortUpload removes the parts of an upload. One that is not there is no
// error.
func (s *Store) AbortUpload(ctx context.Context, key, upload string) error {
	const op = "abort upload"
	full, err := s.key(ctx, op, key)
	if err != nil {
		return err
	}
	if upload == "" {
		return &fs.PathError{Op: op, Path: key, Err: fmt.Errorf("there is no upload id: %w", fs.ErrInvalid)}
	}
	_, err = s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: &full, UploadId: &upload})
	if code, _ := answer(err); err != nil && code != "NoSuchUpload" {
		return s.fail(ctx, op, key, err)
	}
	return nil
}

// signed checks a call that signs, and gives the key's full form.
func (s *Store) signed(ctx context.Context, op, key string, expires time.Duration) (string, error) {
	full, err := s.key(ctx, op, key)
	if err == nil && (expires < time.Second || expires > maxSigned) {
		err = &fs.PathError{Op: op, Path: key, Err: fmt.Errorf("it expires in %v, want a second to seven days: %w", expires, fs.ErrInvalid)}
	}
	return full, err
}

// unsigned refuses a URL whose user would have to send the encryption along.
func (s *Store) unsigned(op, key string) error {
	err := fmt.Errorf("a URL cannot carry the encryption %s of this store: %w", s.crypt.name(), ErrUnsupported)
	return &fs.PathError{Op: op, Path: key, Err: err}
}
