package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/registry"
	registrysql "github.com/millwright-ml/millwright/registry/sqlstore"
	"github.com/millwright-ml/millwright/tracking"
	trackingsql "github.com/millwright-ml/millwright/tracking/sqlstore"
)

// platform is what both processes of this program share: the bytes, the
// datasets, the runs and the models of one folder.
type platform struct {
	dir      string
	bytes    blob.Store
	catalog  *dataset.Catalog
	tracker  *tracking.Client
	registry *registry.Registry

	closers []func() error
}

// remoteStore opens a store by URL where one is linked in (store_s3.go).
var remoteStore func(ctx context.Context, url string) (blob.Store, error)

// openPlatform wires the packages by hand. The bytes are in dir unless store
// is the URL of an object store; the metadata is one SQLite file in dir.
func openPlatform(ctx context.Context, dir, store string) (_ *platform, err error) {
	p := &platform{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close(ctx))
		}
	}()
	switch {
	case store == "":
		local, err := dirblob.Open(filepath.Join(dir, "store"))
		if err != nil {
			return nil, err
		}
		p.bytes = local
		p.closers = append(p.closers, local.Close)
	case remoteStore == nil:
		return nil, fmt.Errorf("-store %s: no object store is linked into this program: build it with -tags s3", store)
	default:
		if p.bytes, err = remoteStore(ctx, store); err != nil {
			return nil, err
		}
	}
	p.catalog = dataset.New(blob.Sub(p.bytes, "datasets"), &dataset.Options{Producer: "millwright quickstart"})

	db := "sqlite://" + filepath.ToSlash(filepath.Join(dir, "millwright.db"))
	runs, err := trackingsql.Open(ctx, db, nil)
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, runs.Close)
	p.tracker = tracking.New(runs, &tracking.Options{Artifacts: blob.Sub(p.bytes, "artifacts")})

	models, err := registrysql.Open(ctx, db, nil)
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, models.Close)
	p.registry = registry.New(models, blob.Sub(p.bytes, "models"), nil)
	return p, nil
}

func (p *platform) close(ctx context.Context) error {
	var errs []error
	if p.tracker != nil {
		errs = append(errs, p.tracker.Shutdown(ctx))
	}
	for _, v := range slices.Backward(p.closers) {
		errs = append(errs, v())
	}
	return errors.Join(errs...)
}

// lockFolder makes dir and holds it for this process; the lock ends with the
// process, however that ends.
func lockFolder(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("folder %s cannot be made: choose a writable place with -dir: %w", dir, err)
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("folder %s is not writable: choose another with -dir: %w", dir, err)
	}
	if err := lockFile(f); err != nil {
		holder, _ := os.ReadFile(path)
		_ = f.Close()
		return nil, fmt.Errorf("folder %s is in use by another run of this program (process %s): wait for it, or choose another with -dir",
			dir, strings.TrimSpace(string(holder)))
	}
	_ = f.Truncate(0)
	_, _ = fmt.Fprintf(f, "%d\n", os.Getpid()) // only for the message above
	return func() { _ = f.Close() }, nil
}
