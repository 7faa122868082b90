package llm_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/llm"
)

// cut writes raw bytes of a response and closes the connection.
func cut(raw string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = buf.WriteString(raw)
		_ = buf.Flush()
		_ = conn.Close()
	}
}

// stall writes some of an answer and then nothing, until the request is ended.
func stall(contentType string, parts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if len(parts) > 0 {
			w.Header().Set("Content-Type", contentType)
			for _, p := range parts {
				_, _ = io.WriteString(w, p)
				_ = http.NewResponseController(w).Flush()
			}
		}
		<-r.Context().Done()
	}
}

const (
	head     = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
	headJSON = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
	sse      = "text/event-stream"
)

// What goes wrong before the first byte of the answer is tried elsewhere, and the
// client sees nothing of it.
func TestAnotherUpstreamAnswersBeforeTheFirstByte(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]http.HandlerFunc{
		"closed at once":         cut(""),
		"closed in the header":   cut("HTTP/1.1 200"),
		"closed behind it":       cut(head),
		"closed in an event":     cut(head + "data: {\"choices\""),
		"no HTTP":                cut("SSH-2.0-nonsense\r\n"),
		"a header of garbage":    cut("HTTP/1.1 200 OK\r\n\x00\xff: {}\r\n\r\n"),
		"a header without end":   cut("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 200_000)),
		"an event of garbage":    events("data: <html>\n\n"),
		"an event without end":   events("data: " + strings.Repeat("x", 100_000)),
		"a page":                 answers(200, "<html>busy</html>"),
		"a body that breaks off": cut(headJSON + `{"choices":`),
		"silent":                 stall(""),
		"silent behind a header": stall(sse, ""),
		"silent but for comment": stall(sse, ": ping\n\n"),
		"silent, it drips":       drip(""),
		"silent, its head drips": dripRaw("HTTP/1.1 200 OK\r\nX-Slow: "),
		"overloaded":             answers(503, `{}`),
		"busy":                   answers(429, `{}`),
		"failing":                answers(500, `{}`),
		"locked":                 answers(401, `{"error":"Incorrect API key provided: sk-upstream"}`),
		"moved": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good := newUpstream(t, events(chunk("a"), finish, counts, done))
			bad := newUpstream(t, broken)
			// A slow machine may need more than one try of the good one, too.
			first, tries := time.Minute, 2
			if strings.HasPrefix(name, "silent") {
				first, tries = 100*time.Millisecond, 1000
			}
			bad0 := llm.RouterFunc(func(_ *llm.Query, c []llm.Candidate) int {
				for i := range c {
					if c[i].Upstream == "u0" {
						return i
					}
				}
				return 0
			})
			_, server, seen := gatewayOf(t, &llm.Options{First: first, Retries: 1000, Failures: -1, MaxEvent: 20_000}, llm.Model{Name: "m", Router: bad0}, bad, good)
			resp, body := post(t, server, chat, `{"model":"m","stream":true}`)
			require.Equal(t, 200, resp.StatusCode, body)
			require.Equal(t, chunk("a")+finish+done, body)
			x := <-seen
			require.GreaterOrEqual(t, x.Attempts, 2)
			require.LessOrEqual(t, x.Attempts, tries)
			require.Equal(t, "u1", x.Upstream)
			require.NoError(t, x.Err)
		})
	}
}

// What goes wrong later is reported in the stream, and nothing is asked again.
func TestErrorsBehindTheFirstByteAreEvents(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		broken http.HandlerFunc
		want   string
	}{
		"closed":         {cut(head + chunk("a")), "broke off"},
		"in an event":    {cut(head + chunk("a") + "data: {\"choi"), "broke off"},
		"killed":         {cut(strings.Replace(head, "\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n", 1) + fmt.Sprintf("%x\r\n%s\r\n", len(chunk("a")), chunk("a"))), "broke off"},
		"silent":         {stall(sse, chunk("a")), "it fell silent"},
		"dripping":       {drip(chunk("a")), "it fell silent"},
		"garbage":        {events(chunk("a"), "data: {{\n\n"), "broke off"},
		"too long event": {events(chunk("a"), "data: "+strings.Repeat("x", 100_000)), "broke off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := newUpstream(t, tc.broken)
			idle := time.Minute
			if tc.want == "it fell silent" {
				idle = 100 * time.Millisecond
			}
			_, server, seen := gateway(t, &llm.Options{Idle: idle, MaxEvent: 20_000}, bad)
			resp, body := post(t, server, chat, `{"model":"m","stream":true}`)
			require.Equal(t, 200, resp.StatusCode)
			rest, ok := strings.CutPrefix(body, chunk("a"))
			require.True(t, ok, body)
			require.True(t, strings.HasPrefix(rest, `data: {"error":{"message":"the upstream `), rest)
			require.Contains(t, rest, tc.want)
			require.True(t, strings.HasSuffix(rest, "}}\n\n"))
			require.NotContains(t, rest, "[DONE]")
			x := <-seen
			require.Equal(t, 1, x.Attempts)
			require.ErrorIs(t, x.Err, llm.ErrUnavailable)
			require.True(t, x.Estimated)
			require.Equal(t, 1, x.Usage.Output)
		})
	}
}

// drip sends a byte of an event now and then, which is no progress.
func drip(first string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", sse)
		_, _ = io.WriteString(w, first+"data: ")
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
				_, _ = io.WriteString(w, "x")
			}
		}
	}
}

func TestErrorsOfResponsesHaveTheirOwnShape(t *testing.T) {
	t.Parallel()
	created := "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\n"
	bad := newUpstream(t, cut(head+created))
	_, server, seen := gateway(t, nil, bad)
	_, body := post(t, server, "/v1/responses", `{"model":"m","stream":true}`)
	require.Equal(t, created+"event: error\ndata: {\"type\":\"error\",\"code\":\"upstream_error\",\"message\":\"the upstream broke off its answer\",\"param\":null}\n\n", body)
	require.Equal(t, "r", (<-seen).ResponseID)
}

