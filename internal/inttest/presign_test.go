package inttest_test

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/internal/inttest"
	"github.com/millwright-ml/millwright/tracking/mlflow"
)

// TestS3SignedURLs reads and writes past the store, as clients of the MLflow
// server do with the URLs that it hands them.
func TestS3SignedURLs(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, server *inttest.S3) {
		ctx := t.Context()
		s := open(t, "s3://"+server.NewBucket(t)+"/pre fix", server.Options())
		var _ mlflow.PresignedArtifacts = s
		var _ mlflow.MultipartArtifacts = s
		const key = "0/run/ü b?.bin"

		signed, err := s.SignPut(ctx, key, time.Minute)
		require.NoError(t, err)
		status, _, _ := send(t, http.MethodPut, signed, []byte("hello"))
		require.Equal(t, http.StatusOK, status)
		data, err := blob.ReadAll(ctx, s, key, 100)
		require.NoError(t, err)
		require.Equal(t, "hello", string(data))

		signed, err = s.SignGet(ctx, key, time.Minute)
		require.NoError(t, err)
		status, _, body := send(t, http.MethodGet, signed, nil, "Range", "bytes=1-2")
		require.Equal(t, http.StatusPartialContent, status)
		require.Equal(t, "el", string(body))
		status, _, _ = send(t, http.MethodGet, strings.Replace(signed, "run", "ran", 1), nil)
		require.Equal(t, http.StatusForbidden, status, "the signature is for one key")

		const part = 5 << 20
		id, urls, err := s.CreateUpload(ctx, "big", 3, time.Minute)
		require.NoError(t, err)
		content := bytes.Repeat([]byte("0123456789abcdef"), (2*part+1000)/16)
		etags := map[int]string{}
		for i, u := range urls {
			status, header, _ := send(t, http.MethodPut, u, content[i*part:min((i+1)*part, len(content))])
			require.Equal(t, http.StatusOK, status)
			etags[i+1] = header.Get("ETag")
		}
		_, err = s.Stat(ctx, "big")
		require.ErrorIs(t, err, fs.ErrNotExist, "before it is complete")
		require.ErrorIs(t, s.CompleteUpload(ctx, "big", id, map[int]string{1: etags[1], 2: `"0123456789abcdef0123456789abcdef"`}), fs.ErrInvalid)
		require.NoError(t, s.CompleteUpload(ctx, "big", id, etags))
		data, err = blob.ReadAll(ctx, s, "big", 1<<30)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, data))

		id, urls, err = s.CreateUpload(ctx, "never", 1, time.Minute)
		require.NoError(t, err)
		require.NoError(t, s.AbortUpload(ctx, "never", id))
		require.NoError(t, s.AbortUpload(ctx, "never", id))
		status, _, _ = send(t, http.MethodPut, urls[0], []byte("x"))
		require.Equal(t, http.StatusNotFound, status)
		require.ErrorIs(t, s.CompleteUpload(ctx, "never", id, map[int]string{1: `"0123456789abcdef0123456789abcdef"`}), fs.ErrInvalid)
	})
}

// send sends a request as a client that has nothing but its URL.
func send(t *testing.T, method, url string, body []byte, header ...string) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header, answer
}
