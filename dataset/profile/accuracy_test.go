package profile_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// rankError returns the largest distance between the rank asked for and the
// rank of the answer, as a share of the rows.
func rankError(c *profile.Column, sorted []float64) (worst float64) {
	n := float64(len(sorted))
	for i := 1; i < 200; i++ {
		q := float64(i) / 200
		v := c.Quantile(q)
		// Equal values span a range of ranks, and any of them is right.
		below := float64(sort.SearchFloat64s(sorted, v)) / n
		upTo := float64(sort.SearchFloat64s(sorted, math.Nextafter(v, math.Inf(1)))) / n
		worst = max(worst, below-q, q-upTo)
	}
	return worst
}

func TestQuantileRankError(t *testing.T) {
	t.Parallel()
	const n = 200_000
	streams := map[string]func() []float64{}
	for _, d := range distributions {
		streams[d.name] = func() []float64 { return draw(n, d.draw) }
	}
	// Orders that a deterministic sketch could fall into step with.
	ramp := func(f func(i int) float64) func() []float64 {
		return func() []float64 {
			out := make([]float64, n)
			for i := range out {
				out[i] = f(i)
			}
			return out
		}
	}
	streams["ascending"] = ramp(func(i int) float64 { return float64(i) })
	streams["descending"] = ramp(func(i int) float64 { return float64(-i) })
	streams["alternating ends"] = ramp(func(i int) float64 { return float64(i * (1 - 2*(i&1))) })
	streams["sawtooth"] = ramp(func(i int) float64 { return float64(i % 4096) })
	streams["bit reversed"] = ramp(func(i int) float64 { return float64(i * 7919 % n) })
	streams["two halves"] = ramp(func(i int) float64 {
		if i < n/2 {
			return 1
		}
		return float64(i)
	})
	for name, stream := range streams {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vs := stream()
			whole := columnOf(vs)
			var merged profile.Column
			for part := range slices.Chunk(vs, n/64) {
				require.NoError(t, merged.Merge(columnOf(part)))
			}
			sorted := slices.Clone(vs)
			slices.Sort(sorted)
			one, many := rankError(whole, sorted), rankError(&merged, sorted)
			t.Logf("rank error: %.5f in one stream, %.5f from 64 parts", one, many)
			require.Less(t, one, 0.002)
			require.Less(t, many, 0.002)
			require.Equal(t, sorted[0], whole.Quantile(0))
			require.Equal(t, sorted[n-1], whole.Quantile(1))
		})
	}
}

// A column that knows how many numbers will come samples them, and is still
// within the error that it promises, on streams that a sampler could fall into
// step with too.
func TestExpectedNumbersAreSampledWithinTheError(t *testing.T) {
	t.Parallel()
	const n = 1 << 19
	streams := map[string]func(i int) float64{
		"ascending":       func(i int) float64 { return float64(i) },
		"descending":      func(i int) float64 { return float64(-i) },
		"alternating":     func(i int) float64 { return float64(i * (1 - 2*(i&1))) },
		"every eighth":    func(i int) float64 { return float64(i%8*n + i) },
		"bit reversed":    func(i int) float64 { return float64(i * 7919 % n) },
		"blocks of 1,024": func(i int) float64 { return float64(i%1024*512 + i/1024) },
	}
	r := rand.New(rand.NewPCG(8, 9))
	normal, skewed := make([]float64, n), make([]float64, n)
	for i := range normal {
		normal[i], skewed[i] = r.NormFloat64(), math.Exp(3*r.NormFloat64())
	}
	streams["normal"] = func(i int) float64 { return normal[i] }
	streams["skewed"] = func(i int) float64 { return skewed[i] }
	for name, at := range streams {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vs := make([]float64, n)
			for i := range vs {
				vs[i] = at(i)
			}
			var c profile.Column
			c.Expect(n)
			c.AddFloats(vs)
			slices.Sort(vs)
			worst := rankError(&c, vs)
			t.Logf("rank error: %.5f", worst)
			require.Less(t, worst, 0.004)
			require.Equal(t, vs[0], c.Quantile(0))
			require.Equal(t, vs[n-1], c.Quantile(1))
			require.EqualValues(t, n, c.Rows())
		})
	}
}

func TestDistinctError(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 64, 65, 100, 1000, 5000, 10_000, 20_000, 100_000} {
		var c profile.Column
		for i := range n {
			c.AddFloat(float64(i))
			c.AddFloat(float64(i))
		}
		got := float64(c.Distinct())
		t.Logf("%d numbers: %.0f (%+.2f %%)", n, got, 100*(got/float64(n)-1))
		if n <= 64 {
			require.EqualValues(t, n, c.Distinct())
		}
		require.InEpsilon(t, n, got, 0.05) // Three standard errors.
	}
}

func TestTopError(t *testing.T) {
	t.Parallel()
	const n = 200_000
	var c profile.Column
	truth := map[string]uint64{}
	zipf := rand.NewZipf(rand.New(rand.NewPCG(3, 4)), 1.1, 1, 1_000_000)
	for range n {
		s := "id-" + strconv.FormatUint(zipf.Uint64(), 36)
		truth[s]++
		c.AddString(s)
	}
	require.Greater(t, len(truth), 20_000)
	require.LessOrEqual(t, c.TopError(), uint64(n/513))
	top := c.Top(1024)
	known := map[string]bool{}
	for _, k := range top {
		known[k.Value] = true
		require.LessOrEqual(t, k.Count, truth[k.Value])
		require.GreaterOrEqual(t, k.Count+c.TopError(), truth[k.Value])
	}
	for s, count := range truth {
		require.True(t, count <= c.TopError() || known[s], "%s was seen %d times and is missing", s, count)
	}
	require.InEpsilon(t, len(truth), c.Distinct(), 0.05)
}
