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

// Readers of columnar files know where the bytes are: few large requests, a
// bounded number of bytes ahead.
func ExampleReaderAt_Prefetch() {
	ctx := context.Background()
	store := new(blob.Mem)
	if err := store.Put(ctx, "table", strings.NewReader("columns: aaaa bbbb cccc; footer"), -1); err != nil {
		log.Fatal(err)
	}
	r, err := blob.NewReaderAt(ctx, store, "table", -1, &blob.RangeOptions{Budget: blob.NewBudget(32 << 20)})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	r.Prefetch(blob.Range{Off: 9, Len: 4}, blob.Range{Off: 19, Len: 4})
	column := make([]byte, 4)
	for _, off := range []int64{9, 19} {
		if _, err := r.ReadAt(column, off); err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(column))
	}
	// Output:
	// aaaa
	// cccc
}

// A counter that many processes share: whoever is too late reads again.
func ExampleSwap() {
	ctx := context.Background()
	store := new(blob.Mem)
	tag, err := blob.Swap(ctx, store, "counter", strings.NewReader("1"), 1, "") // while absent
	if err != nil {
		log.Fatal(err)
	}
	_, err = blob.Swap(ctx, store, "counter", strings.NewReader("2"), 1, tag)
	fmt.Println(err)
	_, err = blob.Swap(ctx, store, "counter", strings.NewReader("2"), 1, tag) // the tag is old now
	fmt.Println(errors.Is(err, blob.ErrConflict))
	// Output:
	// <nil>
	// true
}
