package inttest_test

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest"
	"github.com/millwright-ml/millwright/dataset/blob/s3blob"
	"github.com/millwright-ml/millwright/internal/inttest"
)

// onEach runs f on each of the real servers.
func onEach(t *testing.T, f func(*testing.T, *inttest.S3)) {
	t.Helper()
	for name, start := range inttest.S3Servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, start(t))
		})
	}
}

func open(t *testing.T, url string, opts *s3blob.Options) *s3blob.Store {
	t.Helper()
	s, err := s3blob.Open(t.Context(), url, opts)
	require.NoError(t, err)
	return s
}

func TestS3(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, server *inttest.S3) {
		bucket := server.NewBucket(t)
		var n atomic.Int64
		t.Run("conformance", func(t *testing.T) {
			blobtest.Run(t, func(t *testing.T) blob.Store {
				prefix := "p-" + strings.Repeat("x", int(n.Add(1)))
				return open(t, "s3://"+bucket+"/"+prefix, server.Options())
			})
		})
		t.Run("whole bucket", func(t *testing.T) { wholeBucket(t, server) })
		t.Run("wrong credentials", func(t *testing.T) { wrongCredentials(t, server, bucket) })
		t.Run("missing bucket", func(t *testing.T) { missingBucket(t, server) })
		t.Run("ignored condition", func(t *testing.T) { ignoredCondition(t, server) })
		t.Run("single writer", func(t *testing.T) { singleWriter(t, server) })
		t.Run("lost answers", func(t *testing.T) { lostAnswers(t, server) })
		t.Run("nothing left behind", func(t *testing.T) { nothingLeft(t, server) })
		t.Run("host with a name", func(t *testing.T) { namedHost(t, server) })
		t.Run("server that dies", func(t *testing.T) { deadServer(t, server) }) // the last one
	})
}

func put(t *testing.T, s blob.Store, key, text string) {
	t.Helper()
	require.NoError(t, s.Put(t.Context(), key, strings.NewReader(text), int64(len(text))))
}

func names(t *testing.T, s blob.Store) []string {
	t.Helper()
	list := []string{}
	for fi, err := range s.List(t.Context(), "") {
		require.NoError(t, err)
		list = append(list, fi.Name())
	}
	return list
}

func wholeBucket(t *testing.T, server *inttest.S3) {
	bucket := server.NewBucket(t)
	s := open(t, "s3://"+bucket, server.Options())
	put(t, s, "a/b", "x")
	below := open(t, "s3://"+bucket+"/a/", server.Options())
	put(t, below, "c", "y")
	require.Equal(t, []string{"b", "c"}, names(t, below))
	require.Equal(t, []string{"a/b", "a/c"}, names(t, s))

	// What is no valid key, such as the folder marks of other tools, is left out.
	_, err := server.Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("folder/"), Body: bytes.NewReader(nil)})
	require.NoError(t, err)
	require.Equal(t, []string{"a/b", "a/c"}, names(t, s))
}

func wrongCredentials(t *testing.T, server *inttest.S3, bucket string) {
	for name, c := range map[string]struct{ key, secret, want string }{
		"secret": {server.AccessKey, "not the secret", "the secret does not belong to the access key"},
		"key":    {"nobody", server.SecretKey, "the server does not know the access key"},
	} {
		for _, single := range []bool{false, true} {
			opts := server.Options()
			opts.SingleWriter = single
			opts.Credentials = credentials.NewStaticCredentialsProvider(c.key, c.secret, "")
			_, err := s3blob.Open(t.Context(), "s3://"+bucket, opts)
			require.ErrorIs(t, err, fs.ErrPermission, name)
			require.ErrorContains(t, err, `bucket "`+bucket+`" at `+server.Endpoint+": "+c.want)
			require.NotContains(t, err.Error(), c.secret)
		}
	}
}

func missingBucket(t *testing.T, server *inttest.S3) {
	for _, single := range []bool{false, true} {
		opts := server.Options()
		opts.SingleWriter = single
		_, err := s3blob.Open(t.Context(), "s3://no-such-bucket/p", opts)
		require.ErrorIs(t, err, s3blob.ErrNotFound)
		require.EqualError(t, err, `s3blob: open "s3://no-such-bucket/p": bucket "no-such-bucket" at `+server.Endpoint+
			` does not exist: create it or correct the URL: not found`)
	}
	// A bucket that goes away later must not look like an absent key.
	bucket := server.NewBucket(t)
	s := open(t, "s3://"+bucket, server.Options())
	_, err := server.Client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String(".millwright-probe/result.json")})
	require.NoError(t, err)
	_, err = server.Client().DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &bucket})
	require.NoError(t, err)
	_, err = s.Get(t.Context(), "k", 0, -1)
	require.ErrorIs(t, err, s3blob.ErrNotFound)
	require.NotErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, s.Put(t.Context(), "k", strings.NewReader("x"), 1), s3blob.ErrNotFound)
	for _, err := range s.List(t.Context(), "") {
		require.ErrorIs(t, err, s3blob.ErrNotFound)
	}
}

