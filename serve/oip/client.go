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
}

// NewClient returns a client of the server at baseURL, "http://host:port" with
// the prefix that the server is mounted under, if any: requests go to
// baseURL/v2/…. It does not connect. The error is an ErrInvalid.
func NewClient(baseURL string, opts *ClientOptions) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("oip: new client %q: want a base URL such as http://host:8080: %w", baseURL, ErrInvalid)
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

// Infer sends the request and returns the answer, whose tensors have passed
// Check. An empty version is the server's default. A request that the server
// refuses is an ErrInvalid with the server's words, an unknown model or
// version an ErrNotFound.
func (c *Client) Infer(ctx context.Context, model, version string, req *InferRequest) (*InferResponse, error) {
	fail := func(err error) (*InferResponse, error) {
		return nil, fmt.Errorf("oip: infer %q: %w", model, err)
	}
	body, _, err := appendRequest(nil, req, allJSON, "encode the request")
	if err != nil {
		return fail(err)
	}
	answer, err := c.do(ctx, http.MethodPost, modelPath(model, version)+"/infer", body)
	if err != nil {
		return fail(err)
	}
	resp, err := decodeResponse(answer, JSONOnly, c.opts.Limits, "decode the answer")
	if err != nil {
		return fail(err)
	}
	for i := range resp.Outputs {
		t := &resp.Outputs[i]
		if err := t.Check(); err != nil {
			return fail(fmt.Errorf("the answer's output %q: %w", t.Name, err))
		}
	}
	return resp, nil
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
	body, err := c.do(ctx, http.MethodGet, path, nil)
	if err == nil {
		err = json.Unmarshal(body, v)
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
	resp, err := c.opts.HTTPClient.Do(req)
	if err != nil {
		return nil, err
	}
	answer, err := readBody(resp, c.opts.MaxBody)
	err = errors.Join(err, resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp, answer)
	}
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return answer, nil
}

// readBody reads at most limit bytes, and refuses a body that has more.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	if limit < 0 {
		return io.ReadAll(resp.Body)
	}
	var b bytes.Buffer
	// A known length saves growing, up to a size that is cheap to set aside
	// on a stranger's word.
	b.Grow(int(min(max(resp.ContentLength, 0), limit, 1<<20)) + bytes.MinRead)
	n, err := b.ReadFrom(io.LimitReader(resp.Body, limit))
	if err == nil && n == limit {
		var one [1]byte
		if more, _ := io.ReadFull(resp.Body, one[:]); more > 0 {
			return nil, fmt.Errorf("it is larger than ClientOptions.MaxBody, %d bytes", limit)
		}
	}
	return b.Bytes(), err
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
