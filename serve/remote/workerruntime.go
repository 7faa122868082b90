package remote

import (
	"context"
	"io/fs"

	"github.com/millwright-ml/millwright/serve"
)

// WorkerRuntime is a serve.Runtime for MLflow models of any flavour: it copies
// the files into a folder and starts a Worker on it, whose Close removes it.
type WorkerRuntime struct {
	// Options are those of StartWorker.
	Options WorkerOptions
}

// Load implements serve.Runtime.
func (r *WorkerRuntime) Load(ctx context.Context, files fs.FS) (serve.Model, error) {
	w, err := startWorker(ctx, "", files, &r.Options)
	if err != nil {
		return nil, err
	}
	return w, nil
}