// ignoredCondition puts a server before the real one that drops If-None-Match,
// as some stores do.
func ignoredCondition(t *testing.T, server *inttest.S3) {
	for method, request := range map[string]string{http.MethodPut: "PUT", http.MethodPost: "CompleteMultipartUpload"} {
		bucket := server.NewBucket(t)
		deaf := server.Proxy(t, func(r *http.Request) {
			if r.Method == method {
				r.Header.Del("If-None-Match")
			}
		}, nil)
		_, err := s3blob.Open(t.Context(), "s3://"+bucket, deaf.Options())
		require.ErrorIs(t, err, s3blob.ErrUnsupported)
		require.ErrorContains(t, err, "the server does not heed If-None-Match on "+request)
		require.ErrorContains(t, err, "set Options.SingleWriter")
		require.Empty(t, names(t, open(t, "s3://"+bucket, server.Options())), "the scratch object is deleted")
	}
	// The proxy as such is not what is refused.
	open(t, "s3://"+server.NewBucket(t), server.Proxy(t, nil, nil).Options())
}

func singleWriter(t *testing.T, server *inttest.S3) {
	var writes, conditions atomic.Int64
	deaf := server.Proxy(t, func(r *http.Request) {
		if r.Method == http.MethodPut || r.Method == http.MethodPost {
			writes.Add(1)
		}
		if r.Header.Get("If-None-Match") != "" {
			conditions.Add(1)
		}
	}, nil)
	opts := deaf.Options()
	opts.SingleWriter = true
	s := open(t, "s3://"+server.NewBucket(t), opts)
	require.Zero(t, writes.Load(), "a reader needs no right to write")
	ctx := t.Context()
	require.NoError(t, s.Create(ctx, "k", strings.NewReader("x"), 1))
	require.ErrorIs(t, s.Create(ctx, "k", strings.NewReader("y"), 1), fs.ErrExist)
	big := bytes.Repeat([]byte("big "), 3<<20)
	require.NoError(t, s.Create(ctx, "big", bytes.NewReader(big), -1))
	require.ErrorIs(t, s.Create(ctx, "big", bytes.NewReader(big), -1), fs.ErrExist)
	require.Zero(t, conditions.Load())
}

// lostAnswers lets the write through and cuts the connection instead of passing
// on the answer: the client repeats the request, and the server refuses it as the
// key is there. It is there by the client's own doing.
func lostAnswers(t *testing.T, server *inttest.S3) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	for name, body := range map[string][]byte{"small": []byte("x"), "big": big} {
		var answers atomic.Int64 // of the request that makes the object visible
		flaky := server.Proxy(t, nil, func(r *http.Request, answer *http.Response) {
			final := r.Method == http.MethodPut && !r.URL.Query().Has("uploadId") ||
				r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
			if final && strings.HasSuffix(r.URL.Path, "/key") && answer.StatusCode == http.StatusOK && answers.Add(1) == 1 {
				panic(http.ErrAbortHandler)
			}
		})
		s := open(t, "s3://"+server.NewBucket(t), flaky.Options())
		require.NoError(t, s.Create(t.Context(), "key", bytes.NewReader(body), int64(len(body))), name)
		require.NotZero(t, answers.Load(), "%s: nothing was cut", name)
		require.ErrorIs(t, s.Create(t.Context(), "key", bytes.NewReader(body), int64(len(body))), fs.ErrExist, name)
		answers.Store(0)
		require.NoError(t, s.Put(t.Context(), "key", bytes.NewReader(body), -1), name)
		data, err := blob.ReadAll(t.Context(), s, "key", int64(len(body)))
		require.NoError(t, err)
		require.True(t, bytes.Equal(body, data))
	}
}

func nothingLeft(t *testing.T, server *inttest.S3) {
	bucket := server.NewBucket(t)
	s := open(t, "s3://"+bucket, server.Options())
	short := io.LimitReader(endless{}, 20<<20)
	require.ErrorIs(t, s.Create(t.Context(), "k", short, 21<<20), fs.ErrInvalid)
	require.Empty(t, names(t, s))
	uploads, err := server.Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	require.NoError(t, err)
	require.Empty(t, uploads.Uploads)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func namedHost(t *testing.T, server *inttest.S3) {
	opts := server.Options()
	opts.Endpoint = strings.Replace(opts.Endpoint, "127.0.0.1", "localhost", 1)
	put(t, open(t, "s3://"+server.NewBucket(t), opts), "k", "x")
	// An address can only have the bucket in the path, whatever the option says.
	opts = server.Options()
	opts.PathStyle = false
	put(t, open(t, "s3://"+server.NewBucket(t), opts), "k", "x")
}

func deadServer(t *testing.T, server *inttest.S3) {
	s := open(t, "s3://"+server.NewBucket(t), server.Options())
	put(t, s, "k", "x")
	server.Kill()
	_, err := s.Get(t.Context(), "k", 0, -1)
	require.ErrorIs(t, err, s3blob.ErrUnavailable)
	require.ErrorContains(t, err, server.Endpoint)
	require.ErrorIs(t, s.Create(t.Context(), "new", strings.NewReader("x"), 1), s3blob.ErrUnavailable)
}
