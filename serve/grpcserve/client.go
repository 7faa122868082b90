package grpcserve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"google.golang.org/grpc"

	"github.com/millwright-ml/millwright/serve/oip"
)

// Client calls a server of the protocol over gRPC, ours or another's (Triton,
// KServe, MLServer), with the methods of oip.Client. It is a plain value, safe
// for concurrent use; the connection is the caller's.
type Client struct {
	conn grpc.ClientConnInterface
	opts ClientOptions
}

// ClientOptions tune a Client. Nil means the defaults.
type ClientOptions struct {
	// Limits bound the tensors of an answer, beside gRPC's own limit on the
	// size of a message (grpc.MaxCallRecvMsgSize). Default: those of
	// oip.Limits.
	Limits *oip.Limits
	// Contents sends tensors as typed contents instead of raw bytes, which
	// are faster and have all datatypes. Default: raw bytes.
	Contents bool
	// CallOptions are passed with each call.
	CallOptions []grpc.CallOption
}

// NewClient returns a client over conn, for example of grpc.NewClient.
func NewClient(conn grpc.ClientConnInterface, opts *ClientOptions) *Client {
	c := &Client{conn: conn}
	if opts != nil {
		c.opts = *opts
	}
	return c
}

// call sends one message and reads the answer.
func (c *Client) call(ctx context.Context, op, method string, text []byte, read func([]byte) error) error {
	var fault error
	out := &message{read: func(b []byte) error {
		fault = read(b)
		return nil
	}}
	err := c.conn.Invoke(ctx, "/"+ServiceName+"/"+method, &message{text: text}, out, c.opts.CallOptions...)
	if err != nil {
		return fromStatus(op, err)
	}
	if fault != nil {
		return fmt.Errorf("grpcserve: %s: the answer: %w: %w", op, fault, ErrInvalid)
	}
	return nil
}

// probe asks a question whose answer is a bool.
func (c *Client) probe(ctx context.Context, op, method string, text []byte) error {
	var on flag
	if err := c.call(ctx, op, method, text, on.read); err != nil {
		return err
	}
	if !on {
		return fmt.Errorf("grpcserve: %s: the server says no: %w", op, ErrUnavailable)
	}
	return nil
}

// Live returns nil when the server process answers.
func (c *Client) Live(ctx context.Context) error { return c.probe(ctx, "live", "ServerLive", nil) }

// Ready returns nil when the server takes infer requests, an ErrUnavailable
// when it does not.
func (c *Client) Ready(ctx context.Context) error { return c.probe(ctx, "ready", "ServerReady", nil) }

// ModelReady returns nil when the model answers requests, an ErrUnavailable, or
// with some servers an ErrNotFound, when it does not. An empty version is the
// server's default.
func (c *Client) ModelReady(ctx context.Context, model, version string) error {
	n := named{model, version}
	return c.probe(ctx, fmt.Sprintf("model ready %q", model), "ModelReady", n.append(nil))
}

// ServerMetadata returns the server's name, version and extensions.
func (c *Client) ServerMetadata(ctx context.Context) (m oip.ServerMetadata, err error) {
	err = c.call(ctx, "server metadata", "ServerMetadata", nil, func(b []byte) error { return readServer(b, &m) })
	return m, err
}

// ModelMetadata returns the model's signature. An empty version is the
// server's default. It is an ErrNotFound when the server does not have it.
func (c *Client) ModelMetadata(ctx context.Context, model, version string) (m oip.ModelMetadata, err error) {
	n := named{model, version}
	err = c.call(ctx, fmt.Sprintf("model metadata %q", model), "ModelMetadata", n.append(nil), func(b []byte) error { return readModel(b, &m) })
	return m, err
}

