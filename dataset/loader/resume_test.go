package loader_test

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/dataset/loader"
)

func TestResumeGoesOnAtTheNextRow(t *testing.T) {
	t.Parallel()
	_, v := table(t, &blob.Mem{}, uneven...)
	for _, opts := range []*loader.Options{
		{BatchRows: 23},
		{BatchRows: 23, Shuffle: true, Window: 1},
		{BatchRows: 23, Shuffle: true, Window: 3},
		{BatchRows: 300, Shuffle: true, Window: 2},
		{BatchRows: 23, Shuffle: true, Even: true},
		{BatchRows: 23, Shuffle: true, Where: filter.Eq("label", true), Split: &loader.Split{Key: []string{"id"}, To: 800_000}},
	} {
		l := plan(t, v, opts)
		for rank := range 3 {
			s := shard(t, l, 1, rank, 3)
			all := drain(t, shard(t, l, 1, rank, 3))
			tokens, at := []loader.Token{s.Token()}, []int{0}
			n := 0
			for rec, err := range s.Records(context.Background()) {
				require.NoError(t, err)
				n += int(rec.NumRows())
				tokens, at = append(tokens, s.Token()), append(at, n)
			}
			tokens, at = append(tokens, s.Token()), append(at, n)
			for i, token := range tokens {
				// Another process has nothing but the text, and its own batch size.
				same := *opts
				same.BatchRows = 11
				again, err := loader.ParseToken(token.String())
				require.NoError(t, err)
				resumed, err := plan(t, v, &same).Resume(again)
				require.NoError(t, err)
				if left, known := resumed.Rows(); known {
					require.EqualValues(t, len(all)-at[i], left)
				}
				require.Equal(t, all[at[i]:], append([]int64{}, drain(t, resumed)...))
			}
		}
	}
}

func TestALoopThatWasLeftGoesOn(t *testing.T) {
	t.Parallel()
	_, v := table(t, &blob.Mem{}, uneven...)
	l := plan(t, v, &loader.Options{Shuffle: true, BatchRows: 50})
	all := drain(t, shard(t, l, 0, 0, 1))
	s := shard(t, l, 0, 0, 1)
	var ids []int64
	for len(ids) < len(all) {
		for rec, err := range s.Records(context.Background()) {
			require.NoError(t, err)
			ids = append(ids, check(t, rec)...)
			for _, err := range s.Records(context.Background()) {
				require.ErrorIs(t, err, loader.ErrConflict)
			}
			break
		}
	}
	require.Equal(t, all, ids)
	require.Empty(t, drain(t, s))
}

// counted counts the bytes of data files that are read.
type counted struct {
	blob.Store
	bytes atomic.Int64
}

func (c *counted) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	r, err := c.Store.Get(ctx, key, off, n)
	if err != nil || !strings.HasSuffix(key, ".parquet") {
		return r, err
	}
	return &countedBody{r, c}, nil
}

type countedBody struct {
	io.ReadCloser
	c *counted
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.c.bytes.Add(int64(n))
	return n, err
}

func TestResumingCostsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	store := &counted{Store: &blob.Mem{}}
	_, v := table(t, store, slices.Repeat([]int64{500}, 40)...)
	l := plan(t, v, &loader.Options{Shuffle: true, Window: 2, BatchRows: 100, Prefetch: -1})
	s := shard(t, l, 0, 0, 1)
	var tokens []loader.Token
	for _, err := range s.Records(context.Background()) {
		require.NoError(t, err)
		tokens = append(tokens, s.Token())
	}
	cost := func(token loader.Token) int64 {
		resumed, err := l.Resume(token)
		require.NoError(t, err)
		store.bytes.Store(0)
		for _, err := range resumed.Records(context.Background()) {
			require.NoError(t, err)
			break
		}
		return store.bytes.Load()
	}
	early, late := cost(tokens[1]), cost(tokens[len(tokens)-4])
	require.NotZero(t, early)
	require.InEpsilon(t, early, late, 0.5)
}

func TestAnotherNumberOfRanksFinishesTheEpoch(t *testing.T) {
	t.Parallel()
	_, v := table(t, &blob.Mem{}, append(slices.Clone(uneven), uneven...)...)
	all := 2 * total(uneven)
	for _, opts := range []*loader.Options{{Shuffle: true, Window: 1, BatchRows: 20}, {Shuffle: true, Window: 2, BatchRows: 20}, {BatchRows: 20, Window: 3}} {
		l := plan(t, v, opts)
		for _, worlds := range [][]int{{4, 2, 3}, {3, 8, 1}, {30, 4, 30}} {
			got := map[int64]int{}
			tokens := make([]loader.Token, worlds[0])
			for rank := range tokens {
				tokens[rank] = shard(t, l, 2, rank, worlds[0]).Token()
			}
			for step, world := range worlds {
				if step > 0 {
					var err error
					tokens, err = l.Reshard(world, tokens...)
					require.NoError(t, err)
					require.Len(t, tokens, world)
				}
				for rank := range tokens {
					s, err := l.Resume(tokens[rank])
					require.NoError(t, err)
					records := 0
					for rec, err := range s.Records(context.Background()) {
						require.NoError(t, err)
						for _, id := range check(t, rec) {
							got[id]++
						}
						tokens[rank] = s.Token()
						// The ranks are stopped at different places.
						if records++; step < len(worlds)-1 && records > 3+rank%2 {
							break
						}
					}
				}
			}
			require.Len(t, got, int(all), "no row is left out")
			more := 0
			for _, n := range got {
				more += n - 1
			}
			require.Less(t, more, int(all))
		}
	}
}

