package serve

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/millwright-ml/millwright/internal/httperr"
	"github.com/millwright-ml/millwright/serve/oip"
)

// Header is what came with a request beside its body: http.Header is one, the
// metadata of a gRPC call is made one with a method.
type Header interface {
	// Get returns the first value of the name in any case, "" for none.
	Get(name string) string
}

// Call is one infer request on its way through the server. It belongs to the
// request: a Router or a Handler keeps nothing of it.
type Call struct {
	// Model is the model's name, Version the version that was asked for, ""
	// for none; once a version was chosen it is that one.
	Model, Version string
	// Request is the request. It has been decoded and not yet checked against
	// the signature: that is done when the innermost handler begins, so that
	// middleware may put another request in its place. It may be shared with
	// the caller, and must not be changed.
	Request *oip.InferRequest
	// RequestID is the request's id, the caller's or made up.
	RequestID string
	// Header is what came with the request beside its body, nil for none.
	Header Header
	// Tenant is whom Options.Tenant saw.
	Tenant string
	// Variant is for the Router to fill in: what it calls its choice
	// ("champion", "challenger"). Observers and the answer carry it.
	Variant string
	// Digest is that of the version's files, once a version was chosen.
	Digest string
	// Start is when the request came. The zero time is now.
	Start time.Time
	// Bytes is the size of the request as it came, for observers; 0 for
	// unknown.
	Bytes int64
	// Shadow keeps the call from routers and from observers: a copy of a
	// request that was answered already, whose caller has the answer and
	// compares it. It is turned away first when the server is full.
	Shadow bool

	state *request
}

// HeaderValue returns a value of the header, "" when there is none.
func (c *Call) HeaderValue(name string) string {
	if c.Header == nil {
		return ""
	}
	return c.Header.Get(name)
}

// Served says who answered a request.
type Served struct {
	// Model, Version and Digest are the deployment's.
	Model, Version, Digest string
	// Variant is what a Router called its choice, "" without one.
	Variant string
	// RequestID is the request's id, the caller's or made up.
	RequestID string
}

// Handler answers a call, as the server does: the innermost one checks the
// request and runs the model.
type Handler func(ctx context.Context, c *Call) (*oip.InferResponse, error)

// Middleware wraps a Handler: it sees the call with its version chosen, may
// answer by itself (a cache), put another Request into the call (features from
// a store), change the answer, refuse with an error, or call next again. The
// answer that leaves it has to have the model's signature. For a stream, next
// returns once the stream has ended, with its last part, and another answer in
// its place reaches observers only.
type Middleware func(next Handler) Handler

// Router chooses the version for the requests that name none.
type Router interface {
	// Route returns a version's name, "" for the default one; a version that
	// is not deployed is the default one, too. It may set c.Variant and must
	// change nothing else. It is called from many goroutines and must not
	// block; a panic in it is contained, logged and means the default.
	Route(ctx context.Context, c *Call) (version string)
}

// request is all that one infer request needs beside its tensors, in one
// allocation.
type request struct {
	call     Call
	exchange Exchange
	deadline deadlineContext
	response oip.InferResponse
	outputs  [2]oip.Tensor
	id       [1]string // The value of Millwright-Request-Id.

	limiter *limiter  // What the request was admitted by, nil for nothing.
	entered time.Time // When that was.
	until   time.Time // How long the client waits, zero for unknown.

	v      *deployed // The version that answers, counted in.
	called bool      // The model was called.
	rows   int64
	split  timing
	out    int64      // The bytes of the answer.
	traces []Observer // Who is told of the exchange beside the observers.
	// stream yields the parts of a stream and returns the last one; nil for
	// a request that has one answer.
	stream func(ctx context.Context) (*oip.InferResponse, error)
}

// timing says where the time of a request went.
type timing struct {
	queue, input, infer, output time.Duration
}

