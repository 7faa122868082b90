package dirblob

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/millwright-ml/millwright/dataset/blob"
)

// Swap implements [blob.Swapper]. It is atomic beside every other write of any
// process that uses this package; on a system without file locks it is a
// [blob.ErrUnsupported].
func (s *Store) Swap(ctx context.Context, key string, body io.Reader, size int64, old string) (string, error) {
	name, err := s.name(ctx, "swap", key)
	if err != nil {
		return "", err
	}
	if err := s.expect(name, old); err != nil {
		return "", fail("swap", key, err) // seen early, the body need not be written first
	}
	temp, err := s.writeTemp(ctx, func(f *os.File) error {
		_, err := io.Copy(f, blob.Body(ctx, body, size))
		return err
	})
	if err != nil {
		return "", fail("swap", key, err)
	}
	tag, err := s.swap(ctx, key, name, temp, old)
	if err == nil {
		err = s.syncDir(path.Dir(key))
	}
	if err != nil {
		_ = s.root.Remove(temp) // a leftover is swept later
		return "", fail("swap", key, err)
	}
	return tag, nil
}

// swap puts the temporary file in place while nobody else writes the key.
func (s *Store) swap(ctx context.Context, key, name, temp, old string) (string, error) {
	unlock, err := s.lock(ctx, key)
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := s.expect(name, old); err != nil {
		return "", err
	}
	fi, err := s.root.Lstat(temp)
	if err != nil {
		return "", err
	}
	move := func() error { return s.root.Rename(temp, name) }
	if old == "" {
		// Create takes no lock: only a link sees it.
		move = func() error { return s.root.Link(temp, name) }
	}
	if err := s.place(key, name, move); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = blob.ErrConflict
		}
		return "", err
	}
	if old == "" {
		_ = s.root.Remove(temp) // the second name of a file that is in place
	}
	return tag(fi), nil
}

// expect reports a conflict unless the object at name has the tag.
func (s *Store) expect(name, want string) error {
	have := ""
	switch fi, err := s.root.Lstat(name); {
	case errors.Is(absent(err), fs.ErrNotExist):
	case err != nil:
		return err
	case !fi.IsDir():
		have = tag(fi)
	}
	switch {
	case have == want:
		return nil
	case have == "":
		return fmt.Errorf("the object is gone: %w", blob.ErrConflict)
	}
	return blob.ErrConflict
}

// Copy implements [blob.Copier]. Where the system can, the bytes do not pass
// through this process.
func (s *Store) Copy(ctx context.Context, from, to string) error {
	source, err := s.name(ctx, "copy", from)
	if err != nil {
		return err
	}
	name, err := s.name(ctx, "copy", to)
	if err != nil {
		return err
	}
	if err := s.regular(source); err != nil {
		return fail("copy", from, err)
	}
	in, err := s.root.Open(source)
	if err != nil {
		return fail("copy", from, absent(err))
	}
	defer func() { _ = in.Close() }() // only read from
	temp, err := s.writeTemp(ctx, func(f *os.File) error {
		const step = 64 << 20 // between two looks at ctx
		for {
			// From file to file, so that the system may share or move the blocks.
			n, err := io.CopyN(f, in, step)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil || n == 0 {
				return err
			}
		}
	})
	if err != nil {
		return fail("copy", to, err)
	}
	return s.finish(ctx, "copy", to, name, temp)
}

// tag names one state of a file. A write makes a new file with a time of its own
// down to the nanosecond, so no two states of a key have one tag.
func tag(fi fs.FileInfo) string {
	return strconv.FormatUint(fileID(fi), 36) + "-" + strconv.FormatInt(fi.Size(), 36) + "-" + strconv.FormatInt(fi.ModTime().UnixNano(), 36)
}

const (
	// lockFiles is how many locks the keys share: a key waits for another in one
	// of so many cases.
	lockFiles  = 64
	lockPrefix = "lock-"
)

// locks hold the writers of this process apart, so that only one of them waits
// for other processes.
type locks [lockFiles]sync.Mutex

// lock keeps every other Swap, Put and Delete off the key until unlock, in any
// process.
func (s *Store) lock(ctx context.Context, key string) (unlock func(), err error) {
	h := fnv.New32a()
	_, _ = io.WriteString(h, key) // never fails
	n := h.Sum32() % lockFiles
	s.locks[n].Lock()
	f, err := s.root.OpenFile(filepath.Join(tempDir, lockPrefix+strconv.Itoa(int(n))), os.O_RDWR|os.O_CREATE, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		// Said without %w: it is not the object that is absent.
		err = fmt.Errorf("another process removed the folder %q: %s", tempDir, err)
	}
	if err == nil {
		if err = lockFile(ctx, f); err == nil {
			return func() { _ = f.Close(); s.locks[n].Unlock() }, nil // closing drops the lock
		}
		_ = f.Close() // nothing was written
	}
	s.locks[n].Unlock()
	return nil, err
}

// lockWrite is lock for a write that does without where the file system has no
// locks: there is no Swap beside it then.
func (s *Store) lockWrite(ctx context.Context, key string) (unlock func(), err error) {
	unlock, err = s.lock(ctx, key)
	if errors.Is(err, errors.ErrUnsupported) {
		return func() {}, nil
	}
	return unlock, err
}
