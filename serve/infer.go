package serve

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/internal/httperr"
	"github.com/millwright-ml/millwright/serve/oip"
)

// infer answers POST …/infer.
func (s *Server) infer(w http.ResponseWriter, r *http.Request, model, version string) {
	start := time.Now()
	// Before the body: it may be large and the model unknown.
	if _, err := s.find(r.Context(), model, version); err != nil {
		s.drop(w, httperr.Status(err), err.Error())
		return
	}
	b := buffers.Get().(*buffer)
	defer b.release()
	q := &request{call: Call{Model: model, Version: version, Header: r.Header, Start: start}}
	defer s.leave(q)
	ctx := s.begin(r.Context(), q)
	in, ok := s.receive(w, r, b, q)
	if !ok {
		return
	}
	resp, n, err := s.transact(ctx, q, b, in)
	s.finish(q, resp, err)
	s.name(w, q)
	if q.exchange.Err != nil {
		s.fail(w, q)
		return
	}
	h := w.Header()
	h["Content-Type"] = jsonType
	if n != oip.JSONOnly {
		h["Content-Type"] = binaryType
		h[oip.HeaderLengthKey] = []string{strconv.Itoa(n)}
	}
	s.send(w, r, b)
}

// receive reads the body of an infer or generate request. It is false when the
// body was refused.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, b *buffer, q *request) (text, bool) {
	in, err := b.receive(r, &s.opts)
	if err == nil {
		q.call.Bytes = int64(len(in.body))
		return in, true
	}
	s.identify(&q.call)
	s.finish(q, nil, err)
	s.name(w, q)
	s.drop(w, q.exchange.Status, q.exchange.Err.Error())
	return text{}, false
}

