package loader_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/loader"
)

var schema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "customer", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "label", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	{Name: "embedding", Type: arrow.ListOf(arrow.PrimitiveTypes.Float32), Nullable: true},
}, nil)

// customer is the customer of a row, and whether it has one.
func customer(id int64) (string, bool) { return fmt.Sprintf("customer-%d", id%97), id%13 != 0 }

// rows makes the rows from to to.
func rows(t testing.TB, from, to int64) array.RecordReader {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for id := from; id < to; id++ {
		b.Field(0).(*array.Int64Builder).Append(id)
		if name, ok := customer(id); ok {
			b.Field(1).(*array.StringBuilder).Append(name)
		} else {
			b.Field(1).AppendNull()
		}
		b.Field(2).(*array.BooleanBuilder).Append(id%3 == 0)
		list := b.Field(3).(*array.ListBuilder)
		list.Append(true)
		for i := range id % 4 {
			list.ValueBuilder().(*array.Float32Builder).Append(float32(id) + float32(i)/4)
		}
	}
	rr, err := array.NewRecordReader(schema, []arrow.Record{b.NewRecord()})
	require.NoError(t, err)
	return rr
}

// table makes a dataset whose files, each one row group, have so many rows, with
// the ids 0, 1, 2 and so on.
func table(t testing.TB, s blob.Store, sizes ...int64) (*dataset.Dataset, *dataset.Version) {
	t.Helper()
	ctx := context.Background()
	d, err := dataset.New(s, nil).Create(ctx, "t", schema, nil)
	require.NoError(t, err)
	return d, grow(t, d, 0, sizes...)
}

func grow(t testing.TB, d *dataset.Dataset, from int64, sizes ...int64) *dataset.Version {
	t.Helper()
	v, err := d.Latest(context.Background())
	require.NoError(t, err)
	for _, n := range sizes {
		v, err = d.Append(context.Background(), rows(t, from, from+n), nil)
		require.NoError(t, err)
		from += n
	}
	return v
}

// uneven are sizes of groups that no round number divides.
var uneven = []int64{50, 7, 120, 33, 64, 1, 90, 90, 17, 41, 80, 25, 66}

func total(sizes []int64) (n int64) {
	for _, s := range sizes {
		n += s
	}
	return n
}

func plan(t testing.TB, v *dataset.Version, opts *loader.Options) *loader.Loader {
	t.Helper()
	l, err := loader.New(context.Background(), v, opts)
	require.NoError(t, err)
	return l
}

func shard(t testing.TB, l *loader.Loader, epoch int64, rank, world int) *loader.Stream {
	t.Helper()
	s, err := l.Shard(loader.Shard{Epoch: epoch, Rank: rank, World: world})
	require.NoError(t, err)
	return s
}

// drain reads a stream to its end and checks each row; it returns the ids.
func drain(t testing.TB, s *loader.Stream) []int64 {
	t.Helper()
	var ids []int64
	for rec, err := range s.Records(context.Background()) {
		require.NoError(t, err)
		ids = append(ids, check(t, rec)...)
	}
	return ids
}

// check compares every row of a record with what it was made as.
func check(t testing.TB, rec arrow.Record) []int64 {
	t.Helper()
	column := func(name string) arrow.Array {
		if at := rec.Schema().FieldIndices(name); len(at) == 1 {
			return rec.Column(at[0])
		}
		return nil
	}
	ids := column("id").(*array.Int64)
	for i := range int(rec.NumRows()) {
		id := ids.Value(i)
		if c, ok := column("customer").(*array.String); ok {
			name, has := customer(id)
			require.Equal(t, has, c.IsValid(i), "row %d", id)
			if has {
				require.Equal(t, name, c.Value(i), "row %d", id)
			}
		}
		if c, ok := column("label").(*array.Boolean); ok {
			require.Equal(t, id%3 == 0, c.Value(i), "row %d", id)
		}
		if c, ok := column("embedding").(*array.List); ok {
			from, to := c.ValueOffsets(i)
			require.Equal(t, id%4, to-from, "row %d", id)
			for k := from; k < to; k++ {
				require.Equal(t, float32(id)+float32(k-from)/4, c.ListValues().(*array.Float32).Value(int(k)))
			}
		}
	}
	return append([]int64(nil), ids.Int64Values()...)
}

func sequence(n int64) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(i)
	}
	return out
}
