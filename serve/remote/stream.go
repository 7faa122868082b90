package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// Streaming returns the model as a serve.Streamer, for one that gives its answer
// in parts there, over generate_stream: a language model's tokens.
func (m *Model) Streaming() serve.Streamer { return streaming{m} }

type streaming struct{ *Model }

// Stream implements serve.Streamer. The request is sent again only before the
// first part; a stream that falls silent for Options.Stall ends with an
// ErrUnavailable.
func (s streaming) Stream(ctx context.Context, req *oip.InferRequest) iter.Seq2[*oip.InferResponse, error] {
	return func(yield func(*oip.InferResponse, error) bool) {
		sent := &oip.GenerateRequest{ID: req.ID, Inputs: make(map[string]any), Parameters: req.Parameters}
		for i := range req.Inputs {
			t := &req.Inputs[i]
			sent.Inputs[t.Name] = plain(t)
		}
		for part, err := range s.client.GenerateStream(ctx, s.opts.Model, s.opts.Version, sent) {
			var resp *oip.InferResponse
			if err != nil {
				err = fmt.Errorf("remote: %w", kind(ctx, err))
			} else if resp, err = s.part(part); err != nil {
				err = fmt.Errorf("remote: a part of the answer: %w", errors.New(err.Error()))
			}
			if !yield(resp, err) || err != nil {
				return
			}
		}
	}
}

// plain is a tensor as a generate request has it: one element by itself, more as
// a list.
func plain(t *oip.Tensor) any {
	if t.Datatype == oip.BYTES {
		words := t.Strings()
		if len(words) == 1 {
			return words[0]
		}
		return words
	}
	list, _ := json.Marshal(t.Data()) // NaN leaves it empty, which is refused there.
	if t.Len() == 1 && len(list) > 2 {
		list = list[1 : len(list)-1]
	}
	return json.RawMessage(list)
}

// part makes tensors of one event, as the signature has them.
func (s streaming) part(g *oip.Generated) (*oip.InferResponse, error) {
	type tensor struct {
		Name     string       `json:"name"`
		Datatype oip.Datatype `json:"datatype"`
		Shape    []int64      `json:"shape"`
		Data     []any        `json:"data"`
	}
	var doc struct {
		ModelName string   `json:"model_name"`
		Outputs   []tensor `json:"outputs"`
	}
	doc.ModelName, doc.Outputs = g.ModelName, []tensor{}
	for _, o := range s.signature.Outputs {
		v, ok := g.Outputs[o.Name]
		if !ok {
			continue
		}
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		shape := make([]int64, len(o.Shape))
		for i := range shape {
			shape[i] = 1
		}
		if len(shape) > 0 {
			shape[0] = int64(len(list))
		}
		doc.Outputs = append(doc.Outputs, tensor{o.Name, o.Datatype, shape, list})
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	return oip.DecodeResponse(text, nil)
}
