package llm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/millwright-ml/millwright/internal/httperr"
)

// call is one request on its way.
type call struct {
	g      *Gateway
	w      http.ResponseWriter
	r      *http.Request
	x      Exchange
	tenant *Tenant
	model  *model
	f      fields
	query  Query

	body     []byte     // As the client sent it, or as the hooks changed it.
	sent     []byte     // As an upstream gets it.
	payloads []*payload // Views of body or sent.
	answer   []byte     // Of the upstream.
	out      []byte     // What goes to the client.
	events   events

	candidates []Candidate
	picked     []*target
	tried      []*target

	expected int // Tokens of the prompt, about.
	reserved int // Tokens of the answer at most, about.
	charges  []Charge
	hidden   bool // The client does not get the usage that was asked for.
	started  bool // Bytes went to the client.
	failure  failure
	filters  []StreamFilter
	logged   []byte
	wrote    time.Time
	traced   http.Header // What a Tracer has upstreams told.
	// keepSimilar takes the answer, where Options.Similar wants it.
	keepSimilar func(a *Answer)
}

// answer serves one request of an operation.
func (g *Gateway) answer(w http.ResponseWriter, r *http.Request, op Operation) {
	c, _ := g.calls.Get().(*call)
	c.begin(g, w, r, op)
	c.trace()
	defer c.end()
	if !g.enter() {
		c.refuse(&Error{Status: http.StatusServiceUnavailable, Type: typeServer, Code: "shutting_down", Message: "the gateway is shutting down", cause: ErrClosed, RetryAfter: time.Second})
		return
	}
	defer g.running.Done()
	if err := c.prepare(); err != nil {
		c.refuse(err)
		return
	}
	if c.fromCache() {
		return
	}
	if err := c.admit(); err != nil {
		c.refuse(err)
		return
	}
	defer c.settle()
	if q := c.model.queue; q != nil {
		began := time.Now()
		err := q.enter(c.r.Context(), c.tenant)
		c.x.Queued = time.Since(began)
		if err != nil {
			c.refuse(err)
			return
		}
		defer q.leave()
	}
	c.forward()
}

func (c *call) begin(g *Gateway, w http.ResponseWriter, r *http.Request, op Operation) {
	*c = call{
		g: g, w: w, r: r, events: events{buf: c.events.buf},
		candidates: c.candidates[:0], picked: c.picked[:0], tried: c.tried[:0], charges: c.charges[:0], payloads: c.payloads[:0],
		x: Exchange{ID: g.requestID(r), Operation: op, Session: r.Header.Get(g.o.Session), Began: time.Now(), MaxTokens: -1},
	}
	c.body, c.sent, c.answer, c.out = g.bufs.get(), nil, nil, nil
}

// end reports the request and gives back what it used.
func (c *call) end() {
	g := c.g
	c.x.Ended = time.Now()
	if c.x.Err != nil && c.x.Status == 0 {
		c.x.Status = http.StatusInternalServerError
	}
	for _, o := range g.o.Observers {
		o.Observe(&c.x)
	}
	g.o.Log.record(c)
	if unread(c.payloads) {
		c.body, c.sent = nil, nil // Left to the garbage collector.
	}
	clear(c.payloads)
	for _, b := range [][]byte{c.body, c.sent, c.answer, c.out, c.logged} {
		g.bufs.put(b)
	}
	if cap(c.events.buf) > keptBuffer {
		c.events.buf = nil
	}
	clear(c.candidates[:cap(c.candidates)])
	c.w, c.r, c.filters, c.body, c.sent, c.answer, c.out, c.logged = nil, nil, nil, nil, nil, nil, nil, nil
	g.calls.Put(c)
}

// refuse answers with an error that is the gateway's.
func (c *call) refuse(err error) {
	if c.r.Context().Err() != nil {
		c.gone()
		return
	}
	e := asError(err)
	c.x.Status, c.x.Err = e.Status, e
	c.name()
	e.write(c.w)
}

var errGone = errors.New("the client left")

// gone ends a request whose client left.
func (c *call) gone() {
	c.x.Status = httperr.StatusClientClosed
	c.x.Err = goneError(nil)
}

// goneError is the error of a request whose client left, which is the end of its
// context however it showed.
func goneError(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return fmt.Errorf("llm: %w: %w", errGone, context.Canceled)
	}
	return fmt.Errorf("llm: %w: %w: %w", errGone, context.Canceled, err)
}

