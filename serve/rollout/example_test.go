package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"testing/fstest"
	"time"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/registrytest"
	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/rollout"
)

// deployed serves versions 1 and 2 of the model "churn".
func deployed(ctx context.Context, champion, challenger serve.Model) *serve.Server {
	server := serve.New(nil)
	for i, m := range []serve.Model{champion, challenger} {
		err := server.Deploy(ctx, serve.Deployment{Name: "churn", Version: strconv.Itoa(i + 1), Model: m, Beside: i > 0})
		if err != nil {
			log.Fatal(err)
		}
	}
	return server
}

// users send requests until the experiment is over.
func users(ctx context.Context, server *serve.Server, over <-chan error) error {
	for i := 0; ; i++ {
		select {
		case err := <-over:
			return err
		default:
		}
		_, _ = server.Do(ctx, &serve.Call{
			Model: "churn", Header: http.Header{"X-User": {strconv.Itoa(i)}},
			Request: &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP64("x", []int64{1}, []float64{1})}},
		})
	}
}

// A version that fails one request in ten is taken back by itself.
func Example() {
	ctx := context.Background()
	server := deployed(ctx, new(behaviour), &behaviour{fails: every(10)})
	r, err := rollout.New(rollout.Experiment{
		Name: "churn-2", Model: "churn", Champion: "1",
		Challengers: []rollout.Challenger{{Version: "2", Share: 0.5}},
		Key:         rollout.Header("X-User"),
		Ramp:        []rollout.Step{{Share: 0.1}, {Share: 1}},
		Guards:      []rollout.Guard{{Metric: rollout.Errors, Margin: 0.01}},
	}, &rollout.Options{
		Interval: 10 * time.Millisecond,
		OnEvent: func(e rollout.Event) {
			if e.Kind == rollout.Decided {
				fmt.Println(e.Challenger, e.Verdict, "because of", e.Evidence[0].Guard, e.Evidence[0].Harmed())
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- r.Run(ctx, server) }()
	fmt.Println(users(ctx, server, over))
	if err := server.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 2 rollback because of errors true
	// <nil>
}

// Decisions go to the registry: a promotion moves the alias, and both outcomes
// stand in its audit log with the evidence of each guard.
func ExampleOptions() {
	ctx := context.Background()
	reg := registry.New(new(registrytest.Mem), new(blob.Mem), nil)
	for i := range 2 {
		draft := registry.Draft{Files: fstest.MapFS{"model.json": {Data: []byte(strconv.Itoa(i))}}}
		if _, err := reg.Register(ctx, "churn", draft); err != nil {
			log.Fatal(err)
		}
	}
	if err := reg.SetAlias(ctx, "churn", "champion", 1, nil); err != nil {
		log.Fatal(err)
	}
	record := func(ctx context.Context, e rollout.Event) error {
		version, err := strconv.Atoi(e.Challenger)
		if err != nil {
			return err
		}
		opts := &registry.PromoteOptions{By: "rollout " + e.Experiment, Reason: e.Reason}
		for _, v := range e.Evidence {
			opts.Gates = append(opts.Gates, registry.Gate{Name: v.Guard, Check: func(context.Context, registry.Candidate) (registry.Verdict, error) {
				return registry.Verdict{Pass: e.Verdict == rollout.Promote && v.Passed(), Detail: v.String(), Numbers: v.Numbers()}, nil
			}})
		}
		_, err = reg.Promote(ctx, e.Model, "champion", version, opts)
		if _, refused := errors.AsType[*registry.RefusedError](err); refused {
			return nil // It is on record.
		}
		return err
	}

	server := deployed(ctx, new(behaviour), new(behaviour))
	r, err := rollout.New(rollout.Experiment{
		Name: "churn-2", Model: "churn", Champion: "1",
		Challengers: []rollout.Challenger{{Version: "2", Share: 0.5}},
		Key:         rollout.Header("X-User"),
		Guards:      []rollout.Guard{{Metric: rollout.Errors, Margin: 0.01}},
	}, &rollout.Options{Interval: 10 * time.Millisecond, Record: record})
	if err != nil {
		log.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- r.Run(ctx, server) }()
	if err := users(ctx, server, over); err != nil {
		log.Fatal(err)
	}
	v, err := reg.Resolve(ctx, "churn@champion")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the champion is version", v.Number)
	for e, err := range reg.History(ctx, "churn", "champion") { // The latest first.
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Kind, "by", e.By, "with evidence:", len(e.Evidence) > 100)
		break
	}
	if err := server.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// the champion is version 2
	// promotion by rollout churn-2 with evidence: true
}

// Who gets which version needs no state and no coordination.
func ExampleSplitter() {
	s := rollout.NewSplitter("churn-2026-11")
	for _, user := range []string{"ann", "bob"} {
		fmt.Println(user, s.Bucket(user))
	}
	// Output:
	// ann 5265
	// bob 49
}
