package remote_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/remote"
)

func TestModel(t *testing.T) {
	t.Parallel()
	url := listen(t, upstream(t))
	for _, opts := range []remote.Options{
		{}, {Encoding: remote.Binary}, {Encoding: remote.JSON}, {Compress: "gzip"}, {Version: "4"}, {Encoding: remote.Binary, Compress: "deflate"},
	} {
		t.Run(fmt.Sprintf("%s%s%s", opts.Encoding, opts.Compress, opts.Version), func(t *testing.T) {
			t.Parallel()
			opts.Model = "double"
			m := dial(t, url, &opts)
			require.Equal(t, doubler{}.Signature(), m.Signature())
			require.NoError(t, m.Warm(t.Context()))
			var resp oip.InferResponse
			require.NoError(t, m.Infer(t.Context(), numbers(1, 2.5), &resp))
			require.Equal(t, []float32{2, 5}, resp.Output("y").FP32())
			require.Equal(t, []string{"big", "big"}, resp.Output("word").Strings())
			_, err := ask(t.Context(), m, -1)
			require.ErrorIs(t, err, remote.ErrInvalid)
		})
	}
}

// TestBehindAServer: a client of ours sees no difference to a model in Go.
func TestBehindAServer(t *testing.T) {
	t.Parallel()
	front := serve.New(nil)
	m, err := remote.Dial(t.Context(), listen(t, upstream(t)), &remote.Options{Model: "double"})
	require.NoError(t, err)
	require.NoError(t, front.Deploy(t.Context(), serve.Deployment{Name: "d", Version: "1", Model: m}))
	resp, served, err := front.Infer(t.Context(), "d", "", numbers(3))
	require.NoError(t, err)
	require.Equal(t, []float32{6}, resp.Output("y").FP32())
	require.Equal(t, "q", served.RequestID)
	require.NoError(t, front.Shutdown(t.Context()))
	_, err = ask(t.Context(), m, 1)
	require.ErrorIs(t, err, remote.ErrClosed)
}

