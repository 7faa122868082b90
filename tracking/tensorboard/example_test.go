package tensorboard_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing/fstest"
	"time"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/tensorboard"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

// The runs of an experiment become folders that tensorboard --logdir shows side
// by side.
func ExampleExport() {
	ctx := context.Background()
	client := tracking.New(&trackingtest.Memory{}, nil)
	exp, err := client.Experiment(ctx, "delay model")
	if err != nil {
		log.Fatal(err)
	}
	run, err := client.StartRun(ctx, exp.ID, &tracking.RunOptions{ID: "8d3f0a2b9c8e", Name: "baseline"})
	if err != nil {
		log.Fatal(err)
	}
	run.Metric("loss", 0.5, 1)
	if err := run.End(ctx, nil); err != nil {
		log.Fatal(err)
	}

	dir, err := os.MkdirTemp("", "logs")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for info, err := range client.Runs(ctx, tracking.RunQuery{Experiments: []tracking.ExperimentID{exp.ID}}) {
		if err != nil {
			log.Fatal(err)
		}
		run, err := client.Run(ctx, info.ID)
		if err != nil {
			log.Fatal(err)
		}
		path, err := tensorboard.Export(ctx, run, dir, nil)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(filepath.Base(filepath.Dir(path)))
	}
	// Output:
	// baseline-8d3f0a2b
}

// What another program logged for TensorBoard becomes metrics of a run.
func ExampleImport() {
	ctx := context.Background()
	var file bytes.Buffer
	w := tensorboard.NewWriter(&file)
	for step := range int64(3) {
		err := w.Write(tensorboard.Scalar{Tag: "loss", Value: 1 / float64(step+1), Step: step, Time: time.UnixMilli(1_700_000_000_000)})
		if err != nil {
			log.Fatal(err)
		}
	}
	logs := fstest.MapFS{"train/events.out.tfevents.1700000000.host": {Data: file.Bytes()}} // usually os.DirFS("logs")

	client := tracking.New(&trackingtest.Memory{}, nil)
	exp, err := client.Experiment(ctx, "imported")
	if err != nil {
		log.Fatal(err)
	}
	run, err := client.StartRun(ctx, exp.ID, nil)
	if err != nil {
		log.Fatal(err)
	}
	report, err := tensorboard.Import(ctx, run, logs, nil)
	if err != nil {
		log.Fatal(err)
	}
	info, err := run.Info(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Points, "points, the last of train/loss is at step", info.Metrics["train/loss"].Step)
	// Output:
	// 3 points, the last of train/loss is at step 2
}
