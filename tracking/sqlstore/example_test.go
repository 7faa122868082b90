package sqlstore_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/sqlstore"
)

// What one program records another finds in the same file.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "millwright")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	url := "sqlite:" + filepath.ToSlash(filepath.Join(dir, "tracking.db"))

	store, err := sqlstore.Open(ctx, url, nil)
	if err != nil {
		log.Fatal(err)
	}
	client := tracking.New(store, nil)
	exp, err := client.Experiment(ctx, "delay model")
	if err != nil {
		log.Fatal(err)
	}
	run, err := client.StartRun(ctx, exp.ID, nil)
	if err != nil {
		log.Fatal(err)
	}
	run.Metric("loss", 0.25, 1)
	if err := run.Finish(ctx, tracking.Finished); err != nil {
		log.Fatal(err)
	}
	if err := client.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	if err := store.Close(); err != nil {
		log.Fatal(err)
	}

	store, err = sqlstore.Open(ctx, url, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	info, err := store.Run(ctx, run.ID())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Status, info.Metrics["loss"].Value)
	// Output:
	// FINISHED 0.25
}
