package datasettest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/filter"
)

func rowsComeBack(t *testing.T, l *lake) {
	d := l.create(t)
	many := rows{}
	for i := range int64(3000) {
		many[i] = cells{float64(i) / 3, []string{"", "größe", "x"}[i%3]}
	}
	v := add(t, d.Branch, many)
	require.EqualValues(t, 1, v.Number)
	require.Equal(t, many, read(t, v))
	again := l.open(t)
	require.Equal(t, many, read(t, newest(t, again.Branch)))
	require.Equal(t, v.Digest, newest(t, again.Branch).Digest)

	// Equal content has an equal digest in any store.
	other, err := dataset.New(new(blob.Mem), nil).Create(t.Context(), "elsewhere", schema, nil)
	require.NoError(t, err)
	require.Equal(t, v.Digest, add(t, other.Branch, many).Digest)

	p, err := newest(t, again.Branch).Profile(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3000, p.Rows)
	require.EqualValues(t, 1000, p.Column("text").Nulls())
	_, err = dataset.New(l.client(), nil).Create(t.Context(), "t", schema, nil)
	require.ErrorIs(t, err, dataset.ErrExists)
	verified(t, again)
}

func versionsStay(t *testing.T, l *lake) {
	ctx := t.Context()
	d := l.create(t)
	want := []rows{{}}
	note := func(v *dataset.Version, r rows) {
		require.EqualValues(t, len(want), v.Number)
		want = append(want, r)
	}
	r := rows{1: {1, "a"}, 2: {2, "b"}, 3: {3, ""}}
	note(add(t, d.Branch, r), r)
	r = r.with(rows{4: {4, "d"}})
	note(add(t, d.Branch, rows{4: {4, "d"}}), r)
	r = r.with(rows{2: {20, "bb"}})
	note(set(t, d.Branch, 2, cells{20, "bb"}), r)
	v, err := d.Delete(ctx, filter.Ge("id", 3), nil)
	require.NoError(t, err)
	note(v, rows{1: {1, "a"}, 2: {20, "bb"}})
	v, err = d.Overwrite(ctx, rows{9: {9, "i"}}.reader(t), nil)
	require.NoError(t, err)
	note(v, rows{9: {9, "i"}})
	old, err := d.Version(ctx, 2)
	require.NoError(t, err)
	v, err = d.Restore(ctx, old, nil)
	require.NoError(t, err)
	note(v, want[2])
	v, err = d.Compact(ctx, nil)
	require.NoError(t, err)
	note(v, want[2])
	for i := range int64(12) { // Over a checkpoint.
		r = want[len(want)-1].with(rows{100 + i: {1, "c"}})
		note(add(t, d.Branch, rows{100 + i: {1, "c"}}), r)
	}
	d = l.open(t)
	for n, r := range want {
		v, err := d.Version(ctx, int64(n))
		require.NoError(t, err)
		require.Equal(t, r, read(t, v), "version %d", n)
	}
	n := len(want)
	for v, err := range d.Log(ctx) {
		require.NoError(t, err)
		n--
		require.EqualValues(t, n, v.Number)
	}
	require.Zero(t, n)
	verified(t, d)
}

func timeTravel(t *testing.T, l *lake) {
	ctx := t.Context()
	d := l.create(t)
	var versions []*dataset.Version
	for i := range int64(5) {
		versions = append(versions, add(t, d.Branch, rows{i: {float64(i), "t"}}))
	}
	d = l.open(t)
	for i, v := range versions {
		require.Len(t, read(t, v), i+1)
		for _, ref := range []string{fmt.Sprint(v.Number), v.Digest, v.Commit, fmt.Sprintf("main@%d", v.Number)} {
			got := resolve(t, d, ref)
			require.Equal(t, v.Number, got.Number, ref)
			require.Equal(t, v.Digest, got.Digest, ref)
		}
		got, err := d.At(ctx, v.Time)
		require.NoError(t, err)
		require.Equal(t, v.Number, got.Number)
	}
	_, err := d.Version(ctx, 99)
	require.ErrorIs(t, err, dataset.ErrNotFound)
	_, err = d.Resolve(ctx, "nobody")
	require.ErrorIs(t, err, dataset.ErrNotFound)
}
