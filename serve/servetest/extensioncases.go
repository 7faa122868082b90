package servetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/serve/oip"
)

var binaryCases = []check{
	{extBinary, "inputs as raw bytes", extBinary, func(ctx context.Context, s *suite) error { return s.binaryInfer(ctx, nil, false) }},
	{extBinary, "outputs as raw bytes, all", extBinary, func(ctx context.Context, s *suite) error {
		return s.binaryInfer(ctx, func(r *oip.InferRequest) { r.BinaryOutput = true }, true)
	}},
	{extBinary, "outputs as raw bytes, by name", extBinary, func(ctx context.Context, s *suite) error {
		all, err := s.inferSample(ctx, nil)
		if err != nil {
			return err
		}
		return s.binaryInfer(ctx, func(r *oip.InferRequest) {
			for _, o := range all.Outputs {
				r.Outputs = append(r.Outputs, oip.RequestedOutput{Name: o.Name, Binary: true})
			}
		}, true)
	}},
	smuggled("a header length beyond the body", func(body []byte, n int) ([]byte, string) { return body, strconv.Itoa(len(body) + 1) }),
	smuggled("a header length into the JSON", func(body []byte, n int) ([]byte, string) { return body, strconv.Itoa(n - 1) }),
	smuggled("a header length that is no number", func(body []byte, n int) ([]byte, string) { return body, "seven" }),
	smuggled("a negative header length", func(body []byte, n int) ([]byte, string) { return body, "-" + strconv.Itoa(n) }),
	smuggled("raw bytes that end early", func(body []byte, n int) ([]byte, string) { return body[:len(body)-1], strconv.Itoa(n) }),
	smuggled("raw bytes that no tensor has", func(body []byte, n int) ([]byte, string) { return append(body, "more"...), strconv.Itoa(n) }),
	smuggled("a size that is not the shape's", func(body []byte, n int) ([]byte, string) {
		changed := bytes.Replace(body, []byte(`"binary_data_size":`), []byte(`"binary_data_size":9`), 1)
		return changed, strconv.Itoa(n + 1)
	}),
}

// binaryInfer sends the sample as raw bytes and compares the answer with that to
// JSON.
func (s *suite) binaryInfer(ctx context.Context, edit func(*oip.InferRequest), wantBinary bool) error {
	want, err := s.inferSample(ctx, nil)
	if err != nil {
		return err
	}
	r := *s.sample
	if edit != nil {
		edit(&r)
	}
	body, n, err := binary(&r)
	if err != nil {
		return err
	}
	got, a, err := s.infer(ctx, s.path("/infer"), body, "Content-Type", oip.BinaryType, oip.HeaderLengthKey, n)
	if err != nil {
		return err
	}
	if wantBinary && a.header.Get(oip.HeaderLengthKey) == "" {
		return fmt.Errorf("the answer has no header %s", oip.HeaderLengthKey)
	}
	for i := range got.Outputs {
		if o := &got.Outputs[i]; o.Binary != wantBinary {
			return warnf("output %q: raw bytes are %v, want %v", o.Name, o.Binary, wantBinary)
		}
	}
	return same(got, want)
}

// smuggled is a check that sends a body whose parts do not fit together.
func smuggled(name string, change func(body []byte, n int) ([]byte, string)) check {
	return check{extBinary, name + " is refused", extBinary, func(ctx context.Context, s *suite) error {
		body, length, err := binary(s.sample)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(length)
		if err != nil {
			return err
		}
		body, header := change(body, n)
		a, err := s.ask(ctx, http.MethodPost, s.path("/infer"), body, "Content-Type", oip.BinaryType, oip.HeaderLengthKey, header)
		if err != nil {
			return err
		}
		if err := s.alive(ctx); err != nil {
			return err
		}
		return a.refused()
	}}
}

var compressionCases = []check{
	{"compression", "a gzip request", "", func(ctx context.Context, s *suite) error { return s.compressed(ctx, oip.Gzip) }},
	{"compression", "a deflate request", "", func(ctx context.Context, s *suite) error { return s.compressed(ctx, oip.Deflate) }},
	{"compression", "a gzip answer", "", func(ctx context.Context, s *suite) error { return s.compressedAnswer(ctx, oip.Gzip) }},
	{"compression", "a deflate answer", "", func(ctx context.Context, s *suite) error { return s.compressedAnswer(ctx, oip.Deflate) }},
	{"compression", "a body that is not what it says", "", func(ctx context.Context, s *suite) error {
		a, err := s.ask(ctx, http.MethodPost, s.path("/infer"), []byte("not gzip at all"), "Content-Encoding", oip.Gzip)
		if err != nil {
			return err
		}
		return a.refused()
	}},
	{"compression", "a bomb of 64 MiB is refused", "", func(ctx context.Context, s *suite) error {
		if err := s.compressed(ctx, oip.Gzip); err != nil {
			return skipf("the server takes no gzip")
		}
		body, err := oip.Compress(nil, bytes.Repeat([]byte(" "), 64<<20), oip.Gzip)
		if err != nil {
			return err
		}
		a, err := s.ask(ctx, http.MethodPost, s.path("/infer"), body, "Content-Encoding", oip.Gzip)
		if err != nil {
			return err
		}
		if err := s.alive(ctx); err != nil {
			return err
		}
		return a.refused()
	}},
}

