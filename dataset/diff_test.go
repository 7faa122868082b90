package dataset_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
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

// keyed is a table of one key and two values.
var keyed = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "a", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "b", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

// cells are the values of a row of keyed.
type cells struct {
	a int64
	b string
}

type rows map[int64]cells

func (r rows) reader(t testing.TB) array.RecordReader {
	b := array.NewRecordBuilder(memory.DefaultAllocator, keyed)
	for _, id := range slices.Sorted(maps.Keys(r)) {
		b.Field(0).(*array.Int64Builder).Append(id)
		b.Field(1).(*array.Int64Builder).Append(r[id].a)
		b.Field(2).(*array.StringBuilder).Append(r[id].b)
	}
	return reader(t, b.NewRecord())
}

// take adds the rows of a record of keyed, whose columns may have others beside
// them.
func (r rows) take(t testing.TB, rec arrow.Record) {
	id := rec.Column(rec.Schema().FieldIndices("id")[0]).(*array.Int64)
	a := rec.Column(rec.Schema().FieldIndices("a")[0]).(*array.Int64)
	b := rec.Column(rec.Schema().FieldIndices("b")[0]).(*array.String)
	for i := range id.Len() {
		_, twice := r[id.Value(i)]
		require.False(t, twice, "id %d is there twice", id.Value(i))
		r[id.Value(i)] = cells{a.Value(i), b.Value(i)}
	}
}

func readRows(t testing.TB, v *dataset.Version) rows {
	rr, err := v.Read(context.Background(), nil)
	require.NoError(t, err)
	defer rr.Release()
	out := rows{}
	for rr.Next() {
		out.take(t, rr.Record())
	}
	require.NoError(t, rr.Err())
	return out
}

func where(t testing.TB, text string) filter.Expr {
	e, err := filter.Parse(text)
	require.NoError(t, err)
	return e
}

// set replaces one row, and put adds or replaces it.
func set(t testing.TB, b *dataset.Branch, id int64, c cells) *dataset.Version {
	v, err := b.Overwrite(context.Background(), rows{id: c}.reader(t), &dataset.CommitOptions{Where: where(t, fmt.Sprintf("id = %d", id))})
	require.NoError(t, err)
	return v
}

func remove(t testing.TB, b *dataset.Branch, id int64) *dataset.Version {
	v, err := b.Delete(context.Background(), where(t, fmt.Sprintf("id = %d", id)), nil)
	require.NoError(t, err)
	return v
}

func appendRows(t testing.TB, b *dataset.Branch, r rows) *dataset.Version {
	v, err := b.Append(context.Background(), r.reader(t), nil)
	require.NoError(t, err)
	return v
}

// changes are the rows of a diff.
type changes struct {
	added, removed, before, after rows
}

func diffRows(t testing.TB, d *dataset.Dataset, from, to *dataset.Version, opts *dataset.DiffOptions) changes {
	ctx := context.Background()
	diff, err := d.Diff(ctx, from, to, opts)
	require.NoError(t, err)
	out := changes{rows{}, rows{}, rows{}, rows{}}
	for c, err := range diff.Rows(ctx) {
		require.NoError(t, err)
		switch c.Kind {
		case dataset.Added:
			require.Nil(t, c.Before)
			out.added.take(t, c.After)
		case dataset.Removed:
			require.Nil(t, c.After)
			out.removed.take(t, c.Before)
		case dataset.Changed:
			require.Equal(t, c.Before.NumRows(), c.After.NumRows())
			require.True(t, array.Equal(c.Before.Column(0), c.After.Column(0)), "the rows stand side by side")
			out.before.take(t, c.Before)
			out.after.take(t, c.After)
		}
	}
	return out
}

