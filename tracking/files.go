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

// Files is a folder of artifacts: those of a run (Run.Files), of a logged model
// or below any URI (Client.Files). It is a plain value without open files.
type Files struct {
	client *Client
	uri    string
}

// URI returns where the files are, like "mlflow-artifacts:/3/8d3f0a2b/artifacts".
func (f *Files) URI() string { return f.uri }

// open returns the store that holds the folder, and what the keys of its files
// begin with there.
func (f *Files) open(ctx context.Context, operation string) (store Artifacts, prefix string, err error) {
	if err := f.client.check(operation); err != nil {
		return nil, "", err
	}
	key, err := ArtifactKey(f.uri)
	if err != nil {
		return nil, "", err
	}
	if scheme, _, _ := strings.Cut(f.uri, ":"); strings.EqualFold(scheme, "mlflow-artifacts") {
		if f.client.opts.Artifacts == nil {
			return nil, "", fmt.Errorf("tracking: %s in %s: the client has no artifact store, set Options.Artifacts: %w", operation, f.uri, ErrUnsupported)
		}
		if key != "" {
			key += "/"
		}
		return f.client.opts.Artifacts, key, nil
	}
	if f.client.opts.OpenArtifacts == nil {
		return nil, "", fmt.Errorf("tracking: %s in %s: the client cannot reach such files, set Options.OpenArtifacts: %w", operation, f.uri, ErrUnsupported)
	}
	store, err = f.client.opts.OpenArtifacts(ctx, f.uri)
	if err != nil {
		return nil, "", fmt.Errorf("tracking: %s: open %s: %w", operation, f.uri, err)
	}
	return store, "", nil
}

// Put stores a file under path (see ValidateArtifactPath), replacing an earlier
// one. size is the length of body in bytes, -1 when it is unknown.
func (f *Files) Put(ctx context.Context, path string, body io.Reader, size int64) error {
	store, prefix, err := f.open(ctx, "put artifact")
	if err != nil {
		return err
	}
	if err := ValidateArtifactPath(path); err != nil {
		return err
	}
	return f.fault("put", path, store.Put(ctx, prefix+path, body, size))
}

// Open opens a file; the caller closes it. ErrNotFound, which is also
// fs.ErrNotExist, when there is none.
func (f *Files) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	store, prefix, err := f.open(ctx, "open artifact")
	if err != nil {
		return nil, err
	}
	if err := ValidateArtifactPath(path); err != nil {
		return nil, err
	}
	body, err := store.Get(ctx, prefix+path, 0, -1)
	if err != nil {
		return nil, f.fault("open", path, err)
	}
	return body, nil
}

// Stat describes a file; Name of the FileInfo is path. ErrNotFound when there
// is none.
func (f *Files) Stat(ctx context.Context, path string) (fs.FileInfo, error) {
	store, prefix, err := f.open(ctx, "stat artifact")
	if err != nil {
		return nil, err
	}
	if err := ValidateArtifactPath(path); err != nil {
		return nil, err
	}
	info, err := store.Stat(ctx, prefix+path)
	if err != nil {
		return nil, f.fault("stat", path, err)
	}
	return fileInfo{FileInfo: info, path: path}, nil
}

// Delete removes a file; an absent one is no error.
func (f *Files) Delete(ctx context.Context, path string) error {
	store, prefix, err := f.open(ctx, "delete artifact")
	if err != nil {
		return err
	}
	if err := ValidateArtifactPath(path); err != nil {
		return err
	}
	return f.fault("delete", path, store.Delete(ctx, prefix+path))
}

// List yields the files below the folder dir, also those in folders of it; an
// empty dir is everything. Name of the FileInfo is the path that Open takes.
func (f *Files) List(ctx context.Context, dir string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		store, prefix, err := f.open(ctx, "list artifacts")
		if err == nil && dir != "" {
			err = ValidateArtifactPath(dir)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		below := prefix
		if dir != "" {
			below += dir + "/"
		}
		for info, err := range store.List(ctx, below) {
			if err != nil {
				yield(nil, fmt.Errorf("tracking: list artifacts in %s: %w", f.uri, err))
				return
			}
			path, ok := strings.CutPrefix(info.Name(), prefix)
			// A store that answers nonsense must not lead anyone out of the
			// folder that the files are copied to.
			if !ok || !strings.HasPrefix(info.Name(), below) || ValidateArtifactPath(path) != nil {
				continue
			}
			if !yield(fileInfo{FileInfo: info, path: path}, nil) {
				return
			}
		}
	}
}

// fault gives a store's error its context; nil stays nil.
func (f *Files) fault(operation, path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrNotFound):
		return fmt.Errorf("tracking: %s artifact %q in %s: %w: %w", operation, path, f.uri, err, ErrNotFound)
	}
	return fmt.Errorf("tracking: %s artifact %q in %s: %w", operation, path, f.uri, err)
}

// fileInfo is a FileInfo whose Name is relative to the folder.
type fileInfo struct {
	fs.FileInfo
	path string
}

func (i fileInfo) Name() string { return i.path }
