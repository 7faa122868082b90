package main

import (
	"context"
	"encoding/json"
	"io/fs"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// signature is the model's contract on the wire: five columns in, the
// probability of a late arrival out, any number of rows.
var signature = serve.Signature{
	Inputs: []oip.TensorMetadata{
		{Name: "origin", Datatype: oip.BYTES, Shape: []int64{-1}},
		{Name: "destination", Datatype: oip.BYTES, Shape: []int64{-1}},
		{Name: "distance", Datatype: oip.FP64, Shape: []int64{-1}},
		{Name: "hour", Datatype: oip.INT64, Shape: []int64{-1}},
		{Name: "weekday", Datatype: oip.INT64, Shape: []int64{-1}},
	},
	Outputs: []oip.TensorMetadata{{Name: "late", Datatype: oip.FP64, Shape: []int64{-1}}},
}

func signatureJSON() json.RawMessage {
	data, err := json.Marshal(signature)
	if err != nil {
		panic(err) // a literal of plain strings and numbers
	}
	return data
}

// runtime loads the learner's files; it is what serve calls a Runtime.
type runtime struct{}

func (runtime) Load(_ context.Context, files fs.FS) (serve.Model, error) {
	data, err := fs.ReadFile(files, "model.json")
	if err != nil {
		return nil, err
	}
	l, err := parseLearner(data)
	if err != nil {
		return nil, err
	}
	return &model{l}, nil
}

// model answers inference requests with a learner.
type model struct{ learner *learner }

func (m *model) Signature() serve.Signature { return signature }
func (m *model) Close() error               { return nil }

// Infer relies on the server: the request matches the signature.
func (m *model) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	origin, destination := req.Input("origin").BYTES(), req.Input("destination").BYTES()
	distance := req.Input("distance").FP64()
	hour, weekday := req.Input("hour").INT64(), req.Input("weekday").INT64()
	late := make([]float64, len(distance))
	for i := range late {
		late[i] = m.learner.predict(&features{
			string(origin[i]), string(destination[i]), distance[i], int(hour[i]), int(weekday[i]),
		})
	}
	resp.Outputs = []oip.Tensor{oip.NewFP64("late", []int64{int64(len(late))}, late)}
	return nil
}
