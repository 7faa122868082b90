package blob_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"strings"

	"github.com/millwright-ml/millwright/dataset/blob"
)

// Of all who create a key exactly one succeeds; the others learn that they were
// not first.
func Example() {
	ctx := context.Background()
	store := new(blob.Mem) // or dirblob.Open, s3blob.Open

	for _, writer := range []string{"first", "second"} {
		err := store.Create(ctx, "commits/0001.json", strings.NewReader(writer), -1)
		if errors.Is(err, fs.ErrExist) {
			fmt.Println(writer, "lost:", err)
		} else if err != nil {
			log.Fatal(err)
		}
	}
	data, err := blob.ReadAll(ctx, store, "commits/0001.json", 1<<20)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s won\n", data)
	// Output:
	// second lost: create commits/0001.json: file already exists
	// first won
}

// A part of a store is a store: whoever holds it cannot name a key outside.
func ExampleSub() {
	ctx := context.Background()
	store := new(blob.Mem)
	models := blob.Sub(store, "models/fraud")
	if err := models.Put(ctx, "1/model.json", strings.NewReader("{}"), 2); err != nil {
		log.Fatal(err)
	}
	for fi, err := range store.List(ctx, "models/") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(fi.Name(), fi.Size())
	}
	fmt.Println(models.Delete(ctx, "../churn/1/model.json"))
	// Output:
	// models/fraud/1/model.json 2
	// validate ../churn/1/model.json: a segment is . or ..: invalid argument
}
