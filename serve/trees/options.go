package trees

import (
	"github.com/millwright-ml/millwright/internal/errs"
)

// The kinds of errors, the same values in all packages.
var (
	// ErrInvalid: the file is no model, or one that contradicts itself.
	ErrInvalid = errs.ErrInvalid
	// ErrUnsupported: the model has something that cannot be computed exactly
	// here. The error names it.
	ErrUnsupported = errs.ErrUnsupported
	// ErrNotFound: there is no model file, or there are several.
	ErrNotFound = errs.ErrNotFound
)

// Options say how a model is read and what it answers. Nil is the default.
type Options struct {
	// File is the path of the model inside the files. Default: the one file
	// among them that is a model.
	File string
	// Margin answers the raw sums in the place of probabilities, rates and
	// labels. Default false: what the library's predict answers.
	Margin bool
	// Rounds is how many rounds of boosting are used. Default 0: up to the best
	// round where early stopping has recorded one, else all; -1: all.
	Rounds int
	// Input is the name of the input tensor. Default: the name in the file
	// (ONNX), else "input".
	Input string
	// Output is the name of the output tensor. Default: the name in the file
	// (ONNX), else "predict".
	Output string
	// MaxBytes bounds the size of the file. Default 256 MiB.
	MaxBytes int64
}

const defaultMaxBytes = 256 << 20

func (o *Options) withDefaults() Options {
	var r Options
	if o != nil {
		r = *o
	}
	if r.MaxBytes <= 0 {
		r.MaxBytes = defaultMaxBytes
	}
	return r
}
