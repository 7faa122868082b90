package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/millwright-ml/millwright/serve"
)

// Runtime is a serve.Runtime for models that another server computes: a folder
// with the file remote.json,
//
//	{"url": "http://triton:8000", "model": "churn", "version": "3"}
//
// so that an endpoint is registered, promoted and rolled back like any model.
type Runtime struct {
	// Options are those of Dial; Model and Version come from the file.
	Options Options
	// Allow says whether a URL from a file may be called. Default nil: all are.
	Allow func(url string) bool
}

// File is the file that a Runtime reads.
const File = "remote.json"

// Load implements serve.Runtime.
func (r *Runtime) Load(ctx context.Context, files fs.FS) (serve.Model, error) {
	text, err := fs.ReadFile(files, File)
	if err != nil {
		return nil, fmt.Errorf("remote: load: %w", err)
	}
	var at struct {
		URL     string `json:"url"`
		Model   string `json:"model"`
		Version string `json:"version"`
	}
	if err := json.Unmarshal(text, &at); err != nil {
		return nil, fmt.Errorf("remote: load %s: %w: %w", File, err, ErrInvalid)
	}
	if r.Allow != nil && !r.Allow(at.URL) {
		return nil, fmt.Errorf("remote: load %s: the URL %.200q is not allowed: %w", File, at.URL, ErrInvalid)
	}
	o := r.Options
	o.Model, o.Version = at.Model, at.Version
	return Dial(ctx, at.URL, &o)
}
