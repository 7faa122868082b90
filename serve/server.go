package serve

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/serve/oip"
)

// Options tune a Server. Nil means the defaults.
type Options struct {
	// Name and Version describe the server at GET /v2. Default "millwright"
	// and no version.
	Name, Version string
	// Observers are told of each infer request, in this order.
	Observers []Observer
	// MaxBody is the most bytes of a request's body; a larger one is
	// answered with 413, without reading it where its length is announced.
	// Default 16 MiB; -1 is off.
	MaxBody int64
	// MaxRatio is the most bytes that one byte of a compressed body may
	// stand for, beyond the first MiB; MaxBody counts the bytes that come
	// out. Default 100; -1 is off.
	MaxRatio int64
	// Compress is the size of an answer, in bytes, from which it is
	// compressed for clients that accept that. Default 0: never, as it
	// costs more time than most networks.
	Compress int
	// MaxElements is the most tensor elements of a request. Default
	// 16,777,216 (1<<24); -1 is off.
	MaxElements int64
	// Timeout is the longest time for one request, from when it was decoded:
	// the model's context ends then, and an error that follows is answered
	// with 504. A model that ignores its context is not cut off. Default
	// 30 s; -1 is off. The time to read the body is for
	// http.Server.ReadTimeout to bound.
	Timeout time.Duration
	// StreamTimeout is Timeout for requests whose answer is a stream.
	// Default 10 min; -1 is off.
	StreamTimeout time.Duration
	// TimeoutHeader is the header in which a client says how long it waits
	// for its answer, as a duration such as "250ms"; so does the request
	// parameter "timeout", in microseconds. The shortest time holds.
	// Default "Millwright-Timeout".
	TimeoutHeader string
	// Admission bounds how many requests of a model run at once and wait.
	// Nil means its defaults.
	Admission *Admission
	// Router chooses the version for requests that name none, for models
	// without a router of their own (Server.SetRouter). Default: the default
	// version.
	Router Router
	// Middleware is around the model, the first one outermost.
	Middleware []Middleware
	// Tenant says on whose behalf a request is, of its Header; the Request is
	// not decoded yet. It is called from many goroutines. Default: nobody's.
	Tenant func(c *Call) string
	// OnDemand is called for a request to a model that is not deployed; when
	// it returns nil the model is looked for again. It may block while it
	// loads one. Default none: the request is answered with 404.
	OnDemand func(ctx context.Context, model string) error
	// Repository loads models on a client's request, and Authorize says who
	// may ask for that: it is called for each such request, and an error
	// refuses it with 403. Both have to be set; default: neither, and the
	// admin routes are answered with 501.
	Repository Repository
	Authorize  func(ctx context.Context, a Action) error
	// NewID makes up the id of a request that has none. It is called from
	// many goroutines. Default 128 random bits in hexadecimal.
	NewID func() string
	// Logger is told of deployments, and of errors that are the server's or
	// a model's. Default none.
	Logger *slog.Logger
}

// Server answers the Open Inference Protocol as an http.Handler. It owns no
// listener: mount it, under a prefix with http.StripPrefix, in a http.Server
// of the application, behind its authentication.
//
// All methods may be called from many goroutines. Call Shutdown at the end;
// the models are closed by it and by nothing else.
type Server struct {
	opts   Options
	limits oip.Limits

	handler Handler // The middleware around the model.

	// table and observers are replaced as a whole.
	table     atomic.Pointer[table]
	observers atomic.Pointer[observers]

	mu   sync.Mutex             // Held to replace them, and for live.
	live map[*deployed]struct{} // Every version whose model is not closed.
	past map[string]*history    // What became of each model that was deployed.

	binding sync.Mutex // Held to tie observers to a version.

	failedDeploys atomic.Int64
}

// New returns a server without models, which is live and not ready.
func New(opts *Options) *Server {
	s := &Server{live: make(map[*deployed]struct{}), past: make(map[string]*history)}
	if opts != nil {
		s.opts = *opts
	}
	o := &s.opts
	if o.Name == "" {
		o.Name = "millwright"
	}
	if o.MaxBody == 0 {
		o.MaxBody = 16 << 20
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.StreamTimeout == 0 {
		o.StreamTimeout = 10 * time.Minute
	}
	if o.TimeoutHeader == "" {
		o.TimeoutHeader = "Millwright-Timeout"
	}
	admission := o.Admission.withDefaults()
	o.Admission = &admission
	if o.NewID == nil {
		o.NewID = randomID
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s.limits.Elements = o.MaxElements
	s.handler = s.innermost
	for _, m := range slices.Backward(o.Middleware) {
		s.handler = m(s.handler)
	}
	list := make([]*attached, len(o.Observers))
	for i, observer := range o.Observers {
		list[i] = attach(observer)
	}
	s.observers.Store(newObservers(list))
	s.table.Store(&table{})
	return s
}

// randomID returns 128 random bits.
func randomID() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // It never fails: the program ends instead.
	var text [32]byte
	hex.Encode(text[:], raw[:])
	return string(text[:])
}

// Shutdown ends the server: health says not ready and new requests are answered
// with 503 at once. It then waits until the requests in flight have ended and
// all models were closed, and returns what their Close returned; or until ctx
// ends, with ctx.Err(). It may be called again, to wait on.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	old := s.table.Swap(&table{closed: true})
	live := make([]*deployed, 0, len(s.live))
	for v := range s.live {
		live = append(live, v)
	}
	s.mu.Unlock()
	for _, m := range old.models {
		s.retire(m.versions)
	}
	var list []error
	for _, v := range live {
		if err := v.wait(ctx); err != nil {
			return fmt.Errorf("serve: shutdown: %q version %q is still answering: %w", v.name, v.version, err)
		}
		if v.closeErr != nil {
			list = append(list, fmt.Errorf("%q version %q: %w", v.name, v.version, v.closeErr))
		}
	}
	if err := errors.Join(list...); err != nil {
		return fmt.Errorf("serve: shutdown: %w", err)
	}
	return nil
}
