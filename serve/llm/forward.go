package llm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// failure is why an upstream did not answer. The last one is what the client
// sees if no other does.
type failure struct {
	err    *Error
	status int // Of an answer that is passed on as it is, 0 without.
	header http.Header
	body   []byte
}

// forward asks upstreams until one answers.
func (c *call) forward() {
	c.failure = failure{}
	pause := 50 * time.Millisecond
	for {
		asked := c.x.Attempts
		c.tried = c.tried[:0]
		if c.round(c.model) {
			return
		}
		for _, m := range c.model.fallbacks {
			if c.tenant.may(m.Name) && c.round(m) {
				return
			}
		}
		if c.x.Attempts > c.g.o.Retries || c.x.Attempts == asked {
			break
		}
		if !c.sleep(time.Duration(float64(pause) * (0.5 + rand.Float64()))) {
			c.gone()
			return
		}
		pause *= 2
	}
	c.giveUp()
}

// round asks each upstream of a model at most once. It reports whether the
// request has its answer, whatever that is.
func (c *call) round(m *model) bool {
	for c.x.Attempts <= c.g.o.Retries {
		t := c.pick(m)
		if t == nil {
			return false
		}
		c.tried = append(c.tried, t)
		c.x.Attempts++
		if c.attempt(m, t) {
			return true
		}
		if c.r.Context().Err() != nil {
			c.gone()
			return true
		}
	}
	return false
}

// pick chooses among the upstreams that were not tried and are there, nil
// without.
func (c *call) pick(m *model) *target {
	c.candidates, c.picked = c.candidates[:0], c.picked[:0]
next:
	for _, t := range m.targets {
		u := t.up
		if u.draining.Load() || u.down.Load() || u.breaker.open() {
			continue
		}
		for _, other := range c.tried {
			if other == t {
				continue next
			}
		}
		c.picked = append(c.picked, t)
		c.candidates = append(c.candidates, Candidate{
			Upstream: u.Name, Model: t.name, Requests: u.requests.Load(), Tokens: u.tokens.Load(),
			Weight: u.Weight, Signals: u.signals.Load(),
		})
	}
	for len(c.picked) > 0 {
		i := m.router.Pick(&c.query, c.candidates)
		if i < 0 || i >= len(c.picked) {
			i = 0
		}
		t := c.picked[i]
		if t.up.breaker.enter() {
			return t
		}
		// Another request tries whether it is there again.
		c.picked = append(c.picked[:i], c.picked[i+1:]...)
		c.candidates = append(c.candidates[:i], c.candidates[i+1:]...)
	}
	return nil
}

func (c *call) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.r.Context().Done():
		return false
	}
}

// giveUp answers with the last failure.
func (c *call) giveUp() {
	f := &c.failure
	if f.err == nil {
		f.err = &Error{Status: http.StatusServiceUnavailable, Type: typeServer, Code: codeNoReplica, Message: "no upstream of the model is available", RetryAfter: c.g.o.Cooldown}
	}
	if f.status == 0 {
		c.refuse(f.err)
		return
	}
	c.x.Status, c.x.Err = f.status, f.err
	h := c.w.Header()
	copyHeader(h, f.header)
	c.name()
	for _, name := range []string{"Content-Type", "Retry-After"} {
		if v := f.header[name]; v != nil {
			h[name] = v
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(f.body)))
	c.w.WriteHeader(f.status)
	_, _ = c.w.Write(f.body) // The client may have gone.
}

// The causes for which the gateway itself ends a request to an upstream.
var (
	errSlow    = errors.New("it took too long")
	errSilent  = errors.New("it fell silent")
	errRefused = errors.New("it was not wanted any more")
)

// watch ends a request to an upstream that does not answer in time.
type watch struct {
	ctx    context.Context //nolint:containedctx // It belongs to one request, as this does.
	cancel context.CancelCauseFunc
	timer  *time.Timer
	until  time.Time // The end of the request as a whole; zero without.
}

func (c *call) watch() *watch {
	w := &watch{}
	w.ctx, w.cancel = context.WithCancelCause(c.r.Context())
	if d := c.g.o.Timeout; d > 0 {
		w.until = c.x.Began.Add(d)
	}
	return w
}

