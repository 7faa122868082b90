package profile_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
)

func manyRows(n int) table {
	b := table{make([]float64, n), make([]string, n)}
	for i := range b.x {
		b.x[i] = float64(i)
		b.t[i] = []string{"free", "pro", "trial", "team"}[i%4]
	}
	return b
}

func BenchmarkChecker(b *testing.B) {
	rows := manyRows(1 << 16)
	for _, e := range []profile.Expectation{
		profile.Range("x", 0, 1e9), profile.OneOf("t", "free", "pro", "trial", "team"), profile.Match("t", "^[a-z]+$"), profile.Unique("x"), profile.Nulls("x", 0),
	} {
		b.Run(string(e.Check), func(b *testing.B) {
			for b.Loop() {
				c, err := profile.NewChecker(fields, []profile.Expectation{e}, nil)
				require.NoError(b, err)
				c.Add(len(rows.x), rows.values)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(rows.x)), "ns/row")
		})
	}
}

// What a batch costs in allocations does not depend on its rows.
func TestCheckingAllocatesNothingByRow(t *testing.T) {
	for _, e := range []profile.Expectation{profile.Range("x", 0, 1e9), profile.OneOf("t", "free", "pro", "trial", "team"), profile.Match("t", "^[a-z]+$"), profile.Unique("t")} {
		cost := func(n int) float64 {
			rows := manyRows(n)
			c, err := profile.NewChecker(fields, []profile.Expectation{e}, nil)
			require.NoError(t, err)
			c.Add(n, rows.values) // Warm up: maps and examples.
			return testing.AllocsPerRun(5, func() { c.Add(n, rows.values) })
		}
		require.InDelta(t, cost(100), cost(10_000), 2, fmt.Sprint(e))
	}
}
