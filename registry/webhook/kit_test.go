package webhook_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/sqlstore"
	"github.com/millwright-ml/millwright/registry/webhook"
)

const secret = "s3cret ü"

// local lets tests reach receivers on this machine, and hurries.
func local() *webhook.Options {
	return &webhook.Options{
		AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		FirstRetry: 5 * time.Millisecond, LastRetry: 20 * time.Millisecond, Poll: 50 * time.Millisecond, Timeout: 10 * time.Second,
	}
}

func openStore(tb testing.TB) (s *sqlstore.Store, url string) {
	tb.Helper()
	url = "sqlite:" + filepath.ToSlash(filepath.Join(tb.TempDir(), "registry.db"))
	return reopen(tb, url), url
}

func reopen(tb testing.TB, url string) *sqlstore.Store {
	tb.Helper()
	s, err := sqlstore.Open(tb.Context(), url, nil)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	return s
}

func newHooks(tb testing.TB, s webhook.Store, o *webhook.Options) *webhook.Hooks {
	tb.Helper()
	h, err := webhook.New(s, o)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, h.Shutdown(context.WithoutCancel(tb.Context()))) })
	return h
}

// request is what a receiver got.
type request struct {
	header http.Header
	body   string
}

// receiver is a server that remembers what it got.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	list []request
	news chan struct{} // takes many
}

// receive starts a receiver whose answers answer writes; nil answers 200.
func receive(tb testing.TB, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	tb.Helper()
	out := &receiver{news: make(chan struct{}, 10_000)}
	out.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			tb.Errorf("read a request: %v", err)
		}
		out.mu.Lock()
		out.list = append(out.list, request{r.Header, string(body)})
		n := len(out.list)
		out.mu.Unlock()
		if answer != nil {
			answer(n, w, r)
		}
		out.news <- struct{}{}
	}))
	tb.Cleanup(out.Close)
	return out
}

// await returns the requests as soon as there are n.
func (r *receiver) await(tb testing.TB, n int) []request {
	tb.Helper()
	limit := time.After(30 * time.Second)
	for {
		r.mu.Lock()
		list := append([]request(nil), r.list...)
		r.mu.Unlock()
		if len(list) >= n {
			return list
		}
		select {
		case <-r.news:
		case <-limit:
			tb.Fatalf("%d requests arrived, want %d", len(list), n)
		}
	}
}

// until waits for a condition that nobody tells of.
func until(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	require.Eventually(tb, cond, 30*time.Second, 5*time.Millisecond, what)
}

func draft(url string, events ...webhook.Event) webhook.Draft {
	return webhook.Draft{Name: "deploy", URL: url, Secret: secret, Events: events}
}

// model makes a model that is told of.
func model(tb testing.TB, s registry.Store, name string) {
	tb.Helper()
	_, err := registry.New(s, nil, nil).CreateModel(tb.Context(), registry.Model{Name: name})
	require.NoError(tb, err)
}
