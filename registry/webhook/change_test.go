package webhook_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry/webhook"
)

// A webhook that is mended is tried again at once, however long the wait would
// have been.
func TestMended(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, _ := openStore(t)
	o := local()
	o.FirstRetry, o.LastRetry = time.Hour, time.Hour
	h := newHooks(t, s, o)
	broken := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	to := receive(t, nil)
	made, err := h.Create(ctx, draft(broken.URL, webhook.ModelCreated))
	require.NoError(t, err)
	require.NoError(t, h.Start())
	model(t, s, "first")
	model(t, s, "second")
	broken.await(t, 1)
	_, err = h.Update(ctx, made.ID, webhook.Update{URL: &to.URL})
	require.NoError(t, err)
	list := to.await(t, 2)
	require.Equal(t, broken.await(t, 1)[0].header.Get(webhook.HeaderID), list[0].header.Get(webhook.HeaderID))
	require.Len(t, broken.await(t, 1), 1)

	// Disabled, nothing is sent or queued; deleted, nothing is left.
	off := webhook.Disabled
	_, err = h.Update(ctx, made.ID, webhook.Update{Status: &off})
	require.NoError(t, err)
	model(t, s, "third")
	b, err := h.Backlog(ctx, made.ID)
	require.NoError(t, err)
	require.Zero(t, b)
	require.NoError(t, h.Delete(ctx, made.ID))
	model(t, s, "fourth")
	require.Len(t, to.await(t, 2), 2)
}

// A webhook that fails does not hold up the others.
func TestOthersGoOn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, _ := openStore(t)
	o := local()
	o.Workers = 2
	h := newHooks(t, s, o)
	release := make(chan struct{})
	slow := receive(t, func(_ int, _ http.ResponseWriter, _ *http.Request) { <-release })
	defer sync.OnceFunc(func() { close(release) })()
	bad := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	good := receive(t, nil)
	for _, url := range []string{slow.URL, bad.URL, good.URL} {
		_, err := h.Create(ctx, draft(url, webhook.ModelCreated))
		require.NoError(t, err)
	}
	require.NoError(t, h.Start())
	for _, name := range []string{"a", "b", "c", "d"} {
		model(t, s, name)
	}
	good.await(t, 4)
	bad.await(t, 3)
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	h := newHooks(t, s, local())
	var mu sync.Mutex
	var at []time.Time
	to := receive(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		at = append(at, time.Now())
		mu.Unlock()
		if n == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	_, err := h.Create(t.Context(), draft(to.URL, webhook.ModelCreated))
	require.NoError(t, err)
	require.NoError(t, h.Start())
	model(t, s, "m")
	to.await(t, 2)
	mu.Lock()
	defer mu.Unlock()
	require.GreaterOrEqual(t, at[1].Sub(at[0]), time.Second)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, _ := openStore(t)
	to := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer to.Close()
	trust := x509.NewCertPool()
	trust.AddCert(to.Certificate())
	o := local()
	o.AllowHTTP, o.TLS = false, &tls.Config{RootCAs: trust}
	made, err := newHooks(t, s, o).Create(ctx, draft(to.URL, webhook.ModelCreated))
	require.NoError(t, err)
	got, err := newHooks(t, s, o).Test(ctx, made.ID, "")
	require.NoError(t, err)
	require.True(t, got.Delivered, got.Error)
	got, err = newHooks(t, s, local()).Test(ctx, made.ID, "")
	require.NoError(t, err)
	require.False(t, got.Delivered)
	require.Contains(t, got.Error, "certificate")
}
