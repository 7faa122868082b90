package serve

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/internal/httperr"
	"github.com/millwright-ml/millwright/serve/oip"
)

// infer answers POST …/infer.
func (s *Server) infer(w http.ResponseWriter, r *http.Request, model, version string) {
	start := time.Now()
	// Before the body: it may be large and the model unknown.
	if _, err := s.lookup(model, version); err != nil {
		s.drop(w, httperr.Status(err), err.Error())
		return
	}
	if status, text := unreadable(r); status != 0 {
		s.drop(w, status, text)
		return
	}
	b := buffers.Get().(*buffer)
	defer b.release()
	var err error
	if b.in, err = readBody(b.in, r, s.opts.MaxBody); err != nil {
		s.drop(w, httperr.Status(err), fmt.Sprintf("serve: infer %q: %v", model, err))
		return
	}
	q := &request{call: Call{Model: model, Version: version, Header: r.Header, Start: start}}
	defer s.leave(q)
	resp, err := s.transact(r.Context(), q, b)
	s.finish(q, resp, err)

	x := &q.exchange
	q.id[0] = x.RequestID
	h := w.Header()
	h["Millwright-Request-Id"] = q.id[:]
	if v := q.v; v != nil {
		h["Millwright-Model"] = v.header
		if v.digests != nil {
			h["Millwright-Digest"] = v.digests
		}
		if x.Variant != "" {
			h["Millwright-Variant"] = []string{x.Variant}
		}
	}
	if x.Err != nil {
		status := httperr.Status(x.Err)
		if status >= http.StatusInternalServerError {
			s.opts.Logger.Error("serve: infer", "model", x.Model, "version", x.Version, "request", x.RequestID, "status", status, "error", x.Err)
		}
		s.refuse(w, status, x.Err.Error())
		return
	}
	h["Content-Type"] = jsonType
	// Up to 2 KiB net/http finds the length by itself.
	if len(b.out) > 2<<10 {
		h["Content-Length"] = []string{strconv.Itoa(len(b.out))}
	}
	// The client may be gone: there is nobody left to tell.
	_, _ = w.Write(b.out)
}

// transact decodes, computes and encodes. It leaves the answer in b.out, and
// returns it with all outputs.
func (s *Server) transact(ctx context.Context, q *request, b *buffer) (*oip.InferResponse, error) {
	c := &q.call
	if s.opts.Tenant != nil {
		c.Tenant = s.opts.Tenant(c)
	}
	begin := time.Now()
	req, err := oip.DecodeRequest(b.in, &s.limits)
	c.Request = req
	s.identify(c)
	if err != nil {
		return nil, err
	}
	q.split.input = time.Since(begin)
	resp, err := s.compute(ctx, q)
	if err != nil {
		return nil, err
	}
	sent := *resp
	sent.Outputs = requested(c.Request, resp)
	begin = time.Now()
	if b.out, err = oip.AppendResponse(b.out[:0], &sent); err != nil {
		return nil, fmt.Errorf("the model's answer cannot be sent: %v", err)
	}
	q.split.output = time.Since(begin)
	return resp, nil
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

// unreadable refuses the forms of body that this server does not take, before
// they would read as broken JSON.
func unreadable(r *http.Request) (status int, text string) {
	if enc := r.Header["Content-Encoding"]; len(enc) > 0 && enc[0] != "" && enc[0] != "identity" {
		return http.StatusUnsupportedMediaType, fmt.Sprintf("serve: the body has Content-Encoding %.40q, send it uncompressed: invalid", enc[0])
	}
	if len(r.Header["Inference-Header-Content-Length"]) > 0 {
		return http.StatusBadRequest, "serve: the body has binary tensor data, an extension that this server does not list, send the data as JSON: invalid"
	}
	return 0, ""
}
