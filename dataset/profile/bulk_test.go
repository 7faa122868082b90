package profile_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
)

func TestAddFloatsCountsWhatAddFloatCounts(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func(i int) float64{
		"few":       func(int) float64 { return float64(r.IntN(60)) },
		"many":      func(int) float64 { return r.NormFloat64() },
		"ascending": func(i int) float64 { return float64(i) },
		"sawtooth":  func(i int) float64 { return float64(i % 4096) },
		"odd": func(i int) float64 {
			return []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 0, 1e308, -1e308, 5}[i%8]
		},
		"late": func(i int) float64 { return float64(max(0, i-150_000)) },
	} {
		vs := make([]float64, 200_000)
		for i := range vs {
			vs[i] = draw(i)
		}
		var one, many profile.Column
		for _, v := range vs {
			one.AddFloat(v)
		}
		for rest := vs; len(rest) > 0; {
			n := min(1+r.IntN(5000), len(rest))
			many.AddFloats(rest[:n])
			rest = rest[n:]
		}
		many.AddNulls(3)
		one.AddNulls(3)
		require.Equal(t, one.Rows(), many.Rows(), name)
		require.Equal(t, one.Nulls(), many.Nulls(), name)
		require.Equal(t, one.NonFinite(), many.NonFinite(), name)
		require.Equal(t, one.Distinct(), many.Distinct(), name)
		require.Equal(t, math.Float64bits(one.Min()), math.Float64bits(many.Min()), name)
		require.Equal(t, math.Float64bits(one.Max()), math.Float64bits(many.Max()), name)
		if name == "odd" {
			continue
		}
		require.InEpsilon(t, one.Mean()+1e9, many.Mean()+1e9, 1e-12, name)
		require.InEpsilon(t, one.Variance(), many.Variance(), 1e-9, name)
		slices.Sort(vs)
		require.Less(t, rankError(&many, vs), 0.01, name)
	}
}

func TestTextCounterCountsWhatAddStringCounts(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for name, draw := range map[string]func(i int) string{
		"few":     func(int) string { return fmt.Sprint("city-", r.IntN(50)) },
		"limit":   func(i int) string { return fmt.Sprint("c", i%1024) },
		"unique":  func(i int) string { return fmt.Sprint("user-", i) },
		"heavy":   func(i int) string { return fmt.Sprint("v", int(math.Exp(r.Float64()*12))) },
		"long":    func(i int) string { return strings.Repeat("ü", 200+i%3) },
		"one":     func(int) string { return "" },
		"in turn": func(i int) string { return strconv.Itoa(i / 300) },
	} {
		texts := make([]string, 60_000)
		count := map[string]uint64{}
		for i := range texts {
			texts[i] = draw(i)
			count[texts[i]]++
		}
		var one, many profile.Column
		var counter profile.TextCounter
		for _, s := range texts {
			one.AddString(s)
		}
		for rest := texts; len(rest) > 0; {
			n := min(1+r.IntN(9000), len(rest))
			counter.Add(&many, n, func(i int) string { return rest[i] })
			rest = rest[n:]
		}
		require.Equal(t, one.Rows(), many.Rows(), name)
		require.Equal(t, one.Distinct(), many.Distinct(), name)
		require.LessOrEqual(t, many.TopError(), many.Rows()/513, name)
		if len(count) <= 1024 {
			require.Equal(t, one.Top(2000), many.Top(2000), name)
			require.Zero(t, many.TopError())
			continue
		}
		for _, c := range many.Top(2000) {
			require.LessOrEqual(t, c.Count, count[c.Value], name)
			require.GreaterOrEqual(t, c.Count+many.TopError(), count[c.Value], name)
		}
		top := many.Top(600)
		for text, n := range count {
			if n > many.TopError() {
				require.True(t, slices.ContainsFunc(top, func(c profile.Category) bool { return c.Value == text }), "%s: %s", name, text)
			}
		}
	}
	var c profile.Column
	c.AddFloat(1)
	var counter profile.TextCounter
	counter.Add(&c, 2, func(int) string { return "x" })
	require.EqualValues(t, 2, c.NonFinite())
	c = profile.Column{}
	c.AddString("a")
	c.AddFloats([]float64{1, 1})
	require.Equal(t, []profile.Category{{Value: "1", Count: 2}, {Value: "a", Count: 1}}, c.Top(5))
}

func BenchmarkBulk(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	vs := make([]float64, 1<<16)
	texts := map[string][]string{"few": make([]string, 1<<16), "unique": make([]string, 1<<16)}
	for i := range vs {
		vs[i] = r.NormFloat64()
		texts["few"][i] = fmt.Sprint("city-", r.IntN(1000))
		texts["unique"][i] = fmt.Sprint("user-", r.IntN(1e9))
	}
	perValue := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(1<<16), "ns/value")
	}
	b.Run("AddFloats", func(b *testing.B) {
		var c profile.Column
		for b.Loop() {
			c.AddFloats(vs)
		}
		perValue(b)
	})
	b.Run("AddFloat", func(b *testing.B) {
		var c profile.Column
		for b.Loop() {
			for _, v := range vs {
				c.AddFloat(v)
			}
		}
		perValue(b)
	})
	for name, list := range texts {
		b.Run("TextCounter/"+name, func(b *testing.B) {
			var c profile.Column
			var counter profile.TextCounter
			for b.Loop() {
				counter.Add(&c, len(list), func(i int) string { return list[i] })
			}
			perValue(b)
		})
		b.Run("AddString/"+name, func(b *testing.B) {
			var c profile.Column
			for b.Loop() {
				for _, s := range list {
					c.AddString(s)
				}
			}
			perValue(b)
		})
	}
}
