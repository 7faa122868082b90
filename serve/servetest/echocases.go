package servetest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/millwright-ml/millwright/serve/oip"
)

var generateCases = []check{
	{"generate", "one answer", "", func(ctx context.Context, s *suite) error {
		c, err := s.generator()
		if err != nil {
			return err
		}
		g, err := c.Generate(ctx, s.opts.Generate, "", &oip.GenerateRequest{Inputs: s.opts.GenerateInputs})
		if err == nil && len(g.Outputs) == 0 {
			err = errors.New("the answer has no outputs")
		}
		return err
	}},
	{"generate", "a stream of events", "", func(ctx context.Context, s *suite) error {
		c, err := s.generator()
		if err != nil {
			return err
		}
		n := 0
		for _, err := range c.GenerateStream(ctx, s.opts.Generate, "", &oip.GenerateRequest{Inputs: s.opts.GenerateInputs}) {
			if err != nil {
				return err
			}
			n++
		}
		if n == 0 {
			return errors.New("the stream has no events")
		}
		return nil
	}},
}

// generator is the client of the model that generates.
func (s *suite) generator() (*oip.Client, error) {
	if s.opts.Generate == "" {
		return nil, skipf("Options.Generate names no model")
	}
	return oip.NewClient(s.base, &oip.ClientOptions{HTTPClient: s.http})
}

var echoCases = makeEchoCases()

// makeEchoCases is a check for each datatype and form.
func makeEchoCases() []check {
	var list []check
	for _, d := range []oip.Datatype{
		oip.BOOL, oip.UINT8, oip.UINT16, oip.UINT32, oip.UINT64, oip.INT8, oip.INT16, oip.INT32, oip.INT64,
		oip.FP16, oip.BF16, oip.FP32, oip.FP64, oip.BYTES,
	} {
		if d.HasJSON() {
			list = append(list, check{"echo", string(d) + " as JSON", "", func(ctx context.Context, s *suite) error { return s.echo(ctx, d, false) }})
		}
		list = append(list, check{"echo", string(d) + " as raw bytes", extBinary, func(ctx context.Context, s *suite) error { return s.echo(ctx, d, true) }})
	}
	return list
}

// echo sends the extremes of a datatype there and back. All inputs of the model
// are sent, as most want them all.
func (s *suite) echo(ctx context.Context, d oip.Datatype, raw bool) error {
	if s.opts.Echo == "" {
		return skipf("Options.Echo names no model")
	}
	c, err := oip.NewClient(s.base, &oip.ClientOptions{HTTPClient: s.http})
	if err != nil {
		return err
	}
	m, err := c.ModelMetadata(ctx, s.opts.Echo, "")
	if err != nil {
		return err
	}
	req := &oip.InferRequest{}
	found := ""
	for _, in := range m.Inputs {
		t, ok := extremes(in.Name, in.Datatype, len(in.Shape), raw && in.Datatype == d)
		if !ok {
			// It has no JSON, and the others have to be there.
			t, ok = extremes(in.Name, in.Datatype, len(in.Shape), true)
			t.Binary = true
		}
		if !ok {
			return fmt.Errorf("the input %q has datatype %q", in.Name, in.Datatype)
		}
		if in.Datatype == d {
			found = in.Name
			t.Binary = raw
			req.Outputs = []oip.RequestedOutput{{Name: in.Name, Binary: raw}}
		}
		req.Inputs = append(req.Inputs, t)
	}
	if found == "" {
		return skipf("the model has no input of it")
	}
	resp, err := c.Infer(ctx, s.opts.Echo, "", req)
	if err != nil {
		return err
	}
	out := resp.Output(found)
	if out == nil {
		return fmt.Errorf("the output %q is missing", found)
	}
	want := req.Input(found)
	err = sameTensor(out, want)
	if err != nil && strings.Contains(err.Error(), "shape") {
		return warnf("%v", err)
	}
	return err
}
