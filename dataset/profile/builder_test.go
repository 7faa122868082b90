package profile_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
)

var inputs = []profile.Input{{Name: "x", Kind: profile.Numeric}, {Name: "city", Kind: profile.Categorical}, {Name: "y", Kind: profile.Numeric}}

// records draws rows of an hour each ten minutes.
func records(seed uint64, n int) []profile.Record {
	rng := rand.New(rand.NewPCG(seed, 1))
	monday := time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC)
	out := make([]profile.Record, n)
	for i := range out {
		s := rng.Float64()
		y := 0.0
		if rng.Float64() < s*s {
			y = 1
		}
		out[i] = profile.Record{
			Numbers: []float64{rng.NormFloat64(), float64(rng.IntN(5))},
			Texts:   []string{[]string{"Basel", "Bern", "Chur"}[rng.IntN(3)]},
			Score:   s, Outcome: y, At: monday.Add(time.Duration(i) * 10 * time.Minute),
		}
		if i%50 == 0 {
			out[i].Numbers[0], out[i].Texts[0] = math.NaN(), profile.NullText
		}
		if i%70 == 0 {
			out[i].Outcome = math.NaN()
		}
	}
	return out
}

func build(t testing.TB, rows []profile.Record, opts *profile.BuilderOptions) *profile.Reference {
	t.Helper()
	b, err := profile.NewBuilder(inputs, opts)
	require.NoError(t, err)
	for i := range rows {
		require.NoError(t, b.Add(&rows[i]))
	}
	ref, err := b.Reference()
	require.NoError(t, err)
	return ref
}

func TestBuilder(t *testing.T) {
	t.Parallel()
	rows := records(1, 3000)
	ref := build(t, rows, &profile.BuilderOptions{
		LayoutRows: 1100, Score: true, ChunkRows: 200, Hours: true, SliceBy: []string{"city"},
		Dataset: "d", Split: "holdout", Library: "l",
	})
	require.EqualValues(t, 3000, ref.Rows)
	require.EqualValues(t, 60, ref.Features[0].Bins.Nulls)
	require.EqualValues(t, 60, ref.Features[1].Bins.Nulls)
	require.Len(t, ref.Features[2].Bins.Counts, 5)
	require.Zero(t, ref.Features[0].Bins.Below+ref.Features[0].Bins.Above, "the range is that of all rows")
	require.Equal(t, ref.Features[0].Bins.Low, ref.Features[0].Bins.Min)
	require.EqualValues(t, 15, ref.Chunks.N)
	require.EqualValues(t, 3000-43, ref.Outcomes.Rows())
	require.Len(t, ref.Slices, 168+3)
	var hours, cities uint64
	for _, s := range ref.Slices {
		for i, f := range s.Part.Features {
			require.EqualValues(t, s.Part.Rows, f.Bins.Rows())
			require.True(t, f.Bins.SameLayout(ref.Features[i].Bins))
		}
		if s.By == profile.HourOfWeek {
			hours += s.Part.Rows
		} else {
			cities += s.Part.Rows
		}
	}
	require.EqualValues(t, 3000, hours)
	require.EqualValues(t, 2940, cities)
	monday := ref.Slice(profile.HourOfWeek, "0")
	require.EqualValues(t, 18, monday.Rows)
	require.Nil(t, ref.Slice("city", "Genf"))

	// The same rows give the same bytes, which come back as the same.
	want := jsonOf(t, ref)
	require.Equal(t, want, jsonOf(t, build(t, rows, &profile.BuilderOptions{
		LayoutRows: 1100, Score: true, ChunkRows: 200, Hours: true, SliceBy: []string{"city"},
		Dataset: "d", Split: "holdout", Library: "l",
	})))
	var back profile.Reference
	require.NoError(t, json.Unmarshal([]byte(want), &back))
	require.Equal(t, want, jsonOf(t, &back))
	a, err := ref.Digest()
	require.NoError(t, err)
	b, err := back.Digest()
	require.NoError(t, err)
	require.Equal(t, a, b)
}

func TestBuilderFaults(t *testing.T) {
	t.Parallel()
	_, err := profile.NewBuilder([]profile.Input{{}, {Name: "a", Kind: profile.Numeric}, {Name: "a", Kind: "x"}}, &profile.BuilderOptions{
		LayoutRows: -1, Bins: -1, ChunkRows: -2, SliceBy: []string{"a", "b"}, Table: sampleTable(),
	})
	require.ErrorIs(t, err, profile.ErrInvalid)
	for _, want := range []string{"LayoutRows is -1", "Bins is -1", "ChunkRows is -2", "input 0 has no name", `"a" is there twice`, `of kind "x"`, `SliceBy names "b"`, "no column"} {
		require.ErrorContains(t, err, want)
	}
	b, err := profile.NewBuilder(inputs, nil)
	require.NoError(t, err)
	require.ErrorIs(t, b.Add(&profile.Record{Numbers: []float64{1}}), profile.ErrInvalid)
	_, err = b.Reference()
	require.ErrorIs(t, err, profile.ErrInvalid)
}

