package dirblob_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
)

func open(t *testing.T, dir string) *dirblob.Store {
	t.Helper()
	s, err := dirblob.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func put(t *testing.T, s blob.Store, key, text string) {
	t.Helper()
	require.NoError(t, s.Put(t.Context(), key, strings.NewReader(text), int64(len(text))))
}

func names(t *testing.T, s blob.Store, prefix string) []string {
	t.Helper()
	var list []string
	for fi, err := range s.List(t.Context(), prefix) {
		require.NoError(t, err)
		list = append(list, fi.Name())
	}
	return list
}

func TestConformance(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, t.TempDir()) })
}

func TestOpen(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "by", "open")
	s := open(t, dir)
	put(t, s, "a/b", "text")
	data, err := os.ReadFile(filepath.Join(dir, "a", "b"))
	require.NoError(t, err)
	require.Equal(t, "text", string(data), "the file is the object")

	again := open(t, dir)
	require.Equal(t, []string{"a/b"}, names(t, again, ""))
}

func TestOpenRefusesWhatIsNoFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := dirblob.Open(file)
	require.ErrorIs(t, err, dirblob.ErrInvalid)
	require.EqualError(t, err, `dirblob: open "`+file+`": it is a file, not a folder: invalid`)

	_, err = dirblob.Open(filepath.Join(file, "below"))
	require.ErrorContains(t, err, "not a directory")
	_, err = dirblob.Open("")
	require.ErrorIs(t, err, dirblob.ErrInvalid)
}

func TestSymbolicLinksStayInside(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("s"), 0o600))
	dir := t.TempDir()
	s := open(t, dir)
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "out")))
	require.NoError(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "link")))

	for _, key := range []string{"out/secret", "link"} {
		_, err := s.Get(ctx, key, 0, -1)
		require.Error(t, err, key)
		_, err = s.Stat(ctx, key)
		require.Error(t, err, key)
	}
	require.Error(t, s.Create(ctx, "out/new", strings.NewReader("x"), 1))
	require.Error(t, s.Put(ctx, "out/secret", strings.NewReader("x"), 1))
	require.Error(t, s.Delete(ctx, "out/secret"))
	require.ErrorIs(t, s.Create(ctx, "link", strings.NewReader("x"), 1), fs.ErrExist)
	require.Empty(t, names(t, s, ""))
	require.Empty(t, names(t, s, "out/"))

	// Put and Delete act on the link itself.
	put(t, s, "link", "mine")
	require.NoError(t, s.Delete(ctx, "out"))
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	data, err := os.ReadFile(filepath.Join(outside, "secret"))
	require.NoError(t, err)
	require.Equal(t, "s", string(data))
}

func TestTemporaryFolderIsNoKey(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir := t.TempDir()
	s := open(t, dir)
	left := filepath.Join(dir, ".tmp", "left")
	require.NoError(t, os.WriteFile(left, []byte("half an obj"), 0o600))
	for _, key := range []string{".tmp", ".tmp/left", ".tmp/x/y"} {
		err := s.Create(ctx, key, strings.NewReader("x"), 1)
		require.ErrorIs(t, err, fs.ErrInvalid, key)
		require.ErrorContains(t, err, `".tmp" is the folder of unfinished objects`)
		_, err = s.Get(ctx, key, 0, -1)
		require.ErrorIs(t, err, fs.ErrInvalid, key)
		require.ErrorIs(t, s.Delete(ctx, key), fs.ErrInvalid, key)
	}
	put(t, s, ".tmpx/k", "x")
	put(t, s, "a/.tmp/k", "x")
	require.Equal(t, []string{".tmpx/k", "a/.tmp/k"}, names(t, s, ""))
	for _, prefix := range []string{".tmp/", ".tmp/left"} {
		require.Empty(t, names(t, s, prefix))
	}

	// What is fresh may still be written to; what is old was left by a dead one.
	open(t, dir)
	require.FileExists(t, left)
	old := time.Now().Add(-61 * time.Minute)
	require.NoError(t, os.Chtimes(left, old, old))
	open(t, dir)
	require.NoFileExists(t, left)
}

func TestFailedWritesLeaveNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	require.Error(t, s.Create(t.Context(), "a/b/c", strings.NewReader("x"), 5))
	put(t, s, "k", "x")
	require.ErrorIs(t, s.Create(t.Context(), "k", strings.NewReader("x"), 1), fs.ErrExist)
	entries, err := os.ReadDir(filepath.Join(dir, ".tmp"))
	require.NoError(t, err)
	for _, e := range entries {
		require.Contains(t, e.Name(), "lock-")
	}
	require.NoDirExists(t, filepath.Join(dir, "a"))
}

func TestObjectInTheWayOfAFolder(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "a/b", "x")
	require.EqualError(t, s.Create(ctx, "a/b/c/d", strings.NewReader("x"), 1),
		`create a/b/c/d: "a/b" is an object and cannot be a folder too: invalid argument`)
	require.EqualError(t, s.Put(ctx, "a", strings.NewReader("x"), 1),
		`put a: it is the folder of other keys and cannot be an object too: invalid argument`)

	// Folders without objects, as a killed writer leaves, are not in the way.
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "e/f/g"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "h/i"), 0o755))
	require.NoError(t, s.Create(ctx, "e", strings.NewReader("x"), 1))
	require.NoError(t, s.Put(ctx, "h", strings.NewReader("x"), 1))
	require.Equal(t, []string{"a/b", "e", "h"}, names(t, s, ""))
}

func TestDeleteRemovesEmptyFolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "a/b/c/d", "x")
	put(t, s, "a/e", "x")
	require.NoError(t, s.Delete(t.Context(), "a/b/c/d"))
	require.NoDirExists(t, filepath.Join(dir, "a", "b"))
	require.DirExists(t, filepath.Join(dir, "a"))
}

func TestReaderOutlivesReplaceAndClose(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, err := dirblob.Open(t.TempDir())
	require.NoError(t, err)
	put(t, s, "k", "old bytes")
	r, err := s.Get(ctx, "k", 4, -1)
	require.NoError(t, err)
	put(t, s, "k", "new")
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	data := make([]byte, 5)
	_, err = r.Read(data)
	require.NoError(t, err)
	require.Equal(t, "bytes", string(data))
	require.NoError(t, r.Close())

	_, err = s.Get(ctx, "k", 0, -1)
	require.ErrorIs(t, err, fs.ErrClosed)
	require.ErrorIs(t, s.Create(ctx, "x", strings.NewReader("x"), 1), fs.ErrClosed)
	require.ErrorIs(t, s.Put(ctx, "x", strings.NewReader("x"), 1), fs.ErrClosed)
	require.ErrorIs(t, s.Delete(ctx, "k"), fs.ErrClosed)
	_, err = s.Stat(ctx, "k")
	require.ErrorIs(t, err, fs.ErrClosed)
	for _, err := range s.List(ctx, "") {
		require.ErrorIs(t, err, fs.ErrClosed)
	}
}

func BenchmarkCreate(b *testing.B) {
	s, err := dirblob.Open(b.TempDir())
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close()) }()
	body := strings.Repeat("x", 4096)
	b.SetBytes(int64(len(body)))
	i := 0
	for b.Loop() {
		key := "bench/dir/" + time.Unix(int64(i), 0).UTC().Format("15/04/05.2006002")
		if err := s.Create(b.Context(), key, strings.NewReader(body), int64(len(body))); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
