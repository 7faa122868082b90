package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/millwright-ml/millwright/serve"
)

// WorkerRuntime is a serve.Runtime for MLflow models of any flavour: it copies
// the files into a folder and starts a Worker on it.
type WorkerRuntime struct {
	// Options are those of StartWorker.
	Options WorkerOptions
}

// Load implements serve.Runtime.
func (r *WorkerRuntime) Load(ctx context.Context, files fs.FS) (serve.Model, error) {
	dir, err := os.MkdirTemp("", "mw-model-")
	if err != nil {
		return nil, fmt.Errorf("remote: load: %w", err)
	}
	if err := os.CopyFS(dir, files); err != nil {
		return nil, errors.Join(fmt.Errorf("remote: load: %w", err), os.RemoveAll(dir))
	}
	w, err := StartWorker(ctx, dir, &r.Options)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &copied{Worker: w, dir: dir}, nil
}

// copied is a Worker with a folder of its own.
type copied struct {
	*Worker
	dir string
}

// Close implements serve.Model.
func (c *copied) Close() error { return errors.Join(c.Worker.Close(), os.RemoveAll(c.dir)) }