// transact decodes, computes and encodes. It leaves the answer in b.out, and
// returns it with all outputs, and the length of its JSON where binary tensor
// data follows it.
func (s *Server) transact(ctx context.Context, q *request, b *buffer, in text) (*oip.InferResponse, int, error) {
	c := &q.call
	if err := s.enter(ctx, q); err != nil {
		s.identify(c)
		return nil, 0, err
	}
	begin := time.Now()
	req, err := b.decoder.DecodeRequest(in.body, in.json, &s.limits)
	c.Request = req
	s.identify(c)
	if err != nil {
		return nil, 0, err
	}
	q.split.input = time.Since(begin)
	resp, err := s.compute(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	begin = time.Now()
	sent := *resp
	if sent.Outputs, err = toSend(c.Request, resp); err != nil {
		return nil, 0, err
	}
	n := 0
	if b.out, n, err = oip.AppendBinaryResponse(b.out[:0], &sent); err != nil {
		return nil, 0, fmt.Errorf("the model's answer cannot be sent: %v", err)
	}
	q.split.output, q.out = time.Since(begin), int64(len(b.out))
	return resp, n, nil
}

// toSend returns the outputs to send, each in the form that was asked for.
func toSend(req *oip.InferRequest, resp *oip.InferResponse) ([]oip.Tensor, error) {
	list := resp.Outputs
	switch {
	case len(req.Outputs) > 0:
		list = requested(req, resp)
		for i := range list {
			list[i].Binary = req.Outputs[i].Binary
		}
	case slices.ContainsFunc(list, func(t oip.Tensor) bool { return t.Binary != req.BinaryOutput }):
		// A model may hand an input on, which says how it came.
		list = append([]oip.Tensor(nil), list...)
		for i := range list {
			list[i].Binary = req.BinaryOutput
		}
	}
	for i := range list {
		if t := &list[i]; !t.Binary && !t.Datatype.HasJSON() {
			return nil, fmt.Errorf("output %q is %s, which JSON cannot carry, ask for it as binary data: %w", t.Name, t.Datatype, ErrInvalid)
		}
	}
	return list, nil
}

// name says in the header who answered.
func (s *Server) name(w http.ResponseWriter, q *request) {
	q.id[0] = q.call.RequestID
	h := w.Header()
	h["Millwright-Request-Id"] = q.id[:]
	v := q.v
	if v == nil {
		return
	}
	h["Millwright-Model"] = v.header
	if v.digests != nil {
		h["Millwright-Digest"] = v.digests
	}
	if q.call.Variant != "" {
		h["Millwright-Variant"] = []string{q.call.Variant}
	}
}

// fail answers a request that has failed.
func (s *Server) fail(w http.ResponseWriter, q *request) {
	x := &q.exchange
	status := x.Status
	if e, ok := errors.AsType[*OverloadError](x.Err); ok {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	if status >= http.StatusInternalServerError {
		s.opts.Logger.Error("serve: infer", "model", x.Model, "version", x.Version, "request", x.RequestID, "status", status, "error", x.Err)
	}
	s.refuse(w, status, x.Err.Error())
}

// send writes the answer in b.out, compressed where that was asked for.
func (s *Server) send(w http.ResponseWriter, r *http.Request, b *buffer) {
	h, out := w.Header(), b.out
	if s.opts.Compress > 0 && len(out) >= s.opts.Compress {
		h.Add("Vary", "Accept-Encoding")
		if enc := oip.AcceptedEncoding(r.Header.Get("Accept-Encoding")); enc != "" {
			packed, err := oip.Compress(b.packed[:0], out, enc)
			if err == nil {
				b.packed, out = packed, packed
				h.Set("Content-Encoding", enc)
			}
		}
	}
	// Up to 2 KiB net/http finds the length by itself.
	if len(out) > 2<<10 {
		h["Content-Length"] = []string{strconv.Itoa(len(out))}
	}
	// The client may be gone: there is nobody left to tell.
	_, _ = w.Write(out)
}

// drop refuses a request whose body was not read to its end. After a body that
// is too large the connection is closed, so that the rest need not be read to
// find the next request; short rests are read by net/http.
func (s *Server) drop(w http.ResponseWriter, status int, text string) {
	if status == http.StatusRequestEntityTooLarge {
		w.Header().Set("Connection", "close")
	}
	s.refuse(w, status, text)
}

// generate answers POST …/generate, and …/generate_stream with events.
func (s *Server) generate(w http.ResponseWriter, r *http.Request, model, version string, stream bool) {
	start := time.Now()
	v, err := s.find(r.Context(), model, version)
	if err != nil {
		s.drop(w, httperr.Status(err), err.Error())
		return
	}
	b := buffers.Get().(*buffer)
	defer b.release()
	q := &request{call: Call{Model: model, Version: version, Header: r.Header, Start: start}}
	defer s.leave(q)
	ctx := s.begin(r.Context(), q)
	in, ok := s.receive(w, r, b, q)
	if !ok {
		return
	}
	err = s.enter(ctx, q)
	if err == nil {
		q.call.Request, err = oip.DecodeGenerate(in.body, v.inputs.list, &s.limits)
	}
	s.identify(&q.call)
	events := oip.NewEvents(w)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if stream {
		q.stream = func(ctx context.Context) (*oip.InferResponse, error) {
			return s.parts(ctx, q, func(part *oip.InferResponse) bool {
				if !events.Started() {
					s.name(w, q)
				}
				if b.out, err = oip.AppendGenerated(b.out[:0], part); err == nil {
					q.out += int64(len(b.out))
					err = events.Send(b.out)
				}
				return err == nil
			})
		}
	}
	var resp *oip.InferResponse
	if err == nil {
		resp, err = s.compute(ctx, q)
	}
	if err == nil && !stream {
		sent := *resp
		sent.Outputs = requested(q.call.Request, resp)
		if b.out, err = oip.AppendGenerated(b.out[:0], &sent); err != nil {
			err = fmt.Errorf("the model's answer cannot be sent: %v", err)
		}
		q.out = int64(len(b.out))
	}
	s.finish(q, resp, err)
	switch {
	case q.exchange.Err != nil && events.Started():
		// The status is gone: the error is the last event.
		_ = events.Send(errorText(q.exchange.Err.Error()))
	case q.exchange.Err != nil:
		s.name(w, q)
		s.fail(w, q)
	case !stream:
		s.name(w, q)
		w.Header()["Content-Type"] = jsonType
		s.send(w, r, b)
	case !events.Started():
		// A stream without parts.
		s.name(w, q)
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
	}
}
