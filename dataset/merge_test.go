package dataset_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
)

// forked is a table with the rows, and the branch dev that starts there.
func forked(t testing.TB, s blob.Store, r rows) (*dataset.Dataset, *dataset.Branch) {
	d := create(t, s, "t", keyed)
	v := appendRows(t, d.Branch, r)
	dev, err := d.CreateBranch(context.Background(), "dev", v)
	require.NoError(t, err)
	return d, dev
}

func latest(t testing.TB, b *dataset.Branch) *dataset.Version {
	v, err := b.Latest(context.Background())
	require.NoError(t, err)
	return v
}

var byID = &dataset.MergeOptions{Key: []string{"id"}}

func TestMergeFastForward(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := context.Background()
		d, dev := forked(t, s, rows{1: {1, "x"}})
		appendRows(t, dev, rows{2: {2, "y"}})
		head := set(t, dev, 1, cells{10, "x"})
		before := latest(t, d.Branch)
		merged, err := d.Merge(ctx, head, nil)
		require.NoError(t, err)
		require.Equal(t, "main", merged.Branch)
		require.Equal(t, before.Number+1, merged.Number)
		require.Equal(t, head.Digest, merged.Digest, "the content is that of the branch")
		require.Equal(t, []string{before.Commit, head.Commit}, merged.Parents)
		require.Equal(t, "MERGE", merged.Operation)
		require.Equal(t, rows{1: {10, "x"}, 2: {2, "y"}}, readRows(t, merged))

		// There is nothing left to merge, either way.
		again, err := d.Merge(ctx, head, nil)
		require.NoError(t, err)
		require.Equal(t, merged.Number, again.Number)
		back, err := dev.Merge(ctx, merged, nil)
		require.NoError(t, err)
		require.Equal(t, merged.Digest, back.Digest)
		// The branch goes on, and is merged again.
		head = appendRows(t, dev, rows{3: {3, "z"}})
		merged, err = d.Merge(ctx, head, nil)
		require.NoError(t, err)
		require.Equal(t, rows{1: {10, "x"}, 2: {2, "y"}, 3: {3, "z"}}, readRows(t, merged))
	})
}

func TestMergeByFile(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d, dev := forked(t, &blob.Mem{}, rows{1: {1, "x"}})
	appendRows(t, d.Branch, rows{2: {2, "ours"}})
	head := appendRows(t, dev, rows{3: {3, "theirs"}})
	merged, err := d.Merge(ctx, head, &dataset.MergeOptions{Commit: &dataset.CommitOptions{Author: "ada"}})
	require.NoError(t, err)
	require.Equal(t, "ada", merged.Author)
	require.Equal(t, "merge "+refOf(head)+" into main", merged.Message)
	require.Equal(t, rows{1: {1, "x"}, 2: {2, "ours"}, 3: {3, "theirs"}}, readRows(t, merged))
	require.Len(t, merged.Files, 3, "no file was written")

	// A delete here and an append there go together.
	remove(t, d.Branch, 1)
	head = appendRows(t, dev, rows{4: {4, "theirs"}})
	merged, err = d.Merge(ctx, head, nil)
	require.NoError(t, err)
	require.Equal(t, rows{2: {2, "ours"}, 3: {3, "theirs"}, 4: {4, "theirs"}}, readRows(t, merged))

	// The same file replaced on both sides does not, without a key.
	_, err = dev.Merge(ctx, merged, nil)
	require.NoError(t, err)
	v := appendRows(t, d.Branch, rows{5: {5, "a"}, 6: {6, "b"}})
	_, err = dev.Merge(ctx, v, nil)
	require.NoError(t, err)
	set(t, d.Branch, 5, cells{50, "a"})
	head = set(t, dev, 6, cells{60, "b"})
	_, err = d.Merge(ctx, head, nil)
	conflict := (*dataset.MergeConflict)(nil)
	require.ErrorAs(t, err, &conflict)
	require.ErrorIs(t, err, dataset.ErrConflict)
	require.Len(t, conflict.Files, 1)
	require.ErrorContains(t, err, "name a Key")
	merged, err = d.Merge(ctx, head, byID)
	require.NoError(t, err)
	require.Equal(t, rows{2: {2, "ours"}, 3: {3, "theirs"}, 4: {4, "theirs"}, 5: {50, "a"}, 6: {60, "b"}}, readRows(t, merged))
}

func refOf(v *dataset.Version) string {
	return fmt.Sprintf("%s@%d", v.Branch, v.Number)
}