// expect wants something within d, or within the time of the request.
func (w *watch) expect(d time.Duration) {
	cause, last := errSilent, false
	if !w.until.IsZero() {
		if left := time.Until(w.until); d <= 0 || left < d {
			d, cause, last = max(left, time.Millisecond), errSlow, true
		}
	}
	switch {
	case d <= 0:
		if w.timer != nil {
			w.timer.Stop()
		}
	case w.timer == nil || last:
		if w.timer != nil {
			w.timer.Stop()
		}
		w.timer = time.AfterFunc(d, func() { w.cancel(cause) })
	default:
		w.timer.Reset(d)
	}
}

func (w *watch) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
	w.cancel(errRefused)
}

// attempt asks one upstream. It reports whether the request has its answer.
func (c *call) attempt(m *model, t *target) (done bool) {
	u := t.up
	x := &c.x
	x.Upstream, x.UpstreamModel, x.Served = u.Name, t.name, m.Name
	// A hook may have kept back all that an upstream sent before it failed.
	x.ResponseID, x.ResponseModel, x.Finish, x.Usage, x.Events = "", "", "", Usage{}, 0
	u.requests.Add(1)
	load := int64(c.expected + c.reserved)
	u.tokens.Add(load)
	w := c.watch()
	defer func() {
		w.stop()
		u.tokens.Add(-load)
		u.requests.Add(-1)
	}()
	body := c.edited(m, t)
	if c.x.Stream {
		w.expect(c.g.o.First)
	} else {
		w.expect(0)
	}
	sent := newPayload(body)
	c.payloads = append(c.payloads, sent)
	req := c.g.blank.WithContext(w.ctx) // A copy, the only way to set the context.
	req.Method, req.URL, req.Host = http.MethodPost, u.urls[c.x.Operation], u.urls[c.x.Operation].Host
	req.Proto, req.ProtoMajor, req.ProtoMinor, req.Header = "HTTP/1.1", 1, 1, c.requestHeader(u)
	req.ContentLength, req.Body, req.GetBody = int64(len(body)), &sent.first, sent.again
	resp, err := u.transport.RoundTrip(req)
	if err != nil {
		return c.broken(u, w, err, "did not answer")
	}
	defer func() { _ = resp.Body.Close() }() // It was read, or is not wanted.
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return c.refused(u, w, resp)
	}
	if isEvents(resp.Header) {
		return c.stream(u, w, resp)
	}
	return c.whole(u, w, resp)
}

// broken records that an upstream failed. It is false, so that another is asked.
func (c *call) broken(u *upstream, w *watch, err error, what string) bool {
	if c.r.Context().Err() != nil {
		return false // The client left, which says nothing of the upstream.
	}
	u.breaker.leave(false)
	err = withoutContent(err)
	e := &Error{Status: http.StatusBadGateway, Type: typeServer, Code: codeUpstream, Message: "the upstream " + what, cause: err}
	if cause := context.Cause(w.ctx); errors.Is(cause, errSlow) || errors.Is(cause, errSilent) {
		e.Status, e.Code, e.cause = http.StatusGatewayTimeout, codeTimeout, cause
		e.Message = fmt.Sprintf("the upstream %s: %v", what, cause)
	}
	c.failure = failure{err: e}
	return false
}

// refused handles an answer that is not a success.
func (c *call) refused(u *upstream, w *watch, resp *http.Response) bool {
	const keptError = 64 << 10
	status := resp.StatusCode
	body, err := io.ReadAll(io.LimitReader(resp.Body, keptError))
	if err != nil {
		return c.broken(u, w, err, "broke off its answer")
	}
	u.breaker.leave(status < 500 || status == http.StatusNotImplemented)
	body = u.withoutKeys(body)
	e := &Error{Status: status, Type: typeServer, Code: codeUpstream, Message: fmt.Sprintf("the upstream answered with the status %d", status)}
	c.failure = failure{err: e, status: status, header: u.headerWithoutKeys(resp.Header), body: body}
	switch {
	case status < 400, status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		// The gateway's key is wrong, or the address is. Neither is the client's
		// business, and what the upstream says may show the key.
		c.failure = failure{err: e}
		e.Status = http.StatusBadGateway
		return false
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status == http.StatusNotFound:
		return false // Another one may be able to.
	}
	c.giveUp()
	return true
}
