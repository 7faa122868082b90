package serve_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// The context of a model behaves as one of package context, in whatever order
// it is asked.
func TestModelContext(t *testing.T) {
	t.Parallel()
	type key struct{}
	parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, 7))
	defer cancel()
	var kept context.Context
	m := adder()
	m.infer = func(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
		kept = ctx
		if at, ok := ctx.Deadline(); !ok || time.Until(at) > time.Hour || time.Until(at) < 50*time.Minute {
			return errors.New("no deadline")
		}
		if ctx.Err() != nil || ctx.Value(key{}) != 7 {
			return errors.New("ended, or without the caller's values")
		}
		child, stop := context.WithCancel(ctx)
		defer stop()
		cancel()
		<-child.Done()
		if !errors.Is(context.Cause(child), context.Canceled) || !errors.Is(ctx.Err(), context.Canceled) {
			return errors.New("not ended with its parent")
		}
		return add(ctx, req, resp)
	}
	s, _ := start(t, &serve.Options{Timeout: time.Hour}, m)
	_, _, err := s.Infer(parent, "adder", "", rows(1, 2))
	require.NoError(t, err)
	<-kept.Done()

	// Kept by a model, against the contract: it has ended.
	m.infer = func(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
		kept = ctx
		return add(ctx, req, resp)
	}
	_, _, err = s.Infer(t.Context(), "adder", "", rows(1, 2))
	require.NoError(t, err)
	require.ErrorIs(t, kept.Err(), context.Canceled)
	<-kept.Done()

	// A deadline of the caller that is earlier.
	m.infer = func(ctx context.Context, _ *oip.InferRequest, _ *oip.InferResponse) error {
		for ctx.Err() == nil {
			time.Sleep(time.Millisecond) //nolint:forbidigo // A model that asks now and then.
		}
		return ctx.Err()
	}
	early, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	_, _, err = s.Infer(early, "adder", "", rows(1, 2))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
