package tracking

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
)

// artifactKey is where an artifact lives in the artifact store: below
// <experiment>/<run>/artifacts/.
func (r *Run) artifactKey(path string) string {
	return string(r.experiment) + "/" + string(r.id) + "/artifacts/" + path
}

func (r *Run) artifactStore(operation string) (Artifacts, error) {
	if err := r.client.check(operation); err != nil {
		return nil, err
	}
	if r.client.artifacts == nil {
		return nil, fmt.Errorf("tracking: %s: the client has no artifact store, set Options.Artifacts: %w", operation, ErrUnsupported)
	}
	return r.client.artifacts, nil
}

// PutArtifact stores a file of the run under path (see ValidateArtifactPath),
// replacing an earlier one. size is the length of body in bytes, -1 when it is
// unknown.
func (r *Run) PutArtifact(ctx context.Context, path string, body io.Reader, size int64) error {
	store, err := r.artifactStore("put artifact")
	if err != nil {
		return err
	}
	if err := ValidateArtifactPath(path); err != nil {
		return err
	}
	if err := store.Put(ctx, r.artifactKey(path), body, size); err != nil {
		return fmt.Errorf("tracking: put artifact %q of run %q: %w", path, r.id, err)
	}
	return nil
}

// OpenArtifact opens a file of the run; the caller closes it. ErrNotFound,
// which is also fs.ErrNotExist, when there is none.
func (r *Run) OpenArtifact(ctx context.Context, path string) (io.ReadCloser, error) {
	store, err := r.artifactStore("open artifact")
	if err != nil {
		return nil, err
	}
	if err := ValidateArtifactPath(path); err != nil {
		return nil, err
	}
	body, err := store.Get(ctx, r.artifactKey(path), 0, -1)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("tracking: open artifact %q of run %q: %w: %w", path, r.id, err, ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("tracking: open artifact %q of run %q: %w", path, r.id, err)
	}
	return body, nil
}

// Artifacts yields the files of the run; Name is the path that OpenArtifact
// takes.
func (r *Run) Artifacts(ctx context.Context) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		store, err := r.artifactStore("list artifacts")
		if err != nil {
			yield(nil, err)
			return
		}
		prefix := r.artifactKey("")
		for info, err := range store.List(ctx, prefix) {
			if err != nil {
				yield(nil, fmt.Errorf("tracking: list artifacts of run %q: %w", r.id, err))
				return
			}
			path, ok := strings.CutPrefix(info.Name(), prefix)
			if !ok || ValidateArtifactPath(path) != nil {
				continue // not written by PutArtifact
			}
			if !yield(artifactInfo{FileInfo: info, path: path}, nil) {
				return
			}
		}
	}
}

// artifactInfo is a FileInfo whose Name is relative to the run.
type artifactInfo struct {
	fs.FileInfo
	path string
}

func (i artifactInfo) Name() string { return i.path }
