package mlflowhttp

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
)

const (
	// defaultMaxBody holds the largest batch with every character escaped.
	defaultMaxBody = 16 << 20
	// bodyTime is how long a JSON body may take to arrive.
	bodyTime = time.Minute
	// pooledPoints is the capacity up to which a batch's memory is kept: the
	// largest one that is accepted and a quarter.
	pooledPoints = 1250
)

// Named is a route.
type Named interface {
	// Name identifies the route in logs: its method and path.
	Name() string
}

// Call is one request being served.
type Call struct {
	Site *Site
	W    http.ResponseWriter
	R    *http.Request
	// Route is what serves it.
	Route Named
	// Vars are those of its path.
	Vars Vars
	// MaxBody bounds the body that Message reads; 0 is 16 MiB.
	MaxBody int64

	msg    any   // what Message decoded
	msgErr error // why it could not
}

// Ctx is the context of the request.
func (c *Call) Ctx() context.Context { return c.R.Context() }

// Path returns the value of a variable of the route's path.
func (c *Call) Path(name string) string {
	for _, v := range c.Vars {
		if v.name == name {
			return v.value
		}
	}
	return ""
}

// Message returns the request as a message: the arguments of the URL of a GET
// that has some, else the body as JSON. It is decoded once.
func Message[M any](c *Call) (*M, error) {
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
		return nil, fmt.Errorf("mlflow: route %q reads its request as a %T and as a %T", c.Route.Name(), c.msg, m)
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

// Release gives back what the call borrowed.
func (c *Call) Release() {
	if b, ok := c.msg.(*mlflowapi.LogBatch); ok && cap(b.Metrics) <= pooledPoints {
		b.Reset()
		batches.Put(b)
	}
}

func (c *Call) decode(m any) error {
	get := c.R.Method == http.MethodGet || c.R.Method == http.MethodHead
	if get && c.R.URL.RawQuery != "" {
		query, err := Query(c.R)
		if err != nil {
			return err
		}
		return mlflowapi.DecodeQuery(query, m)
	}
	if !get {
		if err := RequireJSON(c.R); err != nil {
			return err
		}
	}
	buf, err := c.Body()
	if err != nil {
		return err
	}
	defer buf.Release()
	return mlflowapi.DecodeRequest(buf.B, m)
}

// RequireJSON refuses bodies that a page of another origin may send without
// asking, which JSON is not.
func RequireJSON(r *http.Request) error {
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

// Buffer is pooled memory for a body or an answer.
type Buffer struct{ B []byte }

var buffers = sync.Pool{New: func() any { return new(Buffer) }}

// NewBuffer returns an empty buffer.
func NewBuffer() *Buffer {
	buf := buffers.Get().(*Buffer)
	buf.B = buf.B[:0]
	return buf
}

// Release returns the buffer to the pool; a huge one is left to the collector.
func (b *Buffer) Release() {
	if cap(b.B) <= 1<<20 {
		buffers.Put(b)
	}
}

// Body reads the whole body, up to the route's limit.
func (c *Call) Body() (*Buffer, error) {
	limit := c.MaxBody
	if limit == 0 {
		limit = defaultMaxBody
	}
	if c.R.ContentLength > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	buf := NewBuffer()
	if c.R.ContentLength == 0 || c.R.Body == nil {
		return buf, nil
	}
	control := http.NewResponseController(c.W)
	// A writer that knows no deadlines leaves them to its server.
	_ = control.SetReadDeadline(time.Now().Add(bodyTime))
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	src := http.MaxBytesReader(c.W, c.R.Body, limit)
	if want := int(min(c.R.ContentLength, 1<<20)) + 1; cap(buf.B) < want {
		buf.B = make([]byte, 0, want)
	}
	for {
		if len(buf.B) == cap(buf.B) {
			grown := make([]byte, len(buf.B), 2*cap(buf.B)+512)
			copy(grown, buf.B)
			buf.B = grown
		}
		n, err := src.Read(buf.B[len(buf.B):cap(buf.B)])
		buf.B = buf.B[:len(buf.B)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			buf.Release()
			if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
				return nil, err
			}
			if c.Ctx().Err() != nil {
				return nil, c.Ctx().Err()
			}
			return nil, mlflowapi.Errorf(mlflowapi.CodeBadRequest, "The request body ended early or came too slowly.")
		}
	}
}

// JSON answers 200 with msg, a pointer to a message; nil is an empty object.
func (c *Call) JSON(msg any) error {
	if msg == nil {
		return c.Send(http.StatusOK, []byte("{}"))
	}
	buf := NewBuffer()
	defer buf.Release()
	buf.B = mlflowapi.Append(buf.B, msg)
	return c.Send(http.StatusOK, buf.B)
}

// Send answers with a JSON text.
func (c *Call) Send(status int, body []byte) error {
	header := c.W.Header()
	header["Content-Type"] = jsonType
	header["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.W.WriteHeader(status)
	_, _ = c.W.Write(body) // a client that went away needs no answer
	return nil
}

var jsonType = []string{"application/json"}

// Query parses the arguments of a URL.
func Query(r *http.Request) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, mlflowapi.Errorf(mlflowapi.CodeBadRequest, "The query of the URL is malformed.")
	}
	return query, nil
}
