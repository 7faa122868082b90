package tracking_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

// faultyStore is a real store whose writes of batches can be made to wait or
// fail.
type faultyStore struct {
	trackingtest.Memory

	mu       sync.Mutex
	fail     error         // what LogBatch answers, nil is the truth
	gate     chan struct{} // what LogBatch waits for, nil is nothing
	attempts int
	sizes    []int // of the batches that were stored
}

func (s *faultyStore) set(fail error, gate chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.gate = fail, gate
}

func (s *faultyStore) seen() (attempts int, sizes []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempts, append([]int(nil), s.sizes...)
}

func (s *faultyStore) LogBatch(ctx context.Context, id tracking.RunID, b tracking.Batch) error {
	s.mu.Lock()
	fail, gate := s.fail, s.gate
	s.attempts++
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fail != nil {
		return fail
	}
	if err := s.Memory.LogBatch(ctx, id, b); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes = append(s.sizes, len(b.Metrics))
	return nil
}

// startRun returns a run in a new experiment of a client of store.
func startRun(t testing.TB, store tracking.Store, opts *tracking.Options) (*tracking.Client, *tracking.Run) {
	t.Helper()
	client := tracking.New(store, opts)
	exp, err := client.Experiment(t.Context(), "experiment")
	require.NoError(t, err)
	run, err := client.StartRun(t.Context(), exp.ID, nil)
	require.NoError(t, err)
	return client, run
}

func points(t testing.TB, run *tracking.Run, key string) int {
	t.Helper()
	history, err := run.History(t.Context(), key)
	require.NoError(t, err)
	return len(history)
}