// TestReferencesMerge checks the laws of adding and taking away, on builders
// that share a table: the order does not matter, and what was added can be
// taken away again.
func TestReferencesMerge(t *testing.T) {
	t.Parallel()
	rows := records(2, 4000)
	table := &profile.Table{Columns: []profile.NamedColumn{{Name: "x", Column: &profile.Column{}}, {Name: "city", Column: &profile.Column{}}, {Name: "y", Column: &profile.Column{}}}}
	for _, r := range rows {
		table.Columns[0].Column.AddFloat(r.Numbers[0])
		table.Columns[1].Column.AddString(r.Texts[0])
		table.Columns[2].Column.AddFloat(r.Numbers[1])
	}
	opts := &profile.BuilderOptions{Table: table, ChunkRows: 100, Hours: true, SliceBy: []string{"city"}}
	part := func(from, to int) *profile.Reference { return build(t, rows[from:to], opts) }
	a, b, c, all := part(0, 1000), part(1000, 1700), part(1700, 4000), part(0, 4000)
	counts := func(r *profile.Reference) string {
		s := []any{r.Rows, r.Chunks.N, len(r.Slices)}
		for _, f := range r.Features {
			s = append(s, f.Bins.Counts, f.Bins.Nulls, f.Bins.NonFinite, f.Bins.Below, f.Bins.Above)
		}
		for _, x := range r.Slices {
			s = append(s, x.By, x.Value, x.Part.Rows, x.Part.Features[0].Bins.Counts)
		}
		return fmt.Sprint(s...)
	}
	sum := func(parts ...*profile.Reference) *profile.Reference {
		s := parts[0].Clone()
		for _, p := range parts[1:] {
			require.NoError(t, s.Merge(p))
		}
		return s
	}
	want := counts(all)
	require.Equal(t, want, counts(sum(a, b, c)))
	require.Equal(t, want, counts(sum(c, a, b)))
	require.Equal(t, want, counts(sum(a, sum(b, c))))
	require.InDelta(t, all.Features[0].Bins.Mean(), sum(c, b, a).Features[0].Bins.Mean(), 1e-12)
	less := sum(a, b, c)
	require.NoError(t, less.Sub(b))
	require.Equal(t, counts(sum(a, c)), counts(less))
	require.ErrorIs(t, a.Clone().Sub(c), profile.ErrInvalid)
	require.ErrorIs(t, a.Clone().Merge(build(t, rows, nil)), profile.ErrInvalid)
	require.ErrorIs(t, a.Clone().Merge(nil), profile.ErrInvalid)
	x, err := a.LayoutDigest()
	require.NoError(t, err)
	y, err := c.LayoutDigest()
	require.NoError(t, err)
	require.Equal(t, x, y)
}

// TestChunksTellOfResemblance compares rows drawn at random with rows that each
// come twenty times over.
func TestChunksTellOfResemblance(t *testing.T) {
	t.Parallel()
	rows := records(3, 40_000)
	ref := build(t, rows, nil)
	effect := func(r *profile.Reference, i int) float64 {
		return r.Chunks.Features[i].Effect(r.Features[i].Bins, r.Chunks.Rows, r.Chunks.N)
	}
	for i := range ref.Features {
		require.InDelta(t, 1, effect(ref, i), 0.5)
	}
	for i := range rows {
		rows[i] = rows[i/20*20]
	}
	ref = build(t, rows, nil)
	for i := range ref.Features {
		require.InDelta(t, 20, effect(ref, i), 8)
	}
}

// TestCalibrator has outcomes whose share is the square of the score.
func TestCalibrator(t *testing.T) {
	t.Parallel()
	ref := build(t, records(4, 60_000), &profile.BuilderOptions{Score: true})
	c := ref.Calibrator()
	require.NotNil(t, c)
	for s := 0.05; s < 1; s += 0.1 {
		require.InDelta(t, s*s, c.Probability(s), 0.05)
	}
	require.True(t, math.IsNaN(c.Probability(math.NaN())))
	require.Equal(t, c.Share[0], c.Probability(-1))
	require.Equal(t, c.Share[len(c.Share)-1], c.Probability(2))
	require.IsIncreasing(t, c.Share)
	require.InDelta(t, 1.0/6, c.Raw, 0.01, "the mean of s-s^2")
	require.Less(t, c.Calibrated, 0.02)
	require.Nil(t, build(t, records(5, 100), nil).Calibrator())
}

func FuzzReferenceCounts(f *testing.F) {
	rows := records(6, 200)
	b, err := profile.NewBuilder(inputs, &profile.BuilderOptions{Score: true})
	require.NoError(f, err)
	for i := range rows {
		require.NoError(f, b.Add(&rows[i]))
	}
	ref, err := b.Reference()
	require.NoError(f, err)
	f.Add(ref.AppendCounts(nil))
	f.Add(ref.Window().AppendCounts(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		w := ref.Window()
		rest, err := w.SetCounts(data)
		if err != nil {
			require.ErrorIs(t, err, profile.ErrInvalid)
			require.Zero(t, w.Rows)
			return
		}
		require.Equal(t, data[:len(data)-len(rest)], w.AppendCounts(nil))
	})
}

func BenchmarkBuilder(b *testing.B) {
	rows := records(7, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		build(b, rows, &profile.BuilderOptions{Score: true, LayoutRows: 2000})
	}
	b.ReportMetric(float64(b.N)*10_000/b.Elapsed().Seconds(), "rows/s")
}
