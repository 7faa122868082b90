package dataset_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/filter"
)

// parted is a dataset of rows of every type in many files and row groups.
func parted(t testing.TB, s blob.Store, mem memory.Allocator, rows int) *dataset.Version {
	c := dataset.New(s, &dataset.Options{Allocator: mem})
	c.SetLayout(100, 1<<20, 32<<10)
	d, err := c.Create(context.Background(), "all", everyType, nil)
	require.NoError(t, err)
	v, err := d.Append(context.Background(), reader(t, everyRecord(t, memory.DefaultAllocator, 0, rows)), nil)
	require.NoError(t, err)
	return v
}

// ids drains a reader and returns its column id.
func ids(t testing.TB, rr array.RecordReader, err error) []int64 {
	require.NoError(t, err)
	defer rr.Release()
	var out []int64
	for rr.Next() {
		at := rr.Schema().FieldIndices("id")[0]
		out = append(out, rr.Record().Column(at).(*array.Int64).Int64Values()...)
	}
	require.NoError(t, rr.Err())
	return out
}

func TestGroupsInAnyOrder(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := context.Background()
		mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
		v := parted(t, s, mem, 1950)
		groups, err := v.Groups(ctx)
		require.NoError(t, err)
		require.Greater(t, len(groups), len(v.Files))
		require.Greater(t, len(v.Files), 1)
		starts, row := make([]int64, len(groups)), int64(0)
		for i, g := range groups {
			starts[i] = row
			row += g.Rows
		}
		require.Equal(t, v.Rows, row)
		want := everyRecord(t, memory.DefaultAllocator, 0, 1950)

		r := rand.New(rand.NewPCG(1, 2))
		for round := range 6 {
			order := r.Perm(len(groups))
			order = append(order[:len(order)/2], order[:3]...) // Some twice.
			var picked []dataset.Group
			for _, i := range order {
				picked = append(picked, groups[i])
			}
			opts := &dataset.ReadOptions{BatchRows: 64, Prefetch: 1}
			if round%2 == 1 {
				opts.Columns = []string{"vector", "id", "text"}
			}
			rr, err := v.ReadGroups(ctx, picked, opts)
			require.NoError(t, err)
			for _, i := range order {
				for from := starts[i]; from < starts[i]+groups[i].Rows; {
					require.True(t, rr.Next(), rr.Err())
					rec := rr.Record()
					part := want.NewSlice(from, from+rec.NumRows())
					for k, f := range rec.Schema().Fields() {
						col := part.Column(part.Schema().FieldIndices(f.Name)[0])
						require.True(t, array.ApproxEqual(col, rec.Column(k), array.WithNaNsEqual(true), array.WithAbsTolerance(0)), f.Name)
					}
					part.Release()
					from += rec.NumRows()
				}
			}
			require.False(t, rr.Next())
			require.NoError(t, rr.Err())
			rr.Release()
			mem.AssertSize(t, 0)
		}
		rr, err := v.ReadGroups(ctx, nil, nil)
		require.Empty(t, ids(t, rr, err))
		_, err = v.ReadGroups(ctx, []dataset.Group{{File: 99}, {File: -1}, {Index: -1}}, &dataset.ReadOptions{Prefetch: -1})
		require.ErrorIs(t, err, dataset.ErrInvalid)
		require.ErrorContains(t, err, "group 0 is row group 0 of file 99")
		require.ErrorContains(t, err, "prefetch is -1")
		rr, err = v.ReadGroups(ctx, []dataset.Group{{Index: 50}}, nil)
		require.NoError(t, err)
		require.False(t, rr.Next())
		require.ErrorContains(t, rr.Err(), "number 50 was asked for")
		rr.Release()
	})
}

func TestReleaseInTheMiddleFreesEverything(t *testing.T) {
	t.Parallel()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	v := parted(t, &blob.Mem{}, mem, 3000)
	for stop := range 5 {
		rr, err := v.Read(context.Background(), &dataset.ReadOptions{BatchRows: 50})
		require.NoError(t, err)
		for range stop {
			require.True(t, rr.Next())
		}
		rr.Release()
		mem.AssertSize(t, 0)
	}
	ctx, cancel := context.WithCancel(context.Background())
	rr, err := v.Read(ctx, nil)
	require.NoError(t, err)
	require.True(t, rr.Next())
	cancel()
	for rr.Next() {
	}
	require.ErrorIs(t, rr.Err(), context.Canceled)
	rr.Release()
	mem.AssertSize(t, 0)
}

