package datasettest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
)

func tagsStay(t *testing.T, l *lake) {
	ctx := t.Context()
	d := l.create(t)
	first := add(t, d.Branch, rows{1: {1, "a"}})
	require.NoError(t, d.Tag(ctx, "v1", first, &dataset.TagOptions{Message: "the first"}))
	second := add(t, d.Branch, rows{2: {2, "b"}})
	other := l.open(t)
	require.ErrorIs(t, other.Tag(ctx, "v1", second, nil), dataset.ErrExists)
	require.Equal(t, rows{1: {1, "a"}}, read(t, resolve(t, other, "v1")))
	n := 0
	for tag, err := range other.Tags(ctx) {
		require.NoError(t, err)
		require.Equal(t, "v1", tag.Name)
		require.Equal(t, first.Digest, tag.Digest)
		n++
	}
	require.Equal(t, 1, n)
	require.NoError(t, other.DeleteTag(ctx, "v1"))
	require.ErrorIs(t, other.DeleteTag(ctx, "v1"), dataset.ErrNotFound)
	require.NoError(t, d.Tag(ctx, "v1", second, nil))
	require.Len(t, read(t, resolve(t, other, "v1")), 2)
}

func branchesApart(t *testing.T, l *lake) {
	ctx := t.Context()
	d := l.create(t)
	start := add(t, d.Branch, rows{1: {1, "a"}})
	dev, test := fork(t, d, "dev", start), fork(t, l.open(t), "test", start)
	_, err := l.open(t).CreateBranch(ctx, "dev", start)
	require.ErrorIs(t, err, dataset.ErrExists)
	add(t, dev, rows{2: {2, "dev"}})
	add(t, test, rows{3: {3, "test"}})
	add(t, d.Branch, rows{4: {4, "main"}})
	set(t, dev, 1, cells{10, "dev"})
	other := l.open(t)
	require.Equal(t, rows{1: {1, "a"}, 4: {4, "main"}}, read(t, resolve(t, other, "main")))
	require.Equal(t, rows{1: {10, "dev"}, 2: {2, "dev"}}, read(t, resolve(t, other, "dev")))
	require.Equal(t, rows{1: {1, "a"}, 3: {3, "test"}}, read(t, resolve(t, other, "test")))
	last := resolve(t, other, "dev")
	require.NoError(t, other.DeleteBranch(ctx, "dev"))
	_, err = dev.Append(ctx, rows{5: {5, "late"}}.reader(t), nil)
	require.ErrorIs(t, err, dataset.ErrNotFound)
	require.Len(t, read(t, resolve(t, d, last.Commit)), 2)
	var names []string
	for b, err := range d.Branches(ctx) {
		require.NoError(t, err)
		names = append(names, b.Name())
	}
	require.Equal(t, []string{"main", "test"}, names)
	verified(t, d)
}

func merges(t *testing.T, l *lake) {
	ctx := t.Context()
	d := l.create(t)
	start := add(t, d.Branch, rows{1: {1, "a"}, 2: {2, "b"}, 3: {3, "c"}})
	dev := fork(t, d, "dev", start)
	byID := &dataset.MergeOptions{Key: []string{"id"}}

	// Nobody else wrote: the branch is taken as it is.
	head := add(t, dev, rows{4: {4, "dev"}})
	v, err := d.Merge(ctx, head, nil)
	require.NoError(t, err)
	require.Equal(t, head.Digest, v.Digest)

	// Both sides appended: file by file.
	add(t, d.Branch, rows{5: {5, "main"}})
	v, err = d.Merge(ctx, add(t, dev, rows{6: {6, "dev"}}), nil)
	require.NoError(t, err)
	require.Len(t, read(t, v), 6)

	// Both sides changed rows of one file: row by row.
	set(t, d.Branch, 1, cells{10, "main"})
	head = set(t, dev, 2, cells{20, "dev"})
	conflict := (*dataset.MergeConflict)(nil)
	_, err = d.Merge(ctx, head, nil)
	require.ErrorAs(t, err, &conflict)
	v, err = l.open(t).Merge(ctx, head, byID)
	require.NoError(t, err)
	want := rows{1: {10, "main"}, 2: {20, "dev"}, 3: {3, "c"}, 4: {4, "dev"}, 5: {5, "main"}, 6: {6, "dev"}}
	require.Equal(t, want, read(t, v))

	// Both sides changed one row.
	set(t, d.Branch, 3, cells{30, "main"})
	head = set(t, dev, 3, cells{31, "dev"})
	_, err = d.Merge(ctx, head, byID)
	require.ErrorAs(t, err, &conflict)
	require.ErrorIs(t, err, dataset.ErrConflict)
	require.EqualValues(t, 1, conflict.Count)
	v, err = d.Merge(ctx, head, &dataset.MergeOptions{Key: []string{"id"}, Prefer: dataset.Theirs})
	require.NoError(t, err)
	require.Equal(t, want.with(rows{3: {31, "dev"}}), read(t, v))
	again, err := d.Merge(ctx, head, byID)
	require.NoError(t, err)
	require.Equal(t, v.Number, again.Number, "there is nothing left to merge")
	verified(t, d)
}
