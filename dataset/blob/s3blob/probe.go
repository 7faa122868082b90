package s3blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// probeDir holds the scratch objects of Open; one that a killed process left is
// a few bytes and harmless.
const probeDir = ".millwright-probe/"

// probe proves that the bucket is there, the credentials are good, and racing
// creators are told apart. For a single writer it only reads.
func (s *Store) probe(ctx context.Context) error {
	if s.singleWriter {
		in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.prefix), MaxKeys: aws.Int32(1)}
		if _, err := s.client.ListObjectsV2(ctx, in, hasty); err != nil {
			return s.cause(ctx, err)
		}
		return nil
	}
	key := s.prefix + probeDir + rand.Text()
	err := s.probePut(ctx, key)
	if err == nil {
		err = s.probeMultipart(ctx, key)
	}
	if errors.Is(err, ErrUnavailable) {
		return err // a clean-up would only wait as long again
	}
	// That the clean-up fails is no reason to refuse the store.
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	_, _ = s.client.DeleteObject(clean, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key}, hasty)
	return err
}

func (s *Store) probePut(ctx context.Context, key string) error {
	put := func() error {
		for try := 0; ; try++ {
			_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
				Bucket: &s.bucket, Key: &key, Body: bytes.NewReader([]byte("probe")), IfNoneMatch: aws.String("*"),
			}, hasty)
			// Others, who open the store too, remove the folder of the probes.
			if code, _ := answer(err); code != codeDenied || try == settleTries || pause(ctx, try) != nil {
				return err
			}
		}
	}
	// A conflict on a key of our own making is a repeated request whose first
	// answer was lost; the second write tells what the store does all the same.
	if err := put(); err != nil && !isConflict(err) {
		return s.unconditional(ctx, err)
	}
	switch err := put(); {
	case err == nil:
		return s.ignores("PUT")
	case !isConflict(err):
		return s.cause(ctx, err)
	}
	return nil
}

// probeMultipart asks the same of the request that ends a large upload: a store
// can heed the header on one and not on the other.
func (s *Store) probeMultipart(ctx context.Context, key string) error {
	upload, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &s.bucket, Key: &key}, hasty)
	if err != nil {
		return s.cause(ctx, err)
	}
	one := aws.Int32(1)
	part, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &s.bucket, Key: &key, UploadId: upload.UploadId, PartNumber: one, Body: bytes.NewReader([]byte("probe")),
	}, hasty)
	if err == nil {
		_, err = s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &s.bucket, Key: &key, UploadId: upload.UploadId, IfNoneMatch: aws.String("*"),
			MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: part.ETag, PartNumber: one}}},
		}, hasty)
	}
	if err == nil {
		return s.ignores("CompleteMultipartUpload")
	}
	w := write{s: s, key: key}
	w.abort(ctx, upload.UploadId)
	if !isConflict(err) {
		return s.unconditional(ctx, err)
	}
	return nil
}

// unconditional tells a store that answers the header with an error from one
// that fails for another reason.
func (s *Store) unconditional(ctx context.Context, err error) error {
	if statusOf(err) == http.StatusNotImplemented {
		return s.ignores("PUT")
	}
	return s.cause(ctx, err)
}

func (s *Store) ignores(request string) error {
	return fmt.Errorf("bucket %q at %s: the server does not heed If-None-Match on %s, so of two writers of one key both would win; "+
		"use another server, or set Options.SingleWriter if only one process writes: %w", s.bucket, s.endpoint, request, ErrUnsupported)
}

// hasty gives up early: a wrong endpoint should show at once.
func hasty(o *s3.Options) { o.RetryMaxAttempts = openAttempts }
