package dataset_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/filter"
)

// TestPickedRowsAreWhole reads and deletes by a condition. The Arrow library's
// filter of booleans lost nulls here.
func TestPickedRowsAreWhole(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := create(t, &blob.Mem{}, "all", everyType)
	v, err := d.Append(ctx, reader(t, everyRecord(t, memory.DefaultAllocator, 0, 300)), nil)
	require.NoError(t, err)
	for _, from := range []int{1, 7, 100, 131, 299} {
		check := func(v *dataset.Version, opts *dataset.ReadOptions) {
			rr, err := v.Read(ctx, opts)
			require.NoError(t, err)
			defer rr.Release()
			next := from
			for rr.Next() {
				rec := rr.Record()
				want := everyRecord(t, memory.DefaultAllocator, next, next+int(rec.NumRows()))
				for c, field := range everyType.Fields() {
					// Not as text, which is wrong for slices of structs.
					require.True(t, array.ApproxEqual(want.Column(c), rec.Column(c), array.WithNaNsEqual(true), array.WithAbsTolerance(0)),
						"column %s from %d: want %v, have %v", field.Name, from, want.Column(c), rec.Column(c))
				}
				next += int(rec.NumRows())
			}
			require.NoError(t, rr.Err())
			require.Equal(t, 300, next)
		}
		check(v, &dataset.ReadOptions{Where: filter.Ge("id", from)})
		b, err := d.CreateBranch(ctx, fmt.Sprintf("from-%d", from), v)
		require.NoError(t, err)
		deleted, err := b.Delete(ctx, filter.Lt("id", from), nil)
		require.NoError(t, err)
		check(deleted, nil)
	}
}
