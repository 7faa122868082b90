package dataset_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
)

func TestBucketIsWhatDuckDBSays(t *testing.T) {
	t.Parallel()
	// DuckDB 2.0.0: select ('0x' || left(md5(seed || ':' || key), 8))::BIGINT % 1000000.
	for _, c := range []struct {
		seed, key string
		want      int
	}{
		{"v1", "abc", 49986},
		{"v1", "", 361644},
		{"", "", 230479},
		{"s:eed", "größe", 70546},
		{"42", "1000000", 360408},
		{"v1", strings.Repeat("x", 200), 80054},
	} {
		require.Equal(t, c.want, dataset.Bucket(c.seed, c.key), "%q %q", c.seed, c.key)
	}
}

func TestBucketsAreEven(t *testing.T) {
	t.Parallel()
	const rows = 100_000
	counts := make([]int, 10)
	for i := range rows {
		counts[dataset.Bucket("seed", fmt.Sprint(i))/100_000]++
	}
	for _, n := range counts {
		require.InDelta(t, rows/10, n, 5*95) // Five standard deviations.
	}
}

func TestBucketDoesNotAllocate(t *testing.T) { // Not parallel: allocations are counted for the whole process.
	require.Zero(t, testing.AllocsPerRun(100, func() { dataset.Bucket("seed", "customer-123") }))
}
