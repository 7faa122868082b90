package cacheblob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest"
	"github.com/millwright-ml/millwright/dataset/blob/cacheblob"
)

func TestStore(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, new(blob.Mem), t.TempDir(), nil) })
}

func open(t testing.TB, s blob.Store, dir string, opts *cacheblob.Options) *cacheblob.Store {
	t.Helper()
	c, err := cacheblob.Open(s, dir, opts)
	require.NoError(t, err)
	return c
}

// origin counts the reads that reach it.
type origin struct {
	blob.Mem
	gets atomic.Int64
}

func (o *origin) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	o.gets.Add(1)
	return o.Mem.Get(ctx, key, off, n)
}

// put stores text under its content's name and returns the key.
func put(t testing.TB, s blob.Store, text string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(text))
	key := "t/_refs/data/" + hex.EncodeToString(sum[:]) + ".parquet"
	require.NoError(t, s.Put(t.Context(), key, strings.NewReader(text), int64(len(text))))
	return key
}

func get(t testing.TB, s blob.Store, key string, off, n int64) string {
	t.Helper()
	r, err := s.Get(t.Context(), key, off, n)
	require.NoError(t, err)
	data, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	return string(data)
}

// cached is the file of a key in the folder.
func cached(dir, key string) string {
	sum := strings.TrimSuffix(filepath.Base(key), ".parquet")
	return filepath.Join(dir, "sha256", sum[:2], sum)
}

func TestADataFileIsFetchedOnce(t *testing.T) {
	t.Parallel()
	o, dir := &origin{}, t.TempDir()
	key := put(t, o, "0123456789")
	c := open(t, o, dir, nil)
	require.Equal(t, "345", get(t, c, key, 3, 3))
	require.Equal(t, "0123456789", get(t, c, key, 0, -1))
	require.Equal(t, "89", get(t, c, key, 8, 100))
	require.Empty(t, get(t, c, key, 10, -1))
	_, err := c.Get(t.Context(), key, 11, 1)
	require.ErrorIs(t, err, fs.ErrInvalid)
	require.EqualValues(t, 1, o.gets.Load())

	// Another process on the same folder, and another dataset with the content.
	other := open(t, o, dir, nil)
	require.Equal(t, "0123456789", get(t, other, strings.Replace(key, "t/", "u/", 1), 0, -1))
	require.EqualValues(t, 1, o.gets.Load())
	require.Equal(t, cacheblob.Stats{Hits: 4, Fetched: 1, Bytes: 10}, c.Stats())
}

func TestOnlyNamesThatSayTheContentAreKept(t *testing.T) {
	t.Parallel()
	o, dir := &origin{}, t.TempDir()
	c := open(t, o, dir, nil)
	for _, key := range []string{"t/_delta_log/00000000000000000001.json", "part-0.parquet", "t/_refs/data/" + strings.Repeat("A", 64) + ".parquet"} {
		for i := range 2 {
			text := fmt.Sprint("state ", i)
			require.NoError(t, c.Put(t.Context(), key, strings.NewReader(text), int64(len(text))))
			require.Equal(t, text, get(t, c, key, 0, -1))
		}
	}
	require.Zero(t, c.Stats())

	// An object that is not what its name says is delivered and not kept.
	key := "t/_refs/data/" + strings.Repeat("a", 64) + ".parquet"
	require.NoError(t, o.Put(t.Context(), key, strings.NewReader("else"), 4))
	require.Equal(t, "else", get(t, c, key, 0, -1))
	require.NoFileExists(t, cached(dir, key))
	_, err := c.Get(t.Context(), "t/"+strings.Repeat("b", 64)+".parquet", 0, -1)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Zero(t, c.Stats())
}

func TestADamagedFileIsFetchedAgain(t *testing.T) {
	t.Parallel()
	o, dir := &origin{}, t.TempDir()
	key := put(t, o, "0123456789")
	require.Equal(t, "0123456789", get(t, open(t, o, dir, nil), key, 0, -1))
	for _, damage := range []string{"012345678X", "01234", "", "0123456789+"} {
		require.NoError(t, os.WriteFile(cached(dir, key), []byte(damage), 0o600))
		c := open(t, o, dir, nil)
		require.Equal(t, "0123456789", get(t, c, key, 0, -1))
		require.EqualValues(t, 1, c.Stats().Damaged)
		require.EqualValues(t, 1, c.Stats().Fetched)
	}
	require.NoError(t, os.WriteFile(cached(dir, key), []byte("012345678X"), 0o600))
	require.Equal(t, "012345678X", get(t, open(t, o, dir, &cacheblob.Options{Trust: true}), key, 0, -1))
}

func TestACacheThatFailsDoesNotFailTheRead(t *testing.T) {
	t.Parallel()
	o, dir := &origin{}, t.TempDir()
	key := put(t, o, "0123456789")
	c := open(t, o, filepath.Join(dir, "cache"), nil)
	// A file where the folder should be.
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "cache")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cache"), nil, 0o600))
	require.Equal(t, "123", get(t, c, key, 1, 3))
	require.EqualValues(t, 1, c.Stats().Faults)
	require.Error(t, c.Stats().Last)

	// And again when it is back.
	require.NoError(t, os.Remove(filepath.Join(dir, "cache")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "cache"), 0o700))
	require.Equal(t, "123", get(t, c, key, 1, 3))
	require.EqualValues(t, 1, c.Stats().Fetched)
}

