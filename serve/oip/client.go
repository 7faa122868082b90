package oip

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Client calls a server of the protocol over HTTP, ours or another's (Triton,
// KServe, MLServer). It is a plain value, safe for concurrent use. Every
// answer but 200 is a *StatusError.
type Client struct {
	base string
	opts ClientOptions
}

// ClientOptions tune a Client. Nil means the defaults.
type ClientOptions struct {
	// HTTPClient sends the requests; authentication, TLS and retries are
	// set there. Default http.DefaultClient.
	HTTPClient *http.Client
	// MaxBody is the most bytes read of an answer. Default 64 MiB; -1 is off.
	MaxBody int64
	// Limits bound the tensors of an answer. Default: those of Limits.
	Limits *Limits
	// Binary sends and asks for tensors as binary tensor data, which takes a
	// server that lists the extension "binary_tensor_data" and is many times
	// faster than JSON. Without it a tensor travels so where it is marked as
	// Binary, and an output where it is asked for so.
	Binary bool
	// Compress is the content encoding of infer requests and what is asked
	// of their answers: "gzip" or "deflate". Default: none.
	Compress string
}

// NewClient returns a client of the server at baseURL, "http://host:port" with
// the prefix that the server is mounted under, if any: requests go to
// baseURL/v2/…. It does not connect. The error is an ErrInvalid.
func NewClient(baseURL string, opts *ClientOptions) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("oip: new client %q: want a base URL such as http://host:8080: %w", baseURL, ErrInvalid)
	}
	if opts != nil && opts.Compress != "" && opts.Compress != Gzip && opts.Compress != Deflate {
		return nil, fmt.Errorf("oip: new client %q: Compress is %q, want gzip or deflate: %w", baseURL, opts.Compress, ErrInvalid)
	}
	c := &Client{base: strings.TrimRight(u.String(), "/")}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.HTTPClient == nil {
		c.opts.HTTPClient = http.DefaultClient
	}
	if c.opts.MaxBody == 0 {
		c.opts.MaxBody = 64 << 20
	}
	return c, nil
}

// Live returns nil when the server process answers.
func (c *Client) Live(ctx context.Context) error {
	return c.probe(ctx, "live", "/v2/health/live")
}

// Ready returns nil when the server takes infer requests, an ErrUnavailable
// when it does not.
func (c *Client) Ready(ctx context.Context) error {
	return c.probe(ctx, "ready", "/v2/health/ready")
}

// ModelReady returns nil when the model answers requests, an ErrNotFound when
// the server does not have it. An empty version is the server's default.
func (c *Client) ModelReady(ctx context.Context, model, version string) error {
	return c.probe(ctx, "model ready", modelPath(model, version)+"/ready")
}

// ServerMetadata returns the server's name, version and extensions.
func (c *Client) ServerMetadata(ctx context.Context) (ServerMetadata, error) {
	var m ServerMetadata
	err := c.get(ctx, "server metadata", "/v2", &m)
	return m, err
}

// ModelMetadata returns the model's signature. An empty version is the
// server's default. It is an ErrNotFound when the server does not have it.
func (c *Client) ModelMetadata(ctx context.Context, model, version string) (ModelMetadata, error) {
	var m ModelMetadata
	err := c.get(ctx, "model metadata", modelPath(model, version), &m)
	return m, err
}

func modelPath(model, version string) string {
	p := "/v2/models/" + url.PathEscape(model)
	if version != "" {
		p += "/versions/" + url.PathEscape(version)
	}
	return p
}

// probe asks a question whose answer is the status.
func (c *Client) probe(ctx context.Context, op, path string) error {
	if _, err := c.do(ctx, http.MethodGet, path, nil); err != nil {
		return fmt.Errorf("oip: %s: %w", op, err)
	}
	return nil
}

// get reads a JSON document.
func (c *Client) get(ctx context.Context, op, path string, v any) error {
	return c.call(ctx, op, http.MethodGet, path, nil, v)
}

// call sends a JSON document, if any, and reads the answer into v unless it is
// nil.
func (c *Client) call(ctx context.Context, op, method, path string, body, v any) error {
	var text []byte
	var err error
	if body != nil {
		if text, err = json.Marshal(body); err != nil {
			return fmt.Errorf("oip: %s: %w: %w", op, err, ErrInvalid)
		}
	}
	text, err = c.do(ctx, method, path, text)
	if err == nil && v != nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("oip: %s: %w", op, err)
	}
	return nil
}

// do sends one request and returns the body of a 200, read to its end so that
// the connection can be used again.
func (c *Client) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	answer, _, err := c.send(req)
	return answer, err
}

// send sends the request and returns the body of a 200 and the length of the
// JSON in it.
func (c *Client) send(req *http.Request) ([]byte, int, error) {
	resp, err := c.opts.HTTPClient.Do(req)
	if err != nil {
		return nil, 0, err
	}
	jsonLength, bad := HeaderLength(resp.Header)
	answer, err := c.read(resp, Lead(jsonLength))
	err = errors.Join(err, resp.Body.Close())
	switch {
	case resp.StatusCode != http.StatusOK:
		return nil, 0, statusError(resp, answer)
	case err != nil:
		return nil, 0, fmt.Errorf("read the answer: %w", err)
	}
	return answer, jsonLength, bad
}

// read reads at most MaxBody bytes of the answer, lead bytes into its memory,
// and refuses one that has more. An encoding that http.Transport has taken off
// by itself is no longer in the header.
func (c *Client) read(resp *http.Response, lead int) ([]byte, error) {
	from, err := Inflate(resp.Body, resp.Header.Get("Content-Encoding"), nil)
	if err != nil {
		return nil, err
	}
	limit := c.opts.MaxBody
	var b bytes.Buffer
	// A known length saves growing, up to a size that is cheap to set aside
	// on a stranger's word.
	b.Grow(int(min(max(resp.ContentLength, 0), max(limit, 0), 1<<20)) + bytes.MinRead + lead)
	b.Write(make([]byte, lead))
	whole := from
	if limit >= 0 {
		whole = io.NopCloser(io.LimitReader(from, limit))
	}
	n, err := b.ReadFrom(whole)
	if err == nil && n == limit {
		var one [1]byte
		if more, _ := io.ReadFull(from, one[:]); more > 0 {
			err = fmt.Errorf("it is larger than ClientOptions.MaxBody, %d bytes", limit)
		}
	}
	return b.Bytes()[lead:], errors.Join(err, from.Close())
}

// StatusError is an answer other than 200.
type StatusError struct {
	// Status is the HTTP status.
	Status int
	// Message is the server's "error" text, else the start of the body.
	Message string
}

// statusError reads the server's words from the body.
func statusError(resp *http.Response, body []byte) *StatusError {
	e := &StatusError{Status: resp.StatusCode}
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &said) == nil && said.Error != "" {
		e.Message = said.Error
		return e
	}
	const most = 512
	e.Message = strings.TrimSpace(strings.ToValidUTF8(string(body[:min(len(body), most)]), "�"))
	return e
}

// Error names the status and the server's words.
func (e *StatusError) Error() string {
	s := fmt.Sprintf("the server answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// Is matches the kind of error that the status stands for.
func (e *StatusError) Is(target error) bool {
	switch e.Status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return target == ErrInvalid
	case http.StatusNotFound:
		return target == ErrNotFound
	case http.StatusTooManyRequests, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return target == ErrUnavailable
	case http.StatusNotImplemented:
		return target == ErrUnsupported
	}
	return false
}
