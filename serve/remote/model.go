package remote

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// Options say how to reach a model on another server. Nil means the defaults.
type Options struct {
	// Model is the model's name there; required.
	Model string
	// Version is the version there. Default: the server's default one.
	Version string
	// Signature is what the model takes and gives. Default: the server is asked
	// for its metadata, which must then name inputs and outputs.
	Signature *serve.Signature
	// Encoding is how tensors travel: Binary or JSON. Default Auto: as binary
	// data where the server lists that extension.
	Encoding Encoding
	// Compress is the content encoding of requests and answers, "gzip" or
	// "deflate". Default none.
	Compress string
	// Connect is the longest time to get a connection, with its TLS. Default
	// 5 s.
	Connect time.Duration
	// Stall is the longest time without a byte: until an answer begins, and
	// between its parts. Default 30 s; -1 is off. A request ends with its
	// context in any case.
	Stall time.Duration
	// Retries is how many times more a request is sent when the connection
	// could not be made, or ended before the first byte of an answer. The
	// server may have computed it by then: a model is asked the same thing
	// again, which it should bear. Default 2; -1 is off. An answer, of whatever
	// status, is never asked for again.
	Retries int
	// Backoff is the time before the first retry, twice as long before each
	// further one, with chance in it. Default 20 ms.
	Backoff time.Duration
	// Failures in a row, without any answer, after which requests fail at once
	// for the time of Cooldown, so that a server that is down is not waited for
	// by each. Then one request tries it. Default 5; -1 is off.
	Failures int
	// Cooldown is that time. Default 1 s.
	Cooldown time.Duration
	// TLS is for https. Default: the system's certificates.
	TLS *tls.Config
	// Header is sent with each request: an API key, a host name.
	Header http.Header
	// Socket is the path of a Unix socket to connect to, whatever the URL's
	// host says. Default none.
	Socket string
	// Connections is the most connections that are kept open while idle.
	// Default 64.
	Connections int
	// MaxBody is the most bytes of an answer. Default 64 MiB; -1 is off.
	MaxBody int64
}

// Encoding is how tensors travel.
type Encoding string

// The encodings.
const (
	Auto   Encoding = ""
	Binary Encoding = "binary"
	JSON   Encoding = "json"
)

// Model is a serve.Model that a server of the Open Inference Protocol computes:
// Triton, KServe, MLServer, another Server. Make it with Dial.
type Model struct {
	client    *oip.Client
	transport *transport
	opts      Options
	signature serve.Signature
}

// Dial returns the model on the server at baseURL, "http://host:port". It asks
// the server for the model's metadata, unless Options.Signature and
// Options.Encoding say all there is to know; then it does not connect.
//
// Errors: ErrInvalid for options that are wrong, or a server whose metadata has
// no signature; ErrUnavailable when it cannot be reached or does not have the
// model.
func Dial(ctx context.Context, baseURL string, opts *Options) (*Model, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Connect = cmp.Or(o.Connect, 5*time.Second)
	o.Stall = cmp.Or(o.Stall, 30*time.Second)
	o.Retries = cmp.Or(o.Retries, 2)
	o.Backoff = cmp.Or(o.Backoff, 20*time.Millisecond)
	o.Failures = cmp.Or(o.Failures, 5)
	o.Cooldown = cmp.Or(o.Cooldown, time.Second)
	o.Connections = cmp.Or(o.Connections, 64)
	var f errs.Faults
	f.Check(o.Model != "", "Model is empty: say which one of the server's")
	f.Check(o.Encoding == Auto || o.Encoding == Binary || o.Encoding == JSON, "Encoding is %q, want binary or json", o.Encoding)
	f.Check(o.Connect > 0 && o.Backoff > 0 && o.Cooldown > 0, "Connect %v, Backoff %v and Cooldown %v are to be above 0", o.Connect, o.Backoff, o.Cooldown)
	f.Check(o.Stall >= -1 && o.Retries >= -1 && o.Failures >= -1 && o.Connections > 0, "Stall %v, Retries %d and Failures %d are to be above 0, or -1; Connections %d above 0", o.Stall, o.Retries, o.Failures, o.Connections)
	subject := fmt.Sprintf("remote: dial %q", baseURL)
	if err := f.Err(subject); err != nil {
		return nil, err
	}
	m := &Model{opts: o, transport: newTransport(&o)}
	if err := m.connect(ctx, baseURL); err != nil {
		m.transport.close()
		return nil, fmt.Errorf("%s: model %q: %w", subject, o.Model, err)
	}
	return m, nil
}