func TestMergeByRow(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	d, err := dataset.New(&blob.Mem{}, &dataset.Options{Allocator: mem}).Create(ctx, "t", keyed, nil)
	require.NoError(t, err)
	start := rows{}
	for id := range int64(10) {
		start[id] = cells{id, "start"}
	}
	dev, err := d.CreateBranch(ctx, "dev", appendRows(t, d.Branch, start))
	require.NoError(t, err)

	set(t, d.Branch, 1, cells{100, "ours"})
	remove(t, d.Branch, 2)
	set(t, d.Branch, 3, cells{300, "both"})
	remove(t, d.Branch, 4)
	appendRows(t, d.Branch, rows{10: {10, "ours"}, 11: {11, "both"}})

	set(t, dev, 5, cells{500, "theirs"})
	remove(t, dev, 6)
	set(t, dev, 3, cells{300, "both"})
	remove(t, dev, 4)
	head := appendRows(t, dev, rows{11: {11, "both"}, 12: {12, "theirs"}})

	merged, err := d.Merge(ctx, head, byID)
	require.NoError(t, err)
	require.Equal(t, rows{
		0: {0, "start"}, 1: {100, "ours"}, 3: {300, "both"}, 5: {500, "theirs"}, 7: {7, "start"}, 8: {8, "start"}, 9: {9, "start"},
		10: {10, "ours"}, 11: {11, "both"}, 12: {12, "theirs"},
	}, readRows(t, merged))
	p, err := merged.Profile(ctx)
	require.NoError(t, err)
	require.EqualValues(t, merged.Rows, p.Rows)
}

func TestMergeConflictsListTheirKeys(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d, dev := forked(t, &blob.Mem{}, rows{1: {1, "x"}, 2: {2, "x"}, 3: {3, "x"}, 4: {4, "x"}})
	set(t, d.Branch, 1, cells{10, "x"})
	remove(t, d.Branch, 2)
	set(t, d.Branch, 3, cells{30, "x"})
	appendRows(t, d.Branch, rows{9: {9, "ours"}})
	set(t, dev, 1, cells{11, "x"})
	set(t, dev, 2, cells{22, "x"})
	set(t, dev, 3, cells{3, "y"})
	head := appendRows(t, dev, rows{9: {9, "theirs"}})
	before := latest(t, d.Branch)

	_, err := d.Merge(ctx, head, byID)
	conflict := (*dataset.MergeConflict)(nil)
	require.ErrorAs(t, err, &conflict)
	require.ErrorIs(t, err, dataset.ErrConflict)
	require.EqualValues(t, 4, conflict.Count)
	require.Equal(t, []dataset.RowConflict{
		{Key: []any{int64(1)}, Base: []any{int64(1), int64(1), "x"}, Ours: []any{int64(1), int64(10), "x"}, Theirs: []any{int64(1), int64(11), "x"}},
		{Key: []any{int64(2)}, Base: []any{int64(2), int64(2), "x"}, Theirs: []any{int64(2), int64(22), "x"}},
		{Key: []any{int64(3)}, Base: []any{int64(3), int64(3), "x"}, Ours: []any{int64(3), int64(30), "x"}, Theirs: []any{int64(3), int64(3), "y"}},
		{Key: []any{int64(9)}, Ours: []any{int64(9), int64(9), "ours"}, Theirs: []any{int64(9), int64(9), "theirs"}},
	}, conflict.Rows)
	require.Equal(t, before.Number, latest(t, d.Branch).Number, "nothing was committed")

	few, err := d.Merge(ctx, head, &dataset.MergeOptions{Key: []string{"id"}, MaxConflicts: 1})
	require.Nil(t, few)
	require.ErrorAs(t, err, &conflict)
	require.Len(t, conflict.Rows, 1)
	require.EqualValues(t, 4, conflict.Count)

	// Cells of one row that different sides changed go together.
	_, err = d.Merge(ctx, head, &dataset.MergeOptions{Key: []string{"id"}, Cells: true})
	require.ErrorAs(t, err, &conflict)
	require.EqualValues(t, 3, conflict.Count)

	theirs, err := dev.Merge(ctx, latest(t, d.Branch), &dataset.MergeOptions{Key: []string{"id"}, Cells: true, Prefer: dataset.Theirs})
	require.NoError(t, err)
	require.Equal(t, rows{1: {10, "x"}, 3: {30, "y"}, 4: {4, "x"}, 9: {9, "ours"}}, readRows(t, theirs))
	ours, err := d.Merge(ctx, head, &dataset.MergeOptions{Key: []string{"id"}, Prefer: dataset.Ours})
	require.NoError(t, err)
	require.Equal(t, rows{1: {10, "x"}, 3: {30, "x"}, 4: {4, "x"}, 9: {9, "ours"}}, readRows(t, ours))
}

func names(s *arrow.Schema) []string {
	var out []string
	for _, f := range s.Fields() {
		out = append(out, f.Name)
	}
	return out
}

