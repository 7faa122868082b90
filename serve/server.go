package serve

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
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
	// MaxElements is the most tensor elements of a request. Default
	// 16,777,216 (1<<24); -1 is off.
	MaxElements int64
	// Timeout is the longest time for one Model.Infer: its context ends
	// then, and an error that follows is answered with 504. A model that
	// ignores its context is not cut off. Default 30 s; -1 is off. The time
	// to read the body is for http.Server.ReadTimeout to bound.
	Timeout time.Duration
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

	// table is replaced as a whole, so that a request sees one state.
	table atomic.Pointer[table]

	mu   sync.Mutex             // Held to replace table, and for live.
	live map[*deployed]struct{} // Every version whose model is not closed.
}

// table is what the server serves. It never changes.
type table struct {
	models map[string]*deployed
	closed bool
}

// New returns a server without models, which is live and not ready.
func New(opts *Options) *Server {
	s := &Server{live: make(map[*deployed]struct{})}
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
	if o.NewID == nil {
		o.NewID = randomID
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s.limits.Elements = o.MaxElements
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

// Deploy makes the deployment the version of its name that answers, in one
// step: each request is answered by the old version or the new one, none
// fails. It does not wait for the requests that the old version is answering;
// its model is closed after the last of them, and is gone from the server with
// its version number at once.
//
// The server owns the model from a nil error on. Errors: ErrInvalid with all
// the faults of the deployment and its signature, ErrExists when the very same
// model value is being served, ErrClosed after Shutdown, ctx.Err() when ctx has
// ended before.
func (s *Server) Deploy(ctx context.Context, d Deployment) error {
	subject := fmt.Sprintf("serve: deploy %q version %q", d.Name, d.Version)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	v, err := newDeployed(subject, d)
	if err != nil {
		return err
	}
	old, err := s.swap(subject, v.name, v)
	if err != nil {
		return err
	}
	s.opts.Logger.Info("serve: deployed", "model", v.name, "version", v.version)
	s.retire(old)
	return nil
}

// Undeploy takes the model out of the server at once, then waits until its
// requests have ended and it was closed. It returns the model's error from
// Close; an ErrNotFound when there is no such model; ctx.Err() when ctx ends
// first, with the model closed later.
func (s *Server) Undeploy(ctx context.Context, name string) error {
	subject := fmt.Sprintf("serve: undeploy %q", name)
	old, err := s.swap(subject, name, nil)
	if err != nil {
		return err
	}
	s.opts.Logger.Info("serve: undeployed", "model", old.name, "version", old.version)
	s.retire(old)
	if err := old.wait(ctx); err != nil {
		return fmt.Errorf("%s: requests are still being answered: %w", subject, err)
	}
	if old.closeErr != nil {
		return fmt.Errorf("%s: %w", subject, old.closeErr)
	}
	return nil
}

// swap replaces the version of the name, by none when next is nil, and returns
// the one before.
func (s *Server) swap(subject, name string, next *deployed) (*deployed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.table.Load()
	if now.closed {
		return nil, fmt.Errorf("%s: the server was shut down: %w", subject, ErrClosed)
	}
	old := now.models[name]
	models := maps.Clone(now.models)
	if next == nil {
		if old == nil {
			return nil, fmt.Errorf("%s: no such model is deployed: %w", subject, ErrNotFound)
		}
		delete(models, name)
	} else {
		// It would be closed while it serves.
		for _, v := range now.models {
			if same(v.model, next.model) {
				return nil, fmt.Errorf("%s: the same model value serves as %q version %q, load another: %w", subject, v.name, v.version, ErrExists)
			}
		}
		if models == nil {
			models = make(map[string]*deployed)
		}
		models[name] = next
		s.live[next] = struct{}{}
	}
	s.table.Store(&table{models: models})
	return old, nil
}

// same reports whether two models are one pointer.
func same(a, b Model) bool {
	return reflect.TypeOf(a).Kind() == reflect.Pointer && a == b && reflect.TypeOf(a).Elem().Size() > 0
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
	for _, v := range old.models {
		s.retire(v)
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

// deployed is one version of a model while the server holds it.
type deployed struct {
	name, version, platform string

	model   Model
	labels  map[string]string
	header  []string // The value of Millwright-Model.
	inputs  tensors
	outputs tensors

	// users counts the requests, and one more while it is in the table. At
	// zero, for good, the model is closed.
	users    atomic.Int64
	done     chan struct{} // Closed when the model was.
	closeErr error         // What Close returned, once done is closed.
}

// newDeployed checks a deployment and prepares it.
func newDeployed(subject string, d Deployment) (*deployed, error) {
	var f errs.Faults
	checkName(&f, "Name", d.Name)
	checkName(&f, "Version", d.Version)
	var sig Signature
	if d.Model == nil {
		f.Addf("Model is nil")
	} else {
		sig = d.Model.Signature()
		checkSignature(&f, sig)
	}
	if err := f.Err(subject); err != nil {
		return nil, err
	}
	v := &deployed{
		name: d.Name, version: d.Version, platform: d.Platform,
		model:   d.Model,
		labels:  maps.Clone(d.Labels),
		header:  []string{d.Name + "/" + d.Version},
		inputs:  newTensors(sig.Inputs),
		outputs: newTensors(sig.Outputs),
		done:    make(chan struct{}),
	}
	if v.platform == "" {
		v.platform = "millwright"
	}
	v.users.Store(1)
	return v, nil
}

// acquire counts a request in. It fails when the version is retired and its
// last request has ended.
func (v *deployed) acquire() bool {
	for {
		n := v.users.Load()
		if n == 0 {
			return false
		}
		if v.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// wait returns nil once the model is closed, also when ctx has ended by then.
func (v *deployed) wait(ctx context.Context) error {
	select {
	case <-v.done:
		return nil
	default:
	}
	select {
	case <-v.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release counts a request out. The model is closed on another goroutine,
// because this one still has an answer to send.
func (s *Server) release(v *deployed) {
	if v.users.Add(-1) == 0 {
		go s.close(v)
	}
}

// retire gives up the table's own count of a version that left it.
func (s *Server) retire(v *deployed) {
	if v != nil && v.users.Add(-1) == 0 {
		s.close(v)
	}
}

// close closes the model of a version that nobody uses, once.
func (s *Server) close(v *deployed) {
	v.closeErr = closeModel(v.model)
	if v.closeErr != nil {
		s.opts.Logger.Error("serve: close a model", "model", v.name, "version", v.version, "error", v.closeErr)
	}
	s.mu.Lock()
	delete(s.live, v)
	s.mu.Unlock()
	close(v.done)
}

func closeModel(m Model) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the model panicked in Close: %v", p)
		}
	}()
	return m.Close()
}

// acquire returns the version that answers for the name, counted in; the
// caller releases it. An empty version takes the one that is deployed.
func (s *Server) acquire(name, version string) (*deployed, error) {
	for {
		v, err := s.lookup(name, version)
		if err != nil {
			return nil, err
		}
		if v.acquire() {
			return v, nil
		}
		// It was replaced in between: the table has the next one.
	}
}

// lookup finds the version that answers for the name.
func (s *Server) lookup(name, version string) (*deployed, error) {
	now := s.table.Load()
	v := now.models[name]
	switch {
	case now.closed:
		return nil, fmt.Errorf("serve: the server is shutting down: %w", ErrClosed)
	case v == nil:
		return nil, fmt.Errorf("serve: model %.100q is not deployed: %w", name, ErrNotFound)
	case version != "" && version != v.version:
		return nil, fmt.Errorf("serve: model %q: version %.100q is not deployed, version %q is: %w", name, version, v.version, ErrNotFound)
	}
	return v, nil
}
