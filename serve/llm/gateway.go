package llm

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options are the settings of a Gateway. Nil is the defaults.
type Options struct {
	// Auth says who calls. Nil lets everybody in, as the tenant "" without
	// limits.
	Auth Authenticator
	// Store keeps what tenants have used. Nil keeps it in memory, which is right
	// for one replica of the program.
	Store Store
	// Observers learn of every request when it has ended.
	Observers []Observer
	// Log gets the bodies of requests and answers. Nil keeps none.
	Log *Log
	// Hooks look at requests and answers, in this order.
	Hooks []Hook
	// Cache answers requests that were asked before. Nil asks the upstream each
	// time.
	Cache Cache
	// Similar answers requests that mean the same as one before
	// (serve/llm/semcache). Default none.
	Similar Similar

	// MaxBody is the size of the largest request body, in bytes. Default 8 MiB.
	MaxBody int64
	// MaxAnswer is the size of the largest answer that is not a stream, and
	// MaxEvent that of the largest event of one. Defaults 64 MiB and 4 MiB.
	MaxAnswer, MaxEvent int64
	// Retries is how many further upstreams a request may try, over all models
	// that stand in for its own. Nothing is tried again once a byte of the answer
	// went to the client. Default 2; -1 is off.
	Retries int
	// First is how long a stream may take to its first event, Idle from one event
	// to the next, and Timeout how long a request may take in all. Defaults 2
	// minutes, 1 minute and 10 minutes; -1 is off.
	First, Idle, Timeout time.Duration
	// WriteStall is how long a client may take nothing of a stream. Default 1
	// minute; -1 is off.
	WriteStall time.Duration
	// Reserve is the number of tokens that a request without a bound of its own
	// is expected to generate, for limits, budgets and routing. Default 1024.
	Reserve int
	// BytesPerToken is how many bytes of a prompt are about a token, for the same
	// before the upstream has counted. 1 is never too few tokens. Default 4.
	BytesPerToken int
	// Session names the header by which a client says which conversation a
	// request belongs to. Default "X-Session-Id".
	Session string
	// Failures is how many failures in a row of an upstream open its circuit, and
	// Cooldown how long it stays open. Defaults 5 and 10 s; Failures -1 is off.
	Failures int
	Cooldown time.Duration
	// MaxWaiting is how many requests may wait for room at a model with
	// Concurrency, MaxWait how long. Defaults 1,000 and 30 s.
	MaxWaiting int
	MaxWait    time.Duration
}

// Upstream is a server with an OpenAI-compatible API.
type Upstream struct {
	// Name is what configurations, logs and metrics call it.
	Name string
	// URL is the base, for instance "http://vllm-0:8000/v1". Requests go nowhere
	// else, whatever clients send.
	URL string
	// Key is sent as the bearer token. "" sends none.
	Key string
	// Header is sent with each request.
	Header http.Header
	// Transport carries the requests. Nil is one of the gateway's own. It must
	// not follow redirects.
	Transport http.RoundTripper
	// Metrics is the URL of the server's metrics, in Prometheus' text. "" scrapes
	// none.
	Metrics string
	// Weight is how much more than others it can carry. Default 1.
	Weight float64
}

// Model is what clients ask for by name.
type Model struct {
	// Name is the name in requests.
	Name string
	// Targets are the upstreams that have it. At least one.
	Targets []Target
	// Fallbacks are the names of models that stand in when none of the targets
	// answers, in this order.
	Fallbacks []string
	// Router chooses among the targets. Nil is LeastTokens.
	Router Router
	// MaxTokens bounds the tokens of an answer: a request that asks for more, or
	// sets no bound, is sent with it. 0 sends requests as they are.
	MaxTokens int
	// Price is what its tokens cost.
	Price Price
	// Concurrency is how many requests its upstreams are given at once. The
	// others wait for their turn, tenant by tenant. 0 sends all on.
	Concurrency int
}

// Target is a model at an upstream.
type Target struct {
	// Upstream is the name of the upstream.
	Upstream string
	// Model is the model's name there, for instance that of a LoRA adapter. "" is
	// the same.
	Model string
}

// Gateway is an http.Handler with OpenAI's API in front of upstreams. It starts no
// goroutine by itself; Watch keeps an eye on the upstreams.
type Gateway struct {
	o         Options
	upstreams map[string]*upstream
	models    map[string]*model
	names     []string // Of the models, sorted.
	accounts  *accounts
	listing   time.Time
	bufs      bufferPool
	calls     sync.Pool
	closed    atomic.Bool
	running   sync.WaitGroup
	lock      sync.RWMutex // Of closed with running.
	serial    atomic.Uint64
	salt      string
	blank     http.Request // What requests to upstreams are made from.
}