// Infer answers a request as the HTTP handler does, without HTTP: the same
// checks, limits, routing, middleware and observers. An empty version is the
// one that the router chooses. The response holds the outputs asked for and
// belongs to the caller; req must not be changed until Infer has returned.
func (s *Server) Infer(ctx context.Context, name, version string, req *oip.InferRequest) (*oip.InferResponse, Served, error) {
	c := Call{Model: name, Version: version, Request: req}
	resp, err := s.Do(ctx, &c)
	return resp, Served{Model: c.Model, Version: c.Version, Digest: c.Digest, Variant: c.Variant, RequestID: c.RequestID}, err
}

// Do is Infer for callers that have more to say: transports, with the header of
// a request, and shadow traffic. The caller fills in Model, Version, Request
// and, where it has them, RequestID, Header, Start and Shadow; the rest of c is
// filled in by Do, also when it fails.
func (s *Server) Do(ctx context.Context, c *Call) (*oip.InferResponse, error) {
	ctx, q, err := s.admit(ctx, c)
	if err != nil {
		return nil, err
	}
	defer s.leave(q)
	resp, err := s.compute(ctx, q)
	s.finish(q, resp, err)
	*c = q.call
	c.state = nil
	if err != nil {
		return nil, q.exchange.Err
	}
	if len(q.call.Request.Outputs) > 0 {
		sent := *resp
		sent.Outputs = requested(q.call.Request, resp)
		return &sent, nil
	}
	return resp, nil
}

// admit begins a request that was not decoded by this server.
func (s *Server) admit(ctx context.Context, c *Call) (context.Context, *request, error) {
	if _, err := s.find(ctx, c.Model, c.Version); err != nil {
		return ctx, nil, err
	}
	if c.Request == nil {
		return ctx, nil, fmt.Errorf("serve: infer %q: the request is nil: %w", c.Model, ErrInvalid)
	}
	q := &request{call: *c}
	if q.call.Start.IsZero() {
		q.call.Start = time.Now()
	}
	s.identify(&q.call)
	ctx = s.begin(ctx, q)
	if err := s.enter(ctx, q); err != nil {
		s.finish(q, nil, err)
		*c = q.call
		return ctx, nil, q.exchange.Err
	}
	return ctx, q, nil
}

// enter finds out the tenant and waits until the request is admitted.
func (s *Server) enter(ctx context.Context, q *request) error {
	c := &q.call
	if s.opts.Tenant != nil {
		c.Tenant = s.opts.Tenant(c)
	}
	if text := c.HeaderValue(s.opts.TimeoutHeader); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return fmt.Errorf("the header %s is %.40q, want a duration such as 250ms: %w", s.opts.TimeoutHeader, text, ErrInvalid)
		}
		q.until = c.Start.Add(d)
	}
	m, err := s.model(s.table.Load(), c.Model)
	if err != nil || m.limiter == nil {
		return err
	}
	if !m.limiter.try() {
		if !q.until.IsZero() {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, q.until)
			defer cancel()
		}
		begin := time.Now()
		err = m.limiter.enter(ctx, c)
		q.split.queue = time.Since(begin)
		if err != nil {
			m.limiter.refused(err)
			return err
		}
	}
	q.limiter, q.entered = m.limiter, time.Now()
	return nil
}

// leave ends a request, whatever became of it.
func (s *Server) leave(q *request) {
	q.deadline.end()
	if q.limiter != nil {
		q.limiter.leave(0, false)
	}
	if q.v != nil {
		s.release(q.v)
	}
}

// identify gives the call its id.
func (s *Server) identify(c *Call) {
	if c.RequestID == "" && c.Request != nil {
		c.RequestID = c.Request.ID
	}
	if c.RequestID == "" || len(c.RequestID) > maxID || !plain(c.RequestID) {
		c.RequestID = s.opts.NewID()
	}
}

