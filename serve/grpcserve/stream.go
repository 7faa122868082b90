package grpcserve

import (
	"errors"
	"io"
	"maps"

	"google.golang.org/grpc"

	"github.com/millwright-ml/millwright/serve/oip"
)

// streamInfer answers ModelStreamInfer: one request after the other, each with
// the answers that the model gives it, in their order. What is wrong with one
// request is an answer to it and leaves the stream open, as with Triton. Requests
// that are to run side by side, or in one batch, belong on streams of their own
// or into ModelInfer.
func (h *handler) streamInfer(stream grpc.ServerStream) error {
	for {
		var c *inferCall
		var fault error
		in := &message{read: func(b []byte) error {
			c, fault = readInfer(b, h.opts.Limits)
			return nil
		}}
		if err := stream.RecvMsg(in); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if fault != nil {
			if err := send(stream, fault, nil); err != nil {
				return err
			}
			continue
		}
		if err := h.streamOne(stream, c); err != nil {
			return err
		}
	}
}

// streamOne answers one request. It returns the error that ends the stream.
func (h *handler) streamOne(stream grpc.ServerStream, c *inferCall) error {
	ctx := stream.Context()
	final, _ := c.request.Parameters[emptyFinal].(bool)
	call := c.call(ctx)
	for resp, fault := range h.server.Stream(ctx, call) {
		var text []byte
		if fault == nil && final {
			marked := *resp
			marked.Parameters = mark(resp.Parameters, false)
			text, fault = appendResponse(nil, &marked, c.raw)
		} else if fault == nil {
			text, fault = appendResponse(nil, resp, c.raw)
		}
		if err := send(stream, fault, text); err != nil {
			return err
		}
		if fault != nil {
			return nil
		}
	}
	if err := ctx.Err(); err != nil || !final {
		return err
	}
	text, err := appendResponse(nil, &oip.InferResponse{
		ModelName: call.Model, ModelVersion: call.Version, ID: call.RequestID, Parameters: mark(nil, true),
	}, true)
	return send(stream, err, text)
}

// mark returns the parameters with the mark of the last answer.
func mark(m map[string]any, last bool) map[string]any {
	m = maps.Clone(m)
	if m == nil {
		m = make(map[string]any, 1)
	}
	m[finalResponse] = last
	return m
}

func send(stream grpc.ServerStream, fault error, text []byte) error {
	return stream.SendMsg(&message{text: appendStreamed(fault, text)})
}
