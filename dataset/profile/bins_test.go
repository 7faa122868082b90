package profile_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
)

func TestBinsOfFewValues(t *testing.T) {
	t.Parallel()
	b := columnOf([]float64{0.1, 0.7, 0.7, 3, -2}).Bins(0)
	require.Equal(t, []float64{-2, 0.1, 0.7, 3}, b.Values)
	require.Len(t, b.Edges, 3)
	require.Len(t, b.Counts, 4)
	for i, v := range b.Values {
		b.AddFloat(v)
		b.AddFloat(float64(float32(v))) // Comes back rounded, and is the same value.
		require.EqualValues(t, 2, b.Counts[i], "%g", v)
	}
	require.Zero(t, b.Below+b.Above)
	require.EqualValues(t, 8, b.Rows())
}

func TestBinsOfOneValue(t *testing.T) {
	t.Parallel()
	b := columnOf(make([]float64, 10)).Bins(0)
	require.Empty(t, b.Edges)
	require.Equal(t, []float64{0}, b.Values)
	require.True(t, b.HasRange)
	b.AddFloats([]float64{0, 0, 1, -1, 5e-324})
	require.Equal(t, []uint64{5}, b.Counts)
	require.EqualValues(t, 2, b.Above)
	require.EqualValues(t, 1, b.Below)
}

func TestBinsOfNothing(t *testing.T) {
	t.Parallel()
	var c profile.Column
	c.AddNull()
	b := c.Bins(0)
	require.Equal(t, profile.Numeric, b.Kind)
	require.Empty(t, b.Edges)
	require.True(t, math.IsNaN(b.Mean()))
	require.True(t, math.IsNaN(b.Variance()))
	b.AddFloats([]float64{1, math.NaN(), 3, math.Inf(-1)})
	require.Equal(t, []uint64{2}, b.Counts)
	require.EqualValues(t, 1, b.Nulls)
	require.EqualValues(t, 1, b.NonFinite)
	require.EqualValues(t, 4, b.Rows())
	require.InDelta(t, 2, b.Mean(), 1e-15)
	require.InDelta(t, 1, b.Variance(), 1e-15)
	require.Equal(t, []float64{2}, b.Positions())
}

func TestBinsOfQuantiles(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{2, 10, 64, 256} {
		for _, d := range distributions[:4] {
			vs := draw(100_000, d.draw)
			b := columnOf(vs).Bins(limit)
			require.Len(t, b.Counts, limit, d.name)
			b.AddFloats(vs)
			share := float64(len(vs)) / float64(limit)
			for i, n := range b.Counts {
				// Two cuts, each misplaced by the rank error at most.
				require.InDelta(t, share, n, 2*0.002*float64(len(vs)), "%s: bin %d of %d", d.name, i, limit)
			}
			require.True(t, slices.IsSorted(b.Edges))
			require.True(t, slices.IsSorted(b.Values))
			for i, e := range b.Edges {
				require.Less(t, b.Values[i], e)
				require.GreaterOrEqual(t, b.Values[i+1], e)
			}
		}
	}
	require.Len(t, columnOf(draw(100_000, normal)).Bins(1000).Counts, 256)
	require.Len(t, columnOf(draw(100_000, normal)).Bins(-1).Counts, profile.DefaultBins)
	require.Len(t, columnOf(draw(1000, discrete)).Bins(7).Counts, 7)
	require.Len(t, columnOf(draw(100_000, normal)).Bins(1).Counts, 1)
}

func TestBinsGiveAnAtomItsOwnBin(t *testing.T) {
	t.Parallel()
	vs := draw(50_000, func(r *rand.Rand) float64 {
		if r.Float64() < 0.3 {
			return 0
		}
		return r.NormFloat64()
	})
	b := columnOf(vs).Bins(0)
	b.AddFloats(vs)
	zeros := 0
	for _, v := range vs {
		if v == 0 {
			zeros++
		}
	}
	require.InDelta(t, zeros, slices.Max(b.Counts), 100)
	at := slices.Index(b.Counts, slices.Max(b.Counts))
	require.InDelta(t, 0, b.Values[at], 1e-3)
	// The other bins share what is left evenly.
	require.Less(t, slices.Max(append(slices.Clone(b.Counts[:at]), b.Counts[at+1:]...)), uint64(2500))
}

// TestBinsSurviveFloat32 is the drift that would not be there: a reference
// counted in float64, and the same values served as float32.
func TestBinsSurviveFloat32(t *testing.T) {
	t.Parallel()
	cents := func(r *rand.Rand) float64 { return math.Round(1000*r.ExpFloat64()) / 10 }
	for _, draws := range []func(*rand.Rand) float64{discrete, cents, func(r *rand.Rand) float64 { return discrete(r) / 10 }} {
		vs := draw(20_000, draws)
		a := columnOf(vs).Bins(0)
		b := a.Empty()
		a.AddFloats(vs)
		for _, v := range vs {
			b.AddFloat(float64(float32(v)))
		}
		require.Equal(t, a.Counts, b.Counts)
		require.Zero(t, b.Below+b.Above)
	}
}

