package trees

import (
	"context"
	"fmt"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/internal/forest"
	"github.com/millwright-ml/millwright/serve/oip"
)

// Model is a tree ensemble, ready to answer. It is safe for concurrent use and
// is a [serve.Model].
type Model struct {
	library   string
	engine    engine
	signature serve.Signature
	features  int
	width     int
	// labels are the classes' names where the model answers one beside the
	// probabilities.
	labels *labels
}

var _ serve.Model = (*Model)(nil)

// engine is a forest of either type with what follows it.
type engine interface {
	predict64(dst, rows []float64)
	predict32(dst, rows []float32)
	// classify is predict64 that also finds the classes, if best is not nil.
	classify(dst []float64, best []int, rows []float64)
	trees() int
	size() int64
	// native is the datatype that the library compares in.
	native() oip.Datatype
	// answers is the datatype of what it answers.
	answers() oip.Datatype
}

func newModel[T float32 | float64](f *forest.Forest[T], width int, fin finish[T], library string, opts *Options) *Model {
	m := &Model{library: library, engine: newRunner(f, width, fin), features: f.Features(), width: width}
	m.sign(opts.Input, opts.Output)
	return m
}

// sign makes the signature.
func (m *Model) sign(input, output string) {
	if input == "" {
		input = "input"
	}
	if output == "" {
		output = "predict"
	}
	m.signature = serve.Signature{
		Inputs:  []oip.TensorMetadata{{Name: input, Datatype: m.engine.native(), Shape: []int64{-1, int64(m.features)}}},
		Outputs: []oip.TensorMetadata{{Name: output, Datatype: m.engine.answers(), Shape: []int64{-1, int64(m.width)}}},
	}
}

// Library returns what made the model: "xgboost", "lightgbm", "catboost" or
// "onnx".
func (m *Model) Library() string { return m.library }

// Features returns the number of columns of a row.
func (m *Model) Features() int { return m.features }

// Outputs returns how many numbers the model answers for a row.
func (m *Model) Outputs() int { return m.width }

// Trees returns the number of trees.
func (m *Model) Trees() int { return m.engine.trees() }

// Size returns about how many bytes of memory the model holds.
func (m *Model) Size() int64 { return m.engine.size() }

// Predict answers rows, one after the other in one slice, into dst: Outputs
// numbers for Features numbers, for as many whole rows as both have room for. It
// does not allocate.
//
// A library that compares in float32 (XGBoost, CatBoost, most of ONNX) rounds the
// features to float32 first, as it does with an array of float64 in Python.
func (m *Model) Predict(dst, rows []float64) { m.engine.predict64(dst, rows) }

// Predict32 is Predict for float32. The answers of a library that computes in
// float64 (LightGBM, CatBoost) are rounded.
func (m *Model) Predict32(dst, rows []float32) { m.engine.predict32(dst, rows) }

// Signature says what the model takes and gives: one input of the datatype that
// the library compares in, with any number of rows, and one output.
func (m *Model) Signature() serve.Signature { return m.signature }

// Infer answers a request that agrees with the signature.
func (m *Model) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	if len(req.Inputs) != 1 {
		return fmt.Errorf("trees: infer: %d inputs in the place of 1: %w", len(req.Inputs), ErrInvalid)
	}
	in := &req.Inputs[0]
	rows := in.Len()
	if m.features > 0 {
		rows /= m.features
	} else if len(in.Shape) > 0 {
		rows = int(in.Shape[0])
	}
	if rows < 0 || rows*m.features != in.Len() {
		return fmt.Errorf("trees: infer: the input %q has %d numbers, which are no rows of %d: %w", in.Name, in.Len(), m.features, ErrInvalid)
	}
	m.infer(in, rows, resp)
	return nil
}

func (m *Model) infer(in *oip.Tensor, rows int, resp *oip.InferResponse) {
	meta := &m.signature.Outputs[len(m.signature.Outputs)-1]
	shape := []int64{int64(rows), int64(m.width)}
	wide, best := m.answer(in, rows)
	if m.labels != nil {
		resp.Outputs = append(resp.Outputs, m.labels.tensor(m.signature.Outputs[0].Name, best))
	}
	if meta.Datatype == oip.FP64 {
		resp.Outputs = append(resp.Outputs, oip.NewFP64(meta.Name, shape, wide))
		return
	}
	narrow := make([]float32, len(wide))
	for i, v := range wide {
		narrow[i] = float32(v)
	}
	resp.Outputs = append(resp.Outputs, oip.NewFP32(meta.Name, shape, narrow))
}

// Close does nothing: the memory goes with the last reference.
func (m *Model) Close() error { return nil }