func TestTheFolderStaysWithinItsSize(t *testing.T) {
	t.Parallel()
	o, dir := &origin{}, t.TempDir()
	c := open(t, o, dir, &cacheblob.Options{MaxBytes: 10_000})
	leftover := filepath.Join(dir, "tmp-dead")
	require.NoError(t, os.WriteFile(leftover, nil, 0o600))
	long := time.Now().Add(-48 * time.Hour)
	require.NoError(t, os.Chtimes(leftover, long, long))
	var keys []string
	for i := range 50 {
		keys = append(keys, put(t, o, strings.Repeat(fmt.Sprintf("%04d", i), 250)))
		get(t, c, keys[i], 0, -1)
		// In the order of use, whatever the clock of the file system can tell.
		at := time.Now().Add(time.Duration(i-100) * time.Minute)
		if _, err := os.Stat(cached(dir, keys[i])); err == nil {
			require.NoError(t, os.Chtimes(cached(dir, keys[i]), at, at))
		}
		var total int64
		require.NoError(t, filepath.Walk(filepath.Join(dir, "sha256"), func(_ string, fi fs.FileInfo, err error) error {
			if err == nil && !fi.IsDir() {
				total += fi.Size()
			}
			return err
		}))
		require.LessOrEqual(t, total, int64(10_000))
	}
	require.FileExists(t, cached(dir, keys[49]))
	require.NoFileExists(t, cached(dir, keys[0]))
	require.NoFileExists(t, leftover)

	// What is larger than the cache passes through.
	big := put(t, o, strings.Repeat("x", 10_001))
	require.Len(t, get(t, c, big, 0, -1), 10_001)
	require.NoFileExists(t, cached(dir, big))
}

func TestADeletedObjectLeavesTheFolder(t *testing.T) {
	t.Parallel()
	o, dir := &origin{}, t.TempDir()
	key := put(t, o, "0123456789")
	c := open(t, o, dir, nil)
	get(t, c, key, 0, -1)
	require.FileExists(t, cached(dir, key))
	require.NoError(t, c.Delete(t.Context(), key))
	require.NoFileExists(t, cached(dir, key))
	_, err := c.Get(t.Context(), key, 0, -1)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestManyReadersOfTwoProcessesFetchOnce(t *testing.T) {
	t.Parallel()
	o, dir := &origin{}, t.TempDir()
	text := strings.Repeat("0123456789", 100_000)
	key := put(t, o, text)
	processes := []*cacheblob.Store{open(t, o, dir, nil), open(t, o, dir, nil)}
	var wg sync.WaitGroup
	faults := make(chan string, 32)
	for i := range 32 {
		wg.Go(func() {
			r, err := processes[i%2].Get(context.Background(), key, int64(i), 1000)
			if err != nil {
				faults <- err.Error()
				return
			}
			data, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(data, []byte(text[i:i+1000])) {
				faults <- fmt.Sprint(len(data), err)
			}
			_ = r.Close()
		})
	}
	wg.Wait()
	close(faults)
	for fault := range faults {
		t.Error(fault)
	}
	require.EqualValues(t, 1, o.gets.Load())
}

func TestAFetchThatIsGivenUpIsTakenOver(t *testing.T) {
	t.Parallel()
	o, dir := &stuck{begun: make(chan struct{}, 8)}, t.TempDir()
	key := put(t, o, "0123456789")
	o.stuck.Store(true)
	c := open(t, o, dir, nil)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := c.Get(ctx, key, 0, -1)
		first <- err
	}()
	<-o.begun
	second := make(chan string, 1)
	go func() { second <- get(t, c, key, 0, -1) }()
	o.stuck.Store(false)
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	require.Equal(t, "0123456789", <-second)
}

// stuck hangs in its reads while it is told to.
type stuck struct {
	blob.Mem
	stuck atomic.Bool
	begun chan struct{}
}

func (s *stuck) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if s.stuck.Load() {
		s.begun <- struct{}{}
		<-ctx.Done()
		return nil, &fs.PathError{Op: "get", Path: key, Err: ctx.Err()}
	}
	return s.Mem.Get(ctx, key, off, n)
}

func TestFaultsOfTheOptionsComeTogether(t *testing.T) {
	t.Parallel()
	_, err := cacheblob.Open(nil, "", &cacheblob.Options{MaxBytes: -1})
	require.ErrorContains(t, err, "the store is nil")
	require.ErrorContains(t, err, "no name")
	require.ErrorContains(t, err, "max bytes is -1")
}

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "cache")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	remote := &blob.Mem{} // Or s3blob.Open.
	store, err := cacheblob.Open(remote, dir, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	// Data files of datasets are named by their SHA-256.
	body := "a fragment"
	key := fmt.Sprintf("churn/_refs/data/%x.parquet", sha256.Sum256([]byte(body)))
	if err := remote.Put(context.Background(), key, strings.NewReader(body), -1); err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		r, err := store.Get(context.Background(), key, 2, 8)
		if err != nil {
			fmt.Println(err)
			return
		}
		text, err := io.ReadAll(r)
		fmt.Println(string(text), err)
		_ = r.Close()
	}
	fmt.Println("fetched", store.Stats().Fetched)
	// Output:
	// fragment <nil>
	// fragment <nil>
	// fragment <nil>
	// fetched 1
}
