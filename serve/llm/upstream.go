package llm

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Signals are what an upstream says of its load.
type Signals struct {
	// Running and Waiting are its requests, Cache how full its cache of keys and
	// values is, from 0 to 1.
	Running, Waiting, Cache float64
	// Adapters are the LoRA adapters that it has in memory.
	Adapters []string
	// At is when it said so; the zero time if it never did.
	At time.Time
}

// upstream is an Upstream with its state.
type upstream struct {
	Upstream

	urls      map[Operation]*url.URL
	health    *url.URL
	transport http.RoundTripper
	bearer    []string

	requests atomic.Int64
	tokens   atomic.Int64
	draining atomic.Bool
	down     atomic.Bool
	signals  atomic.Pointer[Signals]
	breaker  breaker
}

func newUpstream(o Upstream, base *url.URL, failures int, cooldown time.Duration) *upstream {
	if o.Weight == 0 {
		o.Weight = 1
	}
	u := &upstream{Upstream: o, transport: o.Transport, urls: make(map[Operation]*url.URL), breaker: breaker{most: failures, cooldown: cooldown}}
	if u.transport == nil {
		u.transport = newTransport()
	}
	if o.Key != "" {
		u.bearer = []string{"Bearer " + o.Key}
	}
	at := func(path string) *url.URL {
		c := *base
		c.Path = strings.TrimSuffix(base.Path, "/") + path
		return &c
	}
	for _, op := range []Operation{Chat, Completion, Embeddings, Responses} {
		u.urls[op] = at(op.path())
	}
	u.health = at("/models")
	u.signals.Store(&Signals{})
	return u
}

// UpstreamStatus is the state of an upstream.
type UpstreamStatus struct {
	// Name is its name.
	Name string
	// Ready says that it gets requests: it is not draining, its last check did
	// not fail, and its circuit is not open.
	Ready, Draining, Down, Open bool
	// Requests and Tokens are what it is busy with for this gateway.
	Requests, Tokens int64
	// Signals are what it said last.
	Signals Signals
}

// Upstreams returns the state of every upstream, sorted by name.
func (g *Gateway) Upstreams() []UpstreamStatus {
	list := make([]UpstreamStatus, 0, len(g.upstreams))
	for _, u := range g.upstreams {
		s := UpstreamStatus{
			Name: u.Name, Draining: u.draining.Load(), Down: u.down.Load(), Open: u.breaker.open(),
			Requests: u.requests.Load(), Tokens: u.tokens.Load(), Signals: *u.signals.Load(),
		}
		s.Ready = !s.Draining && !s.Down && !s.Open
		list = append(list, s)
	}
	sortByName(list)
	return list
}

// Drain stops new requests to an upstream, or lets them in again. Those that run
// go on. It is done when Upstreams shows no requests.
func (g *Gateway) Drain(name string, drain bool) error {
	u := g.upstreams[name]
	if u == nil {
		return fmt.Errorf("llm: drain upstream %q: there is none: %w", name, ErrNotFound)
	}
	u.draining.Store(drain)
	return nil
}

// breaker keeps requests from an upstream that has failed several in a row.
type breaker struct {
	most     int
	cooldown time.Duration

	failed atomic.Int64 // In a row.
	mu     sync.Mutex
	until  time.Time
}

func (b *breaker) open() bool {
	if b.most < 0 || b.failed.Load() < int64(b.most) {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Now().Before(b.until)
}

// enter reports whether a request may go. Of an open circuit one may, now and
// then, to see whether it answers again.
func (b *breaker) enter() bool {
	if b.most < 0 || b.failed.Load() < int64(b.most) {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Before(b.until) {
		return false
	}
	b.until = now.Add(b.cooldown)
	return true
}

// leave counts what became of a request.
func (b *breaker) leave(ok bool) {
	if ok {
		if b.failed.Load() != 0 {
			b.failed.Store(0)
		}
		return
	}
	if b.most < 0 {
		return
	}
	if n := b.failed.Add(1); n >= int64(b.most) {
		b.mu.Lock()
		b.until = time.Now().Add(b.cooldown)
		b.mu.Unlock()
	}
}
