package oip

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
)

// Infer sends the request and returns the answer, whose tensors have passed
// Check. An empty version is the server's default. A request that the server
// refuses is an ErrInvalid with the server's words, an unknown model or
// version an ErrNotFound.
func (c *Client) Infer(ctx context.Context, model, version string, req *InferRequest) (*InferResponse, error) {
	fail := func(err error) (*InferResponse, error) {
		return nil, fmt.Errorf("oip: infer %q: %w", model, err)
	}
	r, err := c.inferRequest(ctx, modelPath(model, version)+"/infer", req)
	if err != nil {
		return fail(err)
	}
	answer, jsonLength, err := c.send(r)
	if err != nil {
		return fail(err)
	}
	if err := checkLength("decode the answer", answer, jsonLength); err != nil {
		return fail(err)
	}
	resp, err := decodeResponse(answer, jsonLength, c.opts.Limits, "decode the answer")
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

// inferRequest encodes the request as the options say.
func (c *Client) inferRequest(ctx context.Context, path string, req *InferRequest) (*http.Request, error) {
	f := asMarked
	if c.opts.Binary {
		f = allBinary
	}
	body, jsonLength, err := appendRequest(nil, req, f, "encode the request")
	if err != nil {
		return nil, err
	}
	if c.opts.Compress != "" {
		if body, err = Compress(nil, body, c.opts.Compress); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if jsonLength != JSONOnly {
		r.Header.Set("Content-Type", BinaryType)
		r.Header.Set(HeaderLengthKey, strconv.Itoa(jsonLength))
	}
	if c.opts.Compress != "" {
		r.Header.Set("Content-Encoding", c.opts.Compress)
		r.Header.Set("Accept-Encoding", c.opts.Compress)
	}
	return r, nil
}
