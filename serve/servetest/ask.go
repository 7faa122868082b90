package servetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/serve/oip"
)

// answer is what the server has said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// maxAnswer is the most that is read of an answer.
const maxAnswer = 64 << 20

// ask sends one request, a body with the headers, given in pairs.
func (s *suite) ask(ctx context.Context, method, path string, body []byte, headers ...string) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	// Asked again when the server has closed a connection that waited, which it
	// may; the header is looked at by net/http and not sent.
	req.Header["Idempotency-Key"] = nil
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if closed := resp.Body.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	return &answer{resp.StatusCode, resp.Header, text}, nil
}

// start is the start of the body, for messages.
func (a *answer) start() string {
	const most = 150
	return strings.ToValidUTF8(string(a.body[:min(len(a.body), most)]), "?")
}

// object asks and wants a status of 200 and a JSON object.
func (s *suite) object(ctx context.Context, method, path string, body []byte) (map[string]any, error) {
	a, err := s.ask(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("%s %s: status %d, want 200: %s", method, path, a.status, a.start())
	}
	return a.object()
}

func (a *answer) object() (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil || m == nil {
		return nil, fmt.Errorf("the body is not a JSON object: %s", a.start())
	}
	return m, nil
}

// refused wants an error: a status that is one and {"error": "…"}. wants are the
// statuses that clients expect; none means any that blames the sender.
func (a *answer) refused(wants ...int) error {
	if a.status < 400 {
		return fmt.Errorf("status %d, want an error: %s", a.status, a.start())
	}
	m, err := a.object()
	if err != nil {
		return warnf("status %d without {\"error\": \"…\"}: %s", a.status, a.start())
	}
	if text, ok := m["error"].(string); !ok || text == "" {
		return warnf("status %d without {\"error\": \"…\"}: %s", a.status, a.start())
	}
	if slices.Contains(wants, a.status) {
		return nil
	}
	if len(wants) > 0 {
		return warnf("status %d, clients expect %d", a.status, wants[0])
	}
	if a.status >= 500 {
		return warnf("status %d for a fault of the sender: %s", a.status, a.start())
	}
	return nil
}

// infer sends a request and reads the answer, after which the tensors are sound
// and as the metadata says.
func (s *suite) infer(ctx context.Context, path string, body []byte, headers ...string) (*oip.InferResponse, *answer, error) {
	a, err := s.ask(ctx, http.MethodPost, path, body, headers...)
	if err != nil {
		return nil, nil, err
	}
	if a.status != http.StatusOK {
		return nil, a, fmt.Errorf("status %d, want 200: %s", a.status, a.start())
	}
	text := a.body
	if e := a.header.Get("Content-Encoding"); e != "" {
		r, err := oip.Inflate(bytes.NewReader(text), e, nil)
		if err != nil {
			return nil, a, err
		}
		if text, err = io.ReadAll(r); err != nil {
			return nil, a, err
		}
		_ = r.Close() // The body was read to its end.
	}
	n, err := oip.HeaderLength(a.header)
	if err != nil {
		return nil, a, err
	}
	resp, err := new(oip.Decoder).DecodeResponse(text, n, nil)
	if err != nil {
		return nil, a, fmt.Errorf("the answer: %w", err)
	}
	for i := range resp.Outputs {
		t := &resp.Outputs[i]
		if err := t.Check(); err != nil {
			return nil, a, fmt.Errorf("output %q: %w", t.Name, err)
		}
	}
	return resp, a, nil
}

// inferSample sends the sample, changed by edit, as JSON.
func (s *suite) inferSample(ctx context.Context, edit func(r *oip.InferRequest)) (*oip.InferResponse, error) {
	r := *s.sample
	if edit != nil {
		edit(&r)
	}
	body, err := oip.AppendRequest(nil, &r)
	if err != nil {
		return nil, err
	}
	resp, _, err := s.infer(ctx, s.path("/infer"), body)
	return resp, err
}

// binary encodes a request with its inputs as binary tensor data.
func binary(r *oip.InferRequest) (body []byte, jsonLength string, err error) {
	c := *r
	c.Inputs = append([]oip.Tensor(nil), r.Inputs...)
	for i := range c.Inputs {
		c.Inputs[i].Binary = true
	}
	body, n, err := oip.AppendBinaryRequest(nil, &c)
	return body, strconv.Itoa(n), err
}

// alive wants the server to answer after what was done to it.
func (s *suite) alive(ctx context.Context) error {
	if _, err := s.inferSample(ctx, nil); err != nil {
		return fmt.Errorf("the server does not answer any more: %w", err)
	}
	return nil
}

// same compares two answers element by element.
func same(got, want *oip.InferResponse) error {
	if len(got.Outputs) != len(want.Outputs) {
		return fmt.Errorf("%d outputs, want %d", len(got.Outputs), len(want.Outputs))
	}
	for i := range want.Outputs {
		w := &want.Outputs[i]
		g := got.Output(w.Name)
		if g == nil {
			return fmt.Errorf("output %q is missing", w.Name)
		}
		if err := sameTensor(g, w); err != nil {
			return err
		}
	}
	return nil
}

func sameTensor(got, want *oip.Tensor) error {
	switch {
	case got.Datatype != want.Datatype:
		return fmt.Errorf("%q has datatype %s, want %s", want.Name, got.Datatype, want.Datatype)
	case fmt.Sprint(got.Shape) != fmt.Sprint(want.Shape):
		return fmt.Errorf("%q has shape %v, want %v", want.Name, got.Shape, want.Shape)
	case !bytes.Equal(oip.AppendRaw(nil, got), oip.AppendRaw(nil, want)):
		return fmt.Errorf("%q has data %.100s, want %.100s", want.Name, fmt.Sprint(got.Data()), fmt.Sprint(want.Data()))
	}
	return nil
}
