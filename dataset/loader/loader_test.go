package loader_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/dataset/loader"
)

func TestEveryRowComesToOneRankOnce(t *testing.T) {
	t.Parallel()
	_, v := table(t, &blob.Mem{}, uneven...)
	for _, shuffle := range []bool{false, true} {
		for _, world := range []int{1, 3, 8, 40} {
			for _, window := range []int{1, 3, 50} {
				l := plan(t, v, &loader.Options{Shuffle: shuffle, Seed: 7, Window: window, BatchRows: 16})
				var ids []int64
				for rank := range world {
					s := shard(t, l, 3, rank, world)
					want, known := s.Rows()
					require.True(t, known)
					got := drain(t, s)
					require.Len(t, got, int(want))
					left, _ := s.Rows()
					require.Zero(t, left)
					ids = append(ids, got...)
				}
				if world == 1 && !shuffle {
					require.Equal(t, sequence(total(uneven)), ids)
				}
				slices.Sort(ids)
				require.Equal(t, sequence(total(uneven)), ids, "world %d, window %d", world, window)
			}
		}
	}
}

func TestRanksWithoutAGroupOfTheirOwnShareTheRest(t *testing.T) {
	t.Parallel()
	_, v := table(t, &blob.Mem{}, 100, 100, 100)
	l := plan(t, v, &loader.Options{Shuffle: true})
	for rank := range 7 {
		n, _ := shard(t, l, 0, rank, 7).Rows()
		require.InDelta(t, 300.0/7, n, 1)
	}
}

func TestEvenShardsHaveEqualRows(t *testing.T) {
	t.Parallel()
	_, v := table(t, &blob.Mem{}, uneven...)
	for _, world := range []int{1, 2, 4, 5, 20} {
		l := plan(t, v, &loader.Options{Shuffle: true, Even: true, BatchRows: 10, Window: 2})
		seen := map[int64]bool{}
		want, _ := shard(t, l, 0, 0, world).Rows()
		for rank := range world {
			ids := drain(t, shard(t, l, 0, rank, world))
			require.Len(t, ids, int(want))
			for _, id := range ids {
				require.False(t, seen[id])
				seen[id] = true
			}
		}
	}
	_, err := loader.New(context.Background(), v, &loader.Options{Even: true, Where: filter.Gt("id", 3)})
	require.ErrorIs(t, err, loader.ErrInvalid)
	require.ErrorContains(t, err, "even shards need the number of rows")
}

func TestTheOrderDependsOnSeedEpochAndContentOnly(t *testing.T) {
	t.Parallel()
	_, v := table(t, &blob.Mem{}, uneven...)
	order := func(v *dataset.Version, seed uint64, epoch int64, batch int) []int64 {
		return drain(t, shard(t, plan(t, v, &loader.Options{Shuffle: true, Seed: seed, BatchRows: batch, Prefetch: int64(batch%2) - 1}), epoch, 0, 1))
	}
	one := order(v, 1, 0, 64)
	require.Equal(t, one, order(v, 1, 0, 7))
	require.NotEqual(t, one, order(v, 2, 0, 64))
	require.NotEqual(t, one, order(v, 1, 1, 64))

	// The same files, committed in another order elsewhere.
	other, err := dataset.New(&blob.Mem{}, nil).Create(context.Background(), "other", schema, nil)
	require.NoError(t, err)
	var last *dataset.Version
	for i, from := len(uneven)-1, total(uneven); i >= 0; i-- {
		from -= uneven[i]
		last, err = other.Append(context.Background(), rows(t, from, from+uneven[i]), nil)
		require.NoError(t, err)
	}
	require.Equal(t, v.Digest, last.Digest)
	require.Equal(t, one, order(last, 1, 0, 64))
}