func TestWhereGivesTheMatchingRows(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	v := parted(t, &blob.Mem{}, mem, 2000)
	whole := everyRecord(t, memory.DefaultAllocator, 0, 2000)
	for i, text := range []string{
		"TRUE", "FALSE", "id < 250", "id = 777", "id BETWEEN 100 AND 1250", "id IN (1, 999, 1999, 5000)", "NOT (id >= 30)",
		"i32 > 5900", "bool", "i8 IS NULL", "i8 IS NOT NULL AND id > 1900", "text = 'größe-3'", "text = 'none'", "f64 > 195", "f64 = 'NaN'", "f64 < 0", "f32 >= 150",
		"day > '1975-01-01'", "at < '1970-01-01T00:05:00Z'", "money = 1.01", "money > 2000", "vector IS NULL AND id < 100", "bytes = X'ff07'", "id > 1000 AND text = 'größe-3' OR id = 5",
	} {
		if !some(i) {
			continue
		}
		e, err := filter.Parse(text)
		require.NoError(t, err)
		b, err := e.Bind(everyType)
		require.NoError(t, err)
		mask, err := b.Eval(whole)
		require.NoError(t, err)
		var want []int64
		for from, to := range mask.Runs() {
			for i := from; i < to; i++ {
				want = append(want, int64(i))
			}
		}
		sameRows(t, v, e, whole, want)
		for _, columns := range [][]string{nil, {"text", "id"}} {
			rr, err := v.Read(ctx, &dataset.ReadOptions{Where: e, Columns: columns, BatchRows: 70})
			require.Equal(t, want, ids(t, rr, err), "%s %v", text, columns)
			mem.AssertSize(t, 0)
		}
	}
	_, err := v.Read(ctx, &dataset.ReadOptions{Where: filter.Eq("nope", 1), Columns: []string{"nada"}})
	require.ErrorContains(t, err, `there is no column "nope"`)
	require.ErrorContains(t, err, `there is no column "nada"`)
}

// fetches counts what is read of data files.
type fetches struct {
	blob.Store
	gets, bytes atomic.Int64
}

func (c *fetches) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if strings.Contains(key, "/data/") {
		c.gets.Add(1)
		if n >= 0 {
			c.bytes.Add(n)
		} else if info, err := c.Stat(ctx, key); err == nil {
			c.bytes.Add(info.Size())
		}
	}
	return c.Store.Get(ctx, key, off, n)
}

func TestOnlyWhatIsWantedIsFetched(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &fetches{Store: &blob.Mem{}}
	v := parted(t, s, memory.DefaultAllocator, 4000)
	var total int64
	for _, f := range v.Files {
		total += f.Size
	}
	read := func(opts *dataset.ReadOptions) (gets, bytes int64, rows int) {
		s.gets.Store(0)
		s.bytes.Store(0)
		rr, err := v.Read(ctx, opts)
		rows = len(ids(t, rr, err))
		return s.gets.Load(), s.bytes.Load(), rows
	}
	// A file whose statistics rule a match out is not touched.
	gets, bytes, rows := read(&dataset.ReadOptions{Where: filter.Eq("id", 5), Columns: []string{"id"}})
	require.Equal(t, 1, rows)
	require.EqualValues(t, 2, gets) // The end of the file and one chunk.
	require.Less(t, bytes, total/10)
	gets, _, rows = read(&dataset.ReadOptions{Where: filter.Eq("id", 5), Columns: []string{"id"}})
	require.Equal(t, 1, rows)
	require.EqualValues(t, 1, gets, "the end of the file is remembered")
	gets, _, rows = read(&dataset.ReadOptions{Where: filter.Eq("id", 5000), Columns: []string{"id"}})
	require.Zero(t, rows)
	require.Zero(t, gets)
	gets, bytes, rows = read(nil)
	require.Equal(t, []int64{int64(len(v.Files)), total, 4000}, []int64{gets, bytes, int64(rows)})

	// Row groups are left out too.
	groups, err := v.Groups(ctx)
	require.NoError(t, err)
	s.gets.Store(0)
	s.bytes.Store(0)
	rr, err := v.ReadGroups(ctx, groups[1:2], &dataset.ReadOptions{Columns: []string{"id"}})
	require.Len(t, ids(t, rr, err), 100)
	require.EqualValues(t, 1, s.gets.Load())
	require.Less(t, s.bytes.Load(), int64(1000))
}