// compute answers a decoded request: it chooses the version, runs the
// middleware around the model and checks the answer. It returns the answer with
// all outputs.
func (s *Server) compute(ctx context.Context, q *request) (*oip.InferResponse, error) {
	c := &q.call
	c.state = q
	v, err := s.choose(ctx, c)
	if err != nil {
		return nil, err
	}
	q.v, q.rows = v, noRows
	c.Model, c.Version, c.Digest = v.name, v.version, v.digest
	timeout := s.opts.Timeout
	if q.stream != nil {
		timeout = s.opts.StreamTimeout
	}
	until, err := s.patience(q, timeout)
	if err != nil {
		return nil, err
	}
	if !until.IsZero() {
		q.deadline.set(ctx, until)
		ctx = &q.deadline
	}
	resp, err := s.handle(ctx, c)
	if err != nil {
		return nil, err
	}
	// What follows is the model's fault: the kinds of error in it must not
	// turn into a status that blames the client.
	if q.stream != nil {
		return resp, nil
	}
	if err := v.checkResponse(c.Request, resp, q.rows); err != nil {
		return nil, &badAnswer{err}
	}
	resp.ModelName, resp.ModelVersion, resp.ID = v.name, v.version, c.RequestID
	return resp, nil
}

// patience returns when the time for a request is up: the server's timeout, what
// the header said, and the parameter "timeout" of Triton's clients, whichever is
// first.
func (s *Server) patience(q *request, timeout time.Duration) (time.Time, error) {
	until := q.until
	now := time.Now()
	if timeout > 0 && (until.IsZero() || now.Add(timeout).Before(until)) {
		until = now.Add(timeout)
	}
	p, ok := q.call.Request.Parameters["timeout"]
	if !ok {
		return until, nil
	}
	us, ok := p.(int64)
	if !ok || us < 0 {
		return until, fmt.Errorf("the parameter \"timeout\" is %v, want a number of microseconds: %w", p, ErrInvalid)
	}
	// Triton takes 0 for none.
	if us > 0 && us < math.MaxInt64/1000 {
		if at := q.call.Start.Add(time.Duration(us) * time.Microsecond); until.IsZero() || at.Before(until) {
			until = at
		}
	}
	return until, nil
}

// handle runs the middleware around the model.
func (s *Server) handle(ctx context.Context, c *Call) (resp *oip.InferResponse, err error) {
	if len(s.opts.Middleware) == 0 {
		return s.innermost(ctx, c)
	}
	defer func() {
		if p := recover(); p != nil {
			s.opts.Logger.Error("serve: a middleware panicked", "model", c.Model, "version", c.Version, "panic", p, "stack", string(debug.Stack()))
			resp, err = nil, fmt.Errorf("a middleware panicked: %v", p)
		}
	}()
	resp, err = s.handler(ctx, c)
	if err == nil && resp == nil {
		return nil, errors.New("a middleware returned neither an answer nor an error")
	}
	return resp, err
}

