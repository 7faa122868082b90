package profile_test

import (
	"math"
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
