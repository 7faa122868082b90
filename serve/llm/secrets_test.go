package llm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/llm"
	"github.com/millwright-ml/millwright/serve/llm/promexport"
)

// What nobody may see but the client and the upstream.
const (
	clientKey   = "sk-client-0123456789abcdef"
	wrongKey    = "sk-wrong-0123456789abcdef"
	upstreamKey = "sk-upstream-0123456789abcdef"
	headerKey   = "header-0123456789abcdef"
	cookie      = "cookie-0123456789abcdef"
	promptText  = "prompt-marker"
	answerText  = "answer-marker"
	personText  = "marker.person@example.com"
	cardText    = "4111 1111 1111 1111"
)

// ear collects all that is said, by several at once.
type ear struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (s *ear) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(b)
}

func (s *ear) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

// told says a value in every way that a program might.
func (s *ear) told(value any) {
	for _, format := range []string{"%v\n", "%+v\n", "%#v\n", "%s\n", "%q\n", "%x\n", "%d\n"} {
		_, _ = fmt.Fprintf(s, format, value)
	}
	if raw, err := json.Marshal(value); err == nil {
		_, _ = s.Write(raw)
	}
	level := &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}
	slog.New(slog.NewJSONHandler(s, level)).Debug("said", "value", value)
	slog.New(slog.NewTextHandler(s, level)).Debug("said", "value", value)
}

// gossip tells all it hears, as an access log at debug level with every field would.
type gossip struct{ *ear }

func (g gossip) Observe(x *llm.Exchange) {
	g.told(*x)
	for err := x.Err; err != nil; err = errors.Unwrap(err) {
		g.told(err)
	}
}

func (g gossip) Authenticate(r *http.Request) (*llm.Tenant, error) {
	keys, err := llm.NewKeys(map[string]*llm.Tenant{llm.HashKey(clientKey): {Name: "shop"}})
	if err != nil {
		return nil, err
	}
	tenant, err := keys.Authenticate(r)
	g.told(keys)
	g.told(tenant)
	g.told(err)
	return tenant, err
}

// kept collects records, which have prompts, redacted.
type kept struct{ *ear }

func (k kept) Record(r llm.Record) {
	_, _ = k.Write(r.Request)
	_, _ = k.Write(r.Answer)
	_, _ = k.Write([]byte(r.Exchange.User))
}

// tripping panics, or fails, where the request says so.
type tripping struct{}

func (tripping) Request(_ context.Context, _ *llm.Exchange, body []byte) ([]byte, error) {
	switch {
	case bytes.Contains(body, []byte("hook fails")):
		return nil, fmt.Errorf("the hook has failed on what was asked: %w", llm.ErrInvalid)
	case bytes.Contains(body, []byte("hook panics")):
		panic("the hook is broken")
	}
	return body, nil
}