// innermost is the handler that the middleware wraps.
func (s *Server) innermost(ctx context.Context, c *Call) (*oip.InferResponse, error) {
	q := c.state
	if q == nil || q.v == nil {
		return nil, errors.New("a middleware called next with a call of its own")
	}
	rows, err := q.v.checkRequest(c.Request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	q.rows = rows
	if q.stream != nil {
		if q.called {
			return nil, errors.New("a middleware called next again for a stream")
		}
		q.called = true
		return q.stream(ctx)
	}
	resp := &q.response
	if q.called {
		// The answer before may still be in use.
		resp = new(oip.InferResponse)
	} else {
		resp.Outputs = q.outputs[:0]
	}
	q.called = true
	return resp, s.execute(ctx, q, c.Request, resp)
}

// choose returns the version that answers the call, counted in.
func (s *Server) choose(ctx context.Context, c *Call) (*deployed, error) {
	want, routed := c.Version, false
	for {
		m, err := s.model(s.table.Load(), c.Model)
		if err != nil {
			return nil, err
		}
		if r := m.router; c.Version == "" && !routed && !c.Shadow {
			if r == nil {
				r = s.opts.Router
			}
			if r != nil {
				want, routed = s.ask(ctx, r, c), true
			}
		}
		v, err := m.exact(c.Model, want)
		if err != nil {
			if !routed {
				return nil, err
			}
			v, c.Variant = m.def, ""
		}
		if v.acquire() {
			return v, nil
		}
		// It was replaced in between: the table has the next one.
	}
}

// ask asks a router and contains its panics.
func (s *Server) ask(ctx context.Context, r Router, c *Call) (version string) {
	defer func() {
		if p := recover(); p != nil {
			s.opts.Logger.Error("serve: a router panicked", "model", c.Model, "request", c.RequestID, "panic", p, "stack", string(debug.Stack()))
			version, c.Variant = "", ""
		}
	}()
	return r.Route(ctx, c)
}

// requested returns the outputs to send: those asked for, in that order, or
// all.
func requested(req *oip.InferRequest, resp *oip.InferResponse) []oip.Tensor {
	if len(req.Outputs) == 0 {
		return resp.Outputs
	}
	list := make([]oip.Tensor, len(req.Outputs))
	for i, o := range req.Outputs {
		list[i] = *resp.Output(o.Name)
	}
	return list
}

// execute calls the model for one request.
func (s *Server) execute(ctx context.Context, q *request, req *oip.InferRequest, resp *oip.InferResponse) error {
	if q.v.batcher != nil {
		return q.v.batcher.do(ctx, q, req, resp)
	}
	start := time.Now()
	err := s.run(ctx, q.v, req, resp)
	q.split.infer = time.Since(start)
	q.v.count.execution(max(q.rows, 1), q.split.infer)
	return err
}

// run calls the model and contains its panics.
func (s *Server) run(ctx context.Context, v *deployed, req *oip.InferRequest, resp *oip.InferResponse) (err error) {
	defer s.contain(v, &err)
	err = v.model.Infer(ctx, req, resp)
	if err == nil {
		return nil
	}
	return ended(ctx, err)
}

// contain turns a panic of a model into an error. It is deferred.
func (s *Server) contain(v *deployed, err *error) {
	if p := recover(); p != nil {
		s.opts.Logger.Error("serve: a model panicked", "model", v.name, "version", v.version, "panic", p, "stack", string(debug.Stack()))
		*err = fmt.Errorf("the model panicked: %v", p)
	}
}

// ended says of a model's error that it came from the end of the context, where
// it did.
func ended(ctx context.Context, err error) error {
	// An error of no kind after the end of the context came from that end.
	if over := ctx.Err(); over != nil && httperr.Status(err) == http.StatusInternalServerError {
		return fmt.Errorf("%v: %w", err, over)
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return fmt.Errorf("the time was up: %w", err)
	}
	return err
}

// finish fills the exchange, counts it and tells the observers, before the
// client knows.
func (s *Server) finish(q *request, resp *oip.InferResponse, err error) {
	c, x := &q.call, &q.exchange
	*x = Exchange{
		Model: c.Model, Variant: c.Variant, Tenant: c.Tenant, RequestID: c.RequestID,
		Request: c.Request, Response: resp, Header: c.Header, Start: c.Start,
		Queue: q.split.queue, Input: q.split.input, Infer: q.split.infer, Output: q.split.output,
		Status: http.StatusOK, BytesIn: c.Bytes, BytesOut: q.out,
	}
	if v := q.v; v != nil {
		x.Version, x.Digest, x.Labels = v.version, v.digest, v.labels
		x.Rows = max(q.rows, 0)
		if err == nil {
			x.Rows = max(q.rows, 1)
		}
	}
	switch {
	case err == nil:
	case q.v == nil:
		x.Response, x.Err = nil, fmt.Errorf("serve: infer %q: %w", c.Model, err)
	default:
		x.Response, x.Err = nil, fmt.Errorf("serve: infer %q version %q: %w", q.v.name, q.v.version, err)
	}
	if err != nil {
		x.Status = statusOf(x.Err)
	}
	x.Duration = time.Since(x.Start)
	if q.v != nil {
		q.v.count.request(x, max(q.rows, 1), &q.split)
	}
	// Before the answer is sent: a client that reads slowly holds no place.
	if l := q.limiter; l != nil {
		q.limiter = nil
		l.leave(x.Start.Add(x.Duration).Sub(q.entered), err == nil && q.stream == nil)
	}
	if !c.Shadow {
		s.notify(q)
	}
}