// connect learns what the options do not say.
func (m *Model) connect(ctx context.Context, baseURL string) error {
	client := func(binary bool) (*oip.Client, error) {
		return oip.NewClient(baseURL, &oip.ClientOptions{
			HTTPClient: &http.Client{Transport: m.transport}, MaxBody: m.opts.MaxBody, Binary: binary, Compress: m.opts.Compress,
		})
	}
	c, err := client(m.opts.Encoding == Binary)
	if err != nil {
		return err
	}
	if m.opts.Encoding == Auto {
		meta, err := c.ServerMetadata(ctx)
		if err != nil {
			return kind(ctx, err)
		}
		if slices.Contains(meta.Extensions, "binary_tensor_data") {
			if c, err = client(true); err != nil {
				return err
			}
		}
	}
	m.client = c
	if m.opts.Signature != nil {
		m.signature = *m.opts.Signature
		return nil
	}
	meta, err := c.ModelMetadata(ctx, m.opts.Model, m.opts.Version)
	if err != nil {
		return kind(ctx, err)
	}
	if len(meta.Inputs) == 0 || len(meta.Outputs) == 0 {
		return fmt.Errorf("its metadata has %d inputs and %d outputs, say them in Options.Signature: %w", len(meta.Inputs), len(meta.Outputs), ErrInvalid)
	}
	m.signature = serve.Signature{Inputs: meta.Inputs, Outputs: meta.Outputs}
	return nil
}

// Signature implements serve.Model.
func (m *Model) Signature() serve.Signature { return m.signature }

// Warm implements serve.Warmer: the model must be ready before its first
// request.
func (m *Model) Warm(ctx context.Context) error { return m.Ready(ctx) }

// Ready returns nil when the model answers requests there.
func (m *Model) Ready(ctx context.Context) error {
	if err := m.client.ModelReady(ctx, m.opts.Model, m.opts.Version); err != nil {
		return fmt.Errorf("remote: %w", kind(ctx, err))
	}
	return nil
}

// Infer implements serve.Model.
func (m *Model) Infer(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	// The server has made a response's id its own; Triton refuses some of the
	// parameters that a request to us may have, so that all are left out.
	sent := oip.InferRequest{ID: req.ID, Inputs: slices.Clone(req.Inputs), Outputs: req.Outputs}
	for i := range sent.Inputs {
		sent.Inputs[i].Parameters = nil
	}
	got, err := m.client.Infer(ctx, m.opts.Model, m.opts.Version, &sent)
	if err != nil {
		return fmt.Errorf("remote: %w", kind(ctx, err))
	}
	for i := range got.Outputs {
		t := &got.Outputs[i]
		if slices.ContainsFunc(m.signature.Outputs, func(o oip.TensorMetadata) bool { return o.Name == t.Name }) {
			t.Parameters = nil
			resp.Outputs = append(resp.Outputs, *t)
		}
	}
	return nil
}

// Close implements serve.Model: it closes the connections.
func (m *Model) Close() error {
	m.transport.close()
	return nil
}

// kind gives an error of the other side the kind that it is here: what is wrong
// there must not read as a fault of the client's.
func kind(ctx context.Context, err error) error {
	if over := ctx.Err(); over != nil {
		if errors.Is(err, over) {
			return err
		}
		return fmt.Errorf("%v: %w", err, over)
	}
	status, answered := errors.AsType[*oip.StatusError](err)
	switch {
	case !answered:
		if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrClosed) {
			return err
		}
		// An answer that is no message of the protocol's, a connection that
		// broke off in it.
		return errors.New(err.Error())
	case status.Status == http.StatusNotFound:
		return fmt.Errorf("%v: %w", err, ErrUnavailable)
	case status.Is(ErrInvalid), status.Is(ErrUnavailable), status.Is(ErrUnsupported):
		return err
	}
	return errors.New(err.Error())
}