// naive counts by the definition of the edges.
func naive(b *profile.Bins, vs []float64) *profile.Bins {
	out := b.Empty()
	for _, v := range vs {
		switch {
		case math.IsNaN(v):
			out.Nulls++
			continue
		case math.IsInf(v, 0):
			out.NonFinite++
			continue
		}
		i := 0
		for i < len(b.Edges) && v >= b.Edges[i] {
			i++
		}
		out.Counts[i]++
	}
	return out
}

func TestBinsMatchTheDefinition(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	anything := func() float64 { return math.Float64frombits(r.Uint64()) }
	small := func() float64 { return math.Ldexp(r.NormFloat64(), r.IntN(40)-20) }
	hostile := [][]float64{
		{},
		{0},
		{5e-324},
		{-5e-324, 5e-324},
		{-math.MaxFloat64, math.MaxFloat64},
		{-math.MaxFloat64, 0, math.MaxFloat64},
		{1, math.Nextafter(1, 2), math.Nextafter(math.Nextafter(1, 2), 2)},
		{-1e300, -1, -1e-300, 0, 1e-300, 1, 1e300},
		{1e-320, 1e-310, 1e-300},
		{math.MaxFloat64},
	}
	for range 300 {
		edges := make([]float64, r.IntN(256))
		gen := small
		if r.IntN(2) == 0 {
			gen = anything
		}
		for i := range edges {
			for edges[i] = gen(); edges[i]-edges[i] != 0; {
				edges[i] = gen()
			}
		}
		slices.Sort(edges)
		hostile = append(hostile, slices.Compact(edges))
	}
	for _, d := range distributions {
		hostile = append(hostile, columnOf(draw(5000, d.draw)).Bins(0).Edges)
	}
	for _, edges := range hostile {
		vs := []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 5e-324, 1e19, -1e19}
		for _, e := range edges {
			vs = append(vs, e, math.Nextafter(e, math.Inf(1)), math.Nextafter(e, math.Inf(-1)))
		}
		for range 300 {
			vs = append(vs, anything(), small())
		}
		b := &profile.Bins{Kind: profile.Numeric, Edges: edges}
		want := naive(b, vs)
		b.AddFloats(vs)
		require.Equal(t, want.Counts, b.Counts, "edges %v", edges)
		require.Equal(t, want.Nulls, b.Nulls)
		require.Equal(t, want.NonFinite, b.NonFinite)
	}
}

func TestBinsDoNotDependOnOrderOrBatch(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	for _, d := range distributions {
		vs := draw(5000, d.draw)
		layout := columnOf(vs[:2000]).Bins(0)
		for i := range vs {
			if r.IntN(10) == 0 {
				vs[i] = math.NaN()
			}
		}
		vs[7], vs[4000] = math.Inf(1), math.Inf(-1)
		batch, single, shuffled := layout.Empty(), layout.Empty(), layout.Empty()
		batch.AddFloats(vs)
		for _, v := range vs {
			single.AddFloat(v)
		}
		r.Shuffle(len(vs), func(i, j int) { vs[i], vs[j] = vs[j], vs[i] })
		for len(vs) > 0 {
			n := min(len(vs), 1+r.IntN(300))
			shuffled.AddFloats(vs[:n])
			vs = vs[n:]
		}
		for _, b := range []*profile.Bins{single, shuffled} {
			require.Equal(t, batch.Counts, b.Counts, d.name)
			require.Equal(t, batch.Nulls, b.Nulls, d.name)
			require.Equal(t, batch.NonFinite, b.NonFinite, d.name)
			require.Equal(t, []uint64{batch.Below, batch.Above}, []uint64{b.Below, b.Above}, d.name)
			require.Equal(t, []float64{batch.Min, batch.Max}, []float64{b.Min, b.Max}, d.name)
			require.InEpsilon(t, 1+batch.Variance(), 1+b.Variance(), 1e-9, d.name)
		}
		require.EqualValues(t, 5000, batch.Rows())
		require.NotZero(t, batch.Nulls)
	}
}

