package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"strings"
	"testing/fstest"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/registrytest"
)

// A model is registered, promoted and loaded again. A program that keeps its
// models takes sqlstore.Open and dirblob.Open in place of the two stores in
// memory, and os.DirFS for the files.
func Example() {
	ctx := context.Background()
	reg := registry.New(new(registrytest.Mem), new(blob.Mem), nil)

	v, err := reg.Register(ctx, "fraud", registry.Draft{
		Files:     fstest.MapFS{"model.json": {Data: []byte(`{"trees":[]}`)}},
		Framework: "xgboost 2.1",
		Run:       "4f1c",
		Datasets:  []registry.Dataset{{Name: "payments", Version: "12", Context: "training"}},
		Metrics:   map[string]float64{"auc": 0.91},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := reg.SetAlias(ctx, "fraud", "champion", v.Number, nil); err != nil {
		log.Fatal(err)
	}

	v, err = reg.Resolve(ctx, "fraud@champion")
	if err != nil {
		log.Fatal(err)
	}
	files, err := reg.Open(ctx, v)
	if err != nil {
		log.Fatal(err)
	}
	model, err := fs.ReadFile(files, "model.json") // verified against its SHA-256
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(v.Ref(), v.Aliases, "auc", v.Metrics["auc"])
	fmt.Println(v.Digest)
	fmt.Printf("%s\n", model)
	// Output:
	// fraud/1 [champion] auc 0.91
	// sha256:2bee748e55f268d6fdf9973d34d2af0ecc1e6097669faabc36c98a042899b0a7
	// {"trees":[]}
}

// Of two callers who both saw version 1 in use, one promotes its candidate; the
// other learns what happened. The history says who moved the alias, and why.
func ExampleRegistry_SetAlias() {
	ctx := context.Background()
	reg := registry.New(new(registrytest.Mem), new(blob.Mem), nil)
	for _, model := range []string{"first", "second", "third"} {
		if _, err := reg.Register(ctx, "fraud", registry.Draft{Files: fstest.MapFS{"model": {Data: []byte(model)}}}); err != nil {
			log.Fatal(err)
		}
	}
	if err := reg.SetAlias(ctx, "fraud", "champion", 1, nil); err != nil {
		log.Fatal(err)
	}
	err := reg.SetAlias(ctx, "fraud", "champion", 2, &registry.AliasOptions{
		Expect: 1, By: "retrain", Reason: "higher AUC", Evidence: json.RawMessage(`{"auc":[0.90,0.93]}`),
	})
	fmt.Println(err)
	err = reg.SetAlias(ctx, "fraud", "champion", 3, &registry.AliasOptions{Expect: 1, By: "ann"})
	fmt.Println(err)
	if conflict, ok := errors.AsType[*registry.ConflictError](err); ok {
		fmt.Println("now at", conflict.Have)
	}
	for m, err := range reg.History(ctx, "fraud", "champion") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d -> %d %s %s %s\n", m.From, m.To, m.By, m.Reason, m.Evidence)
	}
	// Output:
	// <nil>
	// registry: set alias "champion" of "fraud" to v3: the alias moved to v2, expected v1: conflict
	// now at 2
	// 1 -> 2 retrain higher AUC {"auc":[0.90,0.93]}
	// 0 -> 1
}

// A file that was changed in the store since it was registered is not served.
func ExampleDigestError() {
	ctx := context.Background()
	stored := new(blob.Mem)
	reg := registry.New(new(registrytest.Mem), stored, nil)
	v, err := reg.Register(ctx, "fraud", registry.Draft{Files: fstest.MapFS{"model": {Data: []byte("good")}}})
	if err != nil {
		log.Fatal(err)
	}
	sum := v.Files[0].SHA256
	if err := stored.Put(ctx, "sha256/"+sum[:2]+"/"+sum, strings.NewReader("evil"), 4); err != nil {
		log.Fatal(err)
	}
	files, err := reg.Open(ctx, v)
	if err != nil {
		log.Fatal(err)
	}
	_, err = fs.ReadFile(files, "model")
	var damaged *registry.DigestError
	fmt.Println(errors.As(err, &damaged), damaged.Path, damaged.Have != damaged.Want)
	// Output:
	// true model true
}

// References are read the same way everywhere: from a flag, a config file, a
// request.
func ExampleParseRef() {
	for _, s := range []string{"fraud/3", "fraud@champion", "fraud"} {
		ref, err := registry.ParseRef(s)
		fmt.Println(ref.Name, ref.Number, ref.Alias, err)
	}
	// Output:
	// fraud 3  <nil>
	// fraud 0 champion <nil>
	//  0  registry: reference "fraud": it names no version, want "name/3" or "name@alias": invalid
}
