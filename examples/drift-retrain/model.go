package main

import (
	"context"
	"encoding/json"
	"io/fs"
	"math"
	"slices"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// channels are those that a model may know. Each has its own line: a model that
// was trained before there was an app knows nothing of it.
var channels = []string{"branch", "broker", "web", "app"}

// logistic is the model: for each channel a bias and weights. It is the part
// that a user replaces with their own.
type logistic struct {
	Weights map[string][4]float64 `json:"weights"`
}

func (a *application) inputs() [4]float64 {
	return [4]float64{1, a.Amount/a.Income - 0.35, (a.Age - 45) / 20, (a.Income - 40) / 40}
}

// predict is the probability that the loan is not paid back. A channel that the
// model has not seen is scored as the web is.
func (m *logistic) predict(a *application) float64 {
	w, ok := m.Weights[a.Channel]
	if !ok {
		w = m.Weights["web"]
	}
	z := 0.0
	for i, x := range a.inputs() {
		z += w[i] * x
	}
	return 1 / (1 + math.Exp(-z))
}

// fit is gradient descent, for each channel by itself.
func fit(list []application) *logistic {
	m := &logistic{Weights: map[string][4]float64{}}
	for _, channel := range channels {
		var part []application
		for _, a := range list {
			if a.Channel == channel {
				part = append(part, a)
			}
		}
		if len(part) < 100 {
			continue
		}
		m.Weights[channel] = [4]float64{}
		for range 300 {
			var gradient [4]float64
			for i := range part {
				off := m.predict(&part[i])
				if part[i].Default {
					off--
				}
				for j, x := range part[i].inputs() {
					gradient[j] += off * x
				}
			}
			w := m.Weights[channel]
			for j := range w {
				w[j] -= 2 * gradient[j] / float64(len(part))
			}
			m.Weights[channel] = w
		}
	}
	return m
}

// auc is the share of pairs of a default and another that are ranked right.
func (m *logistic) auc(list []application) float64 {
	type scored struct {
		score float64
		bad   bool
	}
	all := make([]scored, len(list))
	for i := range list {
		all[i] = scored{m.predict(&list[i]), list[i].Default}
	}
	slices.SortFunc(all, func(a, b scored) int {
		switch {
		case a.score < b.score:
			return -1
		case a.score > b.score:
			return 1
		}
		return 0
	})
	good, won, bad := 0.0, 0.0, 0.0
	for _, s := range all {
		if s.bad {
			bad++
			won += good
		} else {
			good++
		}
	}
	return won / good / bad
}

var signature = serve.Signature{
	Inputs: []oip.TensorMetadata{
		{Name: "income", Datatype: oip.FP64, Shape: []int64{-1}},
		{Name: "amount", Datatype: oip.FP64, Shape: []int64{-1}},
		{Name: "age", Datatype: oip.FP64, Shape: []int64{-1}},
		{Name: "channel", Datatype: oip.BYTES, Shape: []int64{-1}},
	},
	Outputs: []oip.TensorMetadata{{Name: "default", Datatype: oip.FP64, Shape: []int64{-1}}},
}

// request asks about applications.
func request(list []application) *oip.InferRequest {
	n := []int64{int64(len(list))}
	income, amount, age, channel := make([]float64, len(list)), make([]float64, len(list)), make([]float64, len(list)), make([][]byte, len(list))
	for i, a := range list {
		income[i], amount[i], age[i], channel[i] = a.Income, a.Amount, a.Age, []byte(a.Channel)
	}
	return &oip.InferRequest{Inputs: []oip.Tensor{
		oip.NewFP64("income", n, income), oip.NewFP64("amount", n, amount), oip.NewFP64("age", n, age), oip.NewBYTES("channel", n, channel),
	}}
}

// runtime loads the model's files; model answers with them.
type (
	runtime struct{}
	model   struct{ *logistic }
)

func (runtime) Load(_ context.Context, files fs.FS) (serve.Model, error) {
	m, err := load(files)
	return model{m}, err
}

func load(files fs.FS) (*logistic, error) {
	data, err := fs.ReadFile(files, "model.json")
	if err != nil {
		return nil, err
	}
	m := new(logistic)
	return m, json.Unmarshal(data, m)
}

func (model) Signature() serve.Signature { return signature }
func (model) Close() error               { return nil }

// Infer relies on the server: the request matches the signature.
func (m model) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	income, amount, age, channel := req.Input("income").FP64(), req.Input("amount").FP64(), req.Input("age").FP64(), req.Input("channel").BYTES()
	score := make([]float64, len(income))
	for i := range score {
		score[i] = m.predict(&application{Income: income[i], Amount: amount[i], Age: age[i], Channel: string(channel[i])})
	}
	resp.Outputs = []oip.Tensor{oip.NewFP64("default", []int64{int64(len(score))}, score)}
	return nil
}
