//go:build !race

// The race detector makes simulations tenfold slower, and learns nothing from
// them: nothing here runs at once.

package column_test

import (
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor/drift"
	"github.com/millwright-ml/millwright/monitor/drift/column"
)

// TestPowerTable is the table of docs/drift.md: how many of 300 windows alarm
// by a limit on the score alone, by the p-value alone, and by both. Show it
// with -v.
func TestPowerTable(t *testing.T) {
	t.Parallel()
	const runs, n = 300, 20_000
	r := rand.New(rand.NewPCG(41, 0))
	reference := make([]float64, n)
	for i := range reference {
		reference[i] = r.NormFloat64()
	}
	sd := column.StandardDeviation(reference)
	type grid struct {
		edges, positions []float64
		ref              []uint64
	}
	made := map[int]grid{}
	for _, bins := range []int{10, 64} {
		b, err := column.Bin(reference, nil, bins)
		require.NoError(t, err)
		g := grid{edges: b.Edges, ref: b.Ref[:bins], positions: make([]float64, bins)}
		sums := make([]float64, bins)
		for _, v := range reference {
			sums[sort.Search(len(b.Edges), func(i int) bool { return b.Edges[i] > v })] += v
		}
		for i := range sums {
			g.positions[i] = sums[i] / float64(g.ref[i])
		}
		made[bins] = g
	}
	measures := []struct {
		method drift.Method
		bins   int
	}{
		{drift.MethodPSI, 10}, {drift.MethodJensenShannon, 10}, {drift.MethodHellinger, 10}, {drift.MethodChiSquare, 10}, {drift.MethodLInf, 10},
		{drift.MethodKolmogorovSmirnov, 64}, {drift.MethodAndersonDarling, 64}, {drift.MethodMannWhitney, 64}, {drift.MethodEnergy, 64},
	}
	for _, c := range []struct {
		shift float64
		m     int
	}{{0, 100}, {0, 300}, {0, 1000}, {0, 10_000}, {0.05, 10_000}, {0.1, 1000}, {0.1, 10_000}, {0.25, 1000}, {0.25, 10_000}} {
		byLimit, byChance, byBoth := map[drift.Method]float64{}, map[drift.Method]float64{}, map[drift.Method]float64{}
		for range runs {
			counts := map[int][]uint64{10: make([]uint64, 10), 64: make([]uint64, 64)}
			for range c.m {
				v := r.NormFloat64() + c.shift
				for bins, g := range made {
					counts[bins][sort.Search(len(g.edges), func(i int) bool { return g.edges[i] > v })]++
				}
			}
			for _, m := range measures {
				g := made[m.bins]
				got, err := m.method.Measure(g.ref, counts[m.bins], g.positions, sd)
				require.NoError(t, err)
				warn, _ := m.method.Floors()
				if got.Effect >= warn {
					byLimit[m.method] += 1. / runs
				}
				if got.PValue <= 0.05 {
					byChance[m.method] += 1. / runs
					if got.Effect >= warn {
						byBoth[m.method] += 1. / runs
					}
				}
			}
		}
		for _, m := range measures {
			t.Logf("shift %.2f rows %5d %-18s limit %.2f p-value %.2f both %.2f", c.shift, c.m, m.method, byLimit[m.method], byChance[m.method], byBoth[m.method])
			if c.shift == 0 {
				require.Less(t, byBoth[m.method], 0.09, m.method)
			}
			if c.shift >= 0.1 && c.m == 10_000 {
				require.Greater(t, byChance[m.method], 0.99, m.method)
			}
		}
	}
}
