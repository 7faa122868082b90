package s3blob

import (
	"io/fs"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"
)

// What real servers make of signed URLs is tested in internal/inttest. Signing
// asks none, so that this is inside the package, where a store needs none.

func signing() *Options {
	return &Options{Endpoint: "http://127.0.0.1:1", Credentials: credentials.NewStaticCredentialsProvider("access", "secret-of-the-user", "")}
}

func TestSignedURLs(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, err := configure(ctx, "s3://bucket/pre fix", signing())
	require.NoError(t, err)
	for name, sign := range map[string]func(string, time.Duration) (string, error){
		"get": func(key string, d time.Duration) (string, error) { return s.SignGet(ctx, key, d) },
		"put": func(key string, d time.Duration) (string, error) { return s.SignPut(ctx, key, d) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signed, err := sign("a/b c?.bin", 5*time.Minute)
			require.NoError(t, err)
			u, err := url.Parse(signed)
			require.NoError(t, err)
			require.Equal(t, "127.0.0.1:1", u.Host)
			require.Equal(t, "/bucket/pre fix/a/b c?.bin", u.Path)
			require.Equal(t, "300", u.Query().Get("X-Amz-Expires"))
			require.Equal(t, "host", u.Query().Get("X-Amz-SignedHeaders"), "clients send no header of their own")
			require.NotContains(t, signed, "secret-of-the-user")

			for _, key := range []string{"", "../x", "/x", "a//b", "a\x00"} {
				_, err := sign(key, time.Minute)
				require.ErrorIs(t, err, fs.ErrInvalid, key)
			}
			for _, expires := range []time.Duration{-1, 0, time.Millisecond, 8 * 24 * time.Hour} {
				_, err := sign("x", expires)
				require.ErrorIs(t, err, fs.ErrInvalid, expires)
			}
		})
	}
}

func TestUploadsAreChecked(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, err := configure(ctx, "s3://bucket", signing())
	require.NoError(t, err)
	for _, parts := range []int{-1, 0, 10_001} {
		_, _, err := s.CreateUpload(ctx, "k", parts, time.Hour)
		require.ErrorIs(t, err, fs.ErrInvalid)
	}
	_, _, err = s.CreateUpload(ctx, "../k", 1, time.Hour)
	require.ErrorIs(t, err, fs.ErrInvalid)
	require.ErrorIs(t, s.CompleteUpload(ctx, "k", "id", nil), fs.ErrInvalid)
	require.ErrorIs(t, s.CompleteUpload(ctx, "k", "id", map[int]string{0: "a"}), fs.ErrInvalid)
	require.ErrorIs(t, s.CompleteUpload(ctx, "k", "", map[int]string{1: "a"}), fs.ErrInvalid)
	require.ErrorIs(t, s.AbortUpload(ctx, "k", ""), fs.ErrInvalid)
}

func TestURLsCannotCarryAnEncryption(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for name, c := range map[string]struct {
		encryption *Encryption
		get, put   bool // can be signed
	}{
		"none": {nil, true, true}, "SSE-S3": {&Encryption{S3: true}, true, false}, "SSE-KMS": {&Encryption{KMSKey: "k"}, true, false},
		"SSE-C": {&Encryption{CustomerKey: make([]byte, 32)}, false, false},
	} {
		opts := signing()
		opts.Endpoint, opts.Encryption = "https://127.0.0.1:1", c.encryption
		s, err := configure(ctx, "s3://bucket", opts)
		require.NoError(t, err)
		_, err = s.SignGet(ctx, "k", time.Minute)
		require.Equal(t, c.get, err == nil, name)
		_, err = s.SignPut(ctx, "k", time.Minute)
		require.Equal(t, c.put, err == nil, name)
		if !c.put {
			require.ErrorIs(t, err, ErrUnsupported)
			require.ErrorContains(t, err, "a URL cannot carry the encryption")
		}
	}
}