// A stream without [DONE] is whole if it says why it ended.
func TestStreamsWithoutTheirLastEvent(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"", "data: [DONE]", "data: [DONE]\n"} {
		u := newUpstream(t, events(chunk("a"), finish, end))
		_, server, seen := gateway(t, nil, u)
		_, body := post(t, server, chat, `{"model":"m","stream":true}`)
		want := chunk("a") + finish
		if end != "" {
			want += done
		}
		require.Equal(t, want, body)
		require.NoError(t, (<-seen).Err)
	}
}

func TestNoUpstreamIsLeft(t *testing.T) {
	t.Parallel()
	closed := newUpstream(t, nil)
	closed.Close()
	_, server, seen := gateway(t, &llm.Options{Cooldown: time.Hour}, closed)
	resp, body := post(t, server, chat, `{"model":"m"}`)
	require.Equal(t, 502, resp.StatusCode)
	require.NotContains(t, body, "127.0.0.1", "where the upstreams are is nobody's business")
	require.Equal(t, 3, (<-seen).Attempts)

	// Its circuit opens, and the next request is told so at once.
	_, _ = post(t, server, chat, `{"model":"m"}`)
	resp, _ = post(t, server, chat, `{"model":"m"}`)
	require.Equal(t, 503, resp.StatusCode)
	require.Equal(t, "3600", resp.Header.Get("Retry-After"))

	// What the last one says goes to the client, with its header.
	busy := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		answers(429, `{"error":{"message":"slow down"}}`)(w, nil)
	})
	_, server, _ = gateway(t, nil, busy)
	resp, body = post(t, server, chat, `{"model":"m"}`)
	require.Equal(t, 429, resp.StatusCode)
	require.Equal(t, "7", resp.Header.Get("Retry-After"))
	require.Equal(t, `{"error":{"message":"slow down"}}`, body)

	locked := newUpstream(t, answers(401, `Incorrect API key provided: sk-upstream`))
	_, server, _ = gateway(t, nil, locked)
	resp, body = post(t, server, chat, `{"model":"m"}`)
	require.Equal(t, 502, resp.StatusCode)
	require.NotContains(t, body, "sk-upstream")
}

func TestCircuitClosesAgain(t *testing.T) {
	t.Parallel()
	var ok atomic.Bool
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if ok.Load() {
			answers(200, whole)(w, r)
			return
		}
		cut("")(w, r)
	})
	g, server, _ := gateway(t, &llm.Options{Retries: -1, Failures: 2, Cooldown: 20 * time.Millisecond}, u)
	for range 2 {
		resp, _ := post(t, server, chat, `{"model":"m"}`)
		require.Equal(t, 502, resp.StatusCode)
	}
	ok.Store(true)
	require.Eventually(t, func() bool {
		resp, _ := post(t, server, chat, `{"model":"m"}`)
		return resp.StatusCode == 200
	}, time.Minute, 5*time.Millisecond)
	require.True(t, g.Upstreams()[0].Ready)
}

func TestFallbackToAnotherModel(t *testing.T) {
	t.Parallel()
	bad, good := newUpstream(t, cut("")), newUpstream(t, answers(200, whole))
	s := make(seen, 1)
	g, err := llm.New([]llm.Upstream{{Name: "bad", URL: bad.URL}, {Name: "good", URL: good.URL}}, []llm.Model{
		{Name: "big", Targets: []llm.Target{{Upstream: "bad"}}, Fallbacks: []string{"small"}},
		{Name: "small", Targets: []llm.Target{{Upstream: "good"}}},
	}, &llm.Options{Observers: []llm.Observer{s}})
	require.NoError(t, err)
	w := newRecorder()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, chat, strings.NewReader(`{"model":"big"}`))
	require.NoError(t, err)
	g.ServeHTTP(w, req)
	require.Equal(t, 200, w.status)
	require.Equal(t, `{"model":"small"}`, <-good.bodies)
	x := <-s
	require.Equal(t, "small", x.Served)
	require.Equal(t, "big", x.Model)
}

func TestDrainAndShutdown(t *testing.T) {
	t.Parallel()
	begun, end := make(chan struct{}), make(chan struct{})
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-end
		answers(200, whole)(w, r)
	})
	other := newUpstream(t, answers(200, whole))
	g, server, _ := gatewayOf(t, nil, llm.Model{Name: "m", Router: llm.RouterFunc(func(*llm.Query, []llm.Candidate) int { return 0 })}, u, other)
	status := make(chan int)
	go func() {
		resp, err := server.Client().Post(server.URL+chat, "application/json", strings.NewReader(`{"model":"m"}`))
		if err != nil {
			status <- 0
			return
		}
		_ = resp.Body.Close()
		status <- resp.StatusCode
	}()
	<-begun
	require.ErrorIs(t, g.Drain("nobody", true), llm.ErrNotFound)
	require.NoError(t, g.Drain("u0", true))
	resp, _ := post(t, server, chat, `{"model":"m"}`)
	require.Equal(t, 200, resp.StatusCode)
	require.Len(t, other.bodies, 1)
	require.EqualValues(t, 1, g.Upstreams()[0].Requests)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, g.Shutdown(ctx), context.Canceled)
	resp, body := post(t, server, chat, `{"model":"m"}`)
	require.Equal(t, 503, resp.StatusCode)
	require.Contains(t, body, "shutting down")
	close(end)
	require.Equal(t, 200, <-status, "what runs goes on")
}
