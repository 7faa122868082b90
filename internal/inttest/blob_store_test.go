package inttest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest"
	"github.com/millwright-ml/millwright/dataset/blob/s3blob"
	"github.com/millwright-ml/millwright/internal/inttest"
)

// TestS3Probe puts servers before the real one that get conditions wrong.
func TestS3Probe(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, server *inttest.S3) {
		t.Run("racing creators", func(t *testing.T) { checkThenWrite(t, server) })
		t.Run("ignored If-Match", func(t *testing.T) { ignoredMatch(t, server) })
		t.Run("the verdict is kept", func(t *testing.T) { verdict(t, server) })
		t.Run("racing stores", func(t *testing.T) { racingStores(t, server) })
		t.Run("faults", func(t *testing.T) { faultyServer(t, server) })
		t.Run("checksums", func(t *testing.T) { checksums(t, server) })
		t.Run("copy in parts", func(t *testing.T) { copyInParts(t, server) })
		t.Run("hashed bodies and progress", func(t *testing.T) { hashedBodies(t, server) })
	})
}

// checkThenWrite heeds If-None-Match of writers that come one after the other,
// and lets all win that come at once, as SeaweedFS did before 4.17.
func checkThenWrite(t *testing.T, server *inttest.S3) {
	var waiting atomic.Int64
	gate := make(chan struct{})
	client := server.Client()
	naive := server.Proxy(t, func(r *http.Request) {
		if r.Method != http.MethodPut || r.Header.Get("If-None-Match") == "" {
			return
		}
		bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		_, err := client.HeadObject(r.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
		if err == nil {
			return // the real server says that it is there
		}
		r.Header.Del("If-None-Match")
		if strings.Contains(key, "-race-") {
			if waiting.Add(1) == 2 {
				close(gate) // two have looked: now both write
			}
			<-gate
		}
	}, nil)
	_, err := s3blob.Open(t.Context(), "s3://"+server.NewBucket(t), naive.Options())
	require.ErrorIs(t, err, s3blob.ErrUnsupported)
	require.ErrorContains(t, err, "racing writers create one key, so writes would be lost")
}

func ignoredMatch(t *testing.T, server *inttest.S3) {
	deaf := server.Proxy(t, func(r *http.Request) {
		if r.Method == http.MethodPut {
			r.Header.Del("If-Match")
		}
	}, nil)
	bucket := server.NewBucket(t)
	for range 2 { // the second finds the verdict
		s := open(t, "s3://"+bucket, deaf.Options())
		_, err := blob.Swap(t.Context(), s, "k", strings.NewReader("x"), 1, "")
		require.ErrorIs(t, err, blob.ErrUnsupported)
		require.ErrorContains(t, err, "does not heed If-Match")
	}
	opts := deaf.Options()
	opts.SingleWriter = true
	s := open(t, "s3://"+bucket, opts)
	tag, err := s.Swap(t.Context(), "k", strings.NewReader("x"), 1, "")
	require.NoError(t, err)
	_, err = s.Swap(t.Context(), "k", strings.NewReader("y"), 1, "other")
	require.ErrorIs(t, err, blob.ErrConflict)
	next, err := s.Swap(t.Context(), "k", strings.NewReader("y"), 1, tag)
	require.NoError(t, err)
	require.NotEmpty(t, next)
}

func verdict(t *testing.T, server *inttest.S3) {
	var requests atomic.Int64
	counted := server.Proxy(t, func(*http.Request) { requests.Add(1) }, nil)
	bucket := server.NewBucket(t)
	open(t, "s3://"+bucket+"/p", counted.Options())
	require.Greater(t, requests.Swap(0), int64(10))
	open(t, "s3://"+bucket+"/p", counted.Options())
	require.EqualValues(t, 1, requests.Swap(0))
	// One that is damaged, old, or of another server counts for nothing.
	key := "p/.millwright-probe/result.json"
	out, err := server.Client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	require.NoError(t, err)
	good, err := io.ReadAll(out.Body)
	require.NoError(t, err)
	require.Contains(t, string(good), `"creates":true,"swaps":true`)
	for _, bad := range []string{
		"{", "", `{"format":2}`, strings.Replace(string(good), `"server":"`, `"server":"other`, 1), strings.Replace(string(good), `"creates":true`, `"creates":false`, 1),
		strings.Replace(string(good), `"probed":"`+time.Now().UTC().Format("2006"), `"probed":"2001`, 1), strings.Replace(string(good), `"secret":""`, `"secret":"SSE-C"`, 1),
	} {
		_, err := server.Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(bad)})
		require.NoError(t, err)
		requests.Store(0)
		open(t, "s3://"+bucket+"/p", counted.Options())
		require.Greater(t, requests.Load(), int64(10), bad)
	}
	require.Empty(t, names(t, open(t, "s3://"+bucket, server.Options())), "probes are in no list")
}

