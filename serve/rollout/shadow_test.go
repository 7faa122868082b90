package rollout_test

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

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
		e.Shadow = &rollout.Shadow{Abs: 0.1, OnResult: func(r rollout.ShadowResult) {
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
			Mirrored: 100, Compared: 90, Failed: 10, TopOne: 0, TopOneRows: 90, MaxAbs: 0.5,
		}, func() rollout.ShadowStatus { st.Shadow.TopOne = 0; return st.Shadow }())
		require.Len(t, results, 100)
		require.False(t, results[0].Diff.Equal)
		require.Equal(t, `output "y" element 0 is 1.5, was 1`, results[0].Diff.Why)
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

func TestCompare(t *testing.T) {
	t.Parallel()
	answer := func(list ...oip.Tensor) *oip.InferResponse { return &oip.InferResponse{Outputs: list} }
	floats := func(v ...float64) oip.Tensor { return oip.NewFP64("y", []int64{int64(len(v))}, v) }
	nan := math.NaN()
	for _, tc := range []struct {
		name string
		a, b *oip.InferResponse
		why  string
	}{
		{"equal", answer(floats(1, 2)), answer(floats(1, 2)), ""},
		{"within rel", answer(floats(1000)), answer(floats(1000.5)), ""},
		{"within abs", answer(floats(0)), answer(floats(0.01)), ""},
		{"beyond", answer(floats(1, 2)), answer(floats(1, 3)), `output "y" element 1 is 3, was 2`},
		{"NaN", answer(floats(nan)), answer(floats(nan)), ""},
		{"NaN once", answer(floats(nan)), answer(floats(1)), `output "y" element 0 is 1, was NaN`},
		{"infinite", answer(floats(math.Inf(1))), answer(floats(math.Inf(-1))), `output "y" element 0 is -Inf, was +Inf`},
		{"missing", answer(floats(1)), answer(), `output "y" is missing`},
		{"new", answer(), answer(floats(1)), `output "y" is new`},
		{"type", answer(floats(1)), answer(oip.NewFP32("y", []int64{1}, []float32{1})), `output "y" is FP32, was FP64`},
		{"shape", answer(floats(1)), answer(floats(1, 1)), `output "y" has shape [2], had [1]`},
		{"words", answer(oip.NewStrings("y", []int64{2}, []string{"a", "b"})), answer(oip.NewStrings("y", []int64{2}, []string{"a", "c"})), `output "y" element 1 differs`},
		{"truth", answer(oip.NewBOOL("y", []int64{1}, []bool{true})), answer(oip.NewBOOL("y", []int64{1}, []bool{false})), `output "y" element 0 differs`},
		{"big integers", answer(oip.NewINT64("y", []int64{1}, []int64{7})), answer(oip.NewINT64("y", []int64{1}, []int64{9})), `output "y" element 0 is 9, was 7`},
		{"small integers", answer(oip.NewUINT8("y", []int64{1}, []uint8{7})), answer(oip.NewUINT8("y", []int64{1}, []uint8{9})), `output "y" element 0 is 9, was 7`},
		{"half", answer(oip.NewFP16("y", []int64{3}, []uint16{0x3c00, 0x0001, 0x7c00})), answer(oip.NewFP16("y", []int64{3}, []uint16{0x3c00, 0x0001, 0xfc00})), `output "y" element 2 is -Inf, was +Inf`},
		{"bfloat", answer(oip.NewBF16("y", []int64{1}, []uint16{0x3f80})), answer(oip.NewBF16("y", []int64{1}, []uint16{0x4000})), `output "y" element 0 is 2, was 1`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := rollout.Compare(tc.a, tc.b, 0.02, 0.001)
			require.Equal(t, tc.why, d.Why)
			require.Equal(t, tc.why == "", d.Equal)
		})
	}
	a := answer(oip.NewFP32("p", []int64{3, 3}, []float32{1, 2, 3, 3, 2, 1, 1, 3, 2}))
	b := answer(oip.NewFP32("p", []int64{3, 3}, []float32{1, 2, 4, 1, 2, 3, 0, 1, 0}))
	d := rollout.Compare(a, b, 0, 0)
	require.Equal(t, [2]int64{2, 3}, [2]int64{d.TopOne, d.TopOneRows})
	require.Equal(t, [2]int64{9, 6}, [2]int64{d.Elements, d.Differ})
	require.Equal(t, [2]float64{2, 2}, [2]float64{d.MaxAbs, d.MaxRel})
}
