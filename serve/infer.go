package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/internal/httperr"
	"github.com/millwright-ml/millwright/serve/oip"
)

// request is all that one infer request needs beside its tensors, in one
// allocation.
type request struct {
	exchange Exchange
	response oip.InferResponse
	outputs  [2]oip.Tensor
	id       [1]string // The value of Millwright-Request-Id.
}

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
	// After the body: a slow sender must not keep a replaced model alive.
	v, err := s.acquire(model, version)
	if err != nil {
		s.refuse(w, httperr.Status(err), err.Error())
		return
	}
	defer s.release(v)

	q := &request{exchange: Exchange{Model: v.name, Version: v.version, Start: start, Labels: v.labels}}
	x := &q.exchange
	err = s.compute(r.Context(), v, q, b)
	if err != nil {
		x.Err = fmt.Errorf("serve: infer %q version %q: %w", v.name, v.version, err)
		x.Response = nil
	}
	x.Duration = time.Since(start)
	s.observe(x)

	q.id[0] = x.RequestID
	h := w.Header()
	h["Millwright-Request-Id"] = q.id[:]
	h["Millwright-Model"] = v.header
	if x.Err != nil {
		status := httperr.Status(x.Err)
		if status >= http.StatusInternalServerError {
			s.opts.Logger.Error("serve: infer", "model", v.name, "version", v.version, "request", x.RequestID, "status", status, "error", x.Err)
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

// compute decodes, checks, infers, checks and encodes. It fills the exchange as
// far as it gets, and leaves the answer in b.out.
func (s *Server) compute(ctx context.Context, v *deployed, q *request, b *buffer) error {
	x := &q.exchange
	req, err := oip.DecodeRequest(b.in, &s.limits)
	if err != nil {
		x.RequestID = s.opts.NewID()
		return err
	}
	x.Request = req
	rows, err := v.checkRequest(req)
	if x.RequestID = req.ID; req.ID == "" || len(req.ID) > maxID || !plain(req.ID) {
		x.RequestID = s.opts.NewID()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	resp := &q.response
	resp.Outputs = q.outputs[:0]
	if err := s.run(ctx, v, req, resp); err != nil {
		return err
	}
	resp.ModelName, resp.ModelVersion, resp.ID = v.name, v.version, x.RequestID
	// What follows is the model's fault: the kinds of error in it must not
	// turn into a status that blames the client.
	if err := v.checkResponse(req, resp, rows); err != nil {
		return fmt.Errorf("the model's answer does not have its signature: %v", err)
	}
	sent := *resp
	sent.Outputs = requested(req, resp)
	if b.out, err = oip.AppendResponse(b.out[:0], &sent); err != nil {
		return fmt.Errorf("the model's answer cannot be sent: %v", err)
	}
	x.Response = resp
	return nil
}

// requested returns the outputs to send: those asked for, in that order, or
// all.
func requested(req *oip.InferRequest, resp *oip.InferResponse) []oip.Tensor {
	if len(req.Outputs) == 0 {
		return resp.Outputs
	}
	list := make([]oip.Tensor, len(req.Outputs))
	for i, o := range req.Outputs {
		list[i] = *resp.Output(o.Name)
	}
	return list
}

// run calls the model under the time limit and contains its panics.
func (s *Server) run(ctx context.Context, v *deployed, req *oip.InferRequest, resp *oip.InferResponse) (err error) {
	if s.opts.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.opts.Timeout)
		defer cancel()
	}
	defer func() {
		if p := recover(); p != nil {
			s.opts.Logger.Error("serve: a model panicked", "model", v.name, "version", v.version, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("the model panicked: %v", p)
		}
	}()
	err = v.model.Infer(ctx, req, resp)
	if err == nil {
		return nil
	}
	// An error of no kind after the end of the context came from that end.
	if over := ctx.Err(); over != nil && httperr.Status(err) == http.StatusInternalServerError {
		return fmt.Errorf("%v: %w", err, over)
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return fmt.Errorf("the time was up: %w", err)
	}
	return err
}

// observe tells the observers, before the client knows.
func (s *Server) observe(x *Exchange) {
	for _, o := range s.opts.Observers {
		s.tell(o, x)
	}
}

func (s *Server) tell(o Observer, x *Exchange) {
	defer func() {
		if p := recover(); p != nil {
			s.opts.Logger.Error("serve: an observer panicked", "model", x.Model, "version", x.Version, "request", x.RequestID, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	o.Observe(x)
}
