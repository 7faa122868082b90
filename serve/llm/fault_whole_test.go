package llm_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/llm"
)

// dripRaw writes raw bytes of a response and then one more now and then, until the
// connection is closed.
func dripRaw(raw string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, err = conn.Write([]byte(raw))
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for err == nil {
			<-tick.C
			_, err = conn.Write([]byte("x"))
		}
	}
}

// deaf closes connections before it has read what is sent.
func deaf(t *testing.T) *upstream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 10))
			_ = conn.Close()
		}
	}()
	return &upstream{Server: &httptest.Server{URL: "http://" + l.Addr().String()}}
}

// An answer that is no stream goes out once it is there whole, so whatever happens to
// an upstream before that is made good by another.
func TestWholeAnswersAreAskedForAgain(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]http.HandlerFunc{
		"not read":               nil,
		"killed at once":         cut(""),
		"killed in the header":   cut("HTTP/1.1 200 OK\r\nContent-Ty"),
		"killed behind it":       cut(headJSON),
		"killed in the body":     cut(headJSON + `{"choices":[{"index":0,`),
		"killed in a chunk":      cut("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{\"choices\""),
		"killed between chunks":  cut("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
		"garbage for a header":   cut("\x00\x01\x02\r\n\r\n"),
		"garbage for a body":     answers(200, "\x00\xff{"),
		"a list":                 answers(200, "[]"),
		"nothing":                answers(200, ""),
		"too much":               answers(200, `{"x":"`+strings.Repeat("x", 3000)+`"}`),
		"a page with an error":   answers(502, "<html>"),
		"an upgrade to nonsense": cut("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good, bad := newUpstream(t, answers(200, whole)), deaf(t)
			if broken != nil {
				bad = newUpstream(t, broken)
			}
			first := llm.RouterFunc(func(_ *llm.Query, c []llm.Candidate) int { return len(c) - 1 })
			_, server, seen := gatewayOf(t, &llm.Options{Failures: -1, MaxAnswer: 2000}, llm.Model{Name: "m", Router: first}, good, bad)
			// More than what is sent at once.
			body := `{"model":"m","messages":"` + strings.Repeat("x", 512<<10) + `"}`
			resp, got := post(t, server, chat, body)
			require.Equal(t, 200, resp.StatusCode, got)
			require.Equal(t, whole, got)
			require.Equal(t, body, <-good.bodies)
			x := <-seen
			require.Equal(t, 2, x.Attempts)
			require.Equal(t, "u0", x.Upstream)
		})
	}
}

// One that stalls or drips takes the time of the request as a whole.
func TestWholeAnswersHaveATime(t *testing.T) {
	t.Parallel()
	for name, slow := range map[string]http.HandlerFunc{
		"silent":             stall(""),
		"silent in the body": stall("application/json", `{"choices":`),
		"a header drips":     dripRaw("HTTP/1.1 200 OK\r\nX-Slow: "),
		"a body drips":       dripRaw(headJSON + `{"x":"`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, server, seen := gateway(t, &llm.Options{Timeout: 100 * time.Millisecond}, newUpstream(t, slow))
			resp, got := post(t, server, chat, `{"model":"m"}`)
			require.Equal(t, http.StatusGatewayTimeout, resp.StatusCode, got)
			require.Contains(t, got, "upstream_timeout")
			require.ErrorIs(t, (<-seen).Err, llm.ErrUnavailable)
		})
	}
}

// late fails, and reads what it was sent only then.
type late chan io.ReadCloser

func (l late) RoundTrip(r *http.Request) (*http.Response, error) {
	l <- r.Body
	return nil, io.ErrUnexpectedEOF
}

// A transport may read a body when it has failed already. What it gets then is still
// that of its own request, and not of another.
func TestBodiesAreNotUsedAgainWhileTheyAreRead(t *testing.T) {
	t.Parallel()
	l := make(late, 100)
	g, err := llm.New([]llm.Upstream{{Name: "a", URL: "http://a", Transport: l}, {Name: "b", URL: "http://b", Transport: canned{"application/json", whole}}},
		[]llm.Model{{Name: "m", Targets: []llm.Target{{Upstream: "a", Model: "x"}, {Upstream: "b", Model: "longer"}}, Router: llm.RouterFunc(func(*llm.Query, []llm.Candidate) int { return 0 })}}, &llm.Options{Failures: -1})
	require.NoError(t, err)
	for i := range 20 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, chat, strings.NewReader(fmt.Sprintf(`{"model":"m","messages":"%d"}`, i)))
		require.NoError(t, err)
		w := newRecorder()
		g.ServeHTTP(w, r)
		require.Equal(t, 200, w.status)
	}
	for i := range 20 {
		body := <-l
		got, err := io.ReadAll(body)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf(`{"model":"x","messages":"%d"}`, i), string(got))
		require.NoError(t, body.Close())
		require.NoError(t, body.Close(), "twice does no harm")
	}
}