func TestDiffOfRowsByKey(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	d, err := dataset.New(&blob.Mem{}, &dataset.Options{Allocator: mem}).Create(ctx, "t", keyed, nil)
	require.NoError(t, err)
	from := appendRows(t, d.Branch, rows{1: {1, "x"}, 2: {2, "y"}, 3: {3, "z"}})
	same := appendRows(t, d.Branch, rows{4: {4, "shared"}})
	_, err = d.Delete(ctx, where(t, "id = 1"), nil)
	require.NoError(t, err)
	set(t, d.Branch, 2, cells{20, "y"})
	to := appendRows(t, d.Branch, rows{5: {5, "new"}})

	diff, err := d.Diff(ctx, same, to, &dataset.DiffOptions{Key: []string{"id"}})
	require.NoError(t, err)
	require.Empty(t, diff.Columns)
	require.Equal(t, 1, diff.Shared)
	require.EqualValues(t, 1, diff.SharedRows)
	require.Len(t, diff.Removed, 1)
	require.False(t, diff.Empty())

	got := diffRows(t, d, same, to, &dataset.DiffOptions{Key: []string{"id"}})
	require.Equal(t, changes{
		added: rows{5: {5, "new"}}, removed: rows{1: {1, "x"}}, before: rows{2: {2, "y"}}, after: rows{2: {20, "y"}},
	}, got)
	// The other way round.
	got = diffRows(t, d, to, same, &dataset.DiffOptions{Key: []string{"id"}, BatchRows: 1})
	require.Equal(t, changes{
		removed: rows{5: {5, "new"}}, added: rows{1: {1, "x"}}, after: rows{2: {2, "y"}}, before: rows{2: {20, "y"}},
	}, got)
	// Without a key a row is there or not.
	got = diffRows(t, d, same, to, nil)
	require.Equal(t, changes{added: rows{2: {20, "y"}, 5: {5, "new"}}, removed: rows{1: {1, "x"}, 2: {2, "y"}}, before: rows{}, after: rows{}}, got)
	// Columns that do not matter are not compared.
	diff, err = d.Diff(ctx, from, to, &dataset.DiffOptions{Key: []string{"id"}, Columns: []string{"b"}})
	require.NoError(t, err)
	kinds := map[dataset.ChangeKind]int64{}
	for c, err := range diff.Rows(ctx) {
		require.NoError(t, err)
		for _, rec := range []arrow.Record{c.Before, c.After} {
			if rec != nil {
				require.EqualValues(t, 2, rec.NumCols())
				kinds[c.Kind] += rec.NumRows()
			}
		}
	}
	require.Equal(t, map[dataset.ChangeKind]int64{dataset.Added: 2, dataset.Removed: 1}, kinds)

	empty, err := d.Diff(ctx, to, to, nil)
	require.NoError(t, err)
	require.True(t, empty.Empty())
	for range empty.Rows(ctx) {
		t.Fatal("a version does not differ from itself")
	}
	// A consumer may stop.
	for range diff.Rows(ctx) {
		break
	}
}

func TestDiffOptionsAreChecked(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := create(t, &blob.Mem{}, "t", keyed)
	v, err := d.Latest(ctx)
	require.NoError(t, err)
	_, err = d.Diff(ctx, v, nil, nil)
	require.ErrorIs(t, err, dataset.ErrInvalid)
	_, err = d.Diff(ctx, v, v, &dataset.DiffOptions{Key: []string{"none"}, Columns: []string{"no"}, BatchRows: -1, Memory: 1})
	require.ErrorIs(t, err, dataset.ErrInvalid)
	for _, want := range []string{`"none"`, `"no"`, "batch rows are -1", "memory is 1"} {
		require.ErrorContains(t, err, want)
	}
}

func TestDiffAcrossSchemas(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := create(t, &blob.Mem{}, "t", keyed)
	from := appendRows(t, d.Branch, rows{1: {1, "x"}})
	wider := arrow.NewSchema(append(slices.Clone(keyed.Fields()), arrow.Field{Name: "c", Type: arrow.PrimitiveTypes.Float64, Nullable: true}), nil)
	evolved, err := d.Evolve(ctx, wider, nil)
	require.NoError(t, err)
	diff, err := d.Diff(ctx, from, evolved, &dataset.DiffOptions{Key: []string{"id"}})
	require.NoError(t, err)
	require.Len(t, diff.Columns, 1)
	require.Equal(t, "c", diff.Columns[0].Name)
	require.Equal(t, dataset.Added, diff.Columns[0].Kind)
	require.Nil(t, diff.Columns[0].Before)
	for range diff.Rows(ctx) {
		t.Fatal("a new column is null in old rows")
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, wider)
	b.Field(0).(*array.Int64Builder).Append(1)
	b.Field(1).(*array.Int64Builder).Append(1)
	b.Field(2).(*array.StringBuilder).Append("x")
	b.Field(3).(*array.Float64Builder).Append(0.5)
	filled, err := d.Overwrite(ctx, reader(t, b.NewRecord()), nil)
	require.NoError(t, err)
	diff, err = d.Diff(ctx, from, filled, &dataset.DiffOptions{Key: []string{"id"}})
	require.NoError(t, err)
	n := 0
	for c, err := range diff.Rows(ctx) {
		require.NoError(t, err)
		n++
		require.Equal(t, dataset.Changed, c.Kind)
		require.True(t, c.Before.Column(3).IsNull(0))
		require.Equal(t, 0.5, c.After.Column(3).(*array.Float64).Value(0))
	}
	require.Equal(t, 1, n)
}

func TestDiffSortsOnDiskWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := dataset.New(&blob.Mem{}, nil)
	d, err := c.Create(ctx, "t", keyed, nil)
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(5, 6))
	const n = 120_000
	old, new := rows{}, rows{}
	want := changes{rows{}, rows{}, rows{}, rows{}}
	for id := range int64(n) {
		c := cells{r.Int64(), "a text that takes some room in memory"}
		old[id] = c
		switch r.IntN(100) {
		case 0:
			want.removed[id] = c
		case 1:
			want.before[id], want.after[id] = c, cells{c.a + 1, c.b}
			new[id] = want.after[id]
		case 2:
			new[id], new[id+n] = c, c
			want.added[id+n] = c
		default:
			new[id] = c
		}
	}
	from := appendRows(t, d.Branch, old)
	to, err := d.Overwrite(ctx, new.reader(t), nil)
	require.NoError(t, err)
	dir := t.TempDir()
	got := diffRows(t, d, from, to, &dataset.DiffOptions{Key: []string{"id"}, Memory: 8 << 20, TempDir: dir})
	require.Equal(t, want, got)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestRepeatedKeysPair(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := create(t, &blob.Mem{}, "t", keyed)
	table := func(values ...int64) array.RecordReader {
		b := array.NewRecordBuilder(memory.DefaultAllocator, keyed)
		for _, a := range values {
			b.Field(0).(*array.Int64Builder).Append(7)
			b.Field(1).(*array.Int64Builder).Append(a)
			b.Field(2).AppendNull()
		}
		return reader(t, b.NewRecord())
	}
	from, err := d.Append(ctx, table(1, 2, 3, 3), nil)
	require.NoError(t, err)
	to, err := d.Overwrite(ctx, table(3, 2, 5), nil)
	require.NoError(t, err)
	diff, err := d.Diff(ctx, from, to, &dataset.DiffOptions{Key: []string{"id"}})
	require.NoError(t, err)
	counts := map[dataset.ChangeKind]int64{}
	for c, err := range diff.Rows(ctx) {
		require.NoError(t, err)
		if c.Before != nil {
			counts[c.Kind] += c.Before.NumRows()
		} else {
			counts[c.Kind] += c.After.NumRows()
		}
	}
	require.Equal(t, map[dataset.ChangeKind]int64{dataset.Changed: 1, dataset.Removed: 1}, counts)
}

func TestDiffStatistics(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := create(t, &blob.Mem{}, "t", keyed)
	from := appendRows(t, d.Branch, rows{1: {1, "x"}, 2: {3, "x"}})
	to := appendRows(t, d.Branch, rows{3: {100, "y"}})
	diff, err := d.Diff(ctx, from, to, nil)
	require.NoError(t, err)
	stats, err := diff.Statistics(ctx)
	require.NoError(t, err)
	require.Len(t, stats, 3)
	require.Equal(t, "a", stats[1].Name)
	require.Equal(t, 3.0, stats[1].Before.Max())
	require.Equal(t, 100.0, stats[1].After.Max())
}

func TestDiffOfWiderIntegers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	schema := func(t arrow.DataType) *arrow.Schema {
		return arrow.NewSchema([]arrow.Field{{Name: "id", Type: t}, {Name: "a", Type: t, Nullable: true}}, nil)
	}
	d := create(t, &blob.Mem{}, "t", schema(arrow.PrimitiveTypes.Int8))
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema(arrow.PrimitiveTypes.Int8))
	b.Field(0).(*array.Int8Builder).AppendValues([]int8{-1, 2}, nil)
	b.Field(1).(*array.Int8Builder).AppendValues([]int8{-100, 100}, nil)
	from, err := d.Append(ctx, reader(t, b.NewRecord()), nil)
	require.NoError(t, err)
	_, err = d.Evolve(ctx, schema(arrow.PrimitiveTypes.Int32), nil)
	require.NoError(t, err)
	b = array.NewRecordBuilder(memory.DefaultAllocator, schema(arrow.PrimitiveTypes.Int32))
	b.Field(0).(*array.Int32Builder).AppendValues([]int32{-1, 2}, nil)
	b.Field(1).(*array.Int32Builder).AppendValues([]int32{-100, 100_000}, nil)
	to, err := d.Overwrite(ctx, reader(t, b.NewRecord()), nil)
	require.NoError(t, err)
	for _, pair := range [][2]*dataset.Version{{from, to}, {to, from}} {
		diff, err := d.Diff(ctx, pair[0], pair[1], &dataset.DiffOptions{Key: []string{"id"}})
		require.NoError(t, err)
		require.Len(t, diff.Columns, 2)
		n := 0
		for c, err := range diff.Rows(ctx) {
			require.NoError(t, err)
			require.Equal(t, dataset.Changed, c.Kind)
			n += int(c.After.NumRows())
			require.EqualValues(t, 2, c.After.Column(0).(*array.Int32).Value(0))
		}
		require.Equal(t, 1, n)
	}
}
