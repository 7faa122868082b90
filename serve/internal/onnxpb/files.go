package onnxpb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/millwright-ml/millwright/internal/errs"
)

// maxEntries bounds the search for the model among the files.
const maxEntries = 10_000

// Find returns the path of the one ONNX file among the files.
func Find(files fs.FS) (string, error) {
	found, entries := "", 0
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if entries++; err == nil && entries > maxEntries {
			err = fmt.Errorf("there are more than %d files, name the model with Options.File: %w", maxEntries, errs.ErrInvalid)
		}
		if err == nil && !d.IsDir() && path.Ext(name) == ".onnx" {
			if found != "" {
				err = fmt.Errorf("there are %q and %q, name one with Options.File: %w", found, name, errs.ErrNotFound)
			}
			found = name
		}
		return err
	})
	if err == nil && found == "" {
		err = fmt.Errorf("no file ends in .onnx: %w", errs.ErrNotFound)
	}
	return found, err
}

// ReadFile reads a file that has so many bytes at most.
func ReadFile(files fs.FS, name string, most int64) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %w", err, errs.ErrNotFound)
		}
		return nil, err
	}
	defer func() { _ = f.Close() }() // Only read.
	var b bytes.Buffer
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		if info.Size() > most {
			return nil, fmt.Errorf("it has %d bytes, more than the %d that are allowed: %w", info.Size(), most, errs.ErrInvalid)
		}
		b.Grow(int(info.Size()) + bytes.MinRead) // Room to find the end.
	}
	n, err := io.Copy(&b, io.LimitReader(f, most+1))
	if err == nil && n > most {
		err = fmt.Errorf("it has more than the %d bytes that are allowed: %w", most, errs.ErrInvalid)
	}
	return b.Bytes(), err
}
