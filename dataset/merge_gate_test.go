package dataset_test

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/profile"
)

// A branch takes what it likes; into main comes what main expects.
func TestMergedRowsAreHeldAgainstExpectations(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := create(t, &blob.Mem{}, "t", keyed)
	rules := []profile.Expectation{profile.Range("a", 0, 100), whole(profile.Unique("id"))}
	_, err := d.SetExpectations(ctx, rules, nil)
	require.NoError(t, err)
	start := appendRows(t, d.Branch, rows{1: {1, "x"}, 2: {2, "x"}})
	loose := func(name string) *dataset.Branch {
		b, err := d.CreateBranch(ctx, name, start)
		require.NoError(t, err)
		_, err = b.SetExpectations(ctx, nil, nil)
		require.NoError(t, err)
		return b
	}
	refused := func(v *dataset.Version, opts *dataset.MergeOptions) {
		t.Helper()
		before := latest(t, d.Branch)
		_, err := d.Merge(ctx, v, opts)
		failed := (*dataset.ValidationError)(nil)
		require.ErrorAs(t, err, &failed)
		require.ErrorContains(t, err, `dataset: merge into "t": `)
		require.Equal(t, before.Number, latest(t, d.Branch).Number)
	}
	bad, twice := loose("bad"), loose("twice")
	refused(appendRows(t, bad, rows{3: {300, "x"}}), nil)     // Fast-forward.
	refused(appendRows(t, twice, rows{1: {1, "again"}}), nil) // With the rows that stay.
	appendRows(t, d.Branch, rows{4: {4, "x"}})
	refused(latest(t, bad), nil)  // By file.
	refused(latest(t, bad), byID) // By row, without an overlap.
	set(t, bad, 1, cells{-1, "x"})
	set(t, d.Branch, 2, cells{20, "x"})
	refused(latest(t, bad), byID) // By row.

	good := loose("good")
	v, err := d.Merge(ctx, appendRows(t, good, rows{5: {5, "x"}}), &dataset.MergeOptions{
		Commit: &dataset.CommitOptions{Expect: []profile.Expectation{profile.Rows(1, math.Inf(1))}},
	})
	require.NoError(t, err)
	report, err := v.Validation(ctx)
	require.NoError(t, err)
	require.True(t, report.Passed)
	require.EqualValues(t, 1, report.Rows)
	require.Len(t, report.Results, 3)
	require.Equal(t, rows{1: {1, "x"}, 2: {20, "x"}, 4: {4, "x"}, 5: {5, "x"}}, readRows(t, v))
}

func TestDiffOfProperties(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := create(t, &blob.Mem{}, "t", keyed)
	from := latest(t, d.Branch)
	to, err := d.SetExpectations(ctx, []profile.Expectation{profile.Unique("id")}, nil)
	require.NoError(t, err)
	diff, err := d.Diff(ctx, from, to, nil)
	require.NoError(t, err)
	require.False(t, diff.Empty())
	require.Len(t, diff.Properties, 1)
	require.Equal(t, dataset.Added, diff.Properties[0].Kind)
	require.Equal(t, "millwright.expectations", diff.Properties[0].Name)
	require.Contains(t, diff.Properties[0].After, "unique")
}
