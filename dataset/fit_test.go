package dataset_test

import (
	"context"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
)

func TestNestedColumnsGrow(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	field := func(name string, typ arrow.DataType) arrow.Field {
		return arrow.Field{Name: name, Type: typ, Nullable: true}
	}
	i8, i32, text := arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int32, arrow.BinaryTypes.String
	old := arrow.NewSchema([]arrow.Field{
		field("s", arrow.StructOf(field("a", i8), field("l", arrow.ListOf(i8)))), field("l", arrow.ListOf(arrow.StructOf(field("x", i8)))), field("m", arrow.MapOf(text, i8)),
	}, nil)
	young := arrow.NewSchema([]arrow.Field{
		field("s", arrow.StructOf(field("a", i32), field("l", arrow.ListOf(i32)), field("b", text))),
		field("l", arrow.ListOf(arrow.StructOf(field("x", i32), field("y", arrow.ListOf(text))))), field("m", arrow.MapOf(text, i32)),
	}, nil)
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	d, err := dataset.New(&blob.Mem{}, &dataset.Options{Allocator: mem}).Create(ctx, "grows", old, nil)
	require.NoError(t, err)
	const rows = `[
		{"s": {"a": 1, "l": [2, null]}, "l": [{"x": 3}, null], "m": [{"key": "k", "value": 4}]},
		{"s": null, "l": null, "m": null},
		{"s": {"a": null, "l": null}, "l": [], "m": []}]`
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, old, strings.NewReader(rows))
	require.NoError(t, err)
	_, err = d.Append(ctx, reader(t, rec), nil)
	require.NoError(t, err)
	v, err := d.Evolve(ctx, young, nil)
	require.NoError(t, err)
	rr, err := v.Read(ctx, &dataset.ReadOptions{BatchRows: 2})
	require.NoError(t, err)
	var got []string
	for rr.Next() {
		data, err := rr.Record().MarshalJSON()
		require.NoError(t, err)
		got = append(got, string(data))
	}
	require.NoError(t, rr.Err())
	require.True(t, arrow.TypeEqual(young.Field(0).Type, rr.Schema().Field(0).Type))
	rr.Release()
	require.JSONEq(t, `[{"s":{"a":1,"l":[2,null],"b":null},"l":[{"x":3,"y":null},null],"m":[{"key":"k","value":4}]},{"s":null,"l":null,"m":null}]`, got[0])
	require.JSONEq(t, `[{"s":{"a":null,"l":null,"b":null},"l":[],"m":[]}]`, got[1])
	mem.AssertSize(t, 0)
}
