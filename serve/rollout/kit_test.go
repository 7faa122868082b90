package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/rollout"
)

// behaviour is a model that a test describes: the n-th request of each fails or
// not, takes some time, and answers with a number.
type behaviour struct {
	fails func(n int64) bool
	takes func(n int64) time.Duration
	says  float64
	count atomic.Int64
}

var errBroken = errors.New("the model is broken")

func (b *behaviour) Signature() serve.Signature {
	return serve.Signature{
		Inputs:  []oip.TensorMetadata{{Name: "x", Datatype: oip.FP64, Shape: []int64{-1}}},
		Outputs: []oip.TensorMetadata{{Name: "y", Datatype: oip.FP64, Shape: []int64{-1, 2}}},
	}
}

func (b *behaviour) Infer(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	n := b.count.Add(1)
	if b.takes != nil {
		select {
		case <-time.After(b.takes(n)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if b.fails != nil && b.fails(n) {
		return errBroken
	}
	x := req.Input("x").FP64()
	y := make([]float64, 2*len(x))
	for i, v := range x {
		y[2*i], y[2*i+1] = v+b.says, 1
	}
	resp.Outputs = append(resp.Outputs, oip.NewFP64("y", []int64{int64(len(x)), 2}, y))
	return nil
}

func (b *behaviour) Close() error { return nil }

// every fails one request in n.
func every(n int64) func(int64) bool { return func(i int64) bool { return i%n == 0 } }

// newServer serves the model "m": the first version by default, the others
// beside it.
func newServer(t testing.TB, versions ...*behaviour) *serve.Server {
	t.Helper()
	s := serve.New(nil)
	for i, m := range versions {
		require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "m", Version: fmt.Sprint(i + 1), Model: m, Beside: i > 0}))
	}
	t.Cleanup(func() { require.NoError(t, s.Shutdown(context.Background())) })
	return s
}

// experiment is version 1 against version 2, half of the keys each.
func experiment() rollout.Experiment {
	return rollout.Experiment{
		Name: "e", Model: "m", Champion: "1",
		Challengers: []rollout.Challenger{{Version: "2", Share: 0.5}},
		Key:         rollout.Header("X-User"),
		Guards:      []rollout.Guard{{Metric: rollout.Errors, Margin: 0.02}},
	}
}

// ask sends one request for a user.
func ask(ctx context.Context, s *serve.Server, user string) (*oip.InferResponse, serve.Call, error) {
	c := serve.Call{
		Model: "m", Header: http.Header{"X-User": {user}},
		Request: &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP64("x", []int64{1}, []float64{1})}},
	}
	resp, err := s.Do(ctx, &c)
	return resp, c, err
}

// traffic asks for many users, a second for each hundred.
func traffic(ctx context.Context, s *serve.Server, requests int) {
	for i := range requests {
		_, _, _ = ask(ctx, s, fmt.Sprintf("user-%d", i%997))
		pass(10 * time.Millisecond)
	}
}

// running is a Run in the background.
type running struct {
	stop context.CancelFunc
	done chan error
}

func run(t testing.TB, r *rollout.Rollout, s *serve.Server) *running {
	ctx, stop := context.WithCancel(t.Context())
	q := &running{stop: stop, done: make(chan error, 1)}
	go func() { q.done <- r.Run(ctx, s) }()
	return q
}

// over waits for the end of Run.
func (q *running) over() error { return <-q.done }

// end ends it.
func (q *running) end() error {
	q.stop()
	return q.over()
}

func newRollout(t testing.TB, e rollout.Experiment, opts *rollout.Options) *rollout.Rollout {
	t.Helper()
	r, err := rollout.New(e, opts)
	require.NoError(t, err)
	return r
}

// pass lets synthetic time pass.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // In a bubble of testing/synctest.
