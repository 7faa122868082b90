package ort

import (
	"context"
	"fmt"
	"io/fs"
	"slices"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/internal/onnxpb"
)

// Load makes a model of the one ONNX file among the files, as they come from a
// registry or a folder.
func (l *Library) Load(files fs.FS, opts *Options) (*Model, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("ort: load: %w", err)
	}
	if o.File == "" {
		if o.File, err = onnxpb.Find(files); err != nil {
			return nil, fmt.Errorf("ort: load: %w", err)
		}
	}
	m, err := l.load(files, &o)
	if err != nil {
		return nil, fmt.Errorf("ort: load %q: %w", o.File, err)
	}
	return m, nil
}

// source is what a model is made of.
type source struct {
	model []byte
	// beside are the files that the model's constants are in, by their names.
	beside []string
	data   [][]byte
	size   int64
}

func (l *Library) load(files fs.FS, o *Options) (*Model, error) {
	src, err := gather(files, o)
	if err != nil {
		return nil, err
	}
	if err := l.hold(); err != nil {
		return nil, err
	}
	m, err := l.session(src, o)
	if err != nil {
		l.let()
		return nil, err
	}
	return m, nil
}

// gather reads the model and what belongs to it.
func gather(files fs.FS, o *Options) (*source, error) {
	model, err := onnxpb.ReadFile(files, o.File, min(o.MaxBytes, maxFile))
	if err != nil {
		return nil, err
	}
	src := &source{model: model, size: int64(len(model))}
	if src.beside, err = inspect(model); err != nil {
		return nil, err
	}
	slices.Sort(src.beside)
	for _, name := range src.beside {
		data, err := onnxpb.ReadFile(files, beside(o.File, name), o.MaxBytes-src.size)
		if err != nil {
			return nil, fmt.Errorf("the constants in %q: %w", name, err)
		}
		src.data = append(src.data, data)
		src.size += int64(len(data))
	}
	return src, nil
}

// Runtime loads models for a server. It is a [serve.Runtime].
type Runtime struct {
	// Library is the library that computes. It has no default.
	Library *Library
	// Options say how. Nil is the default.
	Options *Options
}

var _ serve.Runtime = (*Runtime)(nil)

// Load makes a model of the files.
func (r *Runtime) Load(ctx context.Context, files fs.FS) (serve.Model, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("ort: load: %w", err)
	}
	if r.Library == nil {
		return nil, fmt.Errorf("ort: load: the Runtime has no Library, open one with ort.Open: %w", ErrInvalid)
	}
	m, err := r.Library.Load(files, r.Options)
	if err != nil {
		return nil, err
	}
	return m, nil
}