func TestBinsMergeAndSub(t *testing.T) {
	t.Parallel()
	layout := columnOf(draw(10_000, normal)).Bins(0)
	part := func(n int) *profile.Bins {
		b := layout.Empty()
		b.AddFloats(draw(n, func(r *rand.Rand) float64 { return 3*r.NormFloat64() + float64(n%3) }))
		b.AddFloats([]float64{math.NaN(), math.Inf(1)})
		return b
	}
	merge := func(parts ...*profile.Bins) *profile.Bins {
		out := layout.Empty()
		for _, p := range parts {
			require.NoError(t, out.Merge(p))
		}
		return out
	}
	a, b, c := part(1000), part(777), part(3)
	ab, ba := merge(a, b), merge(b, a)
	require.Equal(t, jsonOf(t, ab), jsonOf(t, ba))
	left, right := merge(ab, c), merge(a, merge(b, c))
	require.Equal(t, left.Counts, right.Counts)
	require.InEpsilon(t, left.Sum, right.Sum, 1e-12)

	require.NoError(t, ab.Sub(b))
	require.Equal(t, a.Counts, ab.Counts)
	require.Equal(t, []uint64{a.Nulls, a.NonFinite, a.Below, a.Above}, []uint64{ab.Nulls, ab.NonFinite, ab.Below, ab.Above})
	require.InDelta(t, a.Mean(), ab.Mean(), 1e-12)
	require.InDelta(t, a.Variance(), ab.Variance(), 1e-12)

	require.NoError(t, ab.Sub(a))
	require.Equal(t, jsonOf(t, layout.Empty()), jsonOf(t, ab), "nothing is left of an empty window")

	before := jsonOf(t, c)
	err := c.Sub(a)
	require.ErrorIs(t, err, profile.ErrInvalid)
	require.Equal(t, before, jsonOf(t, c))
}

func TestBinsRefuseOtherLayouts(t *testing.T) {
	t.Parallel()
	a := columnOf(draw(1000, normal)).Bins(0)
	var text profile.Column
	text.AddString("x")
	others := []*profile.Bins{nil, columnOf(draw(1000, normal)).Bins(63), columnOf(draw(999, normal)).Bins(0), text.Bins(0)}
	for _, o := range others {
		require.ErrorIs(t, a.Merge(o), profile.ErrInvalid)
		require.ErrorIs(t, a.Sub(o), profile.ErrInvalid)
	}
	require.True(t, a.SameLayout(a.Empty()))
	require.True(t, a.SameLayout(columnOf(draw(1000, normal)).Bins(0)))
	full := a.Empty()
	full.Counts[0] = 1 << 53
	a.AddFloat(0)
	require.ErrorIs(t, a.Merge(full), profile.ErrInvalid)
}

func TestBinsOfCategories(t *testing.T) {
	t.Parallel()
	var c profile.Column
	for i := range 100 {
		for range i + 1 {
			c.AddString("c" + strconv.Itoa(i))
		}
	}
	b := c.Bins(5)
	require.Equal(t, []string{"c99", "c98", "c97", "c96", "c95"}, b.Categories)
	require.Len(t, c.Bins(0).Categories, 64)
	require.Equal(t, 1, b.Code("c98"))
	require.Equal(t, 5, b.Code("c1"))
	require.Equal(t, 5, b.Code(""))

	b.AddCodes([]float64{0, 1, 1, 4, 5, 6, -1, 1.5, math.NaN(), math.Inf(1), math.Inf(-1), 1e300})
	b.AddCode(2)
	b.AddCode(-7)
	b.AddCode(99)
	b.AddNull()
	b.AddFloat(3)
	require.Equal(t, []uint64{1, 2, 1, 1, 1, 9}, b.Counts)
	require.EqualValues(t, 2, b.Nulls)
	require.EqualValues(t, 17, b.Rows())
	require.True(t, math.IsNaN(b.Mean()))
	require.True(t, math.IsNaN(b.Variance()))
	require.Nil(t, b.Positions())
}

func TestBinsMadeByHand(t *testing.T) {
	t.Parallel()
	n := &profile.Bins{Kind: profile.Numeric, Edges: []float64{0, 10}}
	n.AddFloats([]float64{-5, 0, 5, 10, 25})
	require.Equal(t, []uint64{1, 2, 2}, n.Counts)
	require.Equal(t, []float64{-2.5, 5, 17.5}, n.Positions())
	require.Zero(t, n.Below+n.Above, "there is no range to be outside of")
	s := &profile.Bins{Kind: profile.Categorical, Categories: []string{"a", "b"}}
	require.Equal(t, 1, s.Code("b"))
	require.Equal(t, 2, s.Code("c"))
	s.AddCode(s.Code("c"))
	require.Equal(t, []uint64{0, 0, 1}, s.Counts)
	many := &profile.Bins{Kind: profile.Numeric, Edges: make([]float64, 300)}
	many.AddFloat(1)
	require.EqualValues(t, 1, many.Rows())
}

func TestBinsAllocations(t *testing.T) {
	numbers := columnOf(draw(1000, normal)).Bins(0)
	var c profile.Column
	c.AddString("a")
	codes := c.Bins(0)
	clean, holes := draw(fold, normal), draw(fold, normal)
	for i := 0; i < fold; i += 3 {
		holes[i] = math.NaN()
	}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		numbers.AddFloats(clean)
		numbers.AddFloats(holes)
		numbers.AddFloat(1)
		numbers.AddNull()
		codes.AddCodes(holes)
		codes.AddCode(codes.Code("a"))
	}))
}
