package servetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/serve/oip"
)

// The extensions that have checks of their own.
const (
	extBinary     = "binary_tensor_data"
	extRepository = "model_repository"
	extStatistics = "statistics"
	extConfig     = "model_configuration"
)

// cases are all checks, in their order.
var cases = slices.Concat(basicCases, inferCases, errorCases, binaryCases, compressionCases, adminCases, generateCases, echoCases)

// nobody is a model that no server has.
const nobody = "servetest-no-such-model"

var basicCases = []check{
	{"health", "live is 200", "", func(ctx context.Context, s *suite) error { return s.status(ctx, "/v2/health/live", 200) }},
	{"health", "ready is 200", "", func(ctx context.Context, s *suite) error { return s.status(ctx, "/v2/health/ready", 200) }},
	{"health", "the model is ready", "", func(ctx context.Context, s *suite) error { return s.status(ctx, s.path("/ready"), 200) }},
	{"health", "an unknown model is not ready", "", func(ctx context.Context, s *suite) error {
		a, err := s.ask(ctx, http.MethodGet, modelPath(nobody, "")+"/ready", nil)
		if err == nil && a.status < 400 {
			err = fmt.Errorf("status %d, want an error", a.status)
		}
		return err
	}},
	{"metadata", "of the server", "", serverMetadata},
	{"metadata", "of the model", "", modelMetadata},
	{"metadata", "of each version", "", versionMetadata},
	{"metadata", "of an unknown model is 404", "", func(ctx context.Context, s *suite) error {
		a, err := s.ask(ctx, http.MethodGet, modelPath(nobody, ""), nil)
		if err != nil {
			return err
		}
		return a.refused(404)
	}},
	{"metadata", "of an unknown version is 404", "", func(ctx context.Context, s *suite) error {
		a, err := s.ask(ctx, http.MethodGet, modelPath(s.opts.Model, "987654321"), nil)
		if err != nil {
			return err
		}
		return a.refused(404, 400)
	}},
	{"metadata", "is application/json", "", func(ctx context.Context, s *suite) error {
		a, err := s.ask(ctx, http.MethodGet, s.path(""), nil)
		if err == nil && !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
			err = warnf("Content-Type is %q", a.header.Get("Content-Type"))
		}
		return err
	}},
}

func (s *suite) status(ctx context.Context, path string, want int) error {
	a, err := s.ask(ctx, http.MethodGet, path, nil)
	if err == nil && a.status != want {
		err = fmt.Errorf("status %d, want %d: %s", a.status, want, a.start())
	}
	return err
}

func serverMetadata(ctx context.Context, s *suite) error {
	m, err := s.object(ctx, http.MethodGet, "/v2", nil)
	if err != nil {
		return err
	}
	for _, k := range []string{"name", "version"} {
		if _, ok := m[k].(string); !ok {
			return fmt.Errorf("%q is %v, want a string", k, m[k])
		}
	}
	list, ok := m["extensions"].([]any)
	if !ok {
		return fmt.Errorf("\"extensions\" is %v, want an array", m["extensions"])
	}
	for _, e := range list {
		if _, ok := e.(string); !ok {
			return fmt.Errorf("the extension %v is not a string", e)
		}
	}
	return nil
}

func modelMetadata(ctx context.Context, s *suite) error {
	m, err := s.object(ctx, http.MethodGet, s.path(""), nil)
	if err != nil {
		return err
	}
	if m["name"] != s.opts.Model {
		return fmt.Errorf("\"name\" is %v, want %q", m["name"], s.opts.Model)
	}
	if _, ok := m["platform"].(string); !ok {
		return fmt.Errorf("\"platform\" is %v, want a string", m["platform"])
	}
	for _, side := range []string{"inputs", "outputs"} {
		list, ok := m[side].([]any)
		if !ok {
			return fmt.Errorf("%q is %v, want an array", side, m[side])
		}
		for _, t := range list {
			if err := tensorMetadata(t); err != nil {
				return fmt.Errorf("%s: %w", side, err)
			}
		}
	}
	return nil
}

func tensorMetadata(v any) error {
	t, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%v is not an object", v)
	}
	name, _ := t["name"].(string)
	d, _ := t["datatype"].(string)
	if name == "" || oip.Datatype(d).Check() != nil {
		return fmt.Errorf("name %v has datatype %v, want a datatype of the protocol", t["name"], t["datatype"])
	}
	shape, ok := t["shape"].([]any)
	if !ok {
		return fmt.Errorf("%q has shape %v, want an array", name, t["shape"])
	}
	for _, v := range shape {
		number, _ := v.(json.Number)
		if n, err := number.Int64(); err != nil || n < -1 {
			return fmt.Errorf("%q has the dimension %v, want an integer of at least -1", name, v)
		}
	}
	return nil
}

func versionMetadata(ctx context.Context, s *suite) error {
	if len(s.meta.Versions) == 0 {
		return skipf("the model names no versions")
	}
	for _, v := range s.meta.Versions {
		m, err := s.object(ctx, http.MethodGet, modelPath(s.opts.Model, v), nil)
		if err != nil {
			return err
		}
		if m["name"] != s.opts.Model {
			return fmt.Errorf("version %q: \"name\" is %v", v, m["name"])
		}
	}
	return nil
}

