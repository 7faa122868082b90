package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/sqlstore"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// modelName is the model's name in the registry and in the URL.
const modelName = "tumour"

// The two versions that train.py has made, for a registry without any.
//
//go:embed model
var models embed.FS

// signature is what the model takes and gives. A version of another one is
// refused by the server.
var signature = serve.Signature{
	Inputs:  []oip.TensorMetadata{{Name: "input", Datatype: oip.FP32, Shape: []int64{-1, 4}}},
	Outputs: []oip.TensorMetadata{{Name: "malignant", Datatype: oip.FP32, Shape: []int64{-1, 1}}},
}

// openRegistry opens the registry: the versions in the database, their files in
// a folder. In a cluster it is PostgreSQL and a volume, or S3 by dataset/blob/s3blob
// in the place of dirblob.
func openRegistry(ctx context.Context, store, dir string) (*registry.Registry, func() error, error) {
	files, err := dirblob.Open(filepath.Join(dir, "files"))
	if err != nil {
		return nil, nil, err
	}
	if store == "" {
		store = "sqlite://" + filepath.ToSlash(filepath.Join(dir, "registry.db"))
	}
	db, err := sqlstore.Open(ctx, store, nil)
	if err != nil {
		return nil, nil, errors.Join(err, files.Close())
	}
	reg := registry.New(db, files, nil)
	closeAll := func() error { return errors.Join(db.Close(), files.Close()) }
	if err := seed(ctx, reg); err != nil {
		return nil, nil, errors.Join(err, closeAll())
	}
	return reg, closeAll, nil
}

// seed registers the embedded versions where there are none: the first one is
// the champion, the second one wants its place. Replicas may do it at once: the
// key makes one version of it.
func seed(ctx context.Context, reg *registry.Registry) error {
	if _, err := reg.Resolve(ctx, modelName+"@champion"); err == nil {
		return nil
	} else if !errors.Is(err, registry.ErrNotFound) {
		return err
	}
	contract, err := json.Marshal(signature)
	if err != nil {
		return err
	}
	for i, alias := range []string{"champion", "challenger"} {
		files, err := fs.Sub(models, fmt.Sprintf("model/%d", i+1))
		if err != nil {
			return err
		}
		text, err := fs.ReadFile(files, "metrics.json")
		if err != nil {
			return err
		}
		var metrics map[string]float64
		if err := json.Unmarshal(text, &metrics); err != nil {
			return err
		}
		v, err := reg.Register(ctx, modelName, registry.Draft{
			Files: files, Signature: contract, Golden: "golden.json", Framework: "xgboost", Flavor: "xgboost-json",
			Metrics: metrics, Key: fmt.Sprintf("embedded-%d", i+1), License: "CC-BY-4.0 (data)",
		})
		if err != nil {
			return err
		}
		err = reg.SetAlias(ctx, modelName, alias, v.Number, &registry.AliasOptions{By: "scoring-service", Reason: "the embedded version"})
		if err != nil && !errors.Is(err, registry.ErrConflict) {
			return err
		}
	}
	return nil
}
