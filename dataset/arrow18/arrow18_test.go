package arrow18_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	mem15 "github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/arrow18"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/filter"
)

var schema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "vector", Type: arrow.ListOf(arrow.PrimitiveTypes.Float32), Nullable: true},
}, nil)

const rows = `[{"id": 1, "name": "a", "vector": [1, 2]}, {"id": 2, "name": null, "vector": null}, {"id": 3, "name": "c", "vector": []}]`

func records(t testing.TB, mem memory.Allocator, s *arrow.Schema, rows string) array.RecordReader {
	rec, _, err := array.RecordFromJSON(mem, s, strings.NewReader(rows))
	require.NoError(t, err)
	defer rec.Release()
	rr, err := array.NewRecordReader(s, []arrow.RecordBatch{rec})
	require.NoError(t, err)
	return rr
}

func text(t testing.TB, rr array.RecordReader, err error) (out []string) {
	require.NoError(t, err)
	defer rr.Release()
	for rr.Next() {
		data, err := rr.RecordBatch().MarshalJSON()
		require.NoError(t, err)
		out = append(out, string(data))
	}
	require.NoError(t, rr.Err())
	return out
}

func TestRecordsComeBack(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	in, out := memory.NewCheckedAllocator(memory.DefaultAllocator), mem15.NewCheckedAllocator(mem15.DefaultAllocator)
	d, err := arrow18.Create(ctx, dataset.New(&blob.Mem{}, &dataset.Options{Allocator: out}), "t", schema, nil)
	require.NoError(t, err)
	rr := records(t, in, schema, rows)
	v, err := arrow18.Append(ctx, d.Branch, rr, nil)
	require.NoError(t, err)
	rr.Release()
	in.AssertSize(t, 0)

	have, err := arrow18.Schema(v)
	require.NoError(t, err)
	require.Equal(t, "id", have.Field(0).Name)
	r, err := arrow18.Read(ctx, v, nil)
	got := text(t, r, err)
	require.Len(t, got, 1)
	require.JSONEq(t, rows, got[0])
	r, err = arrow18.Read(ctx, v, &dataset.ReadOptions{Columns: []string{"name"}, Where: filter.Ge("id", 3)})
	require.JSONEq(t, `[{"name": "c"}]`, text(t, r, err)[0])
	groups, err := v.Groups(ctx)
	require.NoError(t, err)
	r, err = arrow18.ReadGroups(ctx, v, groups, nil)
	require.Len(t, text(t, r, err), 1)
	out.AssertSize(t, 0)

	rr = records(t, in, schema, `[{"id": 9}]`)
	v, err = arrow18.Overwrite(ctx, d.Branch, rr, nil)
	require.NoError(t, err)
	rr.Release()
	r, err = arrow18.Read(ctx, v, nil)
	require.JSONEq(t, `[{"id": 9, "name": null, "vector": null}]`, text(t, r, err)[0])
	grown := arrow.NewSchema(append(schema.Fields(), arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Float64, Nullable: true}), nil)
	v, err = arrow18.Evolve(ctx, d.Branch, grown, nil)
	require.NoError(t, err)
	r, err = arrow18.Read(ctx, v, nil)
	require.JSONEq(t, `[{"id": 9, "name": null, "vector": null, "x": null}]`, text(t, r, err)[0])
	in.AssertSize(t, 0)
	out.AssertSize(t, 0)
}

func TestRecordsOutliveTheReader(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	mem := mem15.NewCheckedAllocator(mem15.DefaultAllocator)
	d, err := arrow18.Create(ctx, dataset.New(&blob.Mem{}, &dataset.Options{Allocator: mem}), "t", schema, nil)
	require.NoError(t, err)
	v, err := arrow18.Append(ctx, d.Branch, records(t, memory.DefaultAllocator, schema, rows), nil)
	require.NoError(t, err)
	rr, err := arrow18.Read(ctx, v, nil)
	require.NoError(t, err)
	require.True(t, rr.Next())
	rec := rr.RecordBatch()
	rec.Retain()
	rr.Release()
	require.Equal(t, "c", rec.Column(1).(*array.String).Value(2))
	rec.Release()
	mem.AssertSize(t, 0)
}

func TestTypesThatNoTableHolds(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := dataset.New(&blob.Mem{}, nil)
	views := arrow.NewSchema([]arrow.Field{{Name: "v", Type: arrow.BinaryTypes.StringView}}, nil)
	_, err := arrow18.Create(ctx, c, "t", views, nil)
	require.ErrorIs(t, err, arrow18.ErrUnsupported)
	_, err = arrow18.Create(ctx, c, "t", nil, nil)
	require.ErrorIs(t, err, arrow18.ErrInvalid)
	d, err := arrow18.Create(ctx, c, "t", schema, nil)
	require.NoError(t, err)
	_, err = arrow18.Append(ctx, d.Branch, nil, nil)
	require.ErrorIs(t, err, arrow18.ErrInvalid)
	_, err = arrow18.Append(ctx, d.Branch, records(t, memory.DefaultAllocator, views, `[{"v": "a"}]`), nil)
	require.ErrorIs(t, err, arrow18.ErrUnsupported)
	_, err = arrow18.Evolve(ctx, d.Branch, views, nil)
	require.ErrorIs(t, err, arrow18.ErrUnsupported)
}

func Example() {
	ctx := context.Background()
	catalog := dataset.New(&blob.Mem{}, nil) // Or dirblob.Open, s3blob.Open.
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)
	numbers, err := arrow18.Create(ctx, catalog, "numbers", schema, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(`[{"n": 1}, {"n": 2}]`))
	if err != nil {
		fmt.Println(err)
		return
	}
	in, err := array.NewRecordReader(schema, []arrow.RecordBatch{rec})
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := arrow18.Append(ctx, numbers.Branch, in, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	rows, err := arrow18.Read(ctx, v, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rows.Release()
	for rows.Next() {
		fmt.Println(v.Number, rows.RecordBatch().Column(0))
	}
	fmt.Println(rows.Err())
	// Output:
	// 1 [1 2]
	// <nil>
}