var inferCases = []check{
	{"infer", "flat data", "", inferFlat},
	{"infer", "nested data", "", inferNested},
	{"infer", "the id comes back", "", func(ctx context.Context, s *suite) error {
		const id = "servetest-42"
		resp, err := s.inferSample(ctx, func(r *oip.InferRequest) { r.ID = id })
		if err == nil && resp.ID != id {
			err = fmt.Errorf("\"id\" is %q, want %q", resp.ID, id)
		}
		return err
	}},
	{"infer", "the answer names the model", "", func(ctx context.Context, s *suite) error {
		resp, err := s.inferSample(ctx, nil)
		if err == nil && resp.ModelName != s.opts.Model {
			err = fmt.Errorf("\"model_name\" is %q, want %q", resp.ModelName, s.opts.Model)
		}
		return err
	}},
	{"infer", "a version in the path", "", inferVersion},
	{"infer", "one output that is asked for", "", inferOutput},
	{"infer", "unknown members and parameters", "", inferUnknown},
	{"infer", "members in any order, with white space", "", inferOrder},
	{"infer", "side by side", "", inferParallel},
}

func inferFlat(ctx context.Context, s *suite) error {
	resp, err := s.inferSample(ctx, nil)
	if err != nil {
		return err
	}
	if len(resp.Outputs) == 0 {
		return errors.New("the answer has no outputs")
	}
	for i := range resp.Outputs {
		t := &resp.Outputs[i]
		at := slices.IndexFunc(s.meta.Outputs, func(m oip.TensorMetadata) bool { return m.Name == t.Name })
		switch {
		case len(s.meta.Outputs) == 0:
			return warnf("the metadata names no outputs")
		case at < 0:
			return fmt.Errorf("output %q is not in the metadata", t.Name)
		}
		m := s.meta.Outputs[at]
		if t.Datatype != m.Datatype {
			return fmt.Errorf("output %q has datatype %s, the metadata says %s", t.Name, t.Datatype, m.Datatype)
		}
		fits := len(t.Shape) == len(m.Shape)
		for j := 0; fits && j < len(m.Shape); j++ {
			fits = m.Shape[j] < 0 || m.Shape[j] == t.Shape[j]
		}
		if !fits {
			return warnf("output %q has shape %v, the metadata says %v", t.Name, t.Shape, m.Shape)
		}
	}
	return nil
}

func inferNested(ctx context.Context, s *suite) error {
	want, err := s.inferSample(ctx, nil)
	if err != nil {
		return err
	}
	body, err := nested(s.sample)
	if err != nil {
		return err
	}
	got, _, err := s.infer(ctx, s.path("/infer"), body)
	if err != nil {
		return err
	}
	return same(got, want)
}

func inferVersion(ctx context.Context, s *suite) error {
	if len(s.meta.Versions) == 0 {
		return skipf("the model names no versions")
	}
	body, err := oip.AppendRequest(nil, s.sample)
	if err != nil {
		return err
	}
	v := s.meta.Versions[0]
	resp, _, err := s.infer(ctx, modelPath(s.opts.Model, v)+"/infer", body)
	if err == nil && resp.ModelVersion != v {
		err = warnf("\"model_version\" is %q, want %q", resp.ModelVersion, v)
	}
	return err
}

func inferOutput(ctx context.Context, s *suite) error {
	all, err := s.inferSample(ctx, nil)
	if err != nil {
		return err
	}
	last := all.Outputs[len(all.Outputs)-1]
	resp, err := s.inferSample(ctx, func(r *oip.InferRequest) { r.Outputs = []oip.RequestedOutput{{Name: last.Name}} })
	if err != nil {
		return err
	}
	return same(resp, &oip.InferResponse{Outputs: []oip.Tensor{last}})
}

func inferUnknown(ctx context.Context, s *suite) error {
	body, err := oip.AppendRequest(nil, s.sample)
	if err != nil {
		return err
	}
	body = append([]byte(`{"servetest":{"a":[1,null]},"parameters":{"servetest_text":"a","servetest_number":1.5,"servetest_on":true},`), body[1:]...)
	if _, a, err := s.infer(ctx, s.path("/infer"), body); err != nil {
		if a != nil && a.status >= 400 && a.status < 500 {
			return warnf("refused: %v", err)
		}
		return err
	}
	return nil
}

func inferOrder(ctx context.Context, s *suite) error {
	want, err := s.inferSample(ctx, nil)
	if err != nil {
		return err
	}
	text, err := nested(s.sample)
	if err != nil {
		return err
	}
	// encoding/json sorts the members of maps: data, datatype, name, shape.
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	if text, err = json.MarshalIndent(m, " ", "\t"); err != nil {
		return err
	}
	got, _, err := s.infer(ctx, s.path("/infer"), append(text, "\r\n"...))
	if err != nil {
		return err
	}
	return same(got, want)
}

func inferParallel(ctx context.Context, s *suite) error {
	const n = 16
	ended := make(chan error, n)
	for i := range n {
		go func() {
			id := fmt.Sprint("servetest-", i)
			resp, err := s.inferSample(ctx, func(r *oip.InferRequest) { r.ID = id })
			if err == nil && resp.ID != id {
				err = fmt.Errorf("the answer to %q has the id %q", id, resp.ID)
			}
			ended <- err
		}()
	}
	var err error
	for range n {
		err = errors.Join(err, <-ended)
	}
	return err
}
