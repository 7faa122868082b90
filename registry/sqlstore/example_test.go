package sqlstore_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing/fstest"

	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/sqlstore"
)

// A registry in one folder: the records in an SQLite file, the models' files
// beside it. It is there again when the program starts the next time.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "models-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	for range 2 {
		store, err := sqlstore.Open(ctx, "sqlite://"+filepath.ToSlash(filepath.Join(dir, "registry.db")), nil)
		if err != nil {
			log.Fatal(err)
		}
		files, err := dirblob.Open(filepath.Join(dir, "files"))
		if err != nil {
			log.Fatal(err)
		}
		reg := registry.New(store, files, nil)
		v, err := reg.Register(ctx, "fraud", registry.Draft{Files: fstest.MapFS{"model": {Data: []byte("weights")}}})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("registered", v.Ref())
		if err := files.Close(); err != nil {
			log.Fatal(err)
		}
		if err := store.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// registered fraud/1
	// registered fraud/2
}
