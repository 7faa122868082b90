package servetest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/serve/oip"
)

// bad is a check that sends what has to be refused.
func bad(name string, body func(s *suite) (string, error), wants ...int) check {
	return check{"errors", name, "", func(ctx context.Context, s *suite) error {
		text, err := body(s)
		if err != nil {
			return err
		}
		a, err := s.ask(ctx, http.MethodPost, s.path("/infer"), []byte(text))
		if err != nil {
			return err
		}
		if err := s.alive(ctx); err != nil {
			return err
		}
		return a.refused(wants...)
	}}
}

// text is a body that does not depend on the model.
func text(body string) func(*suite) (string, error) {
	return func(*suite) (string, error) { return body, nil }
}

// first is a request with one input in place of the first one's members.
func first(format string) func(*suite) (string, error) {
	return func(s *suite) (string, error) {
		in := s.sample.Inputs[0]
		return fmt.Sprintf(`{"inputs":[`+format+`]}`, in.Name, in.Datatype), nil
	}
}

// edited is the sample with a change that its tensors survive.
func edited(change func(r *oip.InferRequest)) func(*suite) (string, error) {
	return func(s *suite) (string, error) {
		r := *s.sample
		r.Inputs = slices.Clone(r.Inputs)
		change(&r)
		b, err := oip.AppendRequest(nil, &r)
		return string(b), err
	}
}

var errorCases = []check{
	{"errors", "infer of an unknown model is 404", "", func(ctx context.Context, s *suite) error {
		body, err := oip.AppendRequest(nil, s.sample)
		if err != nil {
			return err
		}
		a, err := s.ask(ctx, http.MethodPost, modelPath(nobody, "")+"/infer", body)
		if err != nil {
			return err
		}
		return a.refused(404)
	}},
	{"errors", "GET of infer is 405", "", func(ctx context.Context, s *suite) error {
		a, err := s.ask(ctx, http.MethodGet, s.path("/infer"), nil)
		if err != nil {
			return err
		}
		if a.status == http.StatusMethodNotAllowed {
			return nil
		}
		return a.refused(405)
	}},
	bad("an empty body", text("")),
	bad("text that is not JSON", text("{\"inputs\":[")),
	bad("JSON that is not an object", text("[1]")),
	bad("no inputs", text("{}")),
	bad("an input that is missing", edited(func(r *oip.InferRequest) { r.Inputs = r.Inputs[1:] })),
	bad("an unknown output", edited(func(r *oip.InferRequest) { r.Outputs = []oip.RequestedOutput{{Name: "servetest-no-such-output"}} })),
	bad("an unknown datatype", first(`{"name":%q,"shape":[1],"datatype":"%.0sFLOAT99","data":[1]}`)),
	bad("an input without a shape", first(`{"name":%q,"datatype":%q,"data":[1]}`)),
	bad("an input without data", first(`{"name":%q,"datatype":%q,"shape":[1]}`)),
	bad("data of another type", first(`{"name":%q,"datatype":%q,"shape":[1],"data":[{"a":1}]}`)),
	bad("a negative dimension", first(`{"name":%q,"datatype":%q,"shape":[-1],"data":[1]}`)),
	bad("a shape with more elements than data", func(s *suite) (string, error) {
		body, err := nested(s.sample)
		if err != nil {
			return "", err
		}
		in := s.sample.Inputs[0]
		wrong := append([]int64(nil), in.Shape...)
		if len(wrong) == 0 {
			wrong = []int64{1}
		}
		wrong[0]++
		shape, wrongText := shapeText(in.Shape), shapeText(wrong)
		return strings.Replace(string(body), `"shape":`+shape, `"shape":`+wrongText, 1), nil
	}),
	bad("a shape with ten to the 18 elements", first(`{"name":%q,"datatype":%q,"shape":[1000000000,1000000000],"data":[1]}`)),
	bad("a shape whose product overflows", first(`{"name":%q,"datatype":%q,"shape":[4294967296,4294967296],"data":[]}`)),
	bad("arrays nested 100,000 deep", func(s *suite) (string, error) {
		in := s.sample.Inputs[0]
		return fmt.Sprintf(`{"inputs":[{"name":%q,"datatype":%q,"shape":[1],"data":%s`, in.Name, in.Datatype, strings.Repeat("[", 100_000)), nil
	}),
	bad("objects nested 100,000 deep", text(strings.Repeat(`{"a":`, 100_000))),
}

// shapeText is a shape as encoding/json writes it.
func shapeText(shape []int64) string {
	return strings.ReplaceAll(fmt.Sprint(shape), " ", ",")
}
