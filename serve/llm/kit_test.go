package llm_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/llm"
)

// upstream is a small server of our own, for what a real one does not do on
// demand.
type upstream struct {
	*httptest.Server

	bodies chan string
	heads  chan http.Header
}

func newUpstream(t testing.TB, h http.HandlerFunc) *upstream {
	t.Helper()
	u := &upstream{bodies: make(chan string, 100), heads: make(chan http.Header, 100)}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err == nil {
			select {
			case u.bodies <- string(b):
				u.heads <- r.Header
			default:
			}
		}
		h(w, r)
	}))
	t.Cleanup(u.Close)
	return u
}

// chunk is an event of a chat with a piece of text.
func chunk(text string) string {
	return fmt.Sprintf(`data: {"id":"c1","object":"chat.completion.chunk","model":"real","choices":[{"index":0,"delta":{"content":%q},"finish_reason":null}]}`+"\n\n", text)
}

const (
	finish = `data: {"id":"c1","object":"chat.completion.chunk","model":"real","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	counts = `data: {"id":"c1","object":"chat.completion.chunk","model":"real","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":4}}}` + "\n\n"
	done   = "data: [DONE]\n\n"
)

// events answers with server-sent events, each of which is sent by itself.
func events(list ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range list {
			_, _ = io.WriteString(w, e)
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// answers answers with a JSON text.
func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

const whole = `{"id":"c1","object":"chat.completion","model":"real","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}`

// seen collects what observers are told.
type seen chan llm.Exchange

func (s seen) Observe(x *llm.Exchange) { s <- *x }

// gateway is a gateway with the model "m" at the upstreams, and its server.
func gateway(t testing.TB, o *llm.Options, upstreams ...*upstream) (*llm.Gateway, *httptest.Server, seen) {
	t.Helper()
	return gatewayOf(t, o, llm.Model{Name: "m"}, upstreams...)
}

func gatewayOf(t testing.TB, o *llm.Options, m llm.Model, upstreams ...*upstream) (*llm.Gateway, *httptest.Server, seen) {
	t.Helper()
	var ups []llm.Upstream
	for i, u := range upstreams {
		name := fmt.Sprintf("u%d", i)
		ups = append(ups, llm.Upstream{Name: name, URL: u.URL + "/v1"})
		m.Targets = append(m.Targets, llm.Target{Upstream: name})
	}
	all := llm.Options{}
	if o != nil {
		all = *o
	}
	s := make(seen, 100)
	all.Observers = append(all.Observers, s)
	g, err := llm.New(ups, []llm.Model{m}, &all)
	require.NoError(t, err)
	server := httptest.NewServer(g)
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, g.Shutdown(context.WithoutCancel(t.Context())))
	})
	return g, server, s
}

// post sends a body to the gateway.
func post(t testing.TB, server *httptest.Server, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := server.Client().Do(req)
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp, string(b)
}

const chat = "/v1/chat/completions"

// recorder is a response writer without a server.
type recorder struct {
	strings.Builder

	header http.Header
	status int
}

func newRecorder() *recorder { return &recorder{header: make(http.Header)} }

func (r *recorder) Header() http.Header    { return r.header }
func (r *recorder) WriteHeader(status int) { r.status = status }
