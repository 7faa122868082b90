package webhook

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// The kinds of error that this package returns; use errors.Is.
var (
	// ErrNotFound: there is no such webhook.
	ErrNotFound = errs.ErrNotFound
	// ErrInvalid: the input breaks a rule; the text lists every fault.
	ErrInvalid = errs.ErrInvalid
	// ErrConflict: another worker holds the webhook's queue; only stores
	// return it.
	ErrConflict = errs.ErrConflict
	// ErrClosed: the store was closed, or Start was called after Shutdown.
	ErrClosed = errs.ErrClosed
	// ErrUnavailable: the store did not answer in time, or the secret cannot
	// be decrypted with the keys that were given.
	ErrUnavailable = errs.ErrUnavailable
	// ErrUnsupported: a newer version of this package kept the secret.
	ErrUnsupported = errs.ErrUnsupported
)

// Options configures Hooks; nil takes every default.
type Options struct {
	// Keys encrypt the secrets in the store, with AES-256-GCM, 32 bytes each:
	// the first one encrypts, all decrypt, so a key is changed by putting a new
	// one in front. Without a key secrets are stored as they are.
	Keys [][]byte

	// AllowHTTP takes URLs that begin with http as well.
	AllowHTTP bool
	// AllowNetworks are networks that may be reached beside public addresses,
	// such as 10.20.0.0/16 for receivers in the company.
	AllowNetworks []netip.Prefix
	// Resolver finds the addresses of names; default net.DefaultResolver.
	Resolver *net.Resolver
	// TLS says which certificates of receivers to trust and which to show
	// them; default those of the system, and none.
	TLS *tls.Config

	// Timeout bounds one request; default 30 s.
	Timeout time.Duration
	// Workers is how many webhooks are served at once; default 8.
	Workers int
	// Poll is how often the store is asked for events that other processes
	// queued; default 1 s.
	Poll time.Duration
	// FirstRetry is the wait after the first failure. Each further one doubles
	// it up to LastRetry, and chance varies it by half. Defaults 1 s and 5 min.
	FirstRetry, LastRetry time.Duration
	// MaxAge is how long an event is tried; default 24 h.
	MaxAge time.Duration
	// KeepFailed is how long an event that was given up is kept; default 7 days.
	KeepFailed time.Duration
	// MaxPending is how many events are queued for one webhook: when there are
	// more, the oldest are given up. Default 100,000.
	MaxPending int
	// MaxWebhooks is how many webhooks there may be; default 1000.
	MaxWebhooks int

	// Logger is told of deliveries that fail and of errors of the store; nil
	// discards. Secrets and bodies are never logged.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{
		{&out.Timeout, 30 * time.Second}, {&out.Poll, time.Second}, {&out.FirstRetry, time.Second},
		{&out.LastRetry, 5 * time.Minute}, {&out.MaxAge, 24 * time.Hour}, {&out.KeepFailed, 7 * 24 * time.Hour},
	} {
		if *d.value <= 0 {
			*d.value = d.or
		}
	}
	for _, d := range []struct {
		value *int
		or    int
	}{{&out.Workers, 8}, {&out.MaxPending, 100_000}, {&out.MaxWebhooks, 1000}} {
		if *d.value <= 0 {
			*d.value = d.or
		}
	}
	if out.Resolver == nil {
		out.Resolver = net.DefaultResolver
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out
}
