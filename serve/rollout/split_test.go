package rollout_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/rollout"
)

// TestBucketIsXXH64 holds the split to the hash that it documents: the numbers
// are those of github.com/cespare/xxhash.
func TestBucketIsXXH64(t *testing.T) {
	t.Parallel()
	const text = "The quick brown fox jumps over the lazy dog, twice and once more: 0123456789 end."
	s := rollout.NewSplitter("salt")
	for _, tc := range [][2]int{
		{0, 3514}, {1, 5361}, {3, 9701}, {4, 7885}, {5, 7417}, {7, 6359}, {8, 9111}, {9, 8937}, {13, 1719}, {16, 6187},
		{31, 2848}, {32, 5551}, {33, 8683}, {40, 9508}, {47, 523}, {63, 9380}, {64, 5640}, {71, 6966}, {81, 5363},
	} {
		require.Equal(t, tc[1], s.Bucket(text[:tc[0]]), "%d bytes", tc[0])
	}
}

// TestBucketsAreFair: keys that look alike spread evenly, and two experiments
// split them independently.
func TestBucketsAreFair(t *testing.T) {
	t.Parallel()
	const keys, cells = 200_000, 100
	a, b := rollout.NewSplitter("one"), rollout.NewSplitter("two")
	var single [cells]float64
	var joint [10][10]float64
	for i := range keys {
		key := fmt.Sprintf("user-%08d", i)
		x, y := a.Bucket(key), b.Bucket(key)
		single[x*cells/rollout.Buckets]++
		joint[x*10/rollout.Buckets][y*10/rollout.Buckets]++
	}
	chi := func(n, want float64) float64 { return (n - want) * (n - want) / want }
	one, two := 0.0, 0.0
	for _, n := range single {
		one += chi(n, keys/cells)
	}
	for _, row := range joint {
		for _, n := range row {
			two += chi(n, keys/100)
		}
	}
	// Five standard deviations of chi-square with 99 degrees of freedom.
	limit := 99 + 5*math.Sqrt(2*99)
	require.Less(t, one, limit)
	require.Less(t, two, limit)
}

// routed is a Rollout that routes: Run has taken up its experiment.
func routed(t testing.TB) *rollout.Rollout {
	t.Helper()
	e := experiment()
	e.Challengers = []rollout.Challenger{{Version: "2", Share: 0.2}, {Version: "3", Share: 0.3}}
	started := make(chan struct{})
	r := newRollout(t, e, &rollout.Options{Interval: time.Hour, OnEvent: func(rollout.Event) { close(started) }})
	q := run(t, r, newServer(t, new(behaviour), new(behaviour), new(behaviour)))
	<-started
	t.Cleanup(func() { require.ErrorIs(t, q.end(), context.Canceled) })
	return r
}

func TestRouteIsSticky(t *testing.T) {
	t.Parallel()
	r := routed(t)
	count := map[string]int{}
	for i := range 20_000 {
		c := serve.Call{Model: "m", Header: http.Header{"X-User": {fmt.Sprint("user-", i)}}}
		version := r.Route(t.Context(), &c)
		require.Equal(t, version, r.Route(t.Context(), &c))
		require.Equal(t, version, r.Version(fmt.Sprint("user-", i)))
		require.Equal(t, "e/"+version, c.Variant)
		count[version]++
	}
	require.InDelta(t, 10_000, count["1"], 400)
	require.InDelta(t, 4_000, count["2"], 400)
	require.InDelta(t, 6_000, count["3"], 400)
	c := serve.Call{Model: "other"}
	require.Empty(t, r.Route(t.Context(), &c))
}

func TestRouteDoesNotAllocate(t *testing.T) {
	r := routed(t)
	c := serve.Call{Model: "m", Header: http.Header{"X-User": {"1f0a77c6-5c1e-4b0e"}}}
	ctx := t.Context()
	require.Zero(t, testing.AllocsPerRun(1000, func() { r.Route(ctx, &c) }))
	x := serve.Exchange{Model: "m", Version: "2", Variant: "e/2"}
	require.Zero(t, testing.AllocsPerRun(1000, func() { r.Observe(&x) }))
}

func TestKeys(t *testing.T) {
	t.Parallel()
	c := serve.Call{RequestID: "q", Header: http.Header{"X-User": {"ann"}}, Request: request()}
	c.Request.Parameters = map[string]any{"user": "bob", "id": int64(7), "score": 1.5}
	require.Equal(t, "ann", rollout.Header("X-User")(&c))
	require.Equal(t, "bob", rollout.Param("user")(&c))
	require.Equal(t, "7", rollout.Param("id")(&c))
	require.Empty(t, rollout.Param("score")(&c))
	require.Empty(t, rollout.Param("none")(&c))
	require.Equal(t, "q", rollout.RequestID()(&c))
}

func BenchmarkSplit(b *testing.B) {
	s := rollout.NewSplitter("churn-2026-11")
	for _, key := range []string{"user-1", "1f0a77c6-5c1e-4b0e-9c57-6d0f6d9f7c11"} {
		b.Run(fmt.Sprintf("%dB", len(key)), func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n += s.Bucket(key)
			}
			_ = n
		})
	}
}

func BenchmarkRoute(b *testing.B) {
	r := routed(b)
	c := serve.Call{Model: "m", Header: http.Header{"X-User": {"1f0a77c6-5c1e-4b0e-9c57-6d0f6d9f7c11"}}}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		r.Route(ctx, &c)
	}
}

func BenchmarkObserve(b *testing.B) {
	r := routed(b)
	x := serve.Exchange{Model: "m", Version: "2", Variant: "e/2", Duration: 1234567}
	b.ReportAllocs()
	for b.Loop() {
		r.Observe(&x)
	}
}
