package oip

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
)

// GenerateRequest is the body of POST …/generate and …/generate_stream.
type GenerateRequest struct {
	// ID names the request.
	ID string
	// Inputs are the inputs by their names, a scalar or a slice each: for a
	// language model {"text_input": "…"}.
	Inputs map[string]any
	// Parameters are the sender's extras: string, bool, a number.
	Parameters map[string]any
}

// MarshalJSON writes the members side by side.
func (r GenerateRequest) MarshalJSON() ([]byte, error) {
	m := maps.Clone(r.Inputs)
	if m == nil {
		m = map[string]any{}
	}
	for _, k := range []string{"id", "parameters"} {
		if _, ok := m[k]; ok {
			return nil, fmt.Errorf("oip: encode generate request: the input %q has a name of the request itself: %w", k, ErrInvalid)
		}
	}
	if r.ID != "" {
		m["id"] = r.ID
	}
	if len(r.Parameters) > 0 {
		m["parameters"] = r.Parameters
	}
	return json.Marshal(m)
}

// Generated is an answer of …/generate, or one event of …/generate_stream.
type Generated struct {
	ModelName    string
	ModelVersion string
	ID           string
	// Outputs are the outputs by their names: string, bool, json.Number, or
	// a []any of them.
	Outputs map[string]any
}

// UnmarshalJSON reads the members side by side.
func (g *Generated) UnmarshalJSON(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return err
	}
	*g = Generated{Outputs: m}
	for name, to := range map[string]*string{"model_name": &g.ModelName, "model_version": &g.ModelVersion, "id": &g.ID} {
		if s, ok := m[name].(string); ok {
			*to = s
			delete(m, name)
		}
	}
	delete(m, "parameters")
	return nil
}

// Text returns an output that is one string, "" when there is none.
func (g *Generated) Text(name string) string {
	s, _ := g.Outputs[name].(string)
	return s
}

// Generate asks the model for one answer. An empty version is the server's
// default.
func (c *Client) Generate(ctx context.Context, model, version string, req *GenerateRequest) (*Generated, error) {
	g := new(Generated)
	if err := c.call(ctx, "generate", http.MethodPost, modelPath(model, version)+"/generate", req, g); err != nil {
		return nil, err
	}
	return g, nil
}

// GenerateStream asks the model for a stream of answers. The request is sent
// when the loop begins, and ends with it. An error is the last thing that comes:
// the server's words after the first event, a *StatusError before it, an
// ErrUnavailable when the stream breaks off.
func (c *Client) GenerateStream(ctx context.Context, model, version string, req *GenerateRequest) iter.Seq2[*Generated, error] {
	return func(yield func(*Generated, error) bool) {
		err := c.stream(ctx, modelPath(model, version)+"/generate_stream", req, func(g *Generated) bool { return yield(g, nil) })
		if err != nil {
			yield(nil, fmt.Errorf("oip: generate stream %q: %w", model, err))
		}
	}
}

// stream calls each with the events until it returns false.
func (c *Client) stream(ctx context.Context, path string, req *GenerateRequest, each func(*Generated) bool) error {
	body, err := json.Marshal(req)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream")
	// Compressed events would come in lumps.
	r.Header.Set("Accept-Encoding", "identity")
	resp, err := c.opts.HTTPClient.Do(r)
	if err != nil {
		return err
	}
	// What was read is what counts.
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		answer, _ := c.read(resp, 0)
		return statusError(resp, answer)
	}
	most := -1
	if c.opts.MaxBody >= 0 {
		most = int(c.opts.MaxBody)
	}
	events := NewEventReader(resp.Body, most)
	for {
		data, err := events.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && (errors.Is(err, ErrInvalid) || ctx.Err() != nil):
			return err
		case err != nil:
			return fmt.Errorf("the stream broke off: %w: %w", err, ErrUnavailable)
		}
		g := new(Generated)
		if err := json.Unmarshal(data, g); err != nil {
			return fmt.Errorf("an event is not JSON: %w: %w", err, ErrInvalid)
		}
		if said, ok := g.Outputs["error"].(string); ok && g.ModelName == "" {
			return fmt.Errorf("the server ended the stream: %s", said)
		}
		if !each(g) {
			return nil
		}
	}
}