func TestAWindowMixesItsGroups(t *testing.T) {
	t.Parallel()
	sizes := slices.Repeat([]int64{200}, 16)
	_, v := table(t, &blob.Mem{}, sizes...)
	l := plan(t, v, &loader.Options{Shuffle: true, Window: 8, BatchRows: 100})
	for rec, err := range shard(t, l, 0, 0, 1).Records(context.Background()) {
		require.NoError(t, err)
		groups := map[int64]int{}
		for _, id := range check(t, rec) {
			groups[id/200]++
		}
		require.Len(t, groups, 8)
	}
}

func TestRecordsAreFullButTheLast(t *testing.T) {
	t.Parallel()
	_, v := table(t, &blob.Mem{}, uneven...)
	for _, shuffle := range []bool{false, true} {
		l := plan(t, v, &loader.Options{Shuffle: shuffle, Window: 1, BatchRows: 100})
		var sizes []int64
		for rec, err := range shard(t, l, 0, 0, 1).Records(context.Background()) {
			require.NoError(t, err)
			sizes = append(sizes, rec.NumRows())
		}
		require.Equal(t, []int64{100, 100, 100, 100, 100, 100, 84}, sizes)
	}
}

func TestColumnsFilterAndSplitTogether(t *testing.T) {
	t.Parallel()
	_, v := table(t, &blob.Mem{}, uneven...)
	where := filter.And(filter.Ge("id", 100), filter.Eq("label", true))
	train := &loader.Split{Seed: "v1", Key: []string{"customer"}, To: 700_000}
	test := &loader.Split{Seed: "v1", Key: []string{"customer"}, From: 700_000, To: loader.Buckets}
	side := func(split *loader.Split, world int) []int64 {
		l := plan(t, v, &loader.Options{Columns: []string{"embedding", "id"}, Where: where, Split: split, Shuffle: true, BatchRows: 9})
		require.Equal(t, "embedding", l.Schema().Field(0).Name)
		require.Equal(t, 2, l.Schema().NumFields())
		var ids []int64
		for rank := range world {
			s := shard(t, l, 0, rank, world)
			_, known := s.Rows()
			require.False(t, known)
			ids = append(ids, drain(t, s)...)
		}
		slices.Sort(ids)
		return ids
	}
	var want [2][]int64
	for id := int64(100); id < total(uneven); id++ {
		if id%3 != 0 {
			continue
		}
		name, ok := customer(id)
		if !ok {
			name = ""
		}
		if dataset.Bucket("v1", name) < 700_000 {
			want[0] = append(want[0], id)
		} else {
			want[1] = append(want[1], id)
		}
	}
	for _, world := range []int{1, 4, 30} {
		require.Equal(t, want[0], side(train, world))
		require.Equal(t, want[1], side(test, world))
	}
}

func TestASplitIsStableUnderAppend(t *testing.T) {
	t.Parallel()
	d, v := table(t, &blob.Mem{}, 300, 200)
	opts := &loader.Options{Split: &loader.Split{Seed: "s", Key: []string{"id", "label"}, From: 200_000, To: 500_000}}
	before := drain(t, shard(t, plan(t, v, opts), 0, 0, 1))
	require.InDelta(t, 150, len(before), 40)
	after := drain(t, shard(t, plan(t, grow(t, d, 500, 100, 300), opts), 0, 0, 1))
	require.Equal(t, before, after[:len(before)])
	require.Greater(t, after[len(before)], int64(499))
	for _, id := range after {
		b := dataset.Bucket("s", fmt.Sprintf("%d:%v", id, id%3 == 0))
		require.True(t, 200_000 <= b && b < 500_000)
	}
}

