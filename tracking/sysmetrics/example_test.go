//go:build linux

package sysmetrics_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/sysmetrics"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

// The machine is watched while a training runs.
func ExampleRun() {
	ctx := context.Background()
	client := tracking.New(&trackingtest.Memory{}, nil)
	exp, err := client.Experiment(ctx, "delay model")
	if err != nil {
		log.Fatal(err)
	}
	run, err := client.StartRun(ctx, exp.ID, nil)
	if err != nil {
		log.Fatal(err)
	}

	train := func(ctx context.Context) (err error) {
		defer func() { err = errors.Join(err, run.End(ctx, err)) }()
		watching, stop := context.WithCancel(ctx)
		var wg sync.WaitGroup
		wg.Go(func() {
			opts := &sysmetrics.Options{Every: 10 * time.Millisecond} // the default of 10 s is better
			if err := sysmetrics.Run(watching, run, opts); err != nil {
				log.Println(err) // no reason to stop the training
			}
		})
		defer wg.Wait() // before the run ends
		defer stop()
		<-time.After(100 * time.Millisecond) // the training
		return nil
	}
	if err := train(ctx); err != nil {
		log.Fatal(err)
	}

	info, err := run.Info(ctx)
	if err != nil {
		log.Fatal(err)
	}
	used := info.Metrics["system/system_memory_usage_percentage"].Value
	fmt.Println(info.Status, used > 0 && used < 100)
	// Output:
	// FINISHED true
}
