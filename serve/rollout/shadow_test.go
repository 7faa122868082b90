package rollout_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/rollout"
)

func request() *oip.InferRequest {
	return &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP64("x", []int64{1}, []float64{1})}}
}

func TestShadow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		challenger := &behaviour{says: 0.5, fails: every(10)}
		s := newServer(t, new(behaviour), challenger)
		var mu sync.Mutex
		var results []rollout.ShadowResult
		e := experiment()
		e.Challengers[0].Share = 0.0001
		e.Shadow = &rollout.Shadow{Tolerance: serve.Tolerance{Abs: 0.1}, OnResult: func(r rollout.ShadowResult) {
			mu.Lock()
			defer mu.Unlock()
			results = append(results, r)
		}}
		r := newRollout(t, e, nil)
		q := run(t, r, s)
		synctest.Wait()
		for i := range 100 {
			resp, _, err := ask(t.Context(), s, fmt.Sprint("user-", i))
			require.NoError(t, err)
			require.Equal(t, 1.0, resp.Output("y").FP64()[0], "the champion's answer")
			synctest.Wait()
		}
		st := r.Status()
		require.Equal(t, rollout.ShadowStatus{
			Mirrored: 100, Compared: 90, Failed: 10, TopOne: 0, TopOneRows: 90, Largest: 0.5,
		}, func() rollout.ShadowStatus { st.Shadow.TopOne = 0; return st.Shadow }())
		require.Len(t, results, 100)
		require.False(t, results[0].Diff.Equal())
		require.Equal(t, `output "y" element 0 is 1.5, want 1`, results[0].Diff.First)
		require.ErrorIs(t, results[9].Err, errBroken)
		require.ErrorContains(t, q.end(), "canceled")
		require.Zero(t, st.Challengers[0].Requests, "shadow requests are not counted by the guards")
	})
}

// TestShadowNeverBlocks: a challenger that hangs costs the champion nothing; what
// finds no room is counted.
func TestShadowNeverBlocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		challenger := &behaviour{takes: func(int64) time.Duration { return time.Hour }}
		s := newServer(t, new(behaviour), challenger)
		e := experiment()
		e.Challengers[0].Share = 0.0001
		e.Shadow = &rollout.Shadow{Queue: 5, Workers: 2, Timeout: time.Second}
		r := newRollout(t, e, nil)
		q := run(t, r, s)
		synctest.Wait()
		start := time.Now()
		for i := range 20 {
			_, _, err := ask(t.Context(), s, fmt.Sprint("user-", i))
			require.NoError(t, err)
			synctest.Wait()
		}
		require.Zero(t, time.Since(start), "nobody waited")
		st := r.Status().Shadow
		require.Equal(t, [2]int64{7, 13}, [2]int64{st.Mirrored, st.Dropped})
		pass(10 * time.Second)
		synctest.Wait()
		st = r.Status().Shadow
		require.Equal(t, [2]int64{7, 7}, [2]int64{st.Failed, st.TimedOut})
		require.Error(t, q.end())
	})
}
