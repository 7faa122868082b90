package dataset_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset"
	"github.com/millwright-ml/millwright/dataset/blob"
)

func TestTagsNameVersionsForEver(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := context.Background()
		d := create(t, s, "n", small)
		v1, err := d.Append(ctx, numbers(t, 1), nil)
		require.NoError(t, err)
		require.NoError(t, d.Tag(ctx, "v1.0", v1, &dataset.TagOptions{Author: "ada", Message: "first"}))
		v2, err := d.Append(ctx, numbers(t, 2), nil)
		require.NoError(t, err)
		require.NoError(t, d.Tag(ctx, "audit-2026", v2, nil))

		err = d.Tag(ctx, "v1.0", v2, nil)
		require.ErrorIs(t, err, dataset.ErrExists)
		require.ErrorContains(t, err, "tags do not move")

		other, err := dataset.New(s, nil).Open(ctx, "n")
		require.NoError(t, err)
		var names []string
		for tag, err := range other.Tags(ctx) {
			require.NoError(t, err)
			names = append(names, tag.Name)
			if tag.Name == "v1.0" {
				require.Equal(t, "ada", tag.Author)
				require.Equal(t, "first", tag.Message)
				require.Equal(t, "main", tag.Branch)
				require.Empty(t, tag.Table)
				require.EqualValues(t, 1, tag.Number)
				require.Equal(t, v1.Digest, tag.Digest)
				require.Equal(t, v1.Commit, tag.Commit)
				require.WithinDuration(t, time.Now(), tag.Time, time.Hour)
			}
		}
		require.Equal(t, []string{"audit-2026", "v1.0"}, names)

		v, err := other.Resolve(ctx, "v1.0")
		require.NoError(t, err)
		require.Equal(t, []int64{1}, readNumbers(t, v))

		require.NoError(t, d.DeleteTag(ctx, "v1.0"))
		require.ErrorIs(t, d.DeleteTag(ctx, "v1.0"), dataset.ErrNotFound)
		_, err = other.Resolve(ctx, "v1.0")
		require.ErrorIs(t, err, dataset.ErrNotFound)
	})
}

