package s3blob_test

import (
	"context"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob/s3blob"
)

// What works against a server is tested on real ones, in internal/inttest. Here
// is what is wrong before, or because, there is none.

func keys() aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider("access", "secret-of-the-user", "")
}

func TestOpenNamesEveryFault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		url   string
		opts  s3blob.Options
		wants []string
	}{
		"no scheme":      {"bucket/prefix", s3blob.Options{Region: "r"}, []string{"must have the form s3://bucket/prefix"}},
		"other scheme":   {"gs://bucket", s3blob.Options{Region: "r"}, []string{"must have the form s3://bucket/prefix"}},
		"empty":          {"", s3blob.Options{Region: "r"}, []string{"must have the form s3://bucket/prefix"}},
		"no bucket":      {"s3:///prefix", s3blob.Options{Region: "r"}, []string{`the bucket "" is not 3 to 63 characters long`}},
		"long bucket":    {"s3://" + strings.Repeat("b", 64), s3blob.Options{Region: "r"}, []string{"is not 3 to 63 characters long"}},
		"upper case":     {"s3://Bucket", s3blob.Options{Region: "r"}, []string{`holds 'B'`}},
		"port":           {"s3://bucket:9000/x", s3blob.Options{Region: "r"}, []string{`holds ':'`}},
		"user":           {"s3://key:secret@bucket", s3blob.Options{Region: "r"}, []string{`holds ':'`}},
		"dots":           {"s3://a..b", s3blob.Options{Region: "r"}, []string{"two dots in a row"}},
		"hyphen":         {"s3://-ab", s3blob.Options{Region: "r"}, []string{"starts or ends with"}},
		"query":          {"s3://bucket/p?region=eu", s3blob.Options{Region: "r"}, []string{"settings belong into Options"}},
		"empty segment":  {"s3://bucket//p", s3blob.Options{Region: "r"}, []string{"the prefix is no valid key"}},
		"climbing":       {"s3://bucket/a/../b", s3blob.Options{Region: "r"}, []string{"the prefix is no valid key"}},
		"no region":      {"s3://bucket", s3blob.Options{}, []string{"no region"}},
		"endpoint":       {"s3://bucket", s3blob.Options{Endpoint: "localhost:9000"}, []string{"must start with http:// or https:// and name a host"}},
		"endpoint host":  {"s3://bucket", s3blob.Options{Endpoint: "http://"}, []string{"must start with http:// or https://"}},
		"endpoint user":  {"s3://bucket", s3blob.Options{Endpoint: "http://k:s@h"}, []string{"credentials belong into Options.Credentials"}},
		"endpoint query": {"s3://bucket", s3blob.Options{Endpoint: "http://h/?x=1"}, []string{"has a query"}},
		"not a URL":      {"s3://bucket", s3blob.Options{Endpoint: "http://[::1"}, []string{"the endpoint is no URL"}},
		"many":           {"s3://B/../x", s3blob.Options{Endpoint: "ftp://h"}, []string{"the bucket", "the prefix", "the endpoint"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.opts.Credentials = keys()
			_, err := s3blob.Open(t.Context(), c.url, &c.opts)
			require.ErrorIs(t, err, s3blob.ErrInvalid)
			for _, want := range c.wants {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

// deadEndpoint is an address at which nothing listens.
func deadEndpoint(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return "http://" + l.Addr().String()
}

func TestWrongEndpointIsSaidQuickly(t *testing.T) {
	t.Parallel()
	endpoint := deadEndpoint(t)
	for _, single := range []bool{false, true} {
		began := time.Now()
		_, err := s3blob.Open(t.Context(), "s3://models/prod", &s3blob.Options{Endpoint: endpoint, Credentials: keys(), SingleWriter: single})
		require.ErrorIs(t, err, s3blob.ErrUnavailable)
		require.ErrorContains(t, err, `s3blob: open "s3://models/prod": bucket "models" at `+endpoint+
			": no answer (is the server running, and the port right?): dial tcp ")
		require.NotContains(t, err.Error(), "secret")
		require.Less(t, time.Since(began), 5*time.Second)
	}
}

func TestEndedContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s3blob.Open(ctx, "s3://models", &s3blob.Options{Endpoint: deadEndpoint(t), Credentials: keys()})
	require.ErrorIs(t, err, context.Canceled)
}

func TestMissingCredentials(t *testing.T) {
	t.Parallel()
	none := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, fs.ErrNotExist
	})
	_, err := s3blob.Open(t.Context(), "s3://models", &s3blob.Options{Region: "eu-west-1", Credentials: none})
	require.ErrorIs(t, err, fs.ErrPermission)
	require.ErrorContains(t, err, "no credentials: set Options.Credentials")
}

// Servers that are no S3 servers, or are in trouble.
func TestServersThatAreNotS3(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		kind    error
		want    string
		most    int64 // requests
	}{
		"web server": {http.NotFound, s3blob.ErrUnavailable, "is not an S3 server's: is the endpoint right?", 1},
		"overloaded": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`))
		}, s3blob.ErrUnavailable, "overloaded (status 503, SlowDown: Please reduce your request rate.)", 3},
		"other region": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusMovedPermanently)
			_, _ = w.Write([]byte(`<Error><Code>PermanentRedirect</Code><Message>Use the other endpoint.</Message></Error>`))
		}, s3blob.ErrInvalid, "the bucket is in another region", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				c.handler(w, r)
			}))
			t.Cleanup(server.Close)
			_, err := s3blob.Open(t.Context(), "s3://models", &s3blob.Options{Endpoint: server.URL, Credentials: keys()})
			require.ErrorIs(t, err, c.kind)
			require.ErrorContains(t, err, c.want)
			require.LessOrEqual(t, requests.Load(), c.most+1, "the attempts are bounded") // one may be the clean-up
		})
	}
}

// MinIO denies access when the folder of a key goes in the middle of a write. A
// denial that stays is the credentials'.
func TestDeniedWrites(t *testing.T) {
	t.Parallel()
	var denials atomic.Int64 // left to give
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodHead:
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodGet:
			_, _ = w.Write([]byte(`<ListBucketResult/>`))
		case denials.Add(-1) >= 0:
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>`))
		}
	}))
	t.Cleanup(server.Close)
	s, err := s3blob.Open(t.Context(), "s3://models", &s3blob.Options{Endpoint: server.URL, Credentials: keys(), SingleWriter: true})
	require.NoError(t, err)
	denials.Store(2)
	require.NoError(t, s.Create(t.Context(), "a/b", strings.NewReader("x"), 1))
	denials.Store(1000)
	err = s.Create(t.Context(), "a/b", strings.NewReader("x"), 1)
	require.ErrorIs(t, err, fs.ErrPermission)
	require.ErrorContains(t, err, "the credentials do not allow this (AccessDenied: Access Denied.)")
}

func TestPlainEndpointNamedHTTPS(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	endpoint := strings.Replace(server.URL, "http://", "https://", 1)
	_, err := s3blob.Open(t.Context(), "s3://models", &s3blob.Options{Endpoint: endpoint, Credentials: keys()})
	require.ErrorIs(t, err, s3blob.ErrUnavailable)
	require.ErrorContains(t, err, "the endpoint speaks http, not https")
}
