package dirblob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/millwright-ml/millwright/dataset/blob"
)

const (
	tempDir  = ".tmp"
	tempLife = time.Hour
	// placeTries bounds how often a write makes its folder anew when deleters
	// keep removing it because it is empty.
	placeTries = 100
)

// Create implements [blob.Store].
func (s *Store) Create(ctx context.Context, key string, body io.Reader, size int64) error {
	name, err := s.name(ctx, "create", key)
	if err != nil {
		return err
	}
	if fi, err := s.root.Lstat(name); err == nil && !fi.IsDir() {
		// Seen early, a body of gigabytes need not be written first.
		return fail("create", key, s.taken(key))
	}
	return s.write(ctx, "create", key, name, body, size)
}

// Put implements [blob.Store].
func (s *Store) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	name, err := s.name(ctx, "put", key)
	if err != nil {
		return err
	}
	return s.write(ctx, "put", key, name, body, size)
}

func (s *Store) write(ctx context.Context, op, key, name string, body io.Reader, size int64) error {
	temp, err := s.writeTemp(ctx, func(f *os.File) error {
		_, err := io.Copy(f, blob.Body(ctx, body, size))
		return err
	})
	if err != nil {
		return fail(op, key, err)
	}
	return s.finish(ctx, op, key, name, temp)
}

// finish gives the temporary file its name, for good.
func (s *Store) finish(ctx context.Context, op, key, name, temp string) error {
	var err error
	if op == "create" {
		// A link never replaces: the file system picks the one winner.
		err = s.place(key, name, func() error { return s.root.Link(temp, name) })
	} else {
		err = s.replace(ctx, key, name, temp)
	}
	if err != nil || op == "create" {
		// A leftover, or the second name of a file that is in place. If it stays it
		// is swept later.
		_ = s.root.Remove(temp)
	}
	if err == nil {
		err = s.syncDir(path.Dir(key))
	}
	if err != nil {
		return fail(op, key, err)
	}
	return nil
}

// replace puts the temporary file in place while nobody swaps the key.
func (s *Store) replace(ctx context.Context, key, name, temp string) error {
	unlock, err := s.lockWrite(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	return s.place(key, name, func() error { return s.root.Rename(temp, name) })
}

// writeTemp lets fill write the whole body to a new temporary file, which is then
// flushed to the disk.
func (s *Store) writeTemp(ctx context.Context, fill func(*os.File) error) (string, error) {
	temp := filepath.Join(tempDir, rand.Text())
	f, err := s.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", err
	}
	err = fill(f)
	if err == nil {
		// The clock of the file system ticks too slowly to tell two writes apart.
		now := time.Now()
		err = s.root.Chtimes(temp, now, now)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return "", errors.Join(err, s.root.Remove(temp))
	}
	return temp, nil
}

// place gives the temporary file its name, with the folders it needs.
func (s *Store) place(key, name string, move func() error) error {
	var err error
	for range placeTries {
		if dir := filepath.Dir(name); dir != "." {
			if err := s.root.MkdirAll(dir, 0o755); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return s.folderError(key, err)
			}
		}
		if err = move(); err == nil {
			return nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // a deleter removed the folder, which was still empty
		}
		fi, statErr := s.root.Lstat(name)
		if statErr != nil || !fi.IsDir() {
			break
		}
		// Only a folder without any object, left by a writer that was killed,
		// gives way.
		if !s.prune(name) {
			return fmt.Errorf("it is the folder of other keys and cannot be an object too: %w", fs.ErrInvalid)
		}
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return s.taken(key)
	case errors.Is(err, fs.ErrNotExist):
		// Said without %w: for the caller of a write nothing is "not found".
		return fmt.Errorf("another process removed the unfinished object or its folder: %s", err)
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("the file system refuses hard links, which an atomic create needs: %w", err)
	}
	return err
}

// taken is the answer to a lost Create. The winner's name is flushed first, as
// the loser may go on to build on the object.
func (s *Store) taken(key string) error {
	if err := s.syncDir(path.Dir(key)); err != nil {
		return err
	}
	return fs.ErrExist
}

// folderError says which object is in the way of the key's folder.
func (s *Store) folderError(key string, err error) error {
	for i := range len(key) {
		if key[i] != '/' {
			continue
		}
		fi, statErr := s.root.Stat(filepath.FromSlash(key[:i]))
		if statErr == nil && !fi.IsDir() {
			return fmt.Errorf("%q is an object and cannot be a folder too: %w", key[:i], fs.ErrInvalid)
		}
	}
	return err
}

// prune removes a tree of empty folders, and reports whether it is gone.
func (s *Store) prune(name string) bool {
	f, err := s.root.Open(name)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	entries, err := f.ReadDir(-1)
	_ = f.Close() // only read from
	if err != nil {
		return false
	}
	for _, e := range entries {
		if !e.IsDir() || !s.prune(filepath.Join(name, e.Name())) {
			return false
		}
	}
	s.flushed.forget(filepath.ToSlash(name))
	err = s.root.Remove(name)
	return err == nil || errors.Is(err, fs.ErrNotExist)
}

// absent turns the error of a path that leads through a file into
// [fs.ErrNotExist]: below an object there is no key.
func absent(err error) error {
	if errors.Is(err, syscall.ENOTDIR) {
		return fs.ErrNotExist
	}
	return err
}

// prepare makes the temporary folder, proves that it can be written to, and
// sweeps what killed writers left.
func (s *Store) prepare() error {
	err := s.root.Mkdir(tempDir, 0o755)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	probe, err := s.writeTemp(context.Background(), func(*os.File) error { return nil })
	if err != nil {
		return err
	}
	if err := s.root.Remove(probe); err != nil {
		return err
	}
	f, err := s.root.Open(tempDir)
	if err != nil {
		return err
	}
	entries, err := f.ReadDir(-1)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), lockPrefix) {
			continue // who holds its lock must find others at the same file
		}
		if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > tempLife {
			_ = s.root.Remove(filepath.Join(tempDir, e.Name())) // another opener may have been faster
		}
	}
	return err
}
