package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/dataset/blob/s3blob"
	"github.com/millwright-ml/millwright/tracking"
)

// maxOpen bounds the artifact locations that are kept open.
const maxOpen = 256

// locations opens the places where artifacts are.
type locations struct {
	folder string         // below which file: locations may lie; empty: none may
	files  *dirblob.Store // of folder
	closed []func() error // what to close at the end

	mu   sync.Mutex
	open map[string]tracking.Artifacts // s3: locations
}

// newLocations lets file: URIs below root be opened, if it is one itself.
// Everything else on this machine stays out of reach.
func newLocations(root string) (*locations, error) {
	l := &locations{open: map[string]tracking.Artifacts{}}
	if path, ok := filePath(root); ok {
		files, err := dirblob.Open(path)
		if err != nil {
			return nil, err
		}
		l.folder, l.files = path, files
		l.closed = append(l.closed, files.Close)
	}
	return l, nil
}

func (l *locations) close() error {
	var errs []error
	for _, f := range l.closed {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// The flags that name a place.
const (
	artifactsFlag = "artifacts-destination"
	modelsFlag    = "models-destination"
)

// destination opens the place that a flag names: s3://bucket/prefix,
// file:///path or a path.
func (l *locations) destination(ctx context.Context, flag, uri string) (blob.Store, error) {
	if strings.HasPrefix(uri, "s3://") {
		return openS3(ctx, uri, flag == modelsFlag)
	}
	path, ok := filePath(uri)
	if !ok {
		if strings.Contains(uri, "://") {
			return nil, fmt.Errorf("--%s %q: want a folder, file:///path or s3://bucket/prefix", flag, uri)
		}
		path = uri
	}
	files, err := dirblob.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	l.closed = append(l.closed, files.Close)
	return files, nil
}

// at opens the artifacts of a run or a model with a location of its own.
func (l *locations) at(ctx context.Context, uri string) (tracking.Artifacts, error) {
	if path, ok := filePath(uri); ok {
		below, err := filepath.Rel(l.folder, path)
		if l.files == nil || err != nil || !filepath.IsLocal(below) {
			return nil, fmt.Errorf("%s is not below --default-artifact-root: %w", uri, tracking.ErrUnsupported)
		}
		if below == "." {
			return l.files, nil
		}
		return blob.Sub(l.files, filepath.ToSlash(below)), nil
	}
	if !strings.HasPrefix(uri, "s3://") {
		return nil, fmt.Errorf("this server reads no artifacts at %s: %w", uri, tracking.ErrUnsupported)
	}
	l.mu.Lock()
	store := l.open[uri]
	l.mu.Unlock()
	if store != nil {
		return store, nil
	}
	store, err := openS3(ctx, uri, false)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for old := range l.open { // any will do, opening again is cheap
		if len(l.open) < maxOpen {
			break
		}
		delete(l.open, old)
	}
	l.open[uri] = store
	return store, nil
}

// openS3 takes credentials and region from where the AWS SDK finds them, and
// the endpoint from the variables that upstream and the SDK read.
func openS3(ctx context.Context, uri string, races bool) (blob.Store, error) {
	endpoint := os.Getenv("MLFLOW_S3_ENDPOINT_URL")
	if endpoint == "" {
		endpoint = os.Getenv("AWS_ENDPOINT_URL")
	}
	// Artifacts are put and read, and never created in a race, as models are.
	return s3blob.Open(ctx, strings.TrimRight(uri, "/"), &s3blob.Options{Endpoint: endpoint, PathStyle: endpoint != "", SingleWriter: !races})
}

// filePath gives the path of a file: URI.
func filePath(uri string) (string, bool) {
	rest, ok := strings.CutPrefix(uri, "file:")
	if !ok {
		return "", false
	}
	if authority, ok := strings.CutPrefix(rest, "//"); ok {
		if !strings.HasPrefix(authority, "/") {
			return "", false // another machine's
		}
		rest = authority
	}
	return filepath.FromSlash(rest), true
}
