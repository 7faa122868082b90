package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// transport sends requests: again when nothing was answered, not at all while
// the server is known to be down, and not for longer than it stalls.
type transport struct {
	base    *http.Transport
	opts    *Options
	closed  atomic.Bool
	breaker breaker
}

func newTransport(o *Options) *transport {
	dialer := &net.Dialer{Timeout: o.Connect, KeepAlive: 30 * time.Second}
	dial := dialer.DialContext
	if o.Socket != "" {
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", o.Socket)
		}
	}
	return &transport{
		opts: o,
		base: &http.Transport{
			DialContext: dial, TLSClientConfig: o.TLS, TLSHandshakeTimeout: o.Connect,
			MaxIdleConns: o.Connections, MaxIdleConnsPerHost: o.Connections, IdleConnTimeout: 90 * time.Second,
			// The client asks for an encoding by itself.
			DisableCompression: true, ForceAttemptHTTP2: false,
		},
		breaker: breaker{most: o.Failures, cooldown: o.Cooldown},
	}
}

func (t *transport) close() {
	t.closed.Store(true)
	t.base.CloseIdleConnections()
}

// errStalled is the cause of a request that was ended for want of bytes.
var errStalled = errors.New("the server stalled")

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.closed.Load() {
		return nil, fmt.Errorf("the model was closed: %w", ErrClosed)
	}
	pause := t.opts.Backoff
	for try := 0; ; try++ {
		if err := t.breaker.enter(); err != nil {
			return nil, err
		}
		resp, err := t.once(req)
		if err == nil {
			t.breaker.leave(true)
			return resp, nil
		}
		if req.Context().Err() != nil {
			return nil, err // The caller gave up, which says nothing of the server.
		}
		t.breaker.leave(false)
		if try >= t.opts.Retries || errors.Is(err, errStalled) || req.Body != nil && req.GetBody == nil {
			return nil, fmt.Errorf("%w: %w", err, ErrUnavailable)
		}
		if err := sleep(req.Context(), time.Duration(float64(pause)*(0.5+rand.Float64()))); err != nil {
			return nil, err
		}
		pause *= 2
		if req.Body != nil {
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			req = req.Clone(req.Context())
			req.Body = body
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// once sends the request one time. The body of the answer ends with an error
// when it stalls.
func (t *transport) once(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watched{ctx: ctx, cancel: cancel, after: t.opts.Stall}
	if w.after > 0 {
		w.timer = time.AfterFunc(w.after, func() { cancel(errStalled) })
	}
	sent := req.Clone(ctx)
	for name, values := range t.opts.Header {
		sent.Header[name] = values
		if http.CanonicalHeaderKey(name) == "Host" && len(values) > 0 {
			sent.Host = values[0]
		}
	}
	resp, err := t.base.RoundTrip(sent)
	if err != nil {
		err = w.explain(err)
		w.stop()
		return nil, err
	}
	w.again()
	w.body = resp.Body
	resp.Body = w
	return resp, nil
}

// watched is the body of an answer whose bytes have to keep coming.
type watched struct {
	body   io.ReadCloser
	ctx    context.Context //nolint:containedctx // It belongs to one request, as this does.
	cancel context.CancelCauseFunc
	timer  *time.Timer
	after  time.Duration
}

func (w *watched) again() {
	if w.timer != nil {
		w.timer.Reset(w.after)
	}
}

func (w *watched) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
	w.cancel(nil)
}

// explain names a stall, which shows as the end of the context.
func (w *watched) explain(err error) error {
	if errors.Is(context.Cause(w.ctx), errStalled) {
		return fmt.Errorf("%w: no byte for %v", errStalled, w.after)
	}
	return err
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.body.Read(p)
	if err == nil {
		w.again()
		return n, nil
	}
	if !errors.Is(err, io.EOF) {
		err = w.explain(err)
		if errors.Is(err, errStalled) {
			err = fmt.Errorf("%w: %w", err, ErrUnavailable)
		}
	}
	return n, err
}

// Close implements io.Closer.
func (w *watched) Close() error {
	err := w.body.Close()
	w.stop()
	return err
}

// breaker keeps requests from a server that has not answered several in a row.
type breaker struct {
	most     int
	cooldown time.Duration

	mu     sync.Mutex
	failed int
	until  time.Time
}

// enter lets a request through, or says why not.
func (b *breaker) enter() error {
	if b.most < 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed < b.most {
		return nil
	}
	if now := time.Now(); now.After(b.until) {
		b.until = now.Add(b.cooldown) // This one tries; the others wait for it.
		return nil
	}
	return fmt.Errorf("the server has not answered %d requests in a row, the next try is in at most %v: %w", b.failed, b.cooldown, ErrUnavailable)
}

// leave counts what became of it.
func (b *breaker) leave(answered bool) {
	if b.most < 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if answered {
		b.failed = 0
		return
	}
	if b.failed++; b.failed == b.most {
		b.until = time.Now().Add(b.cooldown)
	}
}
