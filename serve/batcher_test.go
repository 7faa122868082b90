package serve_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// gate is a model whose calls wait for leave, and that notes what it was asked.
type gate struct {
	*model
	enter, leave chan struct{}
	mu           sync.Mutex
	calls        [][]float64
}

// batched deploys an adder with a gate in front.
func batched(t testing.TB, opts *serve.Options, b serve.Batching) (*serve.Server, *gate) {
	g := &gate{model: adder(), enter: make(chan struct{}, 1000), leave: make(chan struct{}, 1000)}
	g.infer = func(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
		g.mu.Lock()
		g.calls = append(g.calls, slices.Clone(req.Input("x").FP64()))
		g.mu.Unlock()
		g.enter <- struct{}{}
		<-g.leave
		return add(ctx, req, resp)
	}
	s, _ := start(t, opts, nil)
	require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "adder", Version: "1", Model: g, Batching: &b}))
	return s, g
}

// ask sends a request from a goroutine of its own and returns its outcome, once
// it waits behind the others.
func ask(ctx context.Context, s *serve.Server, req *oip.InferRequest) chan error {
	out := make(chan error, 1)
	before := arrived(s)
	go func() {
		want := req.Input("x").FP64()
		resp, _, err := s.Infer(ctx, "adder", "", req)
		if err == nil {
			for i, sum := range resp.Output("sum").FP64() {
				if sum != want[2*i]+want[2*i+1] {
					err = fmt.Errorf("row %d is %v", i, sum)
				}
			}
			if 2*len(resp.Output("sum").FP64()) != len(want) || len(resp.Output("sign").BYTES()) != len(want)/2 {
				err = errors.New("rows are missing")
			}
		}
		out <- err
	}()
	for arrived(s) == before && len(out) == 0 {
		runtime.Gosched()
	}
	settle(s)
	return out
}

// arrived counts the requests that came.
func arrived(s *serve.Server) int64 {
	list, _ := s.Statistics("adder", "1")
	return list[0].InFlight + list[0].Success.Count + list[0].Fail.Count
}

func inFlight(s *serve.Server) int64 {
	list, _ := s.Statistics("adder", "1")
	return list[0].InFlight
}

// settle waits until all requests are in the model or in its queue.
func settle(s *serve.Server) {
	for s.Queued("adder", "1")+1 < inFlight(s) {
		runtime.Gosched()
	}
}

func TestBatches(t *testing.T) {
	t.Parallel()
	s, g := batched(t, nil, serve.Batching{MaxRows: 4})
	first := ask(t.Context(), s, rows(1, 1))
	<-g.enter
	list := []chan error{first}
	for i := range 5 {
		list = append(list, ask(t.Context(), s, rows(float64(i), 10)))
	}
	for range 3 {
		g.leave <- struct{}{}
	}
	for _, c := range list {
		require.NoError(t, <-c)
	}
	require.Equal(t, [][]float64{{1, 1}, {0, 10, 1, 10, 2, 10, 3, 10}, {4, 10}}, g.calls)
	st, err := s.Statistics("adder", "1")
	require.NoError(t, err)
	require.EqualValues(t, 6, st[0].Inferences)
	require.EqualValues(t, 3, st[0].Executions)
	require.EqualValues(t, 6, st[0].Success.Count)
	require.Equal(t, int64(1), st[0].Batches[1].Infer.Count)
	require.Equal(t, int64(4), st[0].Batches[1].Rows)
	require.Positive(t, st[0].Queue.Total)
}

// Who has less time goes first, who has none left not at all.
func TestBatchDeadlines(t *testing.T) {
	t.Parallel()
	s, g := batched(t, &serve.Options{Timeout: -1}, serve.Batching{MaxRows: 1})
	first := ask(t.Context(), s, rows(1, 1))
	<-g.enter
	var list []chan error
	for _, hours := range []int{5, 3, 9, 1} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(hours)*time.Hour)
		defer cancel()
		list = append(list, ask(ctx, s, rows(float64(hours), 0)))
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	late := ask(short, s, rows(100, 0))
	// Dropped while the model is still busy with the first.
	require.ErrorIs(t, <-late, context.DeadlineExceeded)
	for range 5 {
		g.leave <- struct{}{}
	}
	require.NoError(t, <-first)
	for _, c := range list {
		require.NoError(t, <-c)
	}
	require.Equal(t, [][]float64{{1, 1}, {1, 0}, {3, 0}, {5, 0}, {9, 0}}, g.calls)
}

