package tracking_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

// One training from start to end. A program opens its store with
// sqlstore.Open and its artifacts with dirblob.Open or s3blob.Open.
func Example() {
	ctx := context.Background()
	client := tracking.New(&trackingtest.Memory{}, &tracking.Options{Artifacts: &blob.Mem{}})

	exp, err := client.Experiment(ctx, "delay model")
	if err != nil {
		log.Fatal(err)
	}
	run, err := client.StartRun(ctx, exp.ID, &tracking.RunOptions{Name: "baseline"})
	if err != nil {
		log.Fatal(err)
	}
	if err := run.Params(ctx, map[string]string{"learning rate": "0.5", "epochs": "3"}); err != nil {
		log.Fatal(err)
	}
	err = run.LogInput(ctx, tracking.DatasetInput{Name: "flights", Version: "7", Digest: "sha256:9f86d08", Context: "training"})
	if err != nil {
		log.Fatal(err)
	}
	loss := 1.0
	for epoch := range 3 {
		loss /= 2
		run.Metric("loss", loss, int64(epoch))
	}
	if err := run.Files().Put(ctx, "model/weights.json", strings.NewReader(`{"w":[1,2]}`), -1); err != nil {
		log.Fatal(err)
	}
	if err := run.Finish(ctx, tracking.Finished); err != nil {
		log.Fatal(err)
	}

	info, err := run.Info(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Name, info.Status)
	fmt.Println("learning rate", info.Params["learning rate"])
	fmt.Println("read", info.Inputs[0].Name, info.Inputs[0].Version)
	fmt.Println("loss", info.Metrics["loss"].Value, "at step", info.Metrics["loss"].Step)
	history, err := run.History(ctx, "loss")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(history), "points")
	if err := client.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// baseline FINISHED
	// learning rate 0.5
	// read flights 7
	// loss 0.125 at step 2
	// 3 points
}

// A param is written once, and the error says what it would have changed.
func ExampleRun_Params() {
	ctx := context.Background()
	client := tracking.New(&trackingtest.Memory{}, nil)
	exp, err := client.Experiment(ctx, "delay model")
	if err != nil {
		log.Fatal(err)
	}
	run, err := client.StartRun(ctx, exp.ID, &tracking.RunOptions{ID: "run1"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(run.Params(ctx, map[string]string{"depth": "6"}))
	fmt.Println(run.Params(ctx, map[string]string{"depth": "6"}))
	fmt.Println(run.Params(ctx, map[string]string{"depth": "8"}))
	// Output:
	// <nil>
	// <nil>
	// trackingtest: log batch: run "run1": param "depth" is "6" already and cannot become "8", params are written once: conflict
}

// A program that is the only one to start runs in an experiment marks those
// that a crash left behind.
func ExampleClient_Runs() {
	ctx := context.Background()
	store := &trackingtest.Memory{}
	exp, err := tracking.New(store, nil).Experiment(ctx, "delay model")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := tracking.New(store, nil).StartRun(ctx, exp.ID, &tracking.RunOptions{Name: "interrupted"}); err != nil {
		log.Fatal(err)
	}

	client := tracking.New(store, nil) // after the restart
	for info, err := range client.Runs(ctx, tracking.RunQuery{
		Experiments: []tracking.ExperimentID{exp.ID}, Filter: "status = 'RUNNING'",
	}) {
		if err != nil {
			log.Fatal(err)
		}
		run, err := client.Run(ctx, info.ID)
		if err != nil {
			log.Fatal(err)
		}
		if err := run.Finish(ctx, tracking.Killed); err != nil {
			log.Fatal(err)
		}
		fmt.Println(info.Name, "is marked")
	}
	// Output:
	// interrupted is marked
}
