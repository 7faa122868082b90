package mlflowclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

const (
	maxBackoff    = 10 * time.Second
	maxRetryAfter = time.Minute
)

// Resend says when a request may be sent again.
type Resend int

// The rules for it.
const (
	// Always is for requests that change nothing the second time.
	Always Resend = iota
	// Refused is for requests that would make something a second time:
	// only when the first surely was not carried out.
	Refused
	// Never is for requests whose body is gone.
	Never
)

// networkError is a request that got no whole answer.
type networkError struct {
	host   string
	unsent bool // no connection came about
	err    error
}

func (e *networkError) Error() string {
	return fmt.Sprintf("%s: %v: %v", e.likelyCause(), e.err, errs.ErrUnavailable)
}

func (e *networkError) Unwrap() []error { return []error{e.err, errs.ErrUnavailable} }

// likelyCause says what usually is behind the error.
func (e *networkError) likelyCause() string {
	var dns *net.DNSError
	text := e.err.Error()
	switch {
	case errors.As(e.err, &dns):
		return fmt.Sprintf("%s cannot be resolved, is the name right?", e.host)
	case errors.Is(e.err, syscall.ECONNREFUSED):
		return fmt.Sprintf("nothing listens at %s, is the server running and the port right?", e.host)
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return fmt.Sprintf("%s speaks http, not https", e.host)
	case strings.Contains(text, "x509:") || strings.Contains(text, "tls:"):
		return fmt.Sprintf("no TLS connection to %s, is its certificate trusted here?", e.host)
	case strings.Contains(text, "malformed HTTP"):
		return fmt.Sprintf("%s does not speak http, does it want https?", e.host)
	case errors.Is(e.err, context.DeadlineExceeded):
		return fmt.Sprintf("%s did not answer in time, is it overloaded?", e.host)
	case e.unsent:
		return fmt.Sprintf("%s cannot be reached", e.host)
	}
	return fmt.Sprintf("the connection to %s was lost before the whole answer came", e.host)
}

// network classifies what http.Client.Do or the reading of a body returned.
func (c *Client) network(err error) error {
	var op *net.OpError
	var dns *net.DNSError
	unsent := errors.As(err, &dns) || errors.As(err, &op) && op.Op == "dial"
	return &networkError{host: c.host, unsent: unsent, err: err}
}

// retry calls try until it succeeds, fails for good, or the retries are used
// up. again tells try how often an earlier attempt has had an unknown outcome.
func (c *Client) retry(ctx context.Context, rule Resend, try func(ctx context.Context, again int) error) error {
	wait, unknown := c.backoff, 0
	for n := 0; ; n++ {
		err := try(ctx, unknown)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return c.ended(ctx, n, err)
		}
		after, ok := worthResending(err, rule)
		if !ok || n >= c.retries {
			if n > 0 && errors.Is(err, errs.ErrUnavailable) {
				return fmt.Errorf("%d attempts failed, the last: %w", n+1, err)
			}
			return err
		}
		if !surelyRefused(err) {
			unknown++
		}
		pause := max(wait-time.Duration(rand.Int64N(int64(wait)/2+1)), after)
		wait = min(2*wait, maxBackoff)
		if deadline, ok := ctx.Deadline(); after > maxRetryAfter || ok && time.Until(deadline) < pause {
			return err // the wait would be in vain
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return c.ended(ctx, n, err)
		}
	}
}

// ended is the error after the context ended; the text of the attempt before
// that tells more than the context does.
func (c *Client) ended(ctx context.Context, n int, last error) error {
	if n == 0 || errors.Is(last, ctx.Err()) {
		return ctx.Err()
	}
	return fmt.Errorf("%w after %d attempts, the last: %v", ctx.Err(), n+1, last)
}

// surelyRefused reports an error after which the server surely has not carried out
// the request.
func surelyRefused(err error) bool {
	if network, ok := errors.AsType[*networkError](err); ok {
		return network.unsent
	}
	var answer *Answer
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.Status {
	case http.StatusTooManyRequests:
		return true
	case http.StatusServiceUnavailable:
		// Proxies also say 503 when they lose the server in the middle; a
		// Retry-After or an MLflow error was written by one that knows.
		return answer.retryAfter > 0 || answer.known
	}
	return false
}

// worthResending reports whether an attempt that failed like this may be
// repeated, and how long the server wants us to wait.
func worthResending(err error, rule Resend) (after time.Duration, ok bool) {
	if rule == Never || rule == Refused && !surelyRefused(err) {
		return 0, false
	}
	if network, ok := errors.AsType[*networkError](err); ok {
		text := network.err.Error()
		// What is wrong with TLS or the URL stays wrong.
		return 0, !strings.Contains(text, "x509:") && !strings.Contains(text, "HTTP response to HTTPS client")
	}
	var answer *Answer
	if !errors.As(err, &answer) || answer.final {
		return 0, false
	}
	if answer.passing {
		return 0, true
	}
	switch answer.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return answer.retryAfter, true
	}
	return 0, false
}

// retryAfter parses the header: seconds or a date.
func retryAfter(h http.Header) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// drainBody reads what is left of a body, within reason, so that its connection
// is used again.
func drainBody(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 64<<10) // the end is what we want
	_ = body.Close()                          // nothing is lost by a failed close of what was read
}