func TestAWorldThatIsInStepRepeatsNothing(t *testing.T) {
	t.Parallel()
	_, v := table(t, &blob.Mem{}, slices.Repeat([]int64{60}, 24)...)
	l := plan(t, v, &loader.Options{Shuffle: true, Window: 2, BatchRows: 60})
	var ids []int64
	var tokens []loader.Token
	for rank := range 3 {
		s := shard(t, l, 0, rank, 3)
		records := 0
		for rec, err := range s.Records(context.Background()) {
			require.NoError(t, err)
			ids = append(ids, check(t, rec)...)
			if records++; records == 4 {
				break
			}
		}
		tokens = append(tokens, s.Token())
	}
	tokens, err := l.Reshard(5, tokens...)
	require.NoError(t, err)
	for _, token := range tokens {
		s, err := l.Resume(token)
		require.NoError(t, err)
		ids = append(ids, drain(t, s)...)
	}
	slices.Sort(ids)
	require.Equal(t, sequence(24*60), ids)
}

func TestReshardWantsEveryRank(t *testing.T) {
	t.Parallel()
	_, v := table(t, &blob.Mem{}, uneven...)
	l := plan(t, v, &loader.Options{Shuffle: true})
	a, b := shard(t, l, 0, 0, 3).Token(), shard(t, l, 0, 1, 3).Token()
	_, err := l.Reshard(2, a, b)
	require.ErrorIs(t, err, loader.ErrInvalid)
	require.ErrorContains(t, err, "tokens of 2 ranks, want all 3")
	_, err = l.Reshard(0, a, a, shard(t, l, 1, 2, 3).Token())
	require.ErrorContains(t, err, "there shall be 0 ranks")
	require.ErrorContains(t, err, "two tokens of rank 0")
	require.ErrorContains(t, err, "epoch 1")
	_, err = l.Reshard(2)
	require.ErrorIs(t, err, loader.ErrInvalid)
}

func TestATokenOfSomethingElseIsRefused(t *testing.T) {
	t.Parallel()
	d, v := table(t, &blob.Mem{}, uneven...)
	opts := loader.Options{Shuffle: true, Seed: 1}
	token := shard(t, plan(t, v, &opts), 0, 0, 1).Token()
	for name, other := range map[string]loader.Options{
		"seed":   {Shuffle: true, Seed: 2},
		"order":  {Seed: 1},
		"window": {Shuffle: true, Seed: 1, Window: 2},
		"where":  {Shuffle: true, Seed: 1, Where: filter.Gt("id", 3)},
		"split":  {Shuffle: true, Seed: 1, Split: &loader.Split{Key: []string{"id"}, To: 3}},
		"even":   {Shuffle: true, Seed: 1, Even: true},
	} {
		_, err := plan(t, v, &other).Resume(token)
		require.ErrorIs(t, err, loader.ErrConflict, name)
	}
	_, err := plan(t, grow(t, d, total(uneven), 5), &opts).Resume(token)
	require.ErrorIs(t, err, loader.ErrConflict)
	_, err = plan(t, v, &opts).Resume(loader.Token{})
	require.ErrorIs(t, err, loader.ErrInvalid)

	// What decides nothing about the order may change.
	opts.Columns, opts.BatchRows, opts.Prefetch, opts.Workers = []string{"id"}, 3, -1, 1
	_, err = plan(t, v, &opts).Resume(token)
	require.NoError(t, err)
}

func TestTokensAreSmallTextAndJSON(t *testing.T) {
	t.Parallel()
	_, v := table(t, &blob.Mem{}, uneven...)
	token := shard(t, plan(t, v, nil), 12, 3, 64).Token()
	require.Less(t, len(token.String()), 40)
	require.Equal(t, []any{int64(12), 3, 64}, []any{token.Epoch(), token.Rank(), token.World()})
	text, err := json.Marshal(map[string]loader.Token{"data": token})
	require.NoError(t, err)
	var back map[string]loader.Token
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, token, back["data"])
}

func FuzzParseToken(f *testing.F) {
	_, v := table(f, &blob.Mem{}, 10, 20, 30)
	l := plan(f, v, &loader.Options{Shuffle: true})
	for rank := range 3 {
		f.Add(shard(f, l, int64(rank)*1000, rank, 3).Token().String())
	}
	for _, s := range []string{"", "AQ", "!", "AQAAAAAAAAAAAAEAAAA", strings.Repeat("A", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := loader.ParseToken(text)
		if err != nil {
			require.ErrorIs(t, err, loader.ErrInvalid)
			require.Less(t, len(err.Error()), 1000)
			return
		}
		require.Equal(t, text, token.String())
		if s, err := l.Resume(token); err == nil {
			for _, err := range s.Records(context.Background()) {
				if err != nil {
					require.ErrorIs(t, err, loader.ErrInvalid)
				}
			}
		}
	})
}
