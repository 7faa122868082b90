package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/monitor"
)

// The kinds of errors.
var (
	// ErrInvalid marks options that cannot be used, and requests that the
	// receiver refuses for good.
	ErrInvalid = errs.ErrInvalid
	// ErrUnavailable marks requests that failed at each attempt.
	ErrUnavailable = errs.ErrUnavailable
)

// Format says what is sent.
type Format int

// The formats.
const (
	// Webhook is what Alertmanager sends to its webhook receivers (version 4).
	Webhook Format = iota
	// Alerts is what Alertmanager takes at /api/v2/alerts.
	Alerts
)

// Options configures a Sender. Nil means all defaults.
type Options struct {
	// Format is what is sent. Default Webhook.
	Format Format
	// Receiver is the receiver's name in the webhook's form. Default
	// "millwright".
	Receiver string
	// Labels and Annotations are added to each alert. Default none.
	Labels, Annotations map[string]string
	// Link is a URL where people see more: a dashboard, a report. Default none.
	Link string
	// Header is added to each request: an Authorization, for instance. Default
	// none.
	Header http.Header
	// Client sends the requests. Default one with a timeout of 10 seconds.
	Client *http.Client
	// Attempts is how often a request is made at most. Default 5.
	Attempts int
	// Backoff is how long to wait before the second attempt; the wait doubles
	// with each, up to a minute, and is shortened at random by up to a half. A
	// Retry-After of the receiver counts instead, up to a minute, too. Default
	// 1 second.
	Backoff time.Duration
	// Repeat sends an open trigger again with the first report after so much
	// time. An Alertmanager takes an alert that is not repeated for resolved
	// (resolve_timeout). Default 0: never; 2 minutes with Alerts.
	Repeat time.Duration
}

// Sender sends triggers. It is safe for concurrent use; one Send runs at a time.
type Sender struct {
	url  string
	host string
	opts Options

	mu   sync.Mutex
	open map[string]firing // By model.
}

// firing is a trigger that was sent and not resolved.
type firing struct {
	report monitor.Report
	sent   time.Time
}

// New returns a sender to a URL of http or https. It returns ErrInvalid with
// every fault of the arguments.
func New(target string, opts *Options) (*Sender, error) {
	s := &Sender{url: target, open: map[string]firing{}}
	if opts != nil {
		s.opts = *opts
	}
	var f errs.Faults
	u, err := url.Parse(target)
	ok := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
	f.Check(ok, "the URL is not one of http or https with a host") // Not its text: it may hold a secret.
	if ok {
		s.host = u.Host
	}
	f.Check(s.opts.Format == Webhook || s.opts.Format == Alerts, "Format is %d, want Webhook or Alerts", s.opts.Format)
	f.Check(s.opts.Attempts >= 0, "Attempts is %d, want 0 or more", s.opts.Attempts)
	f.Check(s.opts.Backoff >= 0, "Backoff is %s, want 0 or more", s.opts.Backoff)
	f.Check(s.opts.Repeat >= 0, "Repeat is %s, want 0 or more", s.opts.Repeat)
	if s.opts.Receiver == "" {
		s.opts.Receiver = "millwright"
	}
	if s.opts.Client == nil {
		s.opts.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if s.opts.Attempts == 0 {
		s.opts.Attempts = 5
	}
	if s.opts.Backoff == 0 {
		s.opts.Backoff = time.Second
	}
	if s.opts.Repeat == 0 && s.opts.Format == Alerts {
		s.opts.Repeat = 2 * time.Minute
	}
	s.opts.Labels, s.opts.Annotations = maps.Clone(s.opts.Labels), maps.Clone(s.opts.Annotations)
	s.opts.Header = s.opts.Header.Clone()
	return s, f.Err("alert: new")
}

// Send sends what a report changes: a trigger that opened, or was not sent yet,
// as firing, and one that is gone as resolved. Most reports change nothing. A
// resolution that cannot be sent is tried again with the next report, and so is
// a trigger. It returns ErrUnavailable when the receiver could not be reached,
// ErrInvalid when it refuses, or ctx's error.
func (s *Sender) Send(ctx context.Context, r monitor.Report) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, isOpen := s.open[r.Model]
	if isOpen && (r.Trigger == nil || r.Trigger.Key != was.report.Trigger.Key) {
		if err := s.post(ctx, was.report, r.To); err != nil {
			return err
		}
		delete(s.open, r.Model)
		isOpen = false
	}
	if r.Trigger == nil || isOpen && (s.opts.Repeat == 0 || time.Since(was.sent) < s.opts.Repeat) {
		return nil
	}
	if err := s.post(ctx, r, time.Time{}); err != nil {
		return err
	}
	if isOpen {
		r = was.report // Whose labels are to be resolved.
	}
	s.open[r.Model] = firing{report: r, sent: time.Now()}
	return nil
}

// post sends one alert: firing, or resolved at a time.
func (s *Sender) post(ctx context.Context, r monitor.Report, resolved time.Time) error {
	status := "firing"
	if !resolved.IsZero() {
		status = "resolved"
	}
	var body any
	a := s.alert(&r, status, resolved)
	if s.opts.Format == Alerts {
		body = []postable{{a.Labels, a.Annotations, a.StartsAt, a.EndsAt, a.GeneratorURL}}
		if status == "firing" {
			body = []postable{{a.Labels, a.Annotations, a.StartsAt, time.Time{}, a.GeneratorURL}}
		}
	} else {
		body = s.payload(a)
	}
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("alert: send %q: %w: %w", r.Trigger.Key, err, ErrInvalid)
	}
	wait := s.opts.Backoff
	for attempt := 1; ; attempt++ {
		again, after, err := s.try(ctx, data, r.Trigger.Key+"/"+status)
		switch {
		case err == nil:
			return nil
		case !again:
			return fmt.Errorf("alert: send %q to %s: %w: %w", r.Trigger.Key, s.host, err, ErrInvalid)
		case ctx.Err() != nil:
			return fmt.Errorf("alert: send %q to %s: %w", r.Trigger.Key, s.host, context.Cause(ctx))
		case attempt == s.opts.Attempts:
			return fmt.Errorf("alert: send %q to %s: %w, at each of %d attempts: %w", r.Trigger.Key, s.host, err, attempt, ErrUnavailable)
		}
		if after == 0 {
			after = wait - time.Duration(rand.Int64N(int64(wait)/2+1))
		}
		timer := time.NewTimer(min(after, time.Minute))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("alert: send %q to %s: %w", r.Trigger.Key, s.host, context.Cause(ctx))
		}
		wait = min(2*wait, time.Minute)
	}
}

// try makes one request. again says that another one may do better, after how
// long the receiver asks to wait.
func (s *Sender) try(ctx context.Context, body []byte, key string) (again bool, after time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return false, 0, errors.New("the URL cannot be used")
	}
	maps.Copy(req.Header, s.opts.Header)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	resp, err := s.opts.Client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // Without the URL, which may hold a secret.
		}
		return true, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 512)) // For the text of the error.
	switch {
	case resp.StatusCode < 300:
		return false, 0, nil
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode >= 500:
		if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
			after = time.Duration(min(n, 60)) * time.Second
		}
		again = true
	}
	return again, after, fmt.Errorf("it answered %s: %q", resp.Status, bytes.TrimSpace(said))
}