// echo answers with all that it was sent, in the way that the request asks for.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	head := fmt.Sprint(r.Header)
	text, err := json.Marshal(string(body) + head + " " + answerText + " " + personText)
	if err != nil {
		return
	}
	says := func(what string) bool { return bytes.Contains(body, []byte(what)) }
	w.Header().Set("Content-Type", "application/json")
	switch {
	case says("status "):
		status := 0
		_, _ = fmt.Sscan(string(body[bytes.Index(body, []byte("status "))+len("status "):]), &status)
		w.Header().Set("X-Echo", r.Header.Get("Authorization"))
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"error":{"message":%s}}`, text)
	case says("garbage"):
		_, _ = fmt.Fprintf(w, `{"choices":[%s`, text)
	case says("vanish"):
		panic(http.ErrAbortHandler)
	case says("no protocol"):
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = fmt.Fprintf(conn, "%s %s\r\n\r\n", head, body)
			_ = conn.Close()
		}
	case says("no header"):
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%s %s\r\n\r\n", strings.ReplaceAll(promptText+answerText, ":", ""), body[:9])
			_ = conn.Close()
		}
	case says(`"stream":true`):
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%s}}]}\n\n", text)
		_ = http.NewResponseController(w).Flush()
		switch {
		case says("breaks off"):
			panic(http.ErrAbortHandler)
		case says("reports"):
			_, _ = fmt.Fprintf(w, "data: {\"error\":{\"message\":%s}}\n\n", text)
		case says("raves"):
			_, _ = fmt.Fprintf(w, "data: {%s\n\n", text)
		}
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	default:
		_, _ = fmt.Fprintf(w, `{"id":"c","choices":[{"index":0,"message":{"content":%s},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}`, text)
	}
}

// No key, prompt, answer or redacted text gets into logs, metrics, errors or what
// types print, whatever goes wrong.
func TestSecretsStay(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	upstream.Config.ErrorLog = log.New(io.Discard, "", 0)
	upstream.Start()
	t.Cleanup(upstream.Close)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := "http://" + nobody.Addr().String()
	require.NoError(t, nobody.Close())

	said, records := &ear{}, &ear{}
	all := gossip{said}
	metrics := promexport.New()
	upstreams := []llm.Upstream{
		{Name: "echo", URL: upstream.URL + "/v1", Key: upstreamKey, Header: http.Header{"X-Secret": {headerKey}}, Metrics: upstream.URL + "/metrics"},
		{Name: "gone", URL: gone, Key: upstreamKey},
	}
	models := []llm.Model{{Name: "m", Targets: []llm.Target{{Upstream: "echo"}}}, {Name: "gone", Targets: []llm.Target{{Upstream: "gone"}}}}
	options := &llm.Options{
		Auth: all, Observers: []llm.Observer{all, metrics}, Hooks: []llm.Hook{tripping{}}, Log: &llm.Log{Recorder: kept{records}},
		Retries: -1, Failures: -1, MaxBody: 4096,
	}
	g, err := llm.New(upstreams, models, options)
	require.NoError(t, err)
	metrics.Watch(g)
	watching, stop := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() { watched <- g.Watch(watching, &llm.WatchOptions{Every: 20 * time.Millisecond}) }()
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics)
	server := httptest.NewUnstartedServer(g)
	server.Config.ErrorLog = log.New(said, "", log.LstdFlags)
	server.Start()
	t.Cleanup(server.Close)

	// What is wrong with a configuration is said without it.
	for _, bad := range []llm.Upstream{
		{Name: "a", URL: "http://user:" + upstreamKey + "@host/"}, {Name: "a", URL: "http://host/?key=" + upstreamKey},
		{Name: "a", URL: "http://host", Key: upstreamKey + "\n"}, {Name: "a", URL: "http://host", Metrics: "://" + upstreamKey},
	} {
		_, err := llm.New([]llm.Upstream{bad}, models, nil)
		require.ErrorIs(t, err, llm.ErrInvalid)
		said.told(err)
	}
	_, err = llm.NewKeys(map[string]*llm.Tenant{clientKey: {Name: "shop"}})
	require.ErrorIs(t, err, llm.ErrInvalid)
	said.told(err)
	said.told(upstreams)
	said.told(upstreams[0])
	said.told(&upstreams[0])
	said.told(struct{ Upstreams []llm.Upstream }{upstreams})
	said.told(models)
	said.told(*options)
	said.told(g)
	said.told(g.Upstreams())

	paths := []string{"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"}
	body := func(model, ask, more string) string {
		text := fmt.Sprintf(`%q`, strings.Join([]string{promptText, personText, cardText, ask}, " "))
		return fmt.Sprintf(`{"model":%q,"user":%q,"messages":[{"role":"user","content":%s}],"prompt":%s,"input":%s%s}`, model, personText, text, text, text, more)
	}
	bodies := []string{
		body("gone", "", ""), body("none", "", ""), body("m", strings.Repeat("too long ", 1000), ""),
		body("m", "", "}}"), body("m", "", `,"model":"m"`), body("m", "", `,"max_tokens":"`+promptText+`"`), body("m", "", `,"stream":"`+promptText+`"`),
		promptText, "", `["` + promptText + `"]`, "\x00" + promptText,
	}
	for _, ask := range []string{
		"", "status 200", "status 302", "status 400", "status 401", "status 403", "status 404", "status 422", "status 429", "status 500", "status 503",
		"garbage", "vanish", "no protocol", "no header", "hook fails", "hook panics", "breaks off", "reports", "raves",
	} {
		bodies = append(bodies, body("m", ask, ""), body("m", ask, `,"stream":true`))
	}
	for _, path := range paths {
		for _, b := range bodies {
			for _, key := range []string{clientKey, wrongKey, ""} {
				if key != clientKey && b != bodies[0] {
					continue
				}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, strings.NewReader(b))
				require.NoError(t, err)
				req.Header.Set("Authorization", "Bearer "+key)
				req.Header.Set("Cookie", cookie)
				resp, err := server.Client().Do(req)
				if err != nil {
					require.Contains(t, b, "hook panics", "%v", err)
					continue
				}
				answer, err := io.ReadAll(resp.Body)
				if err != nil {
					require.ErrorIs(t, err, io.ErrUnexpectedEOF)
				}
				require.NoError(t, resp.Body.Close())
				// The client gets what the upstream says of its words, and no key but
				// in an answer, which is the upstream's own.
				if resp.StatusCode != http.StatusOK {
					client := string(answer) + fmt.Sprint(resp.Header)
					for _, secret := range []string{clientKey, wrongKey, upstreamKey, headerKey, cookie} {
						require.NotContains(t, client, secret, "%s %s", path, b)
					}
				}
			}
		}
	}
	for _, path := range []string{"/v1/models", "/v1/models/" + promptText, "/" + promptText} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+clientKey)
		resp, err := server.Client().Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	stop()
	said.told(<-watched)
	page := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Contains(t, page.Body.String(), "millwright_llm_requests_total")

	secrets := []string{clientKey, wrongKey, upstreamKey, headerKey, cookie, promptText, answerText, cardText, "4111111111111111"}
	for name, text := range map[string]string{"metrics": page.Body.String(), "logs": said.text()} {
		for _, secret := range secrets {
			for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprint([]byte(secret))} {
				if at := strings.Index(text, form); at >= 0 {
					t.Errorf("the %s have %q: %s", name, secret, text[max(0, at-300):min(len(text), at+200)])
				}
			}
		}
	}
	require.NotContains(t, page.Body.String(), "marker.person")
	// The records have the prompts, without what is redacted.
	text := records.text()
	require.Contains(t, text, promptText)
	require.Contains(t, text, answerText)
	for _, secret := range []string{"marker.person", cardText, "4111111111111111"} {
		if at := strings.Index(text, secret); at >= 0 {
			t.Errorf("the records have %q: %s", secret, text[max(0, at-300):min(len(text), at+200)])
		}
	}
	require.NoError(t, g.Shutdown(t.Context()))
}
