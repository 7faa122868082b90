package blobtest

import (
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
)

func createAndGet(t *testing.T, s blob.Store) {
	create(t, s, "a/b/c.txt", "hello")
	require.Equal(t, "hello", get(t, s, "a/b/c.txt", 0, -1))
	create(t, s, "top", "level")
	require.Equal(t, "level", get(t, s, "top", 0, -1))
}

func createExisting(t *testing.T, s blob.Store) {
	create(t, s, "k", "first")
	err := s.Create(t.Context(), "k", strings.NewReader("other"), 5)
	requireError(t, err, fs.ErrExist)
	require.NotErrorIs(t, err, fs.ErrNotExist)
	require.Equal(t, "first", get(t, s, "k", 0, -1))
	// An equal body is no exception: the caller decides what that means.
	requireError(t, s.Create(t.Context(), "k", strings.NewReader("first"), 5), fs.ErrExist)
	requireError(t, s.Create(t.Context(), "k", strings.NewReader("x"), -1), fs.ErrExist)
}

func putReplaces(t *testing.T, s blob.Store) {
	ctx := t.Context()
	require.NoError(t, s.Put(ctx, "dir/k", strings.NewReader("one"), 3))
	require.Equal(t, "one", get(t, s, "dir/k", 0, -1))
	require.NoError(t, s.Put(ctx, "dir/k", strings.NewReader("longer two"), 10))
	require.Equal(t, "longer two", get(t, s, "dir/k", 0, -1))
	require.NoError(t, s.Put(ctx, "dir/k", strings.NewReader(""), 0))
	require.Equal(t, "", get(t, s, "dir/k", 0, -1))
	require.Equal(t, []string{"dir/k"}, keys(t, s, ""))
}

func ranges(t *testing.T, s blob.Store) {
	create(t, s, "k", "0123456789")
	for _, c := range []struct {
		off, n int64
		want   string
	}{
		{0, -1, "0123456789"}, {3, -1, "3456789"}, {0, 4, "0123"}, {9, 1, "9"},
		{4, 3, "456"}, {4, 0, ""}, {0, 0, ""}, {10, -1, ""}, {10, 5, ""}, {10, 0, ""},
		{8, 100, "89"}, {0, 1 << 40, "0123456789"}, {9, 1<<63 - 1, "9"}, {5, -7, "56789"},
	} {
		require.Equal(t, c.want, get(t, s, "k", c.off, c.n), "off %d, n %d", c.off, c.n)
	}
	for _, c := range []struct{ off, n int64 }{{11, -1}, {11, 1}, {11, 0}, {-1, -1}, {-1, 2}, {1 << 40, 1}} {
		_, err := s.Get(t.Context(), "k", c.off, c.n)
		requireError(t, err, fs.ErrInvalid)
	}
	create(t, s, "empty", "")
	require.Equal(t, "", get(t, s, "empty", 0, -1))
	require.Equal(t, "", get(t, s, "empty", 0, 10))
	_, err := s.Get(t.Context(), "empty", 1, -1)
	requireError(t, err, fs.ErrInvalid)
	_, err = s.Get(t.Context(), "nope", 0, 0)
	requireError(t, err, fs.ErrNotExist)
}

func stat(t *testing.T, s blob.Store) {
	create(t, s, "x/y", "12345")
	fi, err := s.Stat(t.Context(), "x/y")
	require.NoError(t, err)
	require.Equal(t, "x/y", fi.Name())
	require.EqualValues(t, 5, fi.Size())
	require.False(t, fi.IsDir())
	require.True(t, fi.Mode().IsRegular())
	// Servers have clocks of their own, so the bound is wide.
	require.WithinDuration(t, time.Now(), fi.ModTime(), time.Hour)
	for listed, err := range s.List(t.Context(), "x/y") {
		require.NoError(t, err)
		require.Equal(t, fi.Name(), listed.Name())
		require.Equal(t, fi.Size(), listed.Size())
		require.WithinDuration(t, fi.ModTime(), listed.ModTime(), 2*time.Second)
	}
}

func absentKeys(t *testing.T, s blob.Store) {
	requireAbsent(t, s, "nope")
	requireAbsent(t, s, "no/such/folder/key")
	create(t, s, "f", "x")
	requireAbsent(t, s, "f/below")
	create(t, s, "d/e", "x")
	requireAbsent(t, s, "d")
	require.Empty(t, keys(t, s, "zzz"))
	require.Empty(t, keys(t, s, "f/"))
	require.Empty(t, keys(t, s, "no/such/folder/"))
}