// The server's own time limit is kept while the model hangs.
func TestBatchTimeout(t *testing.T) {
	t.Parallel()
	s, g := batched(t, &serve.Options{Timeout: 20 * time.Millisecond}, serve.Batching{})
	first := ask(t.Context(), s, rows(1, 1))
	<-g.enter
	_, _, err := s.Infer(t.Context(), "adder", "", rows(2, 2))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "the time was up before the model was free")
	_, _, err = s.Infer(t.Context(), "adder", "", rows(2, 2))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	g.leave <- struct{}{}
	require.NoError(t, <-first)
	require.Len(t, g.calls, 1)
}

// Who leaves the queue is not computed; who leaves a batch costs nobody else.
func TestBatchLeavers(t *testing.T) {
	t.Parallel()
	s, g := batched(t, nil, serve.Batching{})
	first := ask(t.Context(), s, rows(1, 1))
	<-g.enter
	ctx, cancel := context.WithCancel(t.Context())
	gone := ask(ctx, s, rows(2, 2))
	leader, leave := context.WithCancel(t.Context())
	a := ask(leader, s, rows(3, 3))
	follower, part := context.WithCancel(t.Context())
	b := ask(follower, s, rows(4, 4))
	c := ask(t.Context(), s, rows(5, 5))
	cancel()
	require.ErrorIs(t, <-gone, context.Canceled)
	g.leave <- struct{}{}
	require.NoError(t, <-first)
	<-g.enter
	leave()
	part()
	g.leave <- struct{}{}
	require.NoError(t, <-a)
	require.NoError(t, <-b)
	require.NoError(t, <-c)
	require.Equal(t, [][]float64{{1, 1}, {3, 3, 4, 4, 5, 5}}, g.calls)
}

// The model's context ends when everybody in the batch is gone.
func TestBatchOfNobody(t *testing.T) {
	t.Parallel()
	s, g := batched(t, nil, serve.Batching{})
	first := ask(t.Context(), s, rows(1, 1))
	<-g.enter
	ctx, cancel := context.WithCancel(t.Context())
	a, b := ask(ctx, s, rows(2, 2)), ask(ctx, s, rows(3, 3))
	in := make(chan struct{})
	g.infer = func(ctx context.Context, _ *oip.InferRequest, _ *oip.InferResponse) error {
		close(in)
		<-ctx.Done()
		return ctx.Err()
	}
	g.leave <- struct{}{}
	require.NoError(t, <-first)
	<-in
	cancel()
	require.ErrorIs(t, <-a, context.Canceled)
	require.ErrorIs(t, <-b, context.Canceled)
}

func TestBatchQueueIsBounded(t *testing.T) {
	t.Parallel()
	s, g := batched(t, nil, serve.Batching{MaxQueue: 2})
	list := []chan error{ask(t.Context(), s, rows(1, 1))}
	<-g.enter
	list = append(list, ask(t.Context(), s, rows(2, 2)), ask(t.Context(), s, rows(3, 3)))
	_, _, err := s.Infer(t.Context(), "adder", "", rows(4, 4))
	require.ErrorIs(t, err, serve.ErrUnavailable)
	require.ErrorContains(t, err, "2 requests wait for the model already")
	g.leave <- struct{}{}
	g.leave <- struct{}{}
	for _, c := range list {
		require.NoError(t, <-c)
	}
}

// A bad row costs its own request only, however the model breaks on it.
func TestBatchPoison(t *testing.T) {
	t.Parallel()
	for name, poison := range map[string]func(context.Context, *oip.InferRequest, *oip.InferResponse) error{
		"error": func(context.Context, *oip.InferRequest, *oip.InferResponse) error { return errors.New("bad row") },
		"panic": func(context.Context, *oip.InferRequest, *oip.InferResponse) error { panic("bad row") },
		"shape": func(_ context.Context, _ *oip.InferRequest, resp *oip.InferResponse) error {
			resp.Outputs = append(resp.Outputs, oip.NewFP64("bad row", nil, []float64{1}))
			return nil
		},
	} {
		s, g := batched(t, nil, serve.Batching{})
		g.infer = func(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
			g.enter <- struct{}{}
			<-g.leave
			if slices.Contains(req.Input("x").FP64(), 666) {
				return poison(ctx, req, resp)
			}
			return add(ctx, req, resp)
		}
		first := ask(t.Context(), s, rows(1, 1))
		<-g.enter
		good, bad, also := ask(t.Context(), s, rows(1, 2)), ask(t.Context(), s, rows(3, 666)), ask(t.Context(), s, rows(5, 6, 7, 8))
		for range 5 {
			g.leave <- struct{}{}
		}
		require.NoError(t, <-first)
		require.NoError(t, <-good)
		require.ErrorContains(t, <-bad, "bad row", name)
		require.NoError(t, <-also)
	}
}