func racingStores(t *testing.T, server *inttest.S3) {
	bucket := server.NewBucket(t)
	stores := make([]blob.Store, 4)
	var wg sync.WaitGroup
	for i := range stores {
		wg.Go(func() {
			s, err := s3blob.Open(t.Context(), "s3://"+bucket, server.Options()) // probes race too
			if err != nil {
				t.Error(err)
			}
			stores[i] = s
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	blobtest.RaceCreates(t, stores, "create", 10)
	blobtest.RaceSwaps(t, stores, "swap", 10)
}

// faultyServer lets requests and answers go wrong on the way.
func faultyServer(t *testing.T, server *inttest.S3) {
	ctx := t.Context()
	var hits atomic.Int64
	var spoil func(*http.Request, *http.Response)
	proxy := server.Proxy(t, nil, func(r *http.Request, answer *http.Response) {
		if strings.Contains(r.URL.Path, "/k") && spoil != nil {
			spoil(r, answer)
		}
	})
	s := open(t, "s3://"+server.NewBucket(t), proxy.Options())
	data := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	require.NoError(t, s.Put(ctx, "k", bytes.NewReader(data), int64(len(data))))

	// Bodies break off and come slowly: the reader goes on where they stopped.
	times := func(n int64, method string, f func(*http.Request, *http.Response)) {
		hits.Store(0)
		spoil = func(r *http.Request, answer *http.Response) {
			if r.Method == method && hits.Add(1) <= n {
				f(r, answer)
			}
		}
	}
	times(3, http.MethodGet, func(_ *http.Request, answer *http.Response) {
		answer.Body = cutBody{io.LimitReader(answer.Body, 300_000), answer.Body}
	})
	got, err := blob.ReadAll(ctx, s, "k", 1<<30)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got))
	require.EqualValues(t, 4, hits.Load())

	// 503 and 429 are repeated.
	for _, status := range []int{503, 429, 500} {
		times(2, http.MethodGet, func(_ *http.Request, answer *http.Response) { answerWith(answer, status, "SlowDown") })
		got, err = blob.ReadAll(ctx, s, "k", 1<<30)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got))
	}
	times(100, http.MethodGet, func(_ *http.Request, answer *http.Response) { answerWith(answer, 503, "SlowDown") })
	_, err = s.Get(ctx, "k", 0, -1)
	require.ErrorIs(t, err, s3blob.ErrUnavailable)

	// A 409 at a create that did not happen is tried again.
	once := func(method string, f func(*http.Request, *http.Response)) { times(1, method, f) }
	var before func(*http.Request)
	conflicting := server.Proxy(t, func(r *http.Request) {
		if before != nil {
			before(r)
		}
	}, func(r *http.Request, answer *http.Response) {
		if r.Header.Get("X-Test-Spoiled") != "" {
			answerWith(answer, 409, "ConditionalRequestConflict")
		}
	})
	c := open(t, "s3://"+server.NewBucket(t), conflicting.Options())
	var spoiled atomic.Int64
	before = func(r *http.Request) {
		if r.Method == http.MethodPut && spoiled.Add(1) == 1 {
			r.Header.Set("X-Test-Spoiled", "1")
			r.Method, r.Body, r.ContentLength = http.MethodHead, nil, 0 // nothing is written
			r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
		}
	}
	require.NoError(t, c.Create(ctx, "k", strings.NewReader("x"), 1))
	require.EqualValues(t, 2, spoiled.Load())
	before = nil

	// A swap whose answer is lost is known to have happened.
	tag, err := s.Swap(ctx, "k", strings.NewReader("one"), 3, tagAt(t, s, "k"))
	require.NoError(t, err)
	once(http.MethodPut, func(*http.Request, *http.Response) { panic(http.ErrAbortHandler) })
	next, err := s.Swap(ctx, "k", strings.NewReader("two"), 3, tag)
	require.NoError(t, err)
	require.Equal(t, tagAt(t, s, "k"), next)
	require.EqualValues(t, 1, hits.Load(), "the request is not sent blindly again")
	// When another one has replaced it since, nobody can tell.
	times(1, http.MethodPut, func(*http.Request, *http.Response) {
		spoil = nil
		put(t, s, "k", "of another")
		panic(http.ErrAbortHandler)
	})
	_, err = s.Swap(ctx, "k", strings.NewReader("three"), 5, next)
	require.ErrorIs(t, err, s3blob.ErrUnavailable)
	require.ErrorContains(t, err, "another writer has replaced the object since")

	// An object that is replaced while it is read is never mixed.
	require.NoError(t, s.Put(ctx, "k", bytes.NewReader(data), int64(len(data))))
	once(http.MethodGet, func(_ *http.Request, answer *http.Response) {
		answer.Body = cutBody{io.LimitReader(answer.Body, 300_000), answer.Body}
	})
	r, err := s.Get(ctx, "k", 0, -1)
	require.NoError(t, err)
	spoil = nil
	require.NoError(t, s.Put(ctx, "k", bytes.NewReader(data[1:]), int64(len(data)-1)))
	_, err = io.ReadAll(r)
	require.ErrorIs(t, err, blob.ErrConflict)
	require.NoError(t, r.Close())
}