func deletes(t *testing.T, s blob.Store) {
	ctx := t.Context()
	create(t, s, "a/b/1", "x")
	create(t, s, "a/b/2", "y")
	require.NoError(t, s.Delete(ctx, "a/b/1"))
	requireAbsent(t, s, "a/b/1")
	require.Equal(t, []string{"a/b/2"}, keys(t, s, ""))
	require.NoError(t, s.Delete(ctx, "a/b/1"), "deleting an absent key")
	require.NoError(t, s.Delete(ctx, "never/was"))
	require.NoError(t, s.Delete(ctx, "a/b/2/below"))
	require.NoError(t, s.Delete(ctx, "a"), "a folder is no object")
	require.Equal(t, "y", get(t, s, "a/b/2", 0, -1))
	require.NoError(t, s.Delete(ctx, "a/b/2"))
	require.Empty(t, keys(t, s, ""))
	// Nothing of the keys may stay behind in the way of others.
	create(t, s, "a", "now an object")
	require.NoError(t, s.Delete(ctx, "a"))
	create(t, s, "a/b/1", "again")
	require.Equal(t, "again", get(t, s, "a/b/1", 0, -1))
}

// objectAndFolder accepts both answers that the contract allows.
func objectAndFolder(t *testing.T, s blob.Store) {
	ctx := t.Context()
	create(t, s, "a", "object")
	for _, key := range []string{"a/b", "a/b/c"} {
		if err := s.Create(ctx, key, strings.NewReader("x"), 1); err != nil {
			requireError(t, err, fs.ErrInvalid)
			requireAbsent(t, s, key)
		}
	}
	require.Equal(t, "object", get(t, s, "a", 0, -1))

	create(t, s, "d/e/f", "deep")
	for _, key := range []string{"d", "d/e"} {
		for _, write := range []func() error{
			func() error { return s.Create(ctx, key, strings.NewReader("x"), 1) },
			func() error { return s.Put(ctx, key, strings.NewReader("x"), 1) },
		} {
			if err := write(); err != nil && !isExist(err) {
				requireError(t, err, fs.ErrInvalid)
				requireAbsent(t, s, key)
			}
		}
	}
	require.Equal(t, "deep", get(t, s, "d/e/f", 0, -1))
}

func oddKeys(t *testing.T, s blob.Store) {
	odd := []string{
		"with space/and +plus", "percent %20 %2F", "q?x=1&y=2#frag", "ünï/日本/🙂", "a=b/c,d;e",
		"~!@$^*()_-", "quote'\"`", "[brackets]{}<>|", ".hidden/..two/...", "co:lon", "_delta_log/00.json",
		strings.Repeat("s", 255), strings.Repeat(strings.Repeat("p", 199)+"/", 4) + "q",
	}
	for i, key := range odd {
		create(t, s, key, strings.Repeat("x", i))
	}
	for i, key := range odd {
		require.Len(t, get(t, s, key, 0, -1), i, "%q", key)
		require.Equal(t, []string{key}, keys(t, s, key))
	}
	require.ElementsMatch(t, odd, keys(t, s, ""))
	for _, key := range odd {
		require.NoError(t, s.Delete(t.Context(), key))
		requireAbsent(t, s, key)
	}
}

func invalidKeys(t *testing.T, s blob.Store) {
	ctx := t.Context()
	create(t, s, "ok", "x")
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a/.", "nul\x00", "line\nbreak", "del\x7f", "bad\xff",
		strings.Repeat("s", 256), strings.Repeat("abc/", 225) + "x",
	} {
		requireInvalid(t, s.Create(ctx, key, strings.NewReader("x"), 1), key)
		requireInvalid(t, s.Put(ctx, key, strings.NewReader("x"), 1), key)
		requireInvalid(t, s.Delete(ctx, key), key)
		_, err := s.Get(ctx, key, 0, -1)
		requireInvalid(t, err, key)
		_, err = s.Stat(ctx, key)
		requireInvalid(t, err, key)
	}
	for _, prefix := range []string{"/", "/a", "a//", "../", "a/../b", "a/./", "nul\x00", "bad\xff"} {
		var errs []error
		for _, err := range s.List(ctx, prefix) {
			errs = append(errs, err)
		}
		require.Len(t, errs, 1, "prefix %q", prefix)
		requireInvalid(t, errs[0], prefix)
	}
	require.Equal(t, []string{"ok"}, keys(t, s, ""))
}

func requireInvalid(t *testing.T, err error, key string) {
	t.Helper()
	require.ErrorIs(t, err, fs.ErrInvalid, "key %q", key)
	requireError(t, err, fs.ErrInvalid)
}
