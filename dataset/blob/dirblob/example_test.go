package dirblob_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "objects")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	store, err := dirblob.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = store.Close() }()

	ctx := context.Background()
	if err := store.Create(ctx, "runs/7/notes.txt", strings.NewReader("the best one"), 12); err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Create(ctx, "runs/7/notes.txt", strings.NewReader("again"), 5))

	data, err := os.ReadFile(dir + "/runs/7/notes.txt")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", data)
	// Output:
	// create runs/7/notes.txt: file already exists
	// the best one
}
