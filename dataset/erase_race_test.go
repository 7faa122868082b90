package dataset_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest/faults"
)

// doored is a handle on the table m whose nth write is preceded by f.
func doored(t testing.TB, s blob.Store, nth int, f func()) (d *dataset.Dataset, passed func() bool) {
	var n atomic.Int64
	kit := faults.New(s, &faults.Options{Before: func(c faults.Call) error {
		if c.Op.Writes() && n.Add(1) == int64(nth) {
			f()
		}
		return nil
	}})
	d, err := dataset.New(kit, nil).Open(context.Background(), "m")
	require.NoError(t, err)
	return d, func() bool { return n.Load() >= int64(nth) }
}

func openMembers(t testing.TB, s blob.Store) *dataset.Dataset {
	d, err := dataset.New(s, nil).Open(context.Background(), "m")
	require.NoError(t, err)
	return d
}

// eraseAll erases what is to be forgotten, also when it was broken off.
func eraseAll(t testing.TB, s blob.Store) {
	_, err := openMembers(t, s).Erase(context.Background(), forget, &dataset.EraseOptions{Resume: true})
	require.NoError(t, err)
}

// unwell tells that an error is not one that an erase causes for a writer.
func unwell(err error) bool { return err != nil && !errors.Is(err, dataset.ErrConflict) }

// TestEraseMeetsFirstBranch makes the first branch of a table, and a tag, from a
// version with the rows, at every write of an erase; and lets an erase happen at
// every write of these. Nothing of the rows may be left, and nobody may be told of
// a branch or a tag that is not there.
func TestEraseMeetsFirstBranch(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	origin := &blob.Mem{}
	d := create(t, origin, "m", people)
	for _, list := range [][]string{{"a", secret}, {"b"}} {
		_, err := d.Append(ctx, persons(t, list...), nil)
		require.NoError(t, err)
	}
	for name, do := range map[string]func(d *dataset.Dataset, v *dataset.Version) error{
		"branch": func(d *dataset.Dataset, v *dataset.Version) error {
			_, err := d.CreateBranch(ctx, "new", v)
			return err
		},
		"tag": func(d *dataset.Dataset, v *dataset.Version) error { return d.Tag(ctx, "new", v, nil) },
	} {
		ends := func(s blob.Store, told bool) {
			d := openMembers(t, s)
			v, err := d.Resolve(ctx, "new")
			if told {
				require.NoError(t, err)
			}
			if err == nil {
				got, err := mails(t, v)
				require.NoError(t, err)
				require.Equal(t, []string{"a"}, got)
			}
			for info, err := range s.List(ctx, "m/") {
				require.NoError(t, err)
				data, err := blob.ReadAll(ctx, s, info.Name(), 1<<20)
				require.NoError(t, err)
				require.NotContains(t, string(data), secret, info.Name())
			}
			report, err := d.Verify(ctx, nil)
			require.NoError(t, err)
			require.True(t, report.OK(), "%v", report.Damage)
			// The name can be given afterwards.
			if !told {
				_ = d.DeleteTag(ctx, "new")
				require.NoError(t, do(d, v2(t, d, 1)))
			}
		}
		t.Run(name+" in an erase", func(t *testing.T) {
			t.Parallel()
			for nth := 1; ; nth++ {
				s := clone(t, origin)
				other := openMembers(t, s)
				from := v2(t, other, 1)
				var told error
				d, passed := doored(t, s, nth, func() { told = do(other, from) })
				_, err := d.Erase(ctx, forget, nil)
				require.NoError(t, err, "step %d", nth)
				if !passed() {
					require.Greater(t, nth, 10)
					return
				}
				require.False(t, unwell(told), "step %d: %v", nth, told)
				ends(s, told == nil)
			}
		})
		t.Run("erase in a "+name, func(t *testing.T) {
			t.Parallel()
			for nth := 1; ; nth++ {
				s := clone(t, origin)
				d, passed := doored(t, s, nth, func() { eraseAll(t, s) })
				told := do(d, v2(t, d, 1))
				if !passed() {
					require.NoError(t, told)
					require.Greater(t, nth, 1)
					return
				}
				require.False(t, unwell(told), "step %d: %v", nth, told)
				ends(s, told == nil)
			}
		})
	}
}

// Two processes resume one erase at the same time: one of them stops, or both do
// the same.
func TestEraseResumedTwice(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	origin := &blob.Mem{}
	members(t, origin)
	before := contents(t, origin)
	stride := 5
	if detector {
		stride = 13
	}
	for nth := 2; ; nth += stride {
		s := clone(t, origin)
		d, passed := doored(t, s, nth, func() { eraseAll(t, s) })
		_, err := d.Erase(ctx, forget, nil)
		require.False(t, unwell(err), "step %d: %v", nth, err)
		erased(t, s, before)
		if !passed() {
			return
		}
		_, err = openMembers(t, s).Append(ctx, persons(t, "z"), nil)
		require.ErrorIs(t, err, dataset.ErrInvalid, "the columns differ, and no fence is up")
	}
}
