package loader_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/loader"
)

// The order is part of what a token and a training run mean: no release may
// change these numbers.
func TestTheOrderStaysWhatItIs(t *testing.T) {
	t.Parallel()
	require.Equal(t, []int{4, 3, 0, 6, 2, 7, 8, 9, 1, 5}, loader.Permutation(0, 0, false, 0, 10))
	require.Equal(t, []int{9, 5, 0, 6, 8, 3, 1, 7, 2, 4}, loader.Permutation(1, 0, false, 0, 10))
	require.Equal(t, []int{1, 0, 3, 8, 9, 6, 7, 5, 2, 4}, loader.Permutation(1, 7, false, 0, 10))
	require.Equal(t, []int{3, 8, 6, 2, 9, 0, 1, 4, 7, 5}, loader.Permutation(1, 7, true, 3, 10))
	require.Equal(t, []int{3, 4, 9, 6, 8, 5, 7, 2, 1, 0}, loader.Permutation(1, 7, true, 4, 10))
}

func TestEveryPlaceIsAsLikely(t *testing.T) {
	t.Parallel()
	const n, rounds = 8, 8000
	var counts [n][n]int
	for epoch := range int64(rounds) {
		for at, i := range loader.Permutation(9, epoch, true, 0, n) {
			counts[at][i]++
		}
	}
	for _, row := range counts {
		for _, c := range row {
			require.InDelta(t, rounds/n, c, 5*31) // Five standard deviations.
		}
	}
	list := loader.Permutation(1, 1, false, 0, 1000)
	slices.Sort(list)
	require.Equal(t, loader.Permutation(0, 0, false, 0, 1)[0], list[0])
	require.Len(t, slices.Compact(list), 1000)
}
