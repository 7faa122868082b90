package dirblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/internal/errs"
)

// Errors of [Open], beside those of the operating system; a [Store] itself
// reports the errors that [blob.Store] lists, and [fs.ErrClosed] after Close.
var (
	// ErrInvalid is a path that cannot be a folder of objects.
	ErrInvalid = errs.ErrInvalid
)

// Store is a [blob.Store] in a folder. Any number of processes may use one
// folder at the same time. Create it with [Open] and end it with Close.
type Store struct {
	root    *os.Root
	flushed folders
	locks   locks
}

var (
	_ blob.Store   = (*Store)(nil)
	_ blob.Swapper = (*Store)(nil)
	_ blob.Copier  = (*Store)(nil)
)

// Open opens the folder dir, creates it when it is absent, checks that it can be
// written to, and removes what writers that were killed over an hour ago left in
// its temporary folder.
//
// A path that is a file is an [ErrInvalid]; a folder without write permission is
// an [fs.ErrPermission].
func Open(dir string) (*Store, error) {
	if dir == "" {
		return nil, fmt.Errorf("dirblob: open %q: the path is empty: %w", dir, ErrInvalid)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, openError(dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, openError(dir, err)
	}
	s := &Store{root: root}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(openError(dir, err), root.Close())
	}
	return s, nil
}

func openError(dir string, err error) error {
	if fi, statErr := os.Stat(dir); statErr == nil && !fi.IsDir() {
		return fmt.Errorf("dirblob: open %q: it is a file, not a folder: %w", dir, ErrInvalid)
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("dirblob: open %q: this user (uid %d) may not write there: %w", dir, os.Geteuid(), err)
	}
	return fmt.Errorf("dirblob: open %q: %w", dir, err)
}

// Close releases the folder; later calls report [fs.ErrClosed]. Readers that are
// still open stay usable. Closing twice is no error.
func (s *Store) Close() error {
	return s.root.Close()
}

// Get implements [blob.Store].
func (s *Store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	name, err := s.name(ctx, "get", key)
	if err != nil {
		return nil, err
	}
	if err := s.regular(name); err != nil {
		return nil, fail("get", key, err)
	}
	if off < 0 {
		return nil, fail("get", key, fmt.Errorf("offset %d is negative: %w", off, fs.ErrInvalid))
	}
	f, err := s.root.Open(name)
	if err != nil {
		return nil, fail("get", key, absent(err))
	}
	// What counts is the file that is open: a Put may have replaced the one that
	// was looked at before.
	fi, err := f.Stat()
	if err != nil {
		return nil, fail("get", key, errors.Join(err, f.Close()))
	}
	size := fi.Size()
	if off > size {
		_ = f.Close() // only read from
		return nil, fail("get", key, fmt.Errorf("offset %d is outside the object of %d bytes: %w", off, size, fs.ErrInvalid))
	}
	if n < 0 || n > size-off {
		n = size - off
	}
	return &reader{SectionReader: io.NewSectionReader(f, off, n), f: f, info: info(key, fi)}, nil
}

type reader struct {
	*io.SectionReader
	f    *os.File
	info fs.FileInfo
}

func (r *reader) Close() error { return r.f.Close() }

// Stat describes the file that is open, for [blob.Opened].
func (r *reader) Stat() (fs.FileInfo, error) { return r.info, nil }

func info(key string, fi fs.FileInfo) fs.FileInfo {
	return blob.NewTaggedInfo(key, fi.Size(), fi.ModTime(), tag(fi))
}

// Stat implements [blob.Store].
func (s *Store) Stat(ctx context.Context, key string) (fs.FileInfo, error) {
	name, err := s.name(ctx, "stat", key)
	if err != nil {
		return nil, err
	}
	fi, err := s.root.Lstat(name)
	if err == nil {
		err = regular(fi)
	}
	if err != nil {
		return nil, fail("stat", key, absent(err))
	}
	return info(key, fi), nil
}

// regular reports whether the file at name is an object, without opening it:
// opening a named pipe would wait for a writer.
func (s *Store) regular(name string) error {
	fi, err := s.root.Lstat(name)
	if err != nil {
		return absent(err)
	}
	return regular(fi)
}

func regular(fi fs.FileInfo) error {
	switch {
	case fi.IsDir():
		return fmt.Errorf("it is the folder of other keys: %w", fs.ErrNotExist)
	case !fi.Mode().IsRegular():
		return fmt.Errorf("it is not a regular file (mode %s): %w", fi.Mode(), fs.ErrInvalid)
	}
	return nil
}

// Delete implements [blob.Store]. Folders that become empty go too.
func (s *Store) Delete(ctx context.Context, key string) error {
	name, err := s.name(ctx, "delete", key)
	if err != nil {
		return err
	}
	fi, err := s.root.Lstat(name)
	if err == nil && fi.IsDir() {
		return nil
	}
	if err == nil {
		err = s.remove(ctx, key, name)
	}
	if err != nil {
		if errors.Is(absent(err), fs.ErrNotExist) {
			return nil
		}
		return fail("delete", key, err)
	}
	dir := path.Dir(key)
	for dir != "." {
		s.flushed.forget(dir)
		if s.root.Remove(filepath.FromSlash(dir)) != nil {
			break // it is not empty
		}
		dir = path.Dir(dir)
	}
	if err := s.syncDir(dir); err != nil {
		return fail("delete", key, err)
	}
	return nil
}

// remove takes the file away while nobody swaps it.
func (s *Store) remove(ctx context.Context, key, name string) error {
	unlock, err := s.lockWrite(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	return s.root.Remove(name)
}

// name checks the call and gives the key's path in the form of the system.
func (s *Store) name(ctx context.Context, op, key string) (string, error) {
	if err := blob.ValidateKey(key); err != nil {
		return "", err
	}
	if first, _, _ := strings.Cut(key, "/"); first == tempDir {
		return "", fail(op, key, fmt.Errorf("%q is the folder of unfinished objects: %w", tempDir, fs.ErrInvalid))
	}
	if err := ctx.Err(); err != nil {
		return "", fail(op, key, err)
	}
	name, err := filepath.Localize(key)
	if err != nil {
		return "", fail(op, key, fmt.Errorf("this system has no such file name: %w", fs.ErrInvalid))
	}
	return name, nil
}

// fail gives err the key instead of the path that the system call saw.
func fail(op, key string, err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		err = le.Err
	}
	return &fs.PathError{Op: op, Path: key, Err: err}
}