func TestDialErrors(t *testing.T) {
	t.Parallel()
	url := listen(t, upstream(t))
	_, err := remote.Dial(t.Context(), url, &remote.Options{Encoding: "smoke", Connect: -1, Stall: -2})
	require.ErrorIs(t, err, remote.ErrInvalid)
	require.ErrorContains(t, err, "Model is empty")
	require.ErrorContains(t, err, "smoke")
	require.ErrorContains(t, err, "Stall")
	_, err = remote.Dial(t.Context(), "ftp://host", &remote.Options{Model: "m"})
	require.ErrorIs(t, err, remote.ErrInvalid)
	_, err = remote.Dial(t.Context(), url, &remote.Options{Model: "triple"})
	require.ErrorIs(t, err, remote.ErrUnavailable)
	require.NotErrorIs(t, err, serve.ErrNotFound, "it is not the client that is wrong")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = remote.Dial(ctx, url, &remote.Options{Model: "double"})
	require.ErrorIs(t, err, context.Canceled)
	_, err = remote.Dial(t.Context(), "http://127.0.0.1:1", &remote.Options{Model: "m", Backoff: time.Millisecond})
	require.ErrorIs(t, err, remote.ErrUnavailable)

	// Metadata without a signature.
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"name":"m"}`) }))
	t.Cleanup(web.Close)
	_, err = remote.Dial(t.Context(), web.URL, &remote.Options{Model: "m"})
	require.ErrorContains(t, err, "Options.Signature")
	sig := doubler{}.Signature()
	m := dial(t, web.URL, &remote.Options{Model: "m", Signature: &sig})
	require.Equal(t, sig, m.Signature())
	_, err = ask(t.Context(), m, 1)
	require.Error(t, err)
	require.NotErrorIs(t, err, remote.ErrInvalid, "an answer that is none is not the client's fault")
}

func TestTLSAndSockets(t *testing.T) {
	t.Parallel()
	s := upstream(t)
	web := httptest.NewTLSServer(s)
	t.Cleanup(web.Close)
	pool := x509.NewCertPool()
	pool.AddCert(web.Certificate())
	m := dial(t, web.URL, &remote.Options{Model: "double", TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, Header: http.Header{"Authorization": {"Bearer k"}}})
	y, err := ask(t.Context(), m, 4)
	require.NoError(t, err)
	require.Equal(t, []float32{8}, y)
	_, err = remote.Dial(t.Context(), web.URL, &remote.Options{Model: "double", Retries: -1})
	require.ErrorContains(t, err, "certificate")

	path := filepath.Join(t.TempDir(), "s")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	require.NoError(t, err)
	local := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() { _ = local.Serve(l) }()
	t.Cleanup(func() { require.NoError(t, local.Close()) })
	m = dial(t, "http://anything", &remote.Options{Model: "double", Socket: path})
	y, err = ask(t.Context(), m, 5)
	require.NoError(t, err)
	require.Equal(t, []float32{10}, y)
}

func TestHeader(t *testing.T) {
	t.Parallel()
	s := upstream(t)
	var key, host atomic.Value
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key.Store(r.Header.Get("X-Key"))
		host.Store(r.Host)
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	dial(t, web.URL, &remote.Options{Model: "double", Header: http.Header{"X-Key": {"secret"}, "Host": {"double.default.example.com"}}})
	require.Equal(t, "secret", key.Load())
	require.Equal(t, "double.default.example.com", host.Load())
}

// rude is a server of raw connections, each handled by what the test says.
func rude(t testing.TB, handle func(n int64, req *http.Request, conn net.Conn)) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	var n atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err == nil {
					_, _ = io.Copy(io.Discard, req.Body)
					handle(n.Add(1), req, conn)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

const said = `{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[7]}]}`

// answer writes a whole response.
func answer(w io.Writer, status int, body string) {
	_, _ = fmt.Fprintf(w, "HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

func options() *remote.Options {
	sig := doubler{}.Signature()
	return &remote.Options{Model: "m", Signature: &sig, Encoding: remote.JSON, Backoff: time.Millisecond}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	// The first two connections break off before an answer.
	var calls atomic.Int64
	m := dial(t, rude(t, func(n int64, _ *http.Request, conn net.Conn) {
		calls.Store(n)
		if n > 2 {
			answer(conn, 200, said)
		}
	}), options())
	y, err := ask(t.Context(), m, 1)
	require.NoError(t, err)
	require.Equal(t, []float32{7}, y)
	require.EqualValues(t, 3, calls.Load())

	// An answer that breaks off is not asked for again, nor one of 503.
	for name, reply := range map[string]string{
		"breaks off": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"model",
		"503":        "HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	} {
		var calls atomic.Int64
		m := dial(t, rude(t, func(n int64, _ *http.Request, conn net.Conn) {
			calls.Store(n)
			_, _ = io.WriteString(conn, reply)
		}), options())
		_, err := ask(t.Context(), m, 1)
		require.Error(t, err, name)
		require.EqualValues(t, 1, calls.Load(), name)
	}
}

// TestStall: a server that falls silent is not waited for, before its answer and
// in the middle of it; one that is slow but goes on is.
func TestStall(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	url := rude(t, func(n int64, req *http.Request, conn net.Conn) {
		switch req.Header.Get("X-Mode") {
		case "middle":
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"model")
		case "slow":
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", len(said))
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for i := range len(said) {
				_, _ = io.WriteString(conn, said[i:i+1])
				<-tick.C
			}
			return
		}
		<-release
	})
	for _, mode := range []string{"before", "middle"} {
		o := options()
		o.Stall = 50 * time.Millisecond
		o.Header = http.Header{"X-Mode": {mode}}
		_, err := ask(t.Context(), dial(t, url, o), 1)
		require.ErrorIs(t, err, remote.ErrUnavailable, mode)
		require.ErrorContains(t, err, "stalled", mode)

		// The caller's own deadline is the caller's.
		o.Stall = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = ask(ctx, dial(t, url, o), 1)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded, mode)
	}
	o := options()
	o.Stall = 10 * time.Second // Longer than the machine is ever away for.
	o.Header = http.Header{"X-Mode": {"slow"}}
	y, err := ask(t.Context(), dial(t, url, o), 1)
	require.NoError(t, err)
	require.Equal(t, []float32{7}, y)
}

// TestBreaker: after some failures in a row requests fail without being sent,
// until one gets through.
func TestBreaker(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	var calls atomic.Int64
	url := rude(t, func(_ int64, _ *http.Request, conn net.Conn) {
		calls.Add(1)
		if up.Load() {
			answer(conn, 200, said)
		}
	})
	o := options()
	o.Retries, o.Failures, o.Cooldown = -1, 3, time.Hour
	m := dial(t, url, o)
	for range 50 {
		_, err := ask(t.Context(), m, 1)
		require.ErrorIs(t, err, remote.ErrUnavailable)
	}
	require.EqualValues(t, 3, calls.Load())
	_, err := ask(t.Context(), m, 1)
	require.ErrorContains(t, err, "has not answered 3 requests in a row")

	o.Cooldown = time.Millisecond
	m = dial(t, url, o)
	for range 4 {
		_, err := ask(t.Context(), m, 1)
		require.ErrorIs(t, err, remote.ErrUnavailable)
	}
	up.Store(true)
	require.Eventually(t, func() bool { _, err := ask(t.Context(), m, 1); return err == nil }, 5*time.Minute, time.Millisecond)
	for range 10 {
		_, err = ask(t.Context(), m, 1)
		require.NoError(t, err)
	}
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]error{
		400: remote.ErrInvalid, 404: remote.ErrUnavailable, 429: remote.ErrUnavailable, 501: remote.ErrUnsupported, 503: remote.ErrUnavailable, 500: nil, 403: nil,
	} {
		m := dial(t, rude(t, func(_ int64, _ *http.Request, conn net.Conn) { answer(conn, status, `{"error":"in its words"}`) }), options())
		_, err := ask(t.Context(), m, 1)
		require.ErrorContains(t, err, "in its words")
		for _, kind := range []error{remote.ErrInvalid, remote.ErrUnavailable, remote.ErrUnsupported, serve.ErrNotFound} {
			if errors.Is(want, kind) {
				require.ErrorIs(t, err, kind, "%d", status)
			} else {
				require.NotErrorIs(t, err, kind, "%d", status)
			}
		}
	}
}

func TestRuntime(t *testing.T) {
	t.Parallel()
	url := listen(t, upstream(t))
	files := fstest.MapFS{remote.File: {Data: fmt.Appendf(nil, `{"url":%q,"model":"double","version":"4"}`, url)}}
	m, err := (&remote.Runtime{}).Load(t.Context(), files)
	require.NoError(t, err)
	y, err := ask(t.Context(), m, 4)
	require.NoError(t, err)
	require.Equal(t, []float32{8}, y)
	require.NoError(t, m.Close())
	_, err = (&remote.Runtime{Allow: func(string) bool { return false }}).Load(t.Context(), files)
	require.ErrorIs(t, err, remote.ErrInvalid)
	_, err = (&remote.Runtime{}).Load(t.Context(), fstest.MapFS{})
	require.Error(t, err)
	_, err = (&remote.Runtime{}).Load(t.Context(), fstest.MapFS{remote.File: {Data: []byte("{")}})
	require.ErrorIs(t, err, remote.ErrInvalid)
}
