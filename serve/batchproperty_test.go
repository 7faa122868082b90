package serve_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// wide is a model of all datatypes and free dimensions that gives back what it
// got, so that a row that ends up in the wrong place shows.
type wide struct {
	calls atomic.Int64
}

var kinds = []oip.Datatype{
	oip.BOOL, oip.UINT8, oip.UINT16, oip.UINT32, oip.UINT64, oip.INT8, oip.INT16, oip.INT32, oip.INT64,
	oip.FP16, oip.BF16, oip.FP32, oip.FP64, oip.BYTES,
}

func (*wide) Signature() (sig serve.Signature) {
	for _, k := range kinds {
		m := oip.TensorMetadata{Name: string(k), Datatype: k, Shape: []int64{-1, -1}}
		sig.Inputs, sig.Outputs = append(sig.Inputs, m), append(sig.Outputs, m)
	}
	return sig
}

func (m *wide) Infer(_ context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	m.calls.Add(1)
	if req.Input("INT64").Shape[0] > 16 {
		return errors.New("too many rows")
	}
	if v, ok := req.Parameters["mode"]; ok {
		for _, n := range req.Input("INT64").INT64() {
			if n%2 != v.(int64) {
				return errors.New("another one's parameters")
			}
		}
	}
	for range 20 {
		runtime.Gosched() // Time for others to queue.
	}
	resp.Outputs = append(resp.Outputs, req.Inputs...)
	return nil
}

func (*wide) Close() error { return nil }

// fill returns tensors of all kinds whose elements follow from the seed.
func fill(rng *rand.Rand, n, width int64, seed int64) []oip.Tensor {
	count := n * width
	var list []oip.Tensor
	for _, k := range kinds {
		shape := []int64{n, width}
		var data any
		switch k {
		case oip.BOOL:
			data = each(count, func(i int64) bool { return (seed+i)%3 == 0 })
		case oip.BYTES:
			data = each(count, func(i int64) []byte { return fmt.Append(nil, seed, i) })
		case oip.UINT8:
			data = each(count, func(i int64) uint8 { return uint8(seed + i) })
		case oip.UINT32:
			data = each(count, func(i int64) uint32 { return uint32(seed + i) })
		case oip.UINT64:
			data = each(count, func(i int64) uint64 { return uint64(seed + i) })
		case oip.INT8:
			data = each(count, func(i int64) int8 { return int8(seed + i) })
		case oip.INT16:
			data = each(count, func(i int64) int16 { return int16(seed + i) })
		case oip.INT32:
			data = each(count, func(i int64) int32 { return int32(seed + i) })
		case oip.INT64:
			data = each(count, func(int64) int64 { return seed })
		case oip.FP32:
			data = each(count, func(i int64) float32 { return float32(seed) + float32(i)/8 })
		case oip.FP64:
			data = each(count, func(i int64) float64 { return float64(seed) + float64(i)/8 })
		default:
			data = each(count, func(i int64) uint16 { return uint16(seed + i) })
		}
		list = append(list, oip.New(string(k), k, shape, data))
	}
	rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func each[T any](n int64, f func(int64) T) []T {
	list := make([]T, n)
	for i := range list {
		list[i] = f(int64(i))
	}
	return list
}

// Random requests at random times, of all kinds of data, of many sizes and
// shapes, with parameters and deadlines, some of whose senders leave: whatever
// was merged and cut, everybody gets his own.
func TestBatcherProperty(t *testing.T) {
	t.Parallel()
	for _, b := range []serve.Batching{
		{MaxRows: 16}, {MaxRows: 16, Executions: 3}, {MaxRows: 7, MaxElements: 200}, {MaxRows: 16, MaxDelay: 100 * time.Microsecond}, {MaxRows: 1},
	} {
		s, _ := start(t, nil, nil)
		m := &wide{}
		require.NoError(t, s.Deploy(t.Context(), serve.Deployment{Name: "wide", Version: "1", Model: m, Batching: &b}))
		var wg sync.WaitGroup
		var answered atomic.Int64
		for g := range 8 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(g), 1))
				for i := range 60 {
					seed := rng.Int64N(100)
					req := &oip.InferRequest{Inputs: fill(rng, 1+rng.Int64N(20), rng.Int64N(3), seed)}
					if rng.IntN(4) == 0 {
						req.Parameters = map[string]any{"mode": seed % 2}
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					if rng.IntN(10) == 0 {
						time.AfterFunc(time.Duration(rng.IntN(300))*time.Microsecond, cancel)
					}
					resp, _, err := s.Infer(ctx, "wide", "", req)
					if err != nil && ctx.Err() == nil {
						t.Errorf("request %d of %d: %v", i, g, err)
					}
					if err == nil {
						answered.Add(1)
						for _, in := range req.Inputs {
							out := resp.Output(in.Name)
							if !slices.Equal(in.Shape, out.Shape) || !equalData(in.Data(), out.Data()) {
								t.Errorf("request %d of %d: %s differs", i, g, in.Name)
							}
						}
					}
					cancel()
				}
			})
		}
		wg.Wait()
		st, err := s.Statistics("wide", "1")
		require.NoError(t, err)
		require.Equal(t, answered.Load(), st[0].Success.Count)
		require.EqualValues(t, 480, st[0].Success.Count+st[0].Fail.Count)
		require.Zero(t, s.Queued("wide", "1"))
	}
}

func equalData(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// The batcher's own cost, on a model that costs nothing: two locks and what the
// counting of a call takes.
func BenchmarkBatcher(b *testing.B) {
	for name, batching := range map[string]*serve.Batching{"without": nil, "with": {}} {
		b.Run(name, func(b *testing.B) {
			s := serve.New(&serve.Options{NewID: func() string { return "q" }})
			require.NoError(b, s.Deploy(b.Context(), serve.Deployment{Name: "m", Version: "1", Model: &toy{}, Batching: batching}))
			req := &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP32("input", []int64{1, 4}, make([]float32, 4))}}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := s.Infer(b.Context(), "m", "", req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
