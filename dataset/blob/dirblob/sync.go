package dirblob

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"runtime"
	"sync"
)

// syncDir flushes the names in the key folder dir, and those above it up to the
// first folder whose own name is known to be on the disk: any of them may be new.
func (s *Store) syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be flushed there; the journal keeps the order
	}
	before := s.flushed.state()
	for at := dir; ; at = path.Dir(at) {
		if err := s.syncOne(at); err != nil {
			return err
		}
		if at == "." || s.flushed.has(at) {
			break
		}
	}
	s.flushed.add(dir, before)
	return nil
}

func (s *Store) syncOne(dir string) error {
	f, err := s.root.Open(filepath.FromSlash(dir))
	if dir != "." && errors.Is(absent(err), fs.ErrNotExist) {
		return nil // emptied and removed by a deleter meanwhile
	}
	if err != nil {
		return err
	}
	err = f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// folders remembers which folders' names are on the disk, as each flush costs a
// write a round trip to it. A folder that this process removes is forgotten
// first. One that another process removes, being empty, and makes again is
// flushed by that process. The zero value is ready.
type folders struct {
	mu      sync.Mutex
	known   map[string]struct{}
	changes int // calls of forget
}

const maxFolders = 10_000

func (k *folders) has(dir string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.known[dir]
	return ok
}

// state is what add compares, to drop what was found out before a removal.
func (k *folders) state() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.changes
}

// add notes dir and the folders above it, unless one was removed since state.
func (k *folders) add(dir string, state int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.changes != state {
		return
	}
	if k.known == nil || len(k.known) > maxFolders {
		k.known = make(map[string]struct{})
	}
	for ; dir != "."; dir = path.Dir(dir) {
		k.known[dir] = struct{}{}
	}
}

func (k *folders) forget(dir string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changes++
	delete(k.known, dir)
}
