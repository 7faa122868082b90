package dataset_test

import (
	"context"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
)

func TestMergeOfSchemas(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	with := func(names ...string) *arrow.Schema {
		fields := keyed.Fields()
		fields = slices.Clip(fields)
		for _, n := range names {
			fields = append(fields, arrow.Field{Name: n, Type: arrow.PrimitiveTypes.Int64, Nullable: true})
		}
		return arrow.NewSchema(fields, nil)
	}
	d, dev := forked(t, &blob.Mem{}, rows{1: {1, "x"}, 2: {2, "x"}, 3: {3, "x"}})
	_, err := d.Evolve(ctx, with("c"), nil)
	require.NoError(t, err)
	_, err = dev.Evolve(ctx, with("d"), nil)
	require.NoError(t, err)
	remove(t, d.Branch, 1)
	head := remove(t, dev, 2)
	merged, err := d.Merge(ctx, head, byID)
	require.NoError(t, err)
	require.Equal(t, []string{"id", "a", "b", "c", "d"}, names(merged.Schema()))
	require.Equal(t, rows{3: {3, "x"}}, readRows(t, merged))

	// The same name for different things is a conflict.
	_, err = dev.Merge(ctx, merged, byID)
	require.NoError(t, err)
	_, err = d.Evolve(ctx, with("c", "d", "e"), nil)
	require.NoError(t, err)
	other := with("c", "d")
	head, err = dev.Evolve(ctx, arrow.NewSchema(append(other.Fields(), arrow.Field{Name: "e", Type: arrow.BinaryTypes.String, Nullable: true}), nil), nil)
	require.NoError(t, err)
	_, err = d.Merge(ctx, head, byID)
	conflict := (*dataset.MergeConflict)(nil)
	require.ErrorAs(t, err, &conflict)
	require.Len(t, conflict.Columns, 1)
	require.Contains(t, conflict.Columns[0], `"e"`)
}
