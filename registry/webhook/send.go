package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// maxAnswer is what is read of an answer's body, maxHeader of its header.
	maxAnswer = 16 << 10
	maxHeader = 64 << 10
	// maxRetryAfter is the longest wait that a receiver may ask for.
	maxRetryAfter = time.Hour
)

// sender makes requests to where the rules allow.
type sender struct {
	client *http.Client
}

func newSender(r *rules, o Options) *sender {
	dialer := &net.Dialer{Timeout: 10 * time.Second, Resolver: r.resolver, Control: r.control}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.TLS != nil {
		conf = o.TLS.Clone()
	}
	return &sender{&http.Client{
		Timeout: o.Timeout,
		Transport: &http.Transport{
			// No Proxy: it would resolve the name, and nobody would check what
			// it connects to.
			DialContext:            dialer.DialContext,
			TLSClientConfig:        conf,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxIdleConnsPerHost:    1,
			MaxIdleConns:           64,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true, // answers are not of interest, bombs neither
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is how a request ended.
type answer struct {
	status int // 0: there was no answer
	body   []byte
	wait   time.Duration // that the receiver asked for
	err    error         // unless delivered
	final  bool          // trying again is of no use
}

// post sends one request.
func (s *sender) post(ctx context.Context, url, secret, id string, body []byte) answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return answer{err: errors.New("the URL is malformed"), final: true}
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header = http.Header{
		"Content-Type":  {"application/json"},
		"User-Agent":    {"millwright-webhook"},
		HeaderID:        {id},
		HeaderTimestamp: {timestamp},
	}
	if secret != "" {
		req.Header[HeaderSignature] = []string{Sign(secret, id, timestamp, body)}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{err: cause(err), final: errors.Is(err, errRefused)}
	}
	defer resp.Body.Close()
	out := answer{status: resp.StatusCode}
	// The status decides; an answer that breaks off has one, too.
	out.body, _ = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return out
	case code >= 300 && code < 400:
		out.err, out.final = fmt.Errorf("the receiver answered %s, and redirects are not followed", resp.Status), true
	default:
		out.err = fmt.Errorf("the receiver answered %s", strings.ToValidUTF8(cut(resp.Status), "?"))
		out.final = code < 500 && code != http.StatusRequestTimeout && code != http.StatusTooEarly && code != http.StatusTooManyRequests
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		out.wait = min(time.Duration(min(s, 1<<20))*time.Second, maxRetryAfter)
	}
	return out
}

// cause is an error of a request without the URL, which whoever reads it
// knows, and which may hold a token.
func cause(err error) error {
	if inner, ok := errors.AsType[*url.Error](err); ok {
		if inner.Timeout() && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("the receiver did not answer in time: %w", inner.Err)
		}
		return inner.Err
	}
	return err
}

// TestResult is how Test ended.
type TestResult struct {
	// Delivered is whether the receiver answered with 2xx.
	Delivered bool
	// Status is that of the answer, 0 for none, and Body its first 16 KiB.
	Status int
	Body   string
	// Error says why it was not delivered.
	Error string
}

// Test sends one example of an event to a webhook, whatever its status, and
// does not try again. An empty event stands for the first that the webhook is
// told of. A receiver that fails is no error, but a Result.
func (h *Hooks) Test(ctx context.Context, id string, event Event) (TestResult, error) {
	op := fmt.Sprintf("webhook: test %q", cut(id))
	if err := checkID(op, id); err != nil {
		return TestResult{}, err
	}
	if event != "" && !event.Known() {
		return TestResult{}, fmt.Errorf("%s: the event %q is none of this registry's: %w", op, cut(string(event)), ErrInvalid)
	}
	r, err := h.store.Webhook(ctx, id)
	if err != nil {
		return TestResult{}, fmt.Errorf("%s: %w", op, err)
	}
	if event == "" && len(r.Events) > 0 {
		event = r.Events[0]
	}
	secret, err := h.keys.open(id, r.Secret)
	if err != nil {
		return TestResult{Error: err.Error()}, nil
	}
	if _, err := h.rules.checkURL(r.URL); err != nil { // the rules may have changed since
		return TestResult{Error: err.Error()}, nil
	}
	a := h.send.post(ctx, r.URL, secret, NewEventID(), example(event).Body(now()))
	if ctx.Err() != nil {
		return TestResult{}, fmt.Errorf("%s: %w", op, context.Cause(ctx))
	}
	out := TestResult{Delivered: a.err == nil, Status: a.status, Body: strings.ToValidUTF8(string(a.body), "\ufffd")}
	if a.err != nil {
		out.Error = a.err.Error()
	}
	return out, nil
}
