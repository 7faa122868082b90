package dirblob_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/blob/blobtest"
	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
)

const (
	counter    = "counter"
	increments = 60
)

// increment adds one to the counter by compare-and-swap.
func increment(ctx context.Context, s *dirblob.Store) error {
	for {
		n := 0
		data, tag, err := blob.ReadTagged(ctx, s, counter, 100)
		switch {
		case err == nil:
			if n, err = strconv.Atoi(string(data)); err != nil {
				return err
			}
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		_, err = s.Swap(ctx, counter, strings.NewReader(strconv.Itoa(n+1)), -1, tag)
		if !errors.Is(err, blob.ErrConflict) {
			return err
		}
	}
}

// countUp is what the processes of TestRacingSwapsOfProcesses do.
func countUp() error {
	s, err := dirblob.Open(os.Getenv(childDir))
	if err != nil {
		return err
	}
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	for range increments {
		if err := increment(context.Background(), s); err != nil {
			return err
		}
	}
	return nil
}

func TestRacingSwapsOfProcesses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const processes = 4
	var starts []func() error
	var ends []*exec.Cmd
	for i := range processes {
		cmd := child(t, "count", dir, fmt.Sprint(i))
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		starts = append(starts, func() error { _, err := in.Write([]byte("go\n")); return err })
		ends = append(ends, cmd)
	}
	for _, start := range starts {
		require.NoError(t, start())
	}
	for _, cmd := range ends {
		require.NoError(t, cmd.Wait())
	}
	data, err := blob.ReadAll(t.Context(), open(t, dir), counter, 100)
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(processes*increments), string(data))
}

// Several stores of one folder, as several processes have, exclude each other.
func TestRacesOfStores(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var stores []blob.Store
	for range 4 {
		stores = append(stores, open(t, dir))
	}
	blobtest.RaceCreates(t, stores, "create", 20)
	blobtest.RaceSwaps(t, stores, "swap", 20)
}

func TestLockFilesStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "k", "x")
	locks, err := filepath.Glob(filepath.Join(dir, ".tmp", "lock-*"))
	require.NoError(t, err)
	require.Len(t, locks, 1)
	// An old one is in use all the same.
	require.NoError(t, os.Chtimes(locks[0], someDay, someDay))
	open(t, dir)
	require.FileExists(t, locks[0])
}

// A folder with more names than are held at a time is listed in order.
func TestWideFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	var want []string
	for i := range 500 {
		name := strconv.Itoa(i * 7919 % 1000)
		if i%5 == 0 {
			name += "/below"
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, "w", name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "w", name), nil, 0o600))
		want = append(want, "w/"+name)
	}
	slices.Sort(want)
	for _, page := range []int{1, 2, 7, 499, 500, 501} {
		var have []string
		for fi, err := range dirblob.ListPages(t.Context(), s, "w/", page) {
			require.NoError(t, err)
			have = append(have, fi.Name())
		}
		require.Equal(t, want, have, "page of %d", page)
	}
	var few []string
	for fi, err := range dirblob.ListPages(t.Context(), s, "w/1", 3) {
		require.NoError(t, err)
		few = append(few, fi.Name())
	}
	require.Equal(t, slices.DeleteFunc(slices.Clone(want), func(k string) bool { return !strings.HasPrefix(k, "w/1") }), few)
}

func TestCopyKeepsTheBytesApart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "a", "text")
	require.NoError(t, s.Copy(t.Context(), "a", "b/c"))
	// Not a second name of one file: who edits the one must not change the other.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), []byte("edited"), 0o600))
	data, err := blob.ReadAll(t.Context(), s, "b/c", 100)
	require.NoError(t, err)
	require.Equal(t, "text", string(data))
}

var someDay = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
