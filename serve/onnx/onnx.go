// Package onnx answers with small ONNX graphs in Go alone: the pipelines of
// scikit-learn that skl2onnx writes (scalers, imputers, encoders, linear models,
// tree ensembles) and dense nets.
//
//	model, err := onnx.Load(files, nil)
//	err = server.Deploy(ctx, serve.Deployment{Name: "churn", Version: "3", Model: model})
//
// # Operators
//
// ONNX: Abs, Add, ArgMax, Cast, Ceil, Concat, Constant, Div, Exp, Flatten, Floor,
// Gather, Gemm, Identity, Log, LogSoftmax, MatMul, Mul, Neg, Pow, Reciprocal, Relu,
// Reshape, Sigmoid, Softmax, Sqrt, Sub, Tanh.
//
// ONNX-ML: ArrayFeatureExtractor, Binarizer, Imputer, LabelEncoder,
// LinearClassifier, LinearRegressor, Normalizer, OneHotEncoder, Scaler,
// TreeEnsembleClassifier, TreeEnsembleRegressor, ZipMap (the table of scores in
// the place of a list of maps).
//
// A graph with another operator is refused at load, with the operator's name.
// Elements are float32, float64, int64, int32, bool or string.
//
// # Accuracy
//
// Tree ensembles answer what ONNX Runtime does, to the last bit (package trees is
// faster where a graph is nothing else). Other operators compute in float64 and
// round each result to its type: they differ from a runtime that sums in float32
// by the rounding of those sums.
package onnx

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/internal/onnxpb"
)

// The kinds of errors, the same values in all packages.
var (
	// ErrInvalid: the file is no model, or one that contradicts itself, or the
	// request has what the graph cannot compute with.
	ErrInvalid = errs.ErrInvalid
	// ErrUnsupported: the graph has an operator or a type that is not known.
	ErrUnsupported = errs.ErrUnsupported
	// ErrNotFound: there is no model file, or there are several.
	ErrNotFound = errs.ErrNotFound
)

// Options say how a model is read. Nil is the default.
type Options struct {
	// File is the path of the model inside the files. Default: the one file
	// that ends in ".onnx".
	File string
	// MaxBytes bounds the size of the file. Default 256 MiB.
	MaxBytes int64
}

func (o *Options) withDefaults() Options {
	var r Options
	if o != nil {
		r = *o
	}
	if r.MaxBytes <= 0 {
		r.MaxBytes = 256 << 20
	}
	return r
}

// Parse makes a model of the bytes of a file. The model may point into data, which
// must not be changed.
func Parse(data []byte, opts *Options) (*Model, error) {
	o := opts.withDefaults()
	if int64(len(data)) > o.MaxBytes {
		return nil, fmt.Errorf("onnx: parse: the file has more than %d bytes: %w", o.MaxBytes, ErrInvalid)
	}
	m, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("onnx: parse: %w", err)
	}
	return m, nil
}

func parse(data []byte) (*Model, error) {
	file, err := onnxpb.Parse(data)
	if err != nil {
		return nil, err
	}
	g := &graph{file: file, slots: map[string]int{}, model: &Model{}}
	if err := g.build(); err != nil {
		return nil, err
	}
	return g.model, nil
}

// Load makes a model of the one ONNX file among the files, as they come from a
// registry or a folder.
func Load(files fs.FS, opts *Options) (*Model, error) {
	o := opts.withDefaults()
	if o.File == "" {
		name, err := onnxpb.Find(files)
		if err != nil {
			return nil, fmt.Errorf("onnx: load: %w", err)
		}
		o.File = name
	}
	data, err := onnxpb.ReadFile(files, o.File, o.MaxBytes)
	if err != nil {
		return nil, fmt.Errorf("onnx: load %q: %w", o.File, err)
	}
	m, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("onnx: load %q: %w", o.File, err)
	}
	return m, nil
}

// Runtime loads models for a server. It is a [serve.Runtime].
type Runtime struct {
	// Options say how. Nil is the default.
	Options *Options
}

var _ serve.Runtime = (*Runtime)(nil)

// Load makes a model of the files.
func (r *Runtime) Load(ctx context.Context, files fs.FS) (serve.Model, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("onnx: load: %w", err)
	}
	m, err := Load(files, r.Options)
	if err != nil {
		return nil, err
	}
	return m, nil
}