// prepare finds out who asks for what.
func (c *call) prepare() error {
	g := c.g
	c.tenant = &anyone
	if g.o.Auth != nil {
		t, err := g.o.Auth.Authenticate(c.r)
		if err != nil {
			return err
		}
		if t != nil {
			c.tenant = t
		}
	}
	c.x.Tenant = c.tenant.Name
	if e := c.r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return &Error{Status: http.StatusUnsupportedMediaType, Type: typeInvalid, Message: "send the body without a Content-Encoding"}
	}
	if err := c.readBody(); err != nil {
		return err
	}
	if err := c.scan(); err != nil {
		return err
	}
	if err := c.requestHooks(); err != nil {
		return err
	}
	c.model = g.models[c.f.model]
	if c.model == nil || !c.tenant.may(c.f.model) {
		// The same for both: what others have is none of the tenant's business.
		return &Error{Status: http.StatusNotFound, Type: typeInvalid, Code: "model_not_found", Param: "model", Message: fmt.Sprintf("the model %.100q does not exist or you have no access to it", c.f.model)}
	}
	c.expect()
	return nil
}

// scan finds the fields in the body.
func (c *call) scan() error {
	f, err := scanRequest(c.body)
	if err != nil {
		if field, ok := errors.AsType[*errField](err); ok {
			return invalid(field.param, "%v", err)
		}
		return invalid("", "the body: %v", err)
	}
	c.f = f
	c.x.Model, c.x.Stream, c.x.User, c.x.MaxTokens = f.model, f.stream && c.x.Operation != Embeddings, f.user, f.maxTokens
	return nil
}

// expect is how many tokens the request will be about.
func (c *call) expect() {
	c.expected = (len(c.f.prompt.of(c.body))+len(c.f.tools.of(c.body)))/c.g.o.BytesPerToken + 1
	most := c.f.maxTokens
	if bound := c.model.MaxTokens; bound > 0 && (most < 0 || most > bound) {
		most = bound
	}
	if most < 0 {
		most = c.g.o.Reserve
	}
	c.reserved = most * c.f.n
	if c.x.Operation == Embeddings {
		c.reserved = 0
	}
	c.query = Query{
		Model: c.f.model, Tenant: c.x.Tenant, User: c.f.user, Session: c.x.Session, Arms: c.x.Arms,
		Tokens: c.expected + c.reserved, Tools: c.f.tools.of(c.body), Prompt: c.f.prompt.of(c.body),
	}
}

func (c *call) readBody() error {
	most := c.g.o.MaxBody
	tooLarge := &Error{Status: http.StatusRequestEntityTooLarge, Type: typeInvalid, Message: fmt.Sprintf("the body has more than %d bytes", most)}
	n := c.r.ContentLength
	if n > most {
		return tooLarge
	}
	// Not more at once than a client could have sent in one go: a length is only
	// a promise.
	if want := int(min(n, 1<<20)) + 1; n > 0 && cap(c.body) < want {
		c.g.bufs.put(c.body)
		c.body = make([]byte, 0, want)
	}
	for {
		if len(c.body) == cap(c.body) {
			c.body = append(c.body, 0)[:len(c.body)]
		}
		k, err := c.r.Body.Read(c.body[len(c.body):cap(c.body)])
		c.body = c.body[:len(c.body)+k]
		if int64(len(c.body)) > most {
			return tooLarge
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &Error{Status: http.StatusBadRequest, Type: typeInvalid, Message: "the body did not arrive whole", cause: err}
		}
	}
}

// edited is the body for a target.
func (c *call) edited(m *model, t *target) []byte {
	edits := make([]edit, 0, 8)
	c.hidden = false
	op := c.x.Operation
	if bound := m.MaxTokens; bound > 0 && op != Embeddings {
		edits = c.bound(edits, bound)
	}
	if c.x.Stream && !c.f.wantsUsage && (op == Chat || op == Completion) {
		c.hidden = true
		edits = append(edits, c.askUsage())
	}
	if t.name != c.f.model {
		edits = append(edits, edit{c.f.modelAt, t.quoted})
	}
	if len(edits) == 0 {
		return c.body
	}
	sortEdits(edits)
	if c.sent == nil || unread(c.payloads) { // An upstream that failed may still get the one before.
		c.sent = c.g.bufs.get()
	}
	c.sent = splice(c.sent[:0], c.body, edits)
	return c.sent
}
