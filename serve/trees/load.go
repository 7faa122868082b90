package trees

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/internal/modeldoc"
	"github.com/millwright-ml/millwright/serve/internal/onnxpb"
)

// Parse makes a model of the bytes of a file, whose format is found out from its
// content. The model keeps nothing of data.
func Parse(data []byte, opts *Options) (*Model, error) {
	o := opts.withDefaults()
	m, err := parse(data, &o)
	if err != nil {
		return nil, fmt.Errorf("trees: parse: %w", err)
	}
	return m, nil
}

func parse(data []byte, o *Options) (*Model, error) {
	if int64(len(data)) > o.MaxBytes {
		return nil, fmt.Errorf("the file has more than %d bytes: %w", o.MaxBytes, errs.ErrInvalid)
	}
	switch detect(data) {
	case formatDocument:
		return parseDocument(data, o)
	case formatLightGBM:
		return loadLightGBM(data, o)
	case formatONNX:
		return loadONNX(data, o)
	case formatCBM:
		return nil, fmt.Errorf("CatBoost's binary form; save_model(…, format=\"json\") writes the one that is read here: %w", errs.ErrUnsupported)
	case formatXGBBinary:
		return nil, fmt.Errorf("XGBoost's binary form from before version 2; load it there and save it as .json or .ubj: %w", errs.ErrUnsupported)
	}
	return nil, fmt.Errorf("no model of XGBoost (JSON, UBJSON), LightGBM (text), CatBoost (JSON) or ONNX: %w", errs.ErrInvalid)
}

type format uint8

const (
	formatUnknown format = iota
	formatDocument
	formatLightGBM
	formatONNX
	formatCBM
	formatXGBBinary
)

// detect tells the formats apart by their first bytes.
func detect(data []byte) format {
	switch {
	case modeldoc.IsUBJSON(data), bytes.HasPrefix(bytes.TrimLeft(data[:min(headBytes, len(data))], " \t\r\n"), []byte("{")):
		return formatDocument
	case bytes.HasPrefix(data, []byte("tree\n")), bytes.HasPrefix(data, []byte("tree\r\n")):
		return formatLightGBM
	case len(data) > 2 && data[0] == 0x08 && data[1] < 0x20: // A version of ONNX's format.
		return formatONNX
	case bytes.HasPrefix(data, []byte("CBM1")):
		return formatCBM
	case bytes.HasPrefix(data, []byte("binf")):
		return formatXGBBinary
	}
	return formatUnknown
}

func parseDocument(data []byte, o *Options) (*Model, error) {
	doc, err := modeldoc.Parse(data)
	if err != nil {
		return nil, err
	}
	switch {
	case doc.Get("learner").Has():
		return loadXGBoost(doc, o)
	case doc.Get("features_info").Has():
		return loadCatBoost(doc, o)
	}
	return nil, fmt.Errorf("a document that is no model of XGBoost or CatBoost: %w", errs.ErrInvalid)
}

// Load makes a model of the one model file among the files, as they come from a
// registry or a folder.
func Load(files fs.FS, opts *Options) (*Model, error) {
	o := opts.withDefaults()
	if o.File == "" {
		name, err := find(files)
		if err != nil {
			return nil, fmt.Errorf("trees: load: %w", err)
		}
		o.File = name
	}
	data, err := onnxpb.ReadFile(files, o.File, o.MaxBytes)
	if err != nil {
		return nil, fmt.Errorf("trees: load %q: %w", o.File, err)
	}
	m, err := parse(data, &o)
	if err != nil {
		return nil, fmt.Errorf("trees: load %q: %w", o.File, err)
	}
	return m, nil
}

// maxEntries bounds the search for the model among the files.
const maxEntries = 10_000

// find looks for the file that begins like a model.
func find(files fs.FS) (string, error) {
	var found []string
	entries := 0
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entries++; entries > maxEntries {
			return fmt.Errorf("there are more than %d files, name the model with Options.File: %w", maxEntries, errs.ErrInvalid)
		}
		if !d.IsDir() && modelName(name) {
			head, err := readHead(files, name)
			if err != nil {
				return err
			}
			if f := detect(head); f == formatDocument && hasKey(head) || f != formatDocument && f != formatUnknown {
				found = append(found, name)
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", fmt.Errorf("no file is a model; it is looked for in *.json, *.ubj, *.xgb, *.txt, *.lgb, *.cb and *.onnx: %w", errs.ErrNotFound)
	case len(found) > 1:
		return "", fmt.Errorf("several files may be the model, name one with Options.File: %s: %w", strings.Join(found[:min(len(found), 5)], ", "), errs.ErrNotFound)
	}
	return found[0], nil
}

// hasKey reports whether a document begins as those of the libraries do. Other
// files of JSON lie beside models.
func hasKey(head []byte) bool {
	for _, key := range []string{"learner", "features_info", "version", "gradient_booster"} {
		if bytes.Contains(head, []byte(key)) {
			return true
		}
	}
	return false
}

func modelName(name string) bool {
	switch path.Ext(name) {
	case ".json", ".ubj", ".xgb", ".txt", ".lgb", ".cb", ".cbm", ".onnx", ".model":
		return true
	}
	return false
}

// headBytes is as much of a file as tells what it is.
const headBytes = 256

// readHead reads what detect looks at.
func readHead(files fs.FS, name string) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // Only read.
	head := make([]byte, headBytes)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return head[:n], nil
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
		return nil, fmt.Errorf("trees: load: %w", err)
	}
	m, err := Load(files, r.Options)
	if err != nil {
		return nil, err
	}
	return m, nil
}