func TestMergeRefusesRepeatedKeysAndBadOptions(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d, dev := forked(t, &blob.Mem{}, rows{1: {1, "x"}})
	appendRows(t, d.Branch, rows{2: {2, "x"}})
	appendRows(t, dev, rows{3: {3, "x"}})
	head := appendRows(t, dev, rows{3: {3, "again"}})
	_, err := d.Merge(ctx, head, byID)
	require.ErrorIs(t, err, dataset.ErrInvalid)
	require.ErrorContains(t, err, "the key [3] is in two rows of the version that is merged")

	_, err = d.Merge(ctx, nil, nil)
	require.ErrorIs(t, err, dataset.ErrInvalid)
	_, err = d.Merge(ctx, head, &dataset.MergeOptions{Prefer: "x", Cells: true, MaxConflicts: -1, Memory: 1})
	require.ErrorIs(t, err, dataset.ErrInvalid)
	for _, want := range []string{`prefer is "x"`, "without a key", "max conflicts are -1", "memory is 1"} {
		require.ErrorContains(t, err, want)
	}
	_, err = d.Merge(ctx, head, &dataset.MergeOptions{Key: []string{"none"}})
	require.ErrorIs(t, err, dataset.ErrInvalid)
	strange := create(t, &blob.Mem{}, "other", keyed)
	_, err = strange.Merge(ctx, head, nil)
	require.ErrorIs(t, err, dataset.ErrInvalid)
}

// A merge by row writes the files anew that hold a row which changes, in their
// place, and leaves the others, and their order, alone.
func TestMergeByRowLeavesOtherFilesAlone(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d, dev := forked(t, &blob.Mem{}, rows{1: {1, "a"}, 2: {2, "a"}})
	appendRows(t, d.Branch, rows{9: {9, "ours"}, 3: {3, "ours"}})
	appendRows(t, d.Branch, rows{5: {5, "ours"}})
	set(t, d.Branch, 1, cells{10, "ours"})
	appendRows(t, dev, rows{4: {4, "theirs"}, 0: {0, "theirs"}})
	set(t, dev, 2, cells{20, "theirs"})
	before := latest(t, d.Branch)
	merged, err := d.Merge(ctx, latest(t, dev), byID)
	require.NoError(t, err)
	require.Equal(t, rows{0: {0, "theirs"}, 1: {10, "ours"}, 2: {20, "theirs"}, 3: {3, "ours"}, 4: {4, "theirs"}, 5: {5, "ours"}, 9: {9, "ours"}}, readRows(t, merged))
	have := map[string]bool{}
	for _, f := range before.Files {
		have[f.Path] = true
	}
	stayed := 0
	for _, f := range merged.Files {
		if have[f.Path] {
			stayed++
		}
	}
	require.Equal(t, len(before.Files)-1, stayed, "only the file with row 2 was written anew")
	require.Len(t, merged.Files, len(before.Files)+1)
	p, err := merged.Profile(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 7, p.Rows)
}

// Changes that are too many to be held make all files of the branch new.
func TestMergeOfManyRowsIsWrittenWhole(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	all, want := rows{}, rows{}
	for i := range int64(25_000) {
		all[i], want[i] = cells{1, "a"}, cells{2, "b"}
	}
	d, dev := forked(t, &blob.Mem{}, all)
	set(t, d.Branch, 1, cells{10, "ours"})
	want[1] = cells{10, "ours"}
	theirs := maps.Clone(want)
	theirs[1] = cells{1, "a"}
	v, err := dev.Overwrite(ctx, theirs.reader(t), nil)
	require.NoError(t, err)
	before := latest(t, d.Branch)
	merged, err := d.Merge(ctx, v, &dataset.MergeOptions{Key: []string{"id"}, Memory: 8 << 20})
	require.NoError(t, err)
	require.Equal(t, want, readRows(t, merged))
	for _, f := range before.Files {
		require.NotContains(t, merged.Files, f)
	}
}

// Merges race with appends: nothing of either is lost.
func TestMergeRacesWithAppends(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	d, dev := forked(t, s, rows{0: {0, "start"}})
	const each = 10
	var wg sync.WaitGroup
	other, err := dataset.New(s, nil).Open(ctx, "t")
	require.NoError(t, err)
	wg.Go(func() {
		for i := range int64(each) {
			if _, err := other.Append(ctx, rows{100 + i: {i, "main"}}.reader(t), nil); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for i := range int64(each) {
			v, err := dev.Append(ctx, rows{200 + i: {i, "dev"}}.reader(t), nil)
			if err == nil {
				_, err = d.Merge(ctx, v, byID)
			}
			if err != nil && !errors.Is(err, dataset.ErrConflict) {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	merged, err := d.Merge(ctx, latest(t, dev), byID)
	require.NoError(t, err)
	require.Len(t, readRows(t, merged), 1+2*each)
}
