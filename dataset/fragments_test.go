package dataset_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/filter"
)

var keyedSchema = arrow.NewSchema([]arrow.Field{
	{Name: "key", Type: arrow.BinaryTypes.String},
	{Name: "n", Type: arrow.PrimitiveTypes.Int64},
	{Name: "x", Type: arrow.PrimitiveTypes.Float64},
}, nil)

// keyedRows are rows whose values follow from their ids, in batches of odd lengths.
func keyedRows(t testing.TB, rows []int64, seed uint64) array.RecordReader {
	r := rand.New(rand.NewPCG(seed, 1))
	var recs []arrow.Record
	for len(rows) > 0 {
		part := rows[:min(len(rows), 1+r.IntN(max(len(rows)/3, 2000)))]
		rows = rows[len(part):]
		b := array.NewRecordBuilder(memory.DefaultAllocator, keyedSchema)
		for _, id := range part {
			b.Field(0).(*array.StringBuilder).Append(fmt.Sprintf("row-%x", uint64(id)*0x9e3779b97f4a7c15))
			b.Field(1).(*array.Int64Builder).Append(id % 1000)
			b.Field(2).(*array.Float64Builder).Append(float64(uint64(id) * 0x9e3779b97f4a7c15))
		}
		recs = append(recs, b.NewRecord())
		b.Release()
	}
	return reader(t, recs...)
}

// fresh is the share of bytes of v in files that before does not have.
func fresh(before, v *dataset.Version) float64 {
	had := map[string]bool{}
	for _, f := range before.Files {
		had[f.SHA256] = true
	}
	var all, new int64
	for _, f := range v.Files {
		all += f.Size
		if !had[f.SHA256] {
			new += f.Size
		}
	}
	return float64(new) / float64(all)
}

// TestFragmentsSurviveEdits is the table of edits of the reference, with as many
// fragments.
func TestFragmentsSurviveEdits(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	c := dataset.New(s, nil)
	c.SetLayout(1<<19, 32<<20, 48<<20) // Fragments of 64 rows.
	d, err := c.Create(ctx, "keyed", keyedSchema, nil)
	require.NoError(t, err)
	const rows = 6000
	ids := make([]int64, rows)
	for i := range ids {
		ids[i] = int64(i)
	}
	opts := &dataset.CommitOptions{Key: []string{"key"}}
	first, err := d.Overwrite(ctx, keyedRows(t, ids, 1), opts)
	require.NoError(t, err)
	require.InDelta(t, 90, len(first.Files), 30)
	r := rand.New(rand.NewPCG(7, 7))
	scattered := func(edit func(rows []int64, at int) []int64) []int64 {
		out := slices.Clone(ids)
		for range 30 {
			out = edit(out, r.IntN(len(out)))
		}
		return out
	}
	for i, e := range []struct {
		name string
		ids  []int64
		most float64
	}{
		{"identical", ids, 0},
		{"1 row inserted at the start", slices.Insert(slices.Clone(ids), 0, 1e6), 0.05},
		{"1 row inserted in the middle", slices.Insert(slices.Clone(ids), rows/2, 1e6), 0.05},
		{"1 % appended", append(slices.Clone(ids), func() (more []int64) {
			for i := range int64(rows / 100) {
				more = append(more, rows+i)
			}
			return more
		}()...), 0.05},
		{"contiguous 1 % deleted", slices.Delete(slices.Clone(ids), rows/3, rows/3+rows/100), 0.06},
		{"30 scattered rows deleted", scattered(func(rows []int64, at int) []int64 { return slices.Delete(rows, at, at+1) }), 0.45},
		{"30 scattered rows updated", scattered(func(rows []int64, at int) []int64 { rows[at] += 1e9; return rows }), 0.45},
	} {
		if !some(i) {
			continue
		}
		v, err := d.Overwrite(ctx, keyedRows(t, e.ids, 5), opts)
		require.NoError(t, err)
		share := fresh(first, v)
		t.Logf("%-30s %5.1f %% new bytes, %d files", e.name, share*100, len(v.Files))
		require.LessOrEqual(t, share, e.most, e.name)
		if e.name == "identical" {
			require.Equal(t, first.Digest, v.Digest)
		}
		// The rows are there, in their order.
		rr, err := v.Read(ctx, &dataset.ReadOptions{Columns: []string{"x"}})
		require.NoError(t, err)
		at := 0
		for rr.Next() {
			for _, x := range rr.Record().Column(0).(*array.Float64).Float64Values() {
				require.Equal(t, float64(uint64(e.ids[at])*0x9e3779b97f4a7c15), x)
				at++
			}
		}
		require.NoError(t, rr.Err())
		rr.Release()
		require.Len(t, e.ids, at)
		p, err := v.Profile(ctx)
		require.NoError(t, err)
		require.EqualValues(t, len(e.ids), p.Rows)
	}
}

func TestKeysAreFoundByTheirBloomFilter(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &fetches{Store: &blob.Mem{}}
	c := dataset.New(s, nil)
	c.SetLayout(1<<19, 32<<20, 48<<20)
	d, err := c.Create(ctx, "keyed", keyedSchema, nil)
	require.NoError(t, err)
	ids := make([]int64, 3000)
	for i := range ids {
		ids[i] = int64(i)
	}
	v, err := d.Append(ctx, keyedRows(t, ids, 1), &dataset.CommitOptions{Key: []string{"key"}})
	require.NoError(t, err)
	find := func(key string) (rows int, gets int64) {
		s.gets.Store(0)
		rr, err := v.Read(ctx, &dataset.ReadOptions{Where: filter.Eq("key", key), Columns: []string{"n"}})
		require.NoError(t, err)
		defer rr.Release()
		for rr.Next() {
			rows += int(rr.Record().NumRows())
		}
		require.NoError(t, rr.Err())
		return rows, s.gets.Load()
	}
	rows, _ := find("row-8") // Reads the ends of all files.
	require.Zero(t, rows)
	rows, gets := find(fmt.Sprintf("row-%x", uint64(ids[1234])*0x9e3779b97f4a7c15))
	require.Equal(t, 1, rows)
	require.Less(t, gets, int64(len(v.Files)/4))

	_, err = d.Append(ctx, keyedRows(t, ids, 1), &dataset.CommitOptions{Key: []string{"nope"}})
	require.ErrorIs(t, err, dataset.ErrInvalid)
	require.ErrorContains(t, err, `key column "nope"`)
}