func TestDamageInAChunkIsFoundByARangedRead(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	v := parted(t, s, memory.DefaultAllocator, 300)
	key := "all/" + v.Files[0].Path
	good, err := blob.ReadAll(ctx, s, key, 1<<20)
	require.NoError(t, err)
	var found int
	for at := 4; at < len(good); at += 97 {
		bad := slices.Clone(good)
		bad[at] ^= 0x10
		require.NoError(t, s.Put(ctx, key, strings.NewReader(string(bad)), int64(len(bad))))
		again, err := dataset.New(s, nil).Open(ctx, "all")
		require.NoError(t, err)
		w, err := again.Latest(ctx)
		require.NoError(t, err)
		var all []string
		for _, f := range everyType.Fields()[1:] {
			all = append(all, f.Name)
		}
		rr, err := w.Read(ctx, &dataset.ReadOptions{Columns: all})
		require.NoError(t, err)
		for rr.Next() {
		}
		if corrupt := (*dataset.CorruptError)(nil); errors.As(rr.Err(), &corrupt) {
			found++
			require.Contains(t, corrupt.Error(), "bytes ")
			require.NotEqual(t, corrupt.Want, corrupt.Have)
		} else {
			require.NoError(t, rr.Err()) // In a column that was not read.
		}
		rr.Release()
	}
	require.Greater(t, found, len(good)/97*3/4)

	require.NoError(t, s.Put(ctx, key, strings.NewReader(string(good[:len(good)/2])), int64(len(good)/2)))
	rr, err := v.Read(ctx, &dataset.ReadOptions{Columns: []string{"id"}})
	require.NoError(t, err)
	require.False(t, rr.Next())
	require.ErrorContains(t, rr.Err(), "shorter than")
	rr.Release()
	require.NoError(t, s.Delete(ctx, key))
	rr, err = v.Read(ctx, &dataset.ReadOptions{Columns: []string{"id"}})
	require.NoError(t, err)
	require.False(t, rr.Next())
	require.ErrorIs(t, rr.Err(), fs.ErrNotExist)
	rr.Release()
}

func TestColumnsThatCameLaterAreNull(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	old := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "n", Type: arrow.PrimitiveTypes.Int8, Nullable: true}}, nil)
	young := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "n", Type: arrow.PrimitiveTypes.Int32, Nullable: true}, {Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true}}, nil)
	d := create(t, s, "grows", old)
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, old, strings.NewReader(`[{"id": 1, "n": 5}, {"id": 2, "n": null}]`))
	require.NoError(t, err)
	_, err = d.Append(ctx, reader(t, rec), nil)
	require.NoError(t, err)
	_, err = d.Evolve(ctx, young, nil)
	require.NoError(t, err)
	rec, _, err = array.RecordFromJSON(memory.DefaultAllocator, young, strings.NewReader(`[{"id": 3, "n": 70000, "tags": ["a"]}]`))
	require.NoError(t, err)
	v, err := d.Append(ctx, reader(t, rec), nil)
	require.NoError(t, err)

	var got []string
	rr, err := v.Read(ctx, nil)
	require.NoError(t, err)
	for rr.Next() {
		data, err := rr.Record().MarshalJSON()
		require.NoError(t, err)
		got = append(got, string(data))
	}
	require.NoError(t, rr.Err())
	rr.Release()
	require.Len(t, got, 2)
	require.JSONEq(t, `[{"id":1,"n":5,"tags":null},{"id":2,"n":null,"tags":null}]`, got[0])
	require.JSONEq(t, `[{"id":3,"n":70000,"tags":["a"]}]`, got[1])
	for text, want := range map[string][]int64{"n = 5": {1}, "n >= 5": {1, 3}, "tags IS NULL": {1, 2}, "tags IS NOT NULL": {3}, "n IS NULL": {2}} {
		e, err := filter.Parse(text)
		require.NoError(t, err)
		rr, err := v.Read(ctx, &dataset.ReadOptions{Where: e, Columns: []string{"id"}})
		require.Equal(t, want, ids(t, rr, err), text)
	}
}

// sameRows compares every column of the rows that match with those of whole.
func sameRows(t testing.TB, v *dataset.Version, where filter.Expr, whole arrow.Record, rows []int64) {
	rr, err := v.Read(context.Background(), &dataset.ReadOptions{Where: where})
	require.NoError(t, err)
	defer rr.Release()
	at := 0
	for rr.Next() {
		rec := rr.Record()
		for i := range rec.NumRows() {
			from := rows[at]
			if at++; at%3 != 0 {
				continue
			}
			for k, col := range rec.Columns() {
				require.True(t, array.SliceApproxEqual(whole.Column(k), from, from+1, col, i, i+1, array.WithNaNsEqual(true), array.WithAbsTolerance(0)), "%s: row %d of column %s", where, from, rec.ColumnName(k))
			}
		}
	}
	require.NoError(t, rr.Err())
}
