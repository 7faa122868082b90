package serve_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// binder keeps what it was asked and told.
type binder struct {
	mu     sync.Mutex
	events []string
}

func (b *binder) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, fmt.Sprintf(format, args...))
}

func (b *binder) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.events
	b.events = nil
	return list
}

func (b *binder) Observe(x *serve.Exchange) { b.note("none %d", x.Status) }

func (b *binder) Bind(model string, v serve.VersionInfo) (serve.Observer, func()) {
	b.note("bind %s/%s", model, v.Version)
	return observer(func(x *serve.Exchange) { b.note("%s/%s %d", model, v.Version, x.Status) }),
		func() { b.note("unbind %s/%s", model, v.Version) }
}

type observer func(x *serve.Exchange)

func (f observer) Observe(x *serve.Exchange) { f(x) }

func TestBinder(t *testing.T) {
	t.Parallel()
	b := new(binder)
	s := serve.New(&serve.Options{Observers: []serve.Observer{b}})
	deploy := func(version string) {
		require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: version, Model: adder()}))
	}
	deploy("1")
	require.Equal(t, []string{"bind adder/1"}, b.take())
	_, _, err := s.Infer(t.Context(), "adder", "", rows(1, 2))
	require.NoError(t, err)
	_, _, err = s.Infer(t.Context(), "adder", "", &oip.InferRequest{})
	require.ErrorIs(t, err, serve.ErrInvalid)
	_, _, err = s.Infer(t.Context(), "nobody", "", rows(1, 2))
	require.ErrorIs(t, err, serve.ErrNotFound)
	require.Equal(t, []string{"adder/1 200", "adder/1 400"}, b.take())

	deploy("2")
	require.Equal(t, []string{"bind adder/2", "unbind adder/1"}, b.take())
	require.Error(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "3"}))
	require.Empty(t, b.take())
	require.Equal(t, int64(1), s.FailedDeploys())

	// A second one comes and goes while the first stays.
	late := new(binder)
	detach := s.Attach(late)
	require.Equal(t, []string{"bind adder/2"}, late.take())
	_, _, err = s.Infer(t.Context(), "adder", "", rows(1, 2))
	require.NoError(t, err)
	detach()
	detach()
	require.Equal(t, []string{"adder/2 200", "unbind adder/2"}, late.take())
	_, _, err = s.Infer(t.Context(), "adder", "", rows(1, 2))
	require.NoError(t, err)
	require.Empty(t, late.take())
	require.Equal(t, []string{"adder/2 200", "adder/2 200"}, b.take())
	require.NoError(t, s.Shutdown(t.Context()))
	require.Equal(t, []string{"unbind adder/2"}, b.take())

	st := s.Status()
	require.Len(t, st, 1)
	require.Equal(t, serve.ModelStatus{Model: "adder", Limit: st[0].Limit, Deployed: 2, Swapped: 1}, st[0])
}

// A binder that panics, and one that wants nobody, cost no request.
func TestBinderPanics(t *testing.T) {
	t.Parallel()
	w := watch()
	s, _ := start(t, &serve.Options{Observers: []serve.Observer{bad{}, w}}, adder())
	_, _, err := s.Infer(t.Context(), "adder", "", rows(1, 2))
	require.NoError(t, err)
	x := w.last(t)
	require.Equal(t, 200, x.Status)
	require.Equal(t, int64(1), x.Rows)
}

type bad struct{}

func (bad) Observe(*serve.Exchange) { panic("observe") }

func (bad) Bind(string, serve.VersionInfo) (serve.Observer, func()) { panic("bind") }

func (bad) Begin(context.Context, *serve.Call) (context.Context, serve.Observer) { panic("begin") }

type key struct{}

// tracer marks the contexts of requests.
type tracer struct{ ended chan string }

func (tr *tracer) Observe(*serve.Exchange) { tr.ended <- "observe" }

func (tr *tracer) Begin(ctx context.Context, c *serve.Call) (context.Context, serve.Observer) {
	if c.HeaderValue("traceparent") == "" {
		return ctx, nil
	}
	return context.WithValue(ctx, key{}, c.HeaderValue("traceparent")), observer(func(x *serve.Exchange) {
		tr.ended <- fmt.Sprintf("%s/%s %d %d", x.Model, x.Version, x.Status, x.BytesIn)
	})
}

func TestTracer(t *testing.T) {
	t.Parallel()
	tr := &tracer{ended: make(chan string, 10)}
	m := adder()
	seen := make(chan any, 10)
	m.infer = func(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
		seen <- ctx.Value(key{})
		return add(ctx, req, resp)
	}
	_, url := start(t, &serve.Options{Observers: []serve.Observer{bad{}, tr}, MaxBody: 1000}, m)
	resp, _ := post(t, url+"/v2/models/adder/infer", good, "traceparent", "abc")
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "abc", <-seen)
	require.Equal(t, fmt.Sprintf("adder/1 200 %d", len(good)), <-tr.ended)

	resp, _ = post(t, url+"/v2/models/adder/infer", strings.Repeat(" ", 2000), "traceparent", "abc")
	require.Equal(t, 413, resp.StatusCode)
	require.NotEmpty(t, resp.Header.Get("Millwright-Request-Id"))
	require.Equal(t, "adder/ 413 0", <-tr.ended)
	resp, _ = post(t, url+"/v2/models/adder/infer", good, "Content-Encoding", "br", "traceparent", "abc")
	require.Equal(t, 415, resp.StatusCode)
	require.Equal(t, "adder/ 415 0", <-tr.ended)
	resp, _ = post(t, url+"/v2/models/adder/generate", `{"x":[1,2]}`, "traceparent", "abc")
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "abc", <-seen)
	require.Equal(t, "adder/1 200 11", <-tr.ended)

	// Without a header there is nothing to trace.
	resp, _ = post(t, url+"/v2/models/adder/infer", good)
	require.Equal(t, 200, resp.StatusCode)
	require.Nil(t, <-seen)
	require.Empty(t, tr.ended)
}

func TestExchangeFigures(t *testing.T) {
	t.Parallel()
	w := watch()
	fails := errors.New("disk on fire")
	m := adder()
	s, url := start(t, &serve.Options{Observers: []serve.Observer{w}}, m)
	resp, body := post(t, url+"/v2/models/adder/infer", good)
	require.Equal(t, 200, resp.StatusCode)
	x := w.last(t)
	require.Equal(t, int64(2), x.Rows)
	require.Equal(t, int64(len(good)), x.BytesIn)
	require.Equal(t, int64(len(body)), x.BytesOut)
	require.Positive(t, x.Infer)
	require.Positive(t, x.Input)
	require.Positive(t, x.Output)
	require.GreaterOrEqual(t, x.Duration, x.Infer+x.Input+x.Output)

	m.infer = func(context.Context, *oip.InferRequest, *oip.InferResponse) error { return fails }
	_, err := s.Do(t.Context(), &serve.Call{Model: "adder", Request: rows(1, 2, 3, 4), Bytes: 77})
	require.ErrorIs(t, err, fails)
	x = w.last(t)
	require.Equal(t, 500, x.Status)
	require.Equal(t, int64(2), x.Rows)
	require.Equal(t, int64(77), x.BytesIn)
}
