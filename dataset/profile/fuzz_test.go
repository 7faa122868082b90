package profile_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
)

// fuzzJSON feeds outside bytes to a type. What it takes must come back byte by
// byte from then on, and must be safe to use.
func fuzzJSON[T any, P interface {
	*T
	summary
}](f *testing.F, use func(*testing.T, P), seeds ...json.Marshaler) {
	for _, s := range seeds {
		b, err := json.Marshal(s)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Add([]byte(`{"format":1}`))
	f.Add([]byte(`{"format":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v := P(new(T))
		if v.UnmarshalJSON(data) != nil {
			return
		}
		first := jsonOf(t, v)
		again := P(new(T))
		require.NoError(t, again.UnmarshalJSON([]byte(first)))
		require.Equal(t, first, jsonOf(t, again))
		use(t, v)
	})
}

func useColumn(t *testing.T, c *profile.Column) {
	c.Quantile(0.5)
	c.Distinct()
	c.Top(3)
	useBins(t, c.Bins(0))
	if c.Rows() < 1<<50 {
		require.NoError(t, c.Merge(clone(t, c)))
		c.AddFloat(1)
		c.AddString("x")
		c.AddNull()
	}
}

func useBins(t *testing.T, b *profile.Bins) {
	e := b.Empty()
	e.AddFloats([]float64{-1e300, -1, 0, 1, 1e300})
	require.EqualValues(t, 5, e.Rows())
	require.NoError(t, e.Sub(e))
	require.Zero(t, e.Rows())
	b.Code("x")
	b.Mean()
	b.Variance()
	if n := len(b.Positions()); b.Kind == profile.Numeric {
		require.Len(t, b.Counts, n)
	}
}

// The seeds are small, so that a mutation has a chance to hit what matters.
func FuzzColumnJSON(f *testing.F) {
	var text profile.Column
	text.AddString("a")
	text.AddString("b")
	text.AddNull()
	fuzzJSON(f, useColumn, &profile.Column{}, &text, columnOf([]float64{1, 2, 2, math.NaN()}), columnOf(draw(70, normal)))
}

func FuzzTableJSON(f *testing.F) {
	var text profile.Column
	text.AddString("a")
	table := &profile.Table{Rows: 1, Columns: []profile.NamedColumn{
		{Name: "n", Column: columnOf([]float64{1})}, {Name: "s", Column: &text}, {Name: "nulls"},
	}}
	fuzzJSON(f, func(t *testing.T, tab *profile.Table) {
		for _, c := range tab.Columns {
			useColumn(t, clone(t, c.Column))
		}
		if tab.Rows < 1<<50 {
			require.NoError(t, tab.Merge(tab))
		}
	}, table, &profile.Table{})
}

func FuzzBinsJSON(f *testing.F) {
	fuzzJSON(f, useBins, columnOf(draw(100, normal)).Bins(8), columnOf(draw(100, lognormal)).Bins(5),
		sampleTable().Column("city").Bins(0), &profile.Bins{})
}

func FuzzReferenceJSON(f *testing.F) {
	ref := profile.NewReference([]profile.Feature{{Name: "a", Bins: columnOf([]float64{1, 2, 3}).Bins(0)}}, columnOf([]float64{0}).Bins(0))
	texts := ref.Clone()
	texts.Summary = describing(f)
	// Smaller, for the fuzzer: any bytes are words.
	texts.Summary.Texts[0].Known = texts.Summary.Texts[0].Known[:8]
	fuzzJSON(f, func(t *testing.T, r *profile.Reference) {
		if s := r.Summary; s != nil {
			require.Len(t, s.Describe(nil, []string{"Grüezi"}, [][]float32{{1, 2, 3}}), s.Features())
		}
		if r.Rows < 1<<50 {
			require.NoError(t, r.Empty().Observe(make([]float64, len(r.Features)), 0.5))
		}
		for _, feature := range r.Features {
			useBins(t, feature.Bins)
		}
		r.Calibrator()
		require.NoError(t, r.Clone().Sub(r))
	}, ref, texts, profile.NewReference(nil, nil), build(f, records(1, 12), &profile.BuilderOptions{
		Bins: 2, Score: true, ChunkRows: 5, Hours: true, SliceBy: []string{"city"},
	}))
}
