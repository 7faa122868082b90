package dataset_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/filter"
)

func TestCompact(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := t.Context()
		d := create(t, s, "n", small)
		var want []int64
		for i := range int64(9) {
			_, err := d.Append(ctx, numbers(t, 3*i, 3*i+1, 3*i+2), nil)
			require.NoError(t, err)
			want = append(want, 3*i, 3*i+1, 3*i+2)
		}
		before, err := d.Latest(ctx)
		require.NoError(t, err)
		v, err := d.Compact(ctx, &dataset.CompactOptions{Commit: &dataset.CommitOptions{Message: "tidy"}})
		require.NoError(t, err)
		require.Equal(t, before.Number+1, v.Number)
		require.Len(t, v.Files, 1)
		require.Equal(t, before.Rows, v.Rows)
		require.Equal(t, "OPTIMIZE", v.Operation)
		require.Equal(t, "tidy", v.Message)
		require.Equal(t, want, readNumbers(t, v))
		require.Equal(t, want, readNumbers(t, before), "versions before stay as they are")
		p, err := v.Profile(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 27, p.Rows)

		// What another engine sees: rows came and went without a change.
		entry, err := blob.ReadAll(ctx, s, "n/_delta_log/00000000000000000010.json", 1<<20)
		require.NoError(t, err)
		require.NotContains(t, string(entry), `"dataChange":true`)

		again, err := d.Compact(ctx, nil)
		require.NoError(t, err)
		require.Equal(t, v.Number, again.Number, "there is nothing left to do")
		require.True(t, verify(t, s, nil).OK())
	})
}

// Large files stay, and the rows keep their order around them.
func TestCompactKeepsLargeFilesAndTheOrder(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := create(t, new(blob.Mem), "n", small)
	var want []int64
	random := rand.New(rand.NewPCG(1, 2))
	appendN := func(n int) {
		values := make([]int64, n)
		for i := range values {
			values[i] = random.Int64()
			want = append(want, values[i])
		}
		_, err := d.Append(ctx, numbers(t, values...), nil)
		require.NoError(t, err)
	}
	for _, n := range []int{2, 3, 20_000, 4, 30_000, 25_000, 5, 6, 7} {
		appendN(n)
	}
	before, err := d.Latest(ctx)
	require.NoError(t, err)
	v, err := d.Compact(ctx, &dataset.CompactOptions{Below: 10_000})
	require.NoError(t, err)
	require.Len(t, v.Files, 6)
	require.Equal(t, want, readNumbers(t, v))
	for _, i := range []int{1, 2, 3, 4} {
		require.Equal(t, before.Files[i+1], v.Files[i])
	}
	appendN(3)
	v, err = d.Latest(ctx)
	require.NoError(t, err)
	require.Equal(t, want, readNumbers(t, v))
	unchanged, err := d.Compact(ctx, &dataset.CompactOptions{Below: 10_000, Run: 3})
	require.NoError(t, err)
	require.Equal(t, v.Number, unchanged.Number, "two files are no run of three")
	_, err = d.Compact(ctx, &dataset.CompactOptions{Below: -1, Run: 1})
	require.ErrorIs(t, err, dataset.ErrInvalid)
}

func TestCompactOnABranch(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := new(blob.Mem)
	d := create(t, s, "n", small)
	for i := range int64(3) {
		_, err := d.Append(ctx, numbers(t, i), nil)
		require.NoError(t, err)
	}
	main, err := d.Latest(ctx)
	require.NoError(t, err)
	dev, err := d.CreateBranch(ctx, "dev", main)
	require.NoError(t, err)
	_, err = dev.Append(ctx, numbers(t, 3), nil)
	require.NoError(t, err)
	v, err := dev.Compact(ctx, nil)
	require.NoError(t, err)
	require.Len(t, v.Files, 1)
	require.Equal(t, []int64{0, 1, 2, 3}, readNumbers(t, v))
	main, err = d.Latest(ctx)
	require.NoError(t, err)
	require.Len(t, main.Files, 3)
	require.True(t, verify(t, s, nil).OK())
}

// Who appends or deletes while files are merged loses nothing.
func TestCompactBesideOtherWriters(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := new(blob.Mem)
	d := create(t, s, "n", small)
	appended := func(values ...int64) {
		t.Helper()
		other, err := dataset.New(s, nil).Open(ctx, "n")
		require.NoError(t, err)
		_, err = other.Append(ctx, numbers(t, values...), nil)
		require.NoError(t, err)
	}
	appended(1)
	appended(2)
	race := func(meanwhile func()) (*dataset.Version, error) {
		done := false
		return d.Compact(ctx, &dataset.CompactOptions{Commit: &dataset.CommitOptions{Progress: func(p dataset.Progress) {
			if p.Files == 1 && !done {
				done = true
				meanwhile()
			}
		}}})
	}
	v, err := race(func() { appended(3) })
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2, 3}, readNumbers(t, v))

	where, err := filter.Parse("n = 2")
	require.NoError(t, err)
	_, err = race(func() {
		other, err := dataset.New(s, nil).Open(ctx, "n")
		require.NoError(t, err)
		_, err = other.Delete(context.Background(), where, nil)
		require.NoError(t, err)
	})
	var conflict *dataset.ConflictError
	require.ErrorAs(t, err, &conflict)
	v, err = d.Latest(ctx)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 3}, readNumbers(t, v))
	v, err = d.Compact(ctx, nil)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 3}, readNumbers(t, v))
	require.True(t, verify(t, s, nil).OK())
}
