package inttest_test

import (
	"bytes"
	"io/fs"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest"
	"github.com/millwright-ml/millwright/dataset/blob/s3blob"
	"github.com/millwright-ml/millwright/internal/inttest"
)

// TestS3Encryption stores with every kind of server-side encryption, small and
// in parts, and copies and swaps.
func TestS3Encryption(t *testing.T) {
	t.Parallel()
	server := inttest.StartMinIOTLS(t)
	key := bytes.Repeat([]byte{7}, 32)
	big := bytes.Repeat([]byte("secret training data "), 500_000)
	for name, c := range map[string]struct {
		encryption s3blob.Encryption
		mode       types.ServerSideEncryption
	}{
		"SSE-S3":      {s3blob.Encryption{S3: true}, types.ServerSideEncryptionAes256},
		"SSE-KMS":     {s3blob.Encryption{KMSKey: inttest.KMSKey}, types.ServerSideEncryptionAwsKms},
		"KMS default": {s3blob.Encryption{KMSKey: "default"}, types.ServerSideEncryptionAwsKms},
		"SSE-C":       {s3blob.Encryption{CustomerKey: key}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			bucket := server.NewBucket(t)
			opts := server.Options()
			opts.Encryption = &c.encryption
			opts.CopyPart = 5 << 20 // in parts
			for _, single := range []bool{false, true} {
				opts.SingleWriter = single
				s := open(t, "s3://"+bucket, opts)
				put(t, s, "a/small", "secret text")
				require.NoError(t, s.Put(ctx, "a/big", bytes.NewReader(big), int64(len(big))))
				require.NoError(t, s.Copy(ctx, "a/big", "b/copied"))
				require.NoError(t, s.Copy(ctx, "a/small", "b/small"))
				tag, err := s.Swap(ctx, "head", strings.NewReader("one"), 3, "")
				require.NoError(t, err)
				_, err = s.Swap(ctx, "head", strings.NewReader("two"), 3, tag)
				require.NoError(t, err)
				data, err := blob.ReadAll(ctx, s, "b/copied", 1<<30)
				require.NoError(t, err)
				require.True(t, bytes.Equal(big, data))
				fi, err := s.Stat(ctx, "a/big")
				require.NoError(t, err)
				require.EqualValues(t, len(big), fi.Size())
				for _, k := range []string{"a/small", "a/big", "b/copied", "b/small", "head"} {
					out, err := server.Client().HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &k})
					if c.mode == "" {
						require.Error(t, err, "%s is readable without the key", k)
						continue
					}
					require.NoError(t, err)
					require.Equal(t, c.mode, out.ServerSideEncryption, k)
				}
				require.NoError(t, s.Delete(ctx, "head"))
			}
			if c.mode != "" {
				return
			}
			// Who has no key, or another one, cannot read.
			for _, other := range []*s3blob.Encryption{nil, {CustomerKey: bytes.Repeat([]byte{8}, 32)}} {
				o := server.Options()
				o.Encryption = other
				_, err := open(t, "s3://"+bucket, o).Get(ctx, "a/small", 0, -1)
				require.Error(t, err)
				require.NotErrorIs(t, err, fs.ErrNotExist)
			}
			_, err := open(t, "s3://"+bucket, opts).SignGet(ctx, "a/small", 1e9)
			require.ErrorIs(t, err, s3blob.ErrUnsupported)
		})
	}
	t.Run("conformance with SSE-C", func(t *testing.T) {
		t.Parallel()
		bucket := server.NewBucket(t)
		blobtest.Run(t, func(t *testing.T) blob.Store {
			opts := server.Options()
			opts.Encryption = &s3blob.Encryption{CustomerKey: key}
			return open(t, "s3://"+bucket+"/"+strings.ReplaceAll(strings.ToLower(t.Name()), " ", "-"), opts)
		})
	})
}

// A server that takes the data and ignores the key is refused.
func TestS3EncryptionThatIsIgnored(t *testing.T) {
	t.Parallel()
	server := inttest.StartVersityGWTLS(t)
	bucket := server.NewBucket(t)
	open(t, "s3://"+bucket, server.Options())
	for name, e := range map[string]*s3blob.Encryption{
		"SSE-C": {CustomerKey: bytes.Repeat([]byte{7}, 32)}, "AES256": {S3: true}, "aws:kms": {KMSKey: "k"},
	} {
		for _, single := range []bool{false, true} {
			opts := server.Options()
			opts.Encryption, opts.SingleWriter = e, single
			_, err := s3blob.Open(t.Context(), "s3://"+bucket, opts)
			require.ErrorIs(t, err, s3blob.ErrUnsupported, name)
			require.ErrorContains(t, err, name)
		}
	}
}
