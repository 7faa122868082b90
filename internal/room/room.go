// Package room keeps a folder of objects within a size, for the caches on disk
// that any number of processes share: what was used least recently makes room,
// and what a process left that died goes with it.
//
// An object is a file whose time of modification is that of its last use. A file
// whose name begins with "tmp-" is being written, one with "lock-" is no object.
package room

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// The folder is looked through again after a share of its free room was
	// filled here, since other processes fill it as well, or after a time.
	share = 4
	often = time.Minute
	// spare is a little more than has to go, so that a full folder is not looked
	// through for each object that comes: a part of 1/16.
	spare = 16
	// leftover is how old what a process was writing must be, to be that of one
	// that died.
	leftover = 24 * time.Hour
)

// Folder is a folder of objects, for any number of goroutines.
type Folder struct {
	dir  string
	most int64 // bytes

	mu    sync.Mutex
	free  int64 // may be filled before the folder is looked through again
	swept time.Time
}

// New returns the folder dir, which is to hold at most so many bytes.
func New(dir string, most int64) *Folder { return &Folder{dir: dir, most: most} }

// Make sees to it that size more bytes fit.
func (f *Folder) Make(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.free < size || time.Since(f.swept) > often {
		total, err := f.sweep(size)
		if err != nil {
			return err
		}
		f.free, f.swept = max(0, f.most-total)/share, time.Now()
	}
	f.free -= size
	return nil
}

// sweep removes what was used least recently until size more bytes fit, and
// the leftovers of processes that died. A file that is open elsewhere stays
// readable there. It returns the bytes that are left.
func (f *Folder) sweep(size int64) (total int64, err error) {
	type object struct {
		path string
		size int64
		used time.Time
	}
	var objects []object
	err = filepath.WalkDir(f.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return ignoreAbsent(err)
		}
		fi, err := e.Info()
		if err != nil {
			return ignoreAbsent(err)
		}
		switch {
		case strings.HasPrefix(e.Name(), "lock-"):
		case strings.HasPrefix(e.Name(), "tmp-"):
			if time.Since(fi.ModTime()) > leftover {
				return ignoreAbsent(os.Remove(path))
			}
		default:
			objects = append(objects, object{path, fi.Size(), fi.ModTime()})
			total += fi.Size()
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if total+size <= f.most {
		return total, nil
	}
	slices.SortFunc(objects, func(a, b object) int { return a.used.Compare(b.used) })
	for _, o := range objects {
		if total+size <= f.most-f.most/spare {
			break
		}
		if err := ignoreAbsent(os.Remove(o.path)); err != nil {
			return 0, err
		}
		total -= o.size
	}
	return total, nil
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another process was faster
	}
	return err
}
