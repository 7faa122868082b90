package dataset_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest/faults"
)

// TestClocksOfStoresMayBeWrong: the clock of a store is days ahead of ours or
// behind it. Versions keep their order, and a collection counts its day by the
// store's clock. How it goes on when that day has passed is TestCollectTakesADay,
// on a clock that is months behind.
func TestClocksOfStoresMayBeWrong(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-72 * time.Hour, 72 * time.Hour} {
		t.Run(fmt.Sprint(skew), func(t *testing.T) {
			t.Parallel()
			s := faults.New(&blob.Mem{}, nil)
			s.Skew(skew)
			d := create(t, s, "n", small)
			for i := range int64(12) { // More than lie between two checkpoints.
				_, err := d.Overwrite(ctx0, numbers(t, i), nil)
				require.NoError(t, err)
			}
			collect := func() *dataset.CollectReport {
				report, err := d.Collect(ctx0, apply(1))
				require.NoError(t, err)
				return report
			}
			require.Zero(t, collect().Deleted, "everything was written just now")
			require.Zero(t, collect().Deleted)

			before := time.Time{}
			for v, err := range d.Log(ctx0) {
				require.NoError(t, err)
				require.True(t, before.IsZero() || v.Time.Before(before), "version %d", v.Number)
				before = v.Time
				v, err = v.Load(ctx0)
				require.NoError(t, err)
				if v.Number > 0 {
					require.Equal(t, []int64{v.Number - 1}, readNumbers(t, v))
				}
			}

			v, err := open(t, s).Latest(ctx0)
			require.NoError(t, err)
			require.Equal(t, []int64{11}, readNumbers(t, v))
			report, err := open(t, s).Verify(ctx0, nil)
			require.NoError(t, err)
			require.True(t, report.OK(), "%v", report.Damage)
		})
	}
}

// TestSlowBodiesAreReadWhole: every body comes in small pieces, and a reader that
// gives up does not wait for the rest.
func TestSlowBodiesAreReadWhole(t *testing.T) {
	t.Parallel()
	inner := &blob.Mem{}
	d := create(t, inner, "n", small)
	fill(t, d, []int64{1, 2, 3}, []int64{4, 5})
	s := faults.New(inner, nil)
	s.Inject(faults.Rule{Op: faults.Get, Times: -1, Fault: faults.Slow(37, time.Microsecond)})
	v, err := open(t, s).Latest(ctx0)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2, 3, 4, 5}, readNumbers(t, v))
	_, err = d.Append(ctx0, numbers(t, 6), nil)
	require.NoError(t, err)

	// One piece an hour.
	s.Calm()
	s.Inject(faults.Rule{Op: faults.Get, Key: "/data/", Times: -1, Fault: faults.Slow(1, time.Hour)})
	ctx, stop := context.WithCancel(ctx0)
	rr, err := v.Read(ctx, nil)
	if err == nil {
		stop()
		for rr.Next() {
			t.Error("rows come before their bytes")
		}
		err = rr.Err()
		rr.Release()
	}
	stop()
	require.ErrorIs(t, err, context.Canceled)
}
