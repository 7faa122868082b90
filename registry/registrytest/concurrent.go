package registrytest

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry"
)

// handles returns one store twice, or two handles on one database where the
// implementation has them.
func handles(t *testing.T, h Harness) [2]registry.Store {
	first := h.New(t)
	if h.Second == nil {
		return [2]registry.Store{first, first}
	}
	return [2]registry.Store{first, h.Second(t, first)}
}

// race runs f(i) for i < n at the same time and returns the results in order.
func race[T any](n int, f func(i int) T) []T {
	out := make([]T, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			out[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return out
}

type created struct {
	numbers []int
	err     error
}

func testConcurrentCreate(t *testing.T, h Harness) {
	ctx, stores := t.Context(), handles(t, h)
	const workers, each = 8, 5
	results := race(workers, func(i int) created {
		var c created
		for n := range each {
			v, err := stores[i%2].CreateVersion(ctx, bare("fraud", i*each+n), "")
			if err != nil {
				c.err = err
				return c
			}
			c.numbers = append(c.numbers, v.Number)
		}
		return c
	})
	var all []int
	for _, c := range results {
		require.NoError(t, c.err)
		require.True(t, slices.IsSorted(c.numbers), "numbers go up for one caller: %v", c.numbers)
		all = append(all, c.numbers...)
	}
	slices.Sort(all)
	for i, n := range all {
		require.Equal(t, i+1, n, "numbers are unique and without gaps: %v", all)
	}
}

func testConcurrentKey(t *testing.T, h Harness) {
	ctx, stores := t.Context(), handles(t, h)
	results := race(8, func(i int) created {
		v := bare("fraud", 1)
		v.Key = "run-1"
		got, err := stores[i%2].CreateVersion(ctx, v, "")
		if err != nil {
			return created{err: err}
		}
		return created{numbers: []int{got.Number}}
	})
	for _, c := range results {
		require.NoError(t, c.err)
		require.Equal(t, []int{1}, c.numbers)
	}
	models, err := allModels(ctx, stores[0], registry.ModelQuery{})
	require.NoError(t, err)
	require.Len(t, models, 1)
	require.Equal(t, 1, models[0].Latest)
}

func testConcurrentMove(t *testing.T, h Harness) {
	ctx, stores := t.Context(), handles(t, h)
	const workers, rounds = 8, 5
	for i := range workers {
		_, err := stores[0].CreateVersion(ctx, bare("fraud", i), "")
		require.NoError(t, err)
	}
	at0 := 0
	for round := range rounds {
		// Nobody moves to where the alias is, so each call is a real move.
		targets := make([]int, 0, workers)
		for n := 1; n <= workers; n++ {
			if n != at0 {
				targets = append(targets, n)
			}
		}
		errs := race(len(targets), func(i int) error {
			_, err := stores[i%2].Record(ctx, registry.Entry{
				Kind: registry.KindAlias, Name: "fraud", Alias: "champion", Time: at(round), To: targets[i], By: fmt.Sprint(i),
			}, at0)
			return err
		})
		winner := 0
		for i, err := range errs {
			if err == nil {
				require.Zero(t, winner, "two callers won")
				winner = targets[i]
				continue
			}
			require.ErrorIs(t, err, registry.ErrConflict, "the others lose by conflict")
		}
		require.NotZero(t, winner, "nobody won")
		a, err := aliasOf(ctx, stores[round%2], "fraud", "champion")
		require.NoError(t, err)
		require.Equal(t, winner, a.Number)
		at0 = winner
	}
	moves, err := stores[1].Audit(ctx, registry.AuditQuery{Name: "fraud", Alias: "champion", Limit: 100})
	require.NoError(t, err)
	require.Len(t, moves, rounds, "the history has the wins and nothing else")
}