// model is a Model with what belongs to it.
type model struct {
	Model

	targets   []*target
	fallbacks []*model
	router    Router
	queue     *queue // Nil without a bound.
}

// target is a replica of a model.
type target struct {
	up     *upstream
	name   string // Of the model there.
	quoted string // The same as JSON.
}

// New returns a gateway to the models. It reports all that is wrong with the
// configuration at once.
func New(upstreams []Upstream, models []Model, o *Options) (*Gateway, error) {
	g := &Gateway{upstreams: make(map[string]*upstream), models: make(map[string]*model), listing: time.Now()}
	if o != nil {
		g.o = *o
	}
	g.o.setDefaults()
	if err := g.configure(upstreams, models); err != nil {
		return nil, err
	}
	g.accounts = newAccounts(g.o.Store)
	g.calls.New = func() any { return new(call) }
	var salt [6]byte
	_, _ = rand.Read(salt[:]) // It never fails.
	g.salt = hex.EncodeToString(salt[:])
	return g, nil
}

func (o *Options) setDefaults() {
	def := func(to *int64, v int64) {
		if *to <= 0 {
			*to = v
		}
	}
	def(&o.MaxBody, 8<<20)
	def(&o.MaxAnswer, 64<<20)
	def(&o.MaxEvent, 4<<20)
	ints := func(to *int, v int) {
		if *to == 0 {
			*to = v
		}
	}
	ints(&o.Retries, 2)
	ints(&o.Reserve, 1024)
	ints(&o.BytesPerToken, 4)
	ints(&o.Failures, 5)
	ints(&o.MaxWaiting, 1000)
	o.Retries, o.Reserve, o.BytesPerToken = max(o.Retries, 0), max(o.Reserve, 1), max(o.BytesPerToken, 1)
	times := func(to *time.Duration, v time.Duration) {
		if *to == 0 {
			*to = v
		}
	}
	times(&o.First, 2*time.Minute)
	times(&o.Idle, time.Minute)
	times(&o.Timeout, 10*time.Minute)
	times(&o.WriteStall, time.Minute)
	times(&o.Cooldown, 10*time.Second)
	times(&o.MaxWait, 30*time.Second)
	if o.Session == "" {
		o.Session = "X-Session-Id"
	}
	o.Session = http.CanonicalHeaderKey(o.Session)
}

// ServeHTTP implements http.Handler. Paths are those of OpenAI, from /v1 on.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, known := operationOf(r.URL.Path)
	switch {
	case known && r.Method == http.MethodPost:
		g.answer(w, r, op)
	case known || r.Method != http.MethodGet && isModels(r.URL.Path):
		w.Header().Set("Allow", http.MethodPost)
		if !known {
			w.Header().Set("Allow", http.MethodGet)
		}
		(&Error{Status: http.StatusMethodNotAllowed, Type: typeInvalid, Message: fmt.Sprintf("the method %.20q is not allowed here", r.Method)}).write(w)
	case isModels(r.URL.Path):
		g.list(w, r)
	default:
		(&Error{Status: http.StatusNotFound, Type: typeInvalid, Code: "unknown_url", Message: fmt.Sprintf("there is nothing at %s %.200q", r.Method, r.URL.Path)}).write(w)
	}
}

func operationOf(path string) (Operation, bool) {
	switch strings.TrimPrefix(path, "/v1") {
	case "/chat/completions":
		return Chat, true
	case "/completions":
		return Completion, true
	case "/embeddings":
		return Embeddings, true
	case "/responses":
		return Responses, true
	}
	return "", false
}

func isModels(path string) bool {
	path = strings.TrimPrefix(path, "/v1")
	return path == "/models" || strings.HasPrefix(path, "/models/")
}

// enter counts a request, unless the gateway was shut down.
func (g *Gateway) enter() bool {
	g.lock.RLock()
	defer g.lock.RUnlock()
	if g.closed.Load() {
		return false
	}
	g.running.Add(1)
	return true
}

// Shutdown refuses new requests, waits until those that run have ended or ctx
// has, and closes idle connections.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.lock.Lock()
	g.closed.Store(true)
	g.lock.Unlock()
	done := make(chan struct{})
	go func() {
		g.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("llm: shut down: requests still run: %w", ctx.Err())
	}
	for _, u := range g.upstreams {
		if t, ok := u.transport.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
	return nil
}

// Models returns the names of the models, sorted.
func (g *Gateway) Models() []string { return slices.Clone(g.names) }
