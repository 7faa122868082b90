package profile_test

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
)

func TestReferenceObserve(t *testing.T) {
	t.Parallel()
	var city profile.Column
	city.AddString("Basel")
	ref := profile.NewReference([]profile.Feature{
		{Name: "price", Bins: columnOf([]float64{1, 2, 3}).Bins(0)},
		{Name: "city", Bins: city.Bins(0)},
		{Name: "ignored"},
	}, columnOf([]float64{0, 1}).Bins(0))
	code := float64(ref.Features[1].Bins.Code("Basel"))
	other := float64(ref.Features[1].Bins.Code("Bern"))
	require.NoError(t, ref.Observe([]float64{2, code, 0}, 1))
	require.NoError(t, ref.Observe([]float64{math.NaN(), other, 0}, 0))
	require.NoError(t, ref.Observe([]float64{7, math.NaN(), 0}, 0))
	require.EqualValues(t, 3, ref.Rows)
	require.Equal(t, []uint64{0, 1, 1}, ref.Features[0].Bins.Counts)
	require.EqualValues(t, 1, ref.Features[0].Bins.Nulls)
	require.EqualValues(t, 1, ref.Features[0].Bins.Above)
	require.Equal(t, []uint64{1, 1}, ref.Features[1].Bins.Counts)
	require.EqualValues(t, 1, ref.Features[1].Bins.Nulls)
	require.Equal(t, []uint64{2, 1}, ref.Score.Counts)

	err := ref.Observe([]float64{1}, 0)
	require.ErrorIs(t, err, profile.ErrInvalid)
	require.EqualError(t, err, "profile: observe: row has 1 values, the reference 3 features: invalid")
	require.EqualValues(t, 3, ref.Rows)
}

func TestReferenceEmpty(t *testing.T) {
	t.Parallel()
	ref := sampleReference(t)
	before := jsonOf(t, ref)
	window := ref.Empty()
	require.Zero(t, window.Rows)
	require.Equal(t, ref.Dataset, window.Dataset)
	for i, f := range window.Features {
		require.True(t, f.Bins.SameLayout(ref.Features[i].Bins))
		require.Zero(t, f.Bins.Rows())
	}
	require.Zero(t, window.Score.Rows())
	require.NoError(t, window.Observe([]float64{1, 2}, 0.5))
	require.Equal(t, before, jsonOf(t, ref), "a window does not write into its reference")
	require.Nil(t, profile.NewReference(nil, nil).Empty().Score)
}

// TestReferencesAddUp draws rows at random: however they are dealt out to
// windows, and in whatever order these are merged, the sum is the same to the
// byte, and what is subtracted again was never there.
func TestReferencesAddUp(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 7))
	ref := sampleReference(t)
	// Whole numbers throughout: sums of others depend on their order, in the last
	// bit.
	ref.Features[0].Bins.Shift, ref.Score.Shift = 24, 1
	for range 60 {
		rows := make([][]float64, 1+rng.IntN(400))
		for i := range rows {
			rows[i] = []float64{float64(rng.IntN(40) - 10), float64(rng.IntN(5)), float64(rng.IntN(3))}
			for j := range rows[i] {
				switch rng.IntN(20) {
				case 0:
					rows[i][j] = math.NaN()
				case 1:
					rows[i][j] = math.Inf(1 - 2*rng.IntN(2))
				}
			}
		}
		count := func(rows [][]float64) *profile.Reference {
			r := ref.Empty()
			for _, row := range rows {
				require.NoError(t, r.Observe(row[:2], row[2]))
			}
			return r
		}
		merged := func(parts ...*profile.Reference) *profile.Reference {
			sum := parts[0].Clone()
			for _, p := range parts[1:] {
				require.NoError(t, sum.Merge(p))
			}
			return sum
		}
		x, y := rng.IntN(len(rows)+1), rng.IntN(len(rows)+1)
		x, y = min(x, y), max(x, y)
		a, b, c := count(rows[:x]), count(rows[x:y]), count(rows[y:])
		want := jsonOf(t, count(rows))
		require.Equal(t, want, jsonOf(t, merged(a, b, c)))
		require.Equal(t, want, jsonOf(t, merged(a, merged(b, c))), "associative")
		require.Equal(t, want, jsonOf(t, merged(c, a, b)), "commutative")
		rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		require.Equal(t, want, jsonOf(t, count(rows)), "of any order")
		left := merged(a, b, c)
		require.NoError(t, left.Sub(b))
		require.Equal(t, a.Rows+c.Rows, left.Rows)
		for i, f := range merged(a, c).Features {
			got := left.Features[i].Bins
			require.Equal(t, f.Bins.Counts, got.Counts)
			require.Equal(t, []uint64{f.Bins.Nulls, f.Bins.NonFinite, f.Bins.Below, f.Bins.Above}, []uint64{got.Nulls, got.NonFinite, got.Below, got.Above})
			require.Equal(t, []float64{f.Bins.Sum, f.Bins.SumSq}, []float64{got.Sum, got.SumSq})
		}
	}
}

