package mlflow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/tracking"
)

const (
	// defaultMaxBody holds the largest batch with every character escaped.
	defaultMaxBody = 16 << 20
	// bodyTime is how long a JSON body may take to arrive.
	bodyTime = time.Minute
)

// call is one request being served.
type call struct {
	h       *Handler
	w       http.ResponseWriter
	r       *http.Request
	route   *route
	vars    vars
	msg     any   // what message decoded
	msgErr  error // why it could not
	granted map[Action]error
}

func (c *call) ctx() context.Context { return c.r.Context() }

// path returns the value of a variable of the route's path.
func (c *call) path(name string) string {
	for _, v := range c.vars {
		if v.name == name {
			return v.value
		}
	}
	return ""
}

// authorize asks whether the caller may do verb to the experiment. Asking
// again for the same costs nothing.
func (c *call) authorize(verb Verb, id tracking.ExperimentID) error {
	if c.h.opts.Authorize == nil {
		return nil
	}
	a := Action{Verb: verb, Experiment: id, Route: c.route.name()}
	err, asked := c.granted[a]
	if !asked {
		err = c.h.opts.Authorize(c.r, a)
		if c.granted == nil {
			c.granted = map[Action]error{}
		}
		c.granted[a] = err
	}
	return err
}

// readable returns those of the experiments that the caller may read.
func (c *call) readable(ids []tracking.ExperimentID) ([]tracking.ExperimentID, error) {
	if c.h.opts.Authorize == nil {
		return ids, nil
	}
	var out []tracking.ExperimentID
	for _, id := range ids {
		ok, err := c.mayRead(id)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, id)
		}
	}
	return out, nil
}

// mayRead reports whether the caller may read the experiment.
func (c *call) mayRead(id tracking.ExperimentID) (bool, error) {
	err := c.authorize(Read, id)
	if err == nil {
		return true, nil
	}
	if transient(err) {
		return false, err
	}
	return false, nil
}

// transient reports whether err says nothing about the caller's rights.
func transient(err error) bool {
	return errors.Is(err, tracking.ErrUnavailable) || errors.Is(err, tracking.ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// message returns the request as a message: the arguments of the URL of a GET
// that has some, else the body as JSON. It is decoded once.
func message[M any](c *call) (*M, error) {
	if c.msg == nil && c.msgErr == nil {
		m := newMessage[M]()
		c.msg = m
		c.msgErr = c.decode(m)
	}
	if c.msgErr != nil {
		return nil, c.msgErr
	}
	m, ok := c.msg.(*M)
	if !ok {
		return nil, fmt.Errorf("mlflow: route %q reads its request as a %T and as a %T", c.route.name(), c.msg, m)
	}
	return m, nil
}

// batches has messages of the hot path, each with room for 1,000 points.
var batches = sync.Pool{New: func() any { return new(mlflowapi.LogBatch) }}

func newMessage[M any]() *M {
	if _, hot := any((*M)(nil)).(*mlflowapi.LogBatch); hot {
		return batches.Get().(*M)
	}
	return new(M)
}

// release gives back what the call borrowed.
func (c *call) release() {
	if b, ok := c.msg.(*mlflowapi.LogBatch); ok && cap(b.Metrics) <= tracking.MaxBatchMetrics+tracking.MaxBatchMetrics/4 {
		b.Reset()
		batches.Put(b)
	}
}

func (c *call) decode(m any) error {
	get := c.r.Method == http.MethodGet || c.r.Method == http.MethodHead
	if get && c.r.URL.RawQuery != "" {
		query, err := queryOf(c.r)
		if err != nil {
			return err
		}
		return mlflowapi.DecodeQuery(query, m)
	}
	if !get {
		if err := requireJSON(c.r); err != nil {
			return err
		}
	}
	buf, err := c.body()
	if err != nil {
		return err
	}
	defer buf.release()
	return mlflowapi.DecodeRequest(buf.b, m)
}

// requireJSON refuses bodies that a page of another origin may send without
// asking, which JSON is not.
func requireJSON(r *http.Request) error {
	kind := r.Header.Get("Content-Type")
	if kind == "application/json" {
		return nil
	}
	if kind == "" {
		if r.Method == http.MethodDelete && r.ContentLength == 0 {
			return nil
		}
		return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Bad Request. Content-Type header is missing.")
	}
	if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
		return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Bad Request. Content-Type must be one of ['application/json'].")
	}
	return nil
}

// buffer is pooled memory for a body or an answer.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return new(buffer) }}

func newBuffer() *buffer {
	buf := buffers.Get().(*buffer)
	buf.b = buf.b[:0]
	return buf
}

// release returns the buffer to the pool; a huge one is left to the collector.
func (b *buffer) release() {
	if cap(b.b) <= 1<<20 {
		buffers.Put(b)
	}
}

// body reads the whole body, up to the route's limit.
func (c *call) body() (*buffer, error) {
	limit := c.route.maxBody
	if limit == 0 {
		limit = defaultMaxBody
	}
	if c.r.ContentLength > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	buf := newBuffer()
	if c.r.ContentLength == 0 || c.r.Body == nil {
		return buf, nil
	}
	control := http.NewResponseController(c.w)
	// A writer that knows no deadlines leaves them to its server.
	_ = control.SetReadDeadline(time.Now().Add(bodyTime))
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	src := http.MaxBytesReader(c.w, c.r.Body, limit)
	if want := int(min(c.r.ContentLength, 1<<20)) + 1; cap(buf.b) < want {
		buf.b = make([]byte, 0, want)
	}
	for {
		if len(buf.b) == cap(buf.b) {
			grown := make([]byte, len(buf.b), 2*cap(buf.b)+512)
			copy(grown, buf.b)
			buf.b = grown
		}
		n, err := src.Read(buf.b[len(buf.b):cap(buf.b)])
		buf.b = buf.b[:len(buf.b)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			buf.release()
			if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
				return nil, err
			}
			if c.r.Context().Err() != nil {
				return nil, c.r.Context().Err()
			}
			return nil, mlflowapi.Errorf(mlflowapi.CodeBadRequest, "The request body ended early or came too slowly.")
		}
	}
}

// json answers 200 with msg, a pointer to a message.
func (c *call) json(msg any) error {
	buf := newBuffer()
	defer buf.release()
	buf.b = mlflowapi.Append(buf.b, msg)
	return c.send(http.StatusOK, buf.b)
}

// send answers with a JSON text.
func (c *call) send(status int, body []byte) error {
	header := c.w.Header()
	header["Content-Type"] = jsonType
	header["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body) // a client that went away needs no answer
	return nil
}

var jsonType = []string{"application/json"}

// rpc makes the serve function of a route that takes and gives one message. A
// nil answer is an empty object.
func rpc[M any](serve func(c *call, m *M) (any, error)) func(c *call) error {
	return func(c *call) error {
		m, err := message[M](c)
		if err != nil {
			return err
		}
		answer, err := serve(c, m)
		if err != nil {
			return err
		}
		if answer == nil {
			return c.send(http.StatusOK, []byte("{}"))
		}
		return c.json(answer)
	}
}

// rpcStream makes the serve function of a route that takes a message and
// writes its answer itself.
func rpcStream[M any](serve func(c *call, m *M) error) func(c *call) error {
	return func(c *call) error {
		m, err := message[M](c)
		if err != nil {
			return err
		}
		return serve(c, m)
	}
}

// queryOf parses the arguments of a URL.
func queryOf(r *http.Request) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, mlflowapi.Errorf(mlflowapi.CodeBadRequest, "The query of the URL is malformed.")
	}
	return query, nil
}