func TestSplitsInSQL(t *testing.T) {
	t.Parallel()
	s := &loader.Split{Seed: `it's \`, Key: []string{`a"b`, "c`d"}, From: 5, To: 10}
	require.Equal(t, `('0x' || left(md5('it''s \' || ':' || coalesce("a""b"::VARCHAR, '') || ':' || coalesce("c`+"`"+`d"::VARCHAR, '')), 8))::BIGINT % 1000000 BETWEEN 5 AND 9`, s.DuckDB())
	require.Equal(t, "cast(conv(left(md5(concat_ws(':', 'it\\'s \\\\', coalesce(cast(`a\"b` as string), ''), coalesce(cast(`c``d` as string), ''))), 8), 16, 10) as bigint) % 1000000 BETWEEN 5 AND 9", s.Spark())
}

func TestFaultsOfTheOptionsComeTogether(t *testing.T) {
	t.Parallel()
	_, v := table(t, &blob.Mem{}, 10)
	_, err := loader.New(context.Background(), v, &loader.Options{
		Columns: []string{"id", "id", "nope"}, Where: filter.Gt("age", 3), Window: -1, BatchRows: 1 << 30, Workers: -2, Prefetch: -3,
		Split: &loader.Split{Key: []string{"embedding", "gone"}, From: 3, To: 2},
	})
	require.ErrorIs(t, err, loader.ErrInvalid)
	for _, text := range []string{
		`"id" is asked for twice`, `no column "nope"`, `"age"`, "window is -1", "batch rows is 1073741824", "workers is -2", "prefetch is -3",
		`the split's key "embedding" is list`, `column "gone"`, "buckets 3 to 2",
	} {
		require.ErrorContains(t, err, text)
	}
	_, err = loader.New(context.Background(), nil, nil)
	require.ErrorIs(t, err, loader.ErrInvalid)

	l := plan(t, v, nil)
	for _, s := range []loader.Shard{{Epoch: -1}, {Rank: 1}, {Rank: -1, World: 2}, {World: -1}, {World: 1 << 20}} {
		_, err := l.Shard(s)
		require.ErrorIs(t, err, loader.ErrInvalid)
	}
}

func TestAnEmptyVersionHasEmptyShards(t *testing.T) {
	t.Parallel()
	_, v := table(t, &blob.Mem{})
	for _, opts := range []*loader.Options{nil, {Even: true}, {Shuffle: true}} {
		s := shard(t, plan(t, v, opts), 0, 1, 2)
		require.Empty(t, drain(t, s))
		again, err := plan(t, v, opts).Resume(s.Token())
		require.NoError(t, err)
		require.Empty(t, drain(t, again))
	}
}

func TestMemoryIsGivenBack(t *testing.T) {
	t.Parallel()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	s := &blob.Mem{}
	table(t, s, uneven...)
	d, err := dataset.New(s, &dataset.Options{Allocator: mem}).Open(context.Background(), "t")
	require.NoError(t, err)
	v, err := d.Latest(context.Background())
	require.NoError(t, err)
	for _, prefetch := range []int64{-1, 1, 0} {
		l := plan(t, v, &loader.Options{Shuffle: true, Window: 2, BatchRows: 30, Prefetch: prefetch, Allocator: mem,
			Split: &loader.Split{Key: []string{"customer"}, To: 900_000}, Columns: []string{"id", "embedding"}})
		drain(t, shard(t, l, 0, 0, 1))
		mem.AssertSize(t, 0)

		// Left early, with a record that is kept.
		var kept arrow.Record
		for rec, err := range shard(t, l, 0, 0, 1).Records(context.Background()) {
			require.NoError(t, err)
			kept = rec
			kept.Retain()
			break
		}
		require.EqualValues(t, 30, kept.NumRows())
		check(t, kept)
		kept.Release()
		mem.AssertSize(t, 0)

		// Cancelled on the way.
		ctx, cancel := context.WithCancel(context.Background())
		records := 0
		for _, err = range shard(t, l, 0, 0, 1).Records(ctx) {
			if records++; records == 3 {
				cancel()
			}
		}
		cancel()
		if err != nil { // All windows may have been there already.
			require.ErrorIs(t, err, context.Canceled)
		}
		mem.AssertSize(t, 0)
	}
}