func TestRacingTaggersMakeOne(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := create(t, &blob.Mem{}, "n", small)
	v, err := d.Latest(ctx)
	require.NoError(t, err)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for range 16 {
		wg.Go(func() {
			err := d.Tag(ctx, "release", v, nil)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			} else if !strings.Contains(err.Error(), "already exists") {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, made)
}

func TestReferencesResolve(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := create(t, &blob.Mem{}, "n", small)
	v1, err := d.Append(ctx, numbers(t, 1), nil)
	require.NoError(t, err)
	v2, err := d.Append(ctx, numbers(t, 2), nil)
	require.NoError(t, err)
	dev, err := d.CreateBranch(ctx, "dev", v1)
	require.NoError(t, err)
	v3, err := dev.Append(ctx, numbers(t, 3), nil)
	require.NoError(t, err)
	require.NoError(t, d.Tag(ctx, "t", v3, nil))
	require.NoError(t, d.Tag(ctx, "dev", v2, nil))

	for ref, want := range map[string]*dataset.Version{
		"1": v1, "main@2": v2, "main": v2, "t": v3, "tags/t": v3, "heads/dev": v3, "tags/dev": v2,
		fmt.Sprintf("dev@%d", v3.Number):                         v3,
		"main@" + v1.Time.Format(time.RFC3339Nano):               v1,
		"dev@" + v3.Time.Add(time.Hour).Format(time.RFC3339Nano): v3,
		v2.Digest: v2, v3.Digest: v3, v1.Commit: v1, v3.Commit: v3,
	} {
		got, err := d.Resolve(ctx, ref)
		require.NoError(t, err, ref)
		require.Equal(t, want.Branch, got.Branch, ref)
		require.Equal(t, want.Number, got.Number, ref)
		require.Equal(t, want.Digest, got.Digest, ref)
	}
	for ref, kind := range map[string]error{
		"":                          dataset.ErrInvalid,
		"a b":                       dataset.ErrInvalid,
		"../x":                      dataset.ErrInvalid,
		"tags/../x":                 dataset.ErrInvalid,
		"main@x":                    dataset.ErrInvalid,
		"dev":                       dataset.ErrInvalid, // A tag and a branch.
		"99":                        dataset.ErrNotFound,
		"main@99":                   dataset.ErrNotFound,
		"dev@999":                   dataset.ErrNotFound,
		"none":                      dataset.ErrNotFound,
		"heads/none":                dataset.ErrNotFound,
		"none@1":                    dataset.ErrNotFound,
		"sha256:00":                 dataset.ErrNotFound,
		strings.Repeat("0", 32):     dataset.ErrNotFound,
		strings.Repeat("9", 30):     dataset.ErrNotFound,
		"main@2000-01-01T00:00:00Z": dataset.ErrNotFound,
	} {
		_, err := d.Resolve(ctx, ref)
		require.ErrorIs(t, err, kind, ref)
	}
}

func TestRefNamesAreChecked(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := create(t, &blob.Mem{}, "n", small)
	v, err := d.Latest(ctx)
	require.NoError(t, err)
	for _, name := range []string{"", "12", "main", "MAIN", "a/b", ".x", "a@1", strings.Repeat("a", 129), strings.Repeat("0", 31) + "a"} {
		require.ErrorIs(t, d.Tag(ctx, name, v, nil), dataset.ErrInvalid, name)
		_, err := d.CreateBranch(ctx, name, v)
		require.ErrorIs(t, err, dataset.ErrInvalid, name)
		require.ErrorIs(t, d.DeleteBranch(ctx, name), dataset.ErrInvalid, name)
		require.ErrorIs(t, d.DeleteTag(ctx, name), dataset.ErrInvalid, name)
	}
	require.ErrorIs(t, d.Tag(ctx, "x", nil, &dataset.TagOptions{Author: "\xff"}), dataset.ErrInvalid)
	_, err = d.CreateBranch(ctx, "x", nil)
	require.ErrorIs(t, err, dataset.ErrInvalid)
}

func TestDamagedTagsAreRefused(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := &blob.Mem{}
	d := create(t, s, "n", small)
	v, err := d.Append(ctx, numbers(t, 1), nil)
	require.NoError(t, err)
	require.NoError(t, d.Tag(ctx, "ok", v, nil))
	const key = "n/_mlops/refs/tags/ok.json"
	data, err := blob.ReadAll(ctx, s, key, 1<<20)
	require.NoError(t, err)
	var good map[string]any
	require.NoError(t, json.Unmarshal(data, &good))
	for field, bad := range map[string]any{"format": 2, "name": "other", "table": "../x", "version": -1, "digest": "md5:1", "branch": "/", "id": 7} {
		broken := map[string]any{}
		maps.Copy(broken, good)
		broken[field] = bad
		body, err := json.Marshal(broken)
		require.NoError(t, err)
		require.NoError(t, s.Put(ctx, key, strings.NewReader(string(body)), -1))
		_, err = d.Resolve(ctx, "ok")
		require.ErrorContains(t, err, key[2:], field)
	}
	good["version"] = 0 // Another version than the digest says.
	body, err := json.Marshal(good)
	require.NoError(t, err)
	require.NoError(t, s.Put(ctx, key, strings.NewReader(string(body)), -1))
	_, err = d.Resolve(ctx, "ok")
	require.ErrorIs(t, err, dataset.ErrInvalid)
	require.ErrorContains(t, err, v.Digest)
}

func TestBranchesGoTheirOwnWay(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := context.Background()
		d := create(t, s, "n", small)
		v1, err := d.Append(ctx, numbers(t, 1), nil)
		require.NoError(t, err)
		dev, err := d.CreateBranch(ctx, "dev", v1)
		require.NoError(t, err)
		_, err = d.CreateBranch(ctx, "dev", v1)
		require.ErrorIs(t, err, dataset.ErrExists)
		exp, err := d.CreateBranch(ctx, "exp", v1)
		require.NoError(t, err)
		_, err = dev.Append(ctx, numbers(t, 2), nil)
		require.NoError(t, err)
		_, err = exp.Append(ctx, numbers(t, 3), nil)
		require.NoError(t, err)
		_, err = d.Append(ctx, numbers(t, 4), nil)
		require.NoError(t, err)
		_, err = dev.Append(ctx, numbers(t, 5), nil)
		require.NoError(t, err)

		other, err := dataset.New(s, nil).Open(ctx, "n")
		require.NoError(t, err)
		want := map[string][]int64{"main": {1, 4}, "dev": {1, 2, 5}, "exp": {1, 3}}
		var names []string
		for b, err := range other.Branches(ctx) {
			require.NoError(t, err)
			names = append(names, b.Name())
			v, err := b.Latest(ctx)
			require.NoError(t, err)
			require.Equal(t, b.Name(), v.Branch)
			require.Equal(t, want[b.Name()], readNumbers(t, v), b.Name())
		}
		require.Equal(t, []string{"main", "dev", "exp"}, names)

		again, err := other.OpenBranch(ctx, "dev")
		require.NoError(t, err)
		v, err := again.Latest(ctx)
		require.NoError(t, err)
		table, number := v.Table()
		require.Equal(t, "n/_refs", table)
		require.Equal(t, v.Number, number)
		head, err := blob.ReadAll(ctx, s, "n/_mlops/refs/heads/dev.json", 1<<16)
		require.NoError(t, err)
		var file map[string]any
		require.NoError(t, json.Unmarshal(head, &file))
		require.EqualValues(t, v.Number, file["version"])
		require.Equal(t, v.Digest, file["digest"])

		require.NoError(t, d.DeleteBranch(ctx, "dev"))
		require.ErrorIs(t, d.DeleteBranch(ctx, "dev"), dataset.ErrNotFound)
		_, err = other.OpenBranch(ctx, "dev")
		require.ErrorIs(t, err, dataset.ErrNotFound)
		_, err = dev.Append(ctx, numbers(t, 6), nil)
		require.ErrorIs(t, err, dataset.ErrNotFound)
		require.Equal(t, []int64{1, 2, 5}, readNumbers(t, v), "the versions of a deleted branch stay")
		fresh, err := d.CreateBranch(ctx, "dev", v1)
		require.NoError(t, err)
		first, err := fresh.Latest(ctx)
		require.NoError(t, err)
		require.Equal(t, []int64{1}, readNumbers(t, first))
	})
}

func TestRacingBranchWritersLoseNothing(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s blob.Store) {
		ctx := context.Background()
		d := create(t, s, "n", small)
		zero, err := d.Latest(ctx)
		require.NoError(t, err)
		const branches, each = 4, 8
		var wg sync.WaitGroup
		for k := range branches {
			other, err := dataset.New(s, nil).Open(ctx, "n")
			require.NoError(t, err)
			wg.Go(func() {
				b, err := other.CreateBranch(ctx, fmt.Sprintf("b%d", k), zero)
				if err != nil {
					t.Error(err)
					return
				}
				for i := range each {
					if _, err := b.Append(ctx, numbers(t, int64(100*k+i)), nil); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		for k := range branches {
			b, err := d.OpenBranch(ctx, fmt.Sprintf("b%d", k))
			require.NoError(t, err)
			v, err := b.Latest(ctx)
			require.NoError(t, err)
			var want []int64
			for i := range each {
				want = append(want, int64(100*k+i))
			}
			require.Equal(t, want, readNumbers(t, v))
		}
	})
}
