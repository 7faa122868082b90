package mlflow_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

// A training program on another machine than the tracking server. The server
// may be this module's, as here, or MLflow's.
func ExampleDial() {
	ctx := context.Background()
	handler, err := mlflow.NewHandler(&trackingtest.Memory{}, &mlflow.Options{Artifacts: &blob.Mem{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(handler)
	defer server.Close()

	conn, err := mlflow.Dial(server.URL, &mlflow.DialOptions{Token: "secret", Retries: 3})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := conn.Ping(ctx); err != nil {
		fmt.Println(err)
		return
	}
	client := tracking.New(conn, &tracking.Options{Artifacts: conn.Artifacts()})
	defer func() { _ = client.Shutdown(ctx) }()

	exp, err := client.Experiment(ctx, "delay model")
	if err != nil {
		fmt.Println(err)
		return
	}
	run, err := client.StartRun(ctx, exp.ID, &tracking.RunOptions{Name: "first"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for epoch := range int64(3) {
		run.Metric("loss", 1/float64(epoch+1), epoch)
	}
	if err := run.Files().Put(ctx, "model/weights.txt", strings.NewReader("0.5 0.25"), -1); err != nil {
		fmt.Println(err)
		return
	}
	if err := run.Finish(ctx, tracking.Finished); err != nil {
		fmt.Println(err)
		return
	}

	info, err := run.Info(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s is %s, loss %.2f\n", info.Name, info.Status, info.Metrics["loss"].Value)
	for file, err := range run.Files().List(ctx, "") {
		fmt.Println(file.Name(), file.Size(), err)
	}
	// Output:
	// first is FINISHED, loss 0.33
	// model/weights.txt 8 <nil>
}

// Moving from an MLflow server into a store of one's own.
func ExampleImport() {
	ctx := context.Background()
	old := &trackingtest.Memory{} // stands for what the MLflow server keeps
	exp, err := old.CreateExperiment(ctx, tracking.Experiment{Name: "delay model"})
	if err != nil {
		fmt.Println(err)
		return
	}
	run := tracking.RunInfo{ID: "4f1d", Experiment: exp.ID, Name: "first", Status: tracking.Finished}
	if _, err := old.CreateRun(ctx, run); err != nil {
		fmt.Println(err)
		return
	}
	if err := old.LogBatch(ctx, run.ID, tracking.Batch{Params: map[string]string{"lr": "0.1"}, Metrics: []tracking.Metric{{Key: "loss", Value: 0.25, Time: time.UnixMilli(1)}}}); err != nil {
		fmt.Println(err)
		return
	}
	handler, err := mlflow.NewHandler(old, &mlflow.Options{Artifacts: &blob.Mem{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(handler)
	defer server.Close()

	conn, err := mlflow.Dial(server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	store := &trackingtest.Memory{} // or one of package tracking/sqlstore
	for range 2 {
		result, err := mlflow.Import(ctx, conn, store, &mlflow.ImportOptions{To: &blob.Mem{}, Source: "old-server"})
		if err != nil {
			fmt.Println(err) // call again to go on
			return
		}
		fmt.Printf("copied %d runs with %d points, finished before: %d\n", result.Runs, result.Points, result.SkippedRuns)
	}
	info, err := store.Run(ctx, "4f1d")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(info.Name, info.Params["lr"], info.Metrics["loss"].Value)
	// Output:
	// copied 1 runs with 1 points, finished before: 0
	// copied 0 runs with 0 points, finished before: 1
	// first 0.1 0.25
}