// describing is a summary of a text and a vector.
func describing(t testing.TB) *profile.Summary {
	b, err := profile.NewSummaryBuilder([]string{"comment"}, []string{"embedding"})
	require.NoError(t, err)
	require.NoError(t, b.Add([]string{"Grüezi mitenand"}, [][]float32{{1, 0, 0}}))
	require.NoError(t, b.Add([]string{"Grüezi Müller, 3 mal"}, [][]float32{{0, 2, 0}}))
	require.NoError(t, b.Add([]string{profile.NullText}, [][]float32{nil}))
	require.NoError(t, b.Add([]string{""}, [][]float32{{0, 0, 0}}))
	require.ErrorIs(t, b.Add([]string{"x"}, [][]float32{{1}}), profile.ErrInvalid)
	require.ErrorIs(t, b.Add(nil, nil), profile.ErrInvalid)
	s, err := b.Summary()
	require.NoError(t, err)
	require.Empty(t, s.Fault())
	return s
}

func TestSummaryDescribes(t *testing.T) { // Not parallel: allocations are counted for the whole process.
	s := describing(t)
	require.EqualValues(t, 2, s.Counts.Rows)
	require.Equal(t, 11, s.Features())
	got := s.Describe(nil, []string{"grüezi, GRÜEZI Müller!"}, [][]float32{{3, 4, 0}})
	require.Equal(t, []float64{22, 3, 3.0 / 22, 1.0 / 3, 5}, got[:5], "Müller is not among the rows that were learned from")
	require.InDelta(t, math.Hypot(2, 4), got[5], 1e-9)
	require.Equal(t, 0.0, got[6])
	for _, v := range s.Describe(nil, nil, [][]float32{{1, 2, float32(math.Inf(1))}}) {
		require.True(t, math.IsNaN(v), "all is missing")
	}
	require.Equal(t, []float64{0, 0}, s.Describe(nil, []string{""}, nil)[:2])
	buf := make([]float64, 0, 16)
	require.Zero(t, testing.AllocsPerRun(100, func() { s.Describe(buf, []string{"a few words"}, nil) }))

	_, err := profile.NewSummaryBuilder(nil, nil)
	require.ErrorIs(t, err, profile.ErrInvalid)
	_, err = profile.NewSummaryBuilder([]string{"a", ""}, []string{"a"})
	require.ErrorContains(t, err, `input "a" is there twice`)
	b, err := profile.NewSummaryBuilder([]string{"a"}, []string{"b"})
	require.NoError(t, err)
	_, err = b.Summary()
	require.ErrorContains(t, err, "there were 0 rows")
}

func TestReferenceIsSafeToReadFromManyGoroutines(t *testing.T) {
	t.Parallel()
	ref, table := sampleReference(t), sampleTable()
	ref.Features = append(ref.Features, profile.Feature{Name: "by hand", Bins: &profile.Bins{Kind: profile.Numeric, Edges: []float64{1}}})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			window := ref.Empty()
			_ = window.Observe([]float64{1, float64(ref.Features[1].Bins.Code("Zürich")), 2}, 0.5)
			_, _ = ref.MarshalJSON()
			_, _ = table.MarshalJSON()
			table.Column("price").Quantile(0.5)
			table.Column("price").Bins(0)
			table.Column("city").Top(3)
			ref.Features[0].Bins.SameLayout(window.Features[0].Bins)
		})
	}
	wg.Wait()
	require.EqualValues(t, 700, ref.Rows)
}