func TestRowErrors(t *testing.T) {
	t.Parallel()
	s, g := batched(t, nil, serve.Batching{MaxRows: 3})
	g.infer = func(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
		g.enter <- struct{}{}
		<-g.leave
		_ = add(ctx, req, resp)
		bad := serve.RowErrors{}
		for i, v := range req.Input("x").FP64() {
			if v < 0 {
				bad[i/2] = fmt.Errorf("it is %v: %w", v, serve.ErrInvalid)
			}
		}
		if len(bad) > 0 {
			return bad
		}
		return nil
	}
	first := ask(t.Context(), s, rows(1, 1))
	<-g.enter
	good, bad := ask(t.Context(), s, rows(1, 2)), ask(t.Context(), s, rows(3, 4, -1, 6))
	for range 2 {
		g.leave <- struct{}{}
	}
	require.NoError(t, <-first)
	require.NoError(t, <-good)
	err := <-bad
	require.ErrorIs(t, err, serve.ErrInvalid)
	require.EqualError(t, err, `serve: infer "adder" version "1": row 1: it is -1: invalid`)

	// Rows of a request in pieces have their own numbers.
	for range 2 {
		g.leave <- struct{}{}
	}
	_, _, err = s.Infer(t.Context(), "adder", "", rows(1, 1, -2, 2, 3, 3, 4, 4, -5, 5))
	require.EqualError(t, err, `serve: infer "adder" version "1": row 1: it is -2: invalid; row 4: it is -5: invalid`)
	require.EqualError(t, serve.RowErrors{1: serve.ErrInvalid, 2: serve.ErrInvalid, 3: serve.ErrInvalid, 9: serve.ErrInvalid},
		"row 1: invalid; row 2: invalid; row 3: invalid; and 1 more rows")
}

// A model that ends its goroutine leaves nobody waiting.
func TestBatchGoexit(t *testing.T) {
	t.Parallel()
	s, g := batched(t, nil, serve.Batching{})
	first := ask(t.Context(), s, rows(1, 1))
	<-g.enter
	a, b := ask(t.Context(), s, rows(2, 2)), ask(t.Context(), s, rows(3, 3))
	g.infer = func(context.Context, *oip.InferRequest, *oip.InferResponse) error { runtime.Goexit(); return nil }
	g.leave <- struct{}{}
	require.NoError(t, <-first)
	require.ErrorContains(t, <-b, "the model ended the goroutine of its call")
	require.Empty(t, a)
	g.infer = add
	_, _, err := s.Infer(t.Context(), "adder", "", rows(1, 1))
	require.NoError(t, err)
}

func TestBatchDelay(t *testing.T) {
	t.Parallel()
	s, g := batched(t, nil, serve.Batching{MaxRows: 3, MaxDelay: time.Hour})
	a, b := ask(t.Context(), s, rows(1, 1)), ask(t.Context(), s, rows(2, 2))
	require.Empty(t, g.enter)
	g.leave <- struct{}{}
	c := ask(t.Context(), s, rows(3, 3))
	for _, c := range []chan error{a, b, c} {
		require.NoError(t, <-c)
	}
	require.Equal(t, [][]float64{{1, 1, 2, 2, 3, 3}}, g.calls)
	// It waits no longer than its sender.
	ctx, cancel := context.WithCancel(t.Context())
	a = ask(ctx, s, rows(1, 1))
	cancel()
	require.ErrorIs(t, <-a, context.Canceled)

	s, g = batched(t, nil, serve.Batching{MaxRows: 3, MaxDelay: time.Millisecond})
	g.leave <- struct{}{}
	_, _, err := s.Infer(t.Context(), "adder", "", rows(1, 1))
	require.NoError(t, err)
}

func TestBatchingRefuses(t *testing.T) {
	t.Parallel()
	s, _ := start(t, nil, nil)
	err := s.Deploy(t.Context(), serve.Deployment{Name: "a", Version: "1", Model: twoInputs(), Batching: &serve.Batching{MaxRows: -1, MaxDelay: -1}})
	require.EqualError(t, err, `serve: deploy "a" version "1": Batching.MaxRows is -1, want at least 0; Batching.MaxDelay is -1ns, want at least 0; `+
		`Batching: tensor "c" has shape [1], want a first dimension of -1: invalid`)
}