// compressed sends the sample in an encoding.
func (s *suite) compressed(ctx context.Context, encoding string) error {
	want, err := s.inferSample(ctx, nil)
	if err != nil {
		return err
	}
	body, err := oip.AppendRequest(nil, s.sample)
	if err == nil {
		body, err = oip.Compress(nil, body, encoding)
	}
	if err != nil {
		return err
	}
	got, a, err := s.infer(ctx, s.path("/infer"), body, "Content-Encoding", encoding)
	if err != nil {
		if a != nil && a.status >= 400 {
			return skipf("the server takes no %s: status %d", encoding, a.status)
		}
		return err
	}
	return same(got, want)
}

// compressedAnswer asks for an answer in an encoding, which a server is free to
// send as it is.
func (s *suite) compressedAnswer(ctx context.Context, encoding string) error {
	want, err := s.inferSample(ctx, nil)
	if err != nil {
		return err
	}
	body, err := oip.AppendRequest(nil, s.sample)
	if err != nil {
		return err
	}
	got, a, err := s.infer(ctx, s.path("/infer"), body, "Accept-Encoding", encoding)
	if err != nil {
		return err
	}
	if err := same(got, want); err != nil {
		return err
	}
	if !strings.EqualFold(a.header.Get("Content-Encoding"), encoding) {
		return skipf("the answer is not compressed")
	}
	return nil
}

var adminCases = []check{
	{extRepository, "the index lists the model", extRepository, func(ctx context.Context, s *suite) error {
		for _, body := range []string{`{}`, `{"ready":true}`} {
			a, err := s.ask(ctx, http.MethodPost, "/v2/repository/index", []byte(body))
			if err != nil {
				return err
			}
			if a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
				return skipf("status %d", a.status)
			}
			var list []oip.ModelIndex
			if err := json.Unmarshal(a.body, &list); a.status != http.StatusOK || err != nil {
				return fmt.Errorf("status %d, want 200 and a list: %s", a.status, a.start())
			}
			if !slices.ContainsFunc(list, func(m oip.ModelIndex) bool { return m.Name == s.opts.Model }) {
				return fmt.Errorf("%s: the model is not in the list", body)
			}
		}
		return nil
	}},
	{extRepository, "to load an unknown model is an error", extRepository, func(ctx context.Context, s *suite) error {
		a, err := s.ask(ctx, http.MethodPost, "/v2/repository/models/"+nobody+"/load", []byte(`{}`))
		if err != nil {
			return err
		}
		return a.refused()
	}},
	{extStatistics, "count requests", extStatistics, countStatistics},
	{extStatistics, "of all models", extStatistics, func(ctx context.Context, s *suite) error {
		_, err := s.statistics(ctx, "/v2/models/stats")
		return err
	}},
	{extConfig, "names the tensors", extConfig, func(ctx context.Context, s *suite) error {
		m, err := s.object(ctx, http.MethodGet, s.path("/config"), nil)
		if err != nil {
			return err
		}
		for _, in := range s.meta.Inputs {
			list, _ := m["input"].([]any)
			if !slices.ContainsFunc(list, func(v any) bool {
				t, _ := v.(map[string]any)
				return t["name"] == in.Name && t["data_type"] == in.Datatype.ConfigName()
			}) {
				return fmt.Errorf("no input %q of type %s: %v", in.Name, in.Datatype.ConfigName(), m["input"])
			}
		}
		return nil
	}},
}

// statistics reads the statistics of the model.
func (s *suite) statistics(ctx context.Context, path string) (m oip.ModelStatistics, err error) {
	a, err := s.ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return m, err
	}
	var all oip.Statistics
	if err := json.Unmarshal(a.body, &all); err != nil || a.status != http.StatusOK {
		return m, fmt.Errorf("status %d, want 200 and statistics: %s", a.status, a.start())
	}
	i := slices.IndexFunc(all.Models, func(m oip.ModelStatistics) bool { return m.Name == s.opts.Model })
	if i < 0 {
		return m, fmt.Errorf("the model is not in the statistics: %s", a.start())
	}
	return all.Models[i], nil
}

func countStatistics(ctx context.Context, s *suite) error {
	before, err := s.statistics(ctx, s.path("/stats"))
	if err != nil {
		return err
	}
	if err := s.alive(ctx); err != nil {
		return err
	}
	after, err := s.statistics(ctx, s.path("/stats"))
	if err == nil && after.Inference.Success.Count <= before.Inference.Success.Count {
		err = fmt.Errorf("success was %d and is %d after a request", before.Inference.Success.Count, after.Inference.Success.Count)
	}
	return err
}