// Infer sends the request and returns the answer, whose tensors have passed
// Check. An empty version is the server's default.
func (c *Client) Infer(ctx context.Context, model, version string, req *oip.InferRequest) (*oip.InferResponse, error) {
	op := fmt.Sprintf("infer %q", model)
	text, err := appendRequest(nil, model, version, req, !c.opts.Contents)
	if err != nil {
		return nil, fmt.Errorf("grpcserve: %s: %w", op, err)
	}
	var resp *oip.InferResponse
	err = c.call(ctx, op, "ModelInfer", text, func(b []byte) (err error) {
		resp, err = c.readResponse(b)
		return err
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// readResponse reads a response and checks its tensors.
func (c *Client) readResponse(b []byte) (*oip.InferResponse, error) {
	resp, err := readResponse(b, c.opts.Limits)
	if err != nil {
		return nil, err
	}
	for i := range resp.Outputs {
		t := &resp.Outputs[i]
		if err := t.Check(); err != nil {
			return nil, fmt.Errorf("output %q: %w", t.Name, err)
		}
	}
	return resp, nil
}

// InferStream sends one request and returns the answers that the model gives to
// it. The request is sent when the loop begins, and the stream ends with it. An
// error is the last thing that comes; the server's words about the request are
// an ErrInvalid, as gRPC gives them no code.
func (c *Client) InferStream(ctx context.Context, model, version string, req *oip.InferRequest) iter.Seq2[*oip.InferResponse, error] {
	return func(yield func(*oip.InferResponse, error) bool) {
		op := fmt.Sprintf("infer stream %q", model)
		text, err := appendRequest(nil, model, version, req, !c.opts.Contents)
		if err != nil {
			yield(nil, fmt.Errorf("grpcserve: %s: %w", op, err))
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		desc := &grpc.StreamDesc{StreamName: "ModelStreamInfer", ServerStreams: true, ClientStreams: true}
		stream, err := c.conn.NewStream(ctx, desc, "/"+ServiceName+"/ModelStreamInfer", c.opts.CallOptions...)
		if err == nil {
			err = stream.SendMsg(&message{text: text})
		}
		if err == nil || errors.Is(err, io.EOF) {
			err = stream.CloseSend()
		}
		for err == nil {
			var resp *oip.InferResponse
			var fault error
			in := &message{read: func(b []byte) error {
				resp, fault = c.readStreamed(b)
				return nil
			}}
			if err = stream.RecvMsg(in); err != nil {
				break
			}
			if fault != nil {
				yield(nil, fmt.Errorf("grpcserve: %s: %w", op, fault))
				return
			}
			if resp != nil && !yield(resp, nil) {
				return
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			yield(nil, fromStatus(op, err))
		}
	}
}

// readStreamed reads a ModelStreamInferResponse.
func (c *Client) readStreamed(b []byte) (*oip.InferResponse, error) {
	var said string
	var resp *oip.InferResponse
	err := fields(b, func(f *field) error {
		switch f.num {
		case 1:
			return f.text(&said)
		case 2:
			var err error
			resp, err = c.readResponse(f.bytes)
			return err
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("an answer: %w: %w", err, ErrInvalid)
	case said != "":
		return nil, fmt.Errorf("the server says: %s: %w", said, ErrInvalid)
	}
	return resp, nil
}

// RepositoryIndex lists the versions in the server's repository, only those
// that answer now when ready is set.
func (c *Client) RepositoryIndex(ctx context.Context, ready bool) (list []oip.ModelIndex, err error) {
	err = c.call(ctx, "repository index", "RepositoryIndex", appendFlag(nil, 2, ready), func(b []byte) error { return readIndex(b, &list) })
	return list, err
}

// Load asks the server to load the model, or to load it again. req may be nil.
func (c *Client) Load(ctx context.Context, model string, req *oip.LoadRequest) error {
	m := change{model: model}
	if req != nil {
		m.parameters = req.Parameters
	}
	return c.change(ctx, fmt.Sprintf("load %q", model), "RepositoryModelLoad", &m)
}

// Unload asks the server to unload the model. req may be nil.
func (c *Client) Unload(ctx context.Context, model string, req *oip.UnloadRequest) error {
	m := change{model: model}
	if req != nil {
		m.parameters = req.Parameters
	}
	return c.change(ctx, fmt.Sprintf("unload %q", model), "RepositoryModelUnload", &m)
}

func (c *Client) change(ctx context.Context, op, method string, m *change) error {
	text, err := m.append(nil)
	if err != nil {
		return fmt.Errorf("grpcserve: %s: %w", op, err)
	}
	return c.call(ctx, op, method, text, nothing)
}

// Statistics returns what the model has done: all models for an empty name, all
// versions for an empty version.
func (c *Client) Statistics(ctx context.Context, model, version string) (s oip.Statistics, err error) {
	n := named{model, version}
	err = c.call(ctx, "statistics", "ModelStatistics", n.append(nil), func(b []byte) error { return readStatistics(b, &s) })
	return s, err
}

// ModelConfig returns the model's configuration. An empty version is the
// server's default.
func (c *Client) ModelConfig(ctx context.Context, model, version string) (m oip.ModelConfig, err error) {
	n := named{model, version}
	err = c.call(ctx, fmt.Sprintf("model config %q", model), "ModelConfig", n.append(nil), func(b []byte) error { return readConfig(b, &m) })
	return m, err
}
