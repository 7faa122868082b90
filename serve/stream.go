package serve

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/millwright-ml/millwright/serve/oip"
)

// Stream answers a request in parts, with the checks, limits, routing,
// middleware and observers of Do. A model that is no Streamer answers in one
// part. An error, if any, is the last element. c is filled in as by Do, the
// version before the first part. Leaving the loop ends the model's context.
// Observers are told at the end of the loop.
func (s *Server) Stream(ctx context.Context, c *Call) iter.Seq2[*oip.InferResponse, error] {
	return func(yield func(*oip.InferResponse, error) bool) {
		ctx, q, err := s.admit(ctx, c)
		if err != nil {
			yield(nil, err)
			return
		}
		defer s.leave(q)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		left := false
		q.stream = func(ctx context.Context) (*oip.InferResponse, error) {
			*c = q.call
			c.state = nil
			return s.parts(ctx, q, func(part *oip.InferResponse) bool {
				left = left || !yield(part, nil)
				return !left
			})
		}
		last, err := s.compute(ctx, q)
		s.finish(q, last, err)
		*c = q.call
		c.state = nil
		if err != nil && !left {
			yield(nil, q.exchange.Err)
		}
	}
}

// parts runs the model for a stream, checks each part and hands it on. It
// returns the last one.
func (s *Server) parts(ctx context.Context, q *request, yield func(*oip.InferResponse) bool) (*oip.InferResponse, error) {
	m, ok := q.v.model.(Streamer)
	if !ok {
		resp := &q.response
		resp.Outputs = q.outputs[:0]
		if err := s.execute(ctx, q, q.call.Request, resp); err != nil {
			return nil, err
		}
		if err := q.v.checkResponse(q.call.Request, resp, q.rows); err != nil {
			return nil, &badAnswer{err}
		}
		s.part(q, resp, yield)
		return resp, nil
	}
	start := time.Now()
	last, err := s.pump(ctx, m, q, yield)
	q.split.infer = time.Since(start)
	q.v.count.execution(max(q.rows, 1), q.split.infer)
	return last, err
}

// pump runs a Streamer and contains its panics.
func (s *Server) pump(ctx context.Context, m Streamer, q *request, yield func(*oip.InferResponse) bool) (last *oip.InferResponse, err error) {
	defer s.contain(q.v, &err)
	for part, err := range m.Stream(ctx, q.call.Request) {
		if err != nil {
			return nil, ended(ctx, err)
		}
		if part == nil {
			return nil, errors.New("the model's stream has a part that is nil")
		}
		if err := q.v.checkPart(part); err != nil {
			return nil, fmt.Errorf("a part of the model's answer does not have its signature: %v", err)
		}
		last = part
		if !s.part(q, part, yield) {
			return nil, fmt.Errorf("the reader has left the stream: %w", context.Canceled)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("the stream ended early: %w", err)
	}
	return last, nil
}

// part names a part and hands on what of it was asked for.
func (s *Server) part(q *request, part *oip.InferResponse, yield func(*oip.InferResponse) bool) bool {
	part.ModelName, part.ModelVersion, part.ID = q.v.name, q.v.version, q.call.RequestID
	if len(q.call.Request.Outputs) == 0 {
		return yield(part)
	}
	sent := *part
	sent.Outputs = nil
	for _, o := range q.call.Request.Outputs {
		// A part need not have every output.
		if t := part.Output(o.Name); t != nil {
			sent.Outputs = append(sent.Outputs, *t)
		}
	}
	return yield(&sent)
}

// checkPart compares the outputs of a part with the signature, without the
// number of rows.
func (v *deployed) checkPart(part *oip.InferResponse) error {
	var f faults
	for i := range part.Outputs {
		c := comparison{side: "output", want: &v.outputs, rows: noRows, rowsOf: -1, some: true}
		c.compare(&f, part.Outputs[i:i+1])
	}
	return f.err()
}
