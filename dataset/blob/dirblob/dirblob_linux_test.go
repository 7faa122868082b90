package dirblob_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
)

// asNobody runs f with the file permissions of an ordinary user, as root may do
// everything. The goroutine's thread is thrown away after it.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread ends with the goroutine
		const nobody = 65534
		err := syscall.Setfsuid(nobody)
		if err == nil {
			f()
		}
		done <- err
	}()
	require.NoError(t, <-done)
}

func TestOpenSaysThatItMayNotWrite(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(parent), 0o755))
	dir := filepath.Join(parent, "store")
	_, err := dirblob.Open(dir)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(filepath.Join(dir, ".tmp"), 0o555))
	require.NoError(t, os.Chmod(dir, 0o555))
	for _, p := range []string{dir, filepath.Join(dir, "new")} {
		asNobody(t, func() { _, err = dirblob.Open(p) })
		require.ErrorIs(t, err, fs.ErrPermission)
		require.ErrorContains(t, err, "dirblob: open \""+p+"\": this user (uid ")
	}
}

func TestNamedPipeIsNotOpened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	_, err := s.Get(t.Context(), "pipe", 0, -1) // would wait for a writer for ever
	require.ErrorIs(t, err, fs.ErrInvalid)
	require.ErrorContains(t, err, "not a regular file")
	_, err = s.Stat(t.Context(), "pipe")
	require.ErrorIs(t, err, fs.ErrInvalid)
	require.Empty(t, names(t, s, ""))
}