func tagAt(t *testing.T, s blob.Store, key string) string {
	t.Helper()
	fi, err := s.Stat(t.Context(), key)
	require.NoError(t, err)
	return blob.Tag(fi)
}

// cutBody is a body that breaks off.
type cutBody struct {
	io.Reader
	io.Closer
}

func (c cutBody) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func answerWith(answer *http.Response, status int, code string) {
	body := "<Error><Code>" + code + "</Code><Message>injected</Message></Error>"
	_ = answer.Body.Close()
	answer.StatusCode, answer.Status = status, http.StatusText(status)
	answer.Header = http.Header{"Content-Type": {"application/xml"}}
	answer.ContentLength = int64(len(body))
	answer.Body = io.NopCloser(strings.NewReader(body))
}

func checksums(t *testing.T, server *inttest.S3) {
	ctx := t.Context()
	big := bytes.Repeat([]byte("0123456789abcdef"), (11<<20)/16)
	for _, algorithm := range []string{"CRC32", "CRC32C", "CRC64NVME", "SHA256"} {
		bucket := server.NewBucket(t)
		opts := server.Options()
		opts.Checksum = algorithm
		opts.CopyPart = 5 << 20
		s := open(t, "s3://"+bucket, opts)
		for key, body := range map[string][]byte{"small": []byte("x"), "big": big} {
			require.NoError(t, s.Create(ctx, key, bytes.NewReader(body), int64(len(body))))
			require.NoError(t, s.Copy(ctx, key, key+"-copy"))
			for _, k := range []string{key, key + "-copy"} {
				data, err := blob.ReadAll(ctx, s, k, 1<<30)
				require.NoError(t, err)
				require.True(t, bytes.Equal(body, data))
				part := make([]byte, min(len(body), 100))
				require.NoError(t, blob.ReadRange(ctx, s, k, 0, part, nil))
			}
			out, err := server.Client().HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
			require.NoError(t, err)
			stored := map[string]*string{"CRC32": out.ChecksumCRC32, "CRC32C": out.ChecksumCRC32C, "CRC64NVME": out.ChecksumCRC64NVME, "SHA256": out.ChecksumSHA256}
			require.NotEmpty(t, aws.ToString(stored[algorithm]), "%s of %s", algorithm, key)
		}
	}
}

func copyInParts(t *testing.T, server *inttest.S3) {
	ctx := t.Context()
	opts := server.Options()
	opts.CopyPart = 5 << 20
	var requests atomic.Int64
	counted := server.Proxy(t, func(r *http.Request) {
		if r.Header.Get("X-Amz-Copy-Source") != "" {
			requests.Add(1)
		}
	}, nil)
	opts.Endpoint = counted.Endpoint
	s := open(t, "s3://"+server.NewBucket(t)+"/ü +p", opts)
	data := make([]byte, 17<<20)
	_, _ = rand.Read(data)
	require.NoError(t, s.Put(ctx, "a b/ü+%", bytes.NewReader(data), int64(len(data))))
	require.NoError(t, s.Copy(ctx, "a b/ü+%", "c"))
	require.EqualValues(t, 4, requests.Load())
	got, err := blob.ReadAll(ctx, s, "c", 1<<30)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got))
}

func hashedBodies(t *testing.T, server *inttest.S3) {
	ctx := t.Context()
	var mu sync.Mutex
	done := map[string]int64{}
	opts := server.Options()
	opts.Progress = func(p s3blob.Transfer) {
		mu.Lock()
		defer mu.Unlock()
		done[p.Key] += p.Bytes
	}
	s := open(t, "s3://"+server.NewBucket(t)+"/p", opts)
	data := make([]byte, 20<<20)
	_, _ = rand.Read(data)
	require.NoError(t, s.Create(ctx, "hashed", blob.NewHashed(data, sha256.Sum256(data)), int64(len(data))))
	require.NoError(t, s.Create(ctx, "parts", bytes.NewReader(data), int64(len(data))))
	require.NoError(t, s.Create(ctx, "stream", io.MultiReader(bytes.NewReader(data)), -1))
	require.ErrorIs(t, s.Create(ctx, "hashed", blob.NewHashed(data, sha256.Sum256(data)), int64(len(data))), fs.ErrExist)
	for _, key := range []string{"hashed", "parts", "stream"} {
		got := make([]byte, len(data))
		require.NoError(t, blob.ReadRange(ctx, s, key, 0, got, nil))
		require.True(t, bytes.Equal(data, got), key)
		require.EqualValues(t, len(data), done[key])
	}
	// The server checks what comes against the hash.
	wrong := sha256.Sum256([]byte("something else"))
	require.Error(t, s.Create(ctx, "wrong", blob.NewHashed(data, wrong), int64(len(data))))
	_, err := s.Stat(context.WithoutCancel(ctx), "wrong")
	require.ErrorIs(t, err, fs.ErrNotExist)
}
