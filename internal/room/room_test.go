package room_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/room"
)

// files makes files of 100 bytes in a new folder, the first used longest ago.
func files(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for i, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, make([]byte, 100), 0o600))
		used := time.Now().Add(time.Duration(i-len(names)) * time.Hour)
		require.NoError(t, os.Chtimes(path, used, used))
	}
	return dir
}

func left(t *testing.T, dir string) (names []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, e.Name())
		}
		return err
	}))
	slices.Sort(names)
	return names
}

func TestMakeRemovesWhatWasUsedLongestAgo(t *testing.T) {
	t.Parallel()
	for most, want := range map[int64][]string{
		500: {"a", "b", "c", "d", "lock-x", "tmp-new"}, // all of it fits, locks do not count
		499: {"b", "c", "d", "lock-x", "tmp-new"},
		450: {"b", "c", "d", "lock-x", "tmp-new"},
		410: {"c", "d", "lock-x", "tmp-new"}, // a sixteenth more than has to
		100: {"lock-x", "tmp-new"},
		50:  {"lock-x", "tmp-new"},
	} {
		dir := files(t, "a", "x/b", "x/y/c", "d", "tmp-new", "lock-x")
		require.NoError(t, room.New(dir, most).Make(100))
		require.Equal(t, want, left(t, dir), most)
	}
}

func TestMakeRemovesLeftoversOfTheDead(t *testing.T) {
	t.Parallel()
	dir := files(t, "tmp-dead", "lock-old", "a")
	long := time.Now().Add(-25 * time.Hour)
	for _, name := range []string{"tmp-dead", "lock-old", "a"} {
		require.NoError(t, os.Chtimes(filepath.Join(dir, name), long, long))
	}
	require.NoError(t, room.New(dir, 1000).Make(1))
	require.Equal(t, []string{"a", "lock-old"}, left(t, dir))
}

func TestMakeLooksAgainOnceAShareIsFilled(t *testing.T) {
	t.Parallel()
	dir := files(t, "a")
	f := room.New(dir, 1000)
	require.NoError(t, f.Make(1))
	for i := range 12 { // another process fills the folder
		require.NoError(t, os.WriteFile(filepath.Join(dir, string(rune('b'+i))), make([]byte, 100), 0o600))
	}
	require.NoError(t, f.Make(100)) // of the 225 that were free to fill here
	require.Len(t, left(t, dir), 13)
	require.NoError(t, f.Make(200))
	require.Less(t, len(left(t, dir)), 9)
}

func TestMakeOfAFolderThatIsNotThere(t *testing.T) {
	t.Parallel()
	require.NoError(t, room.New(filepath.Join(t.TempDir(), "none"), 10).Make(5))
}
