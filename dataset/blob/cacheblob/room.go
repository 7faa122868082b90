package cacheblob

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

// room keeps the folder within its size. How far that is unknown in between is
// bounded: the folder is looked through again after a share of its free room
// was filled here, since other processes fill it as well, or after a time.
type room struct {
	mu    sync.Mutex
	free  int64 // May be filled before the folder is looked through again.
	swept time.Time
}

const (
	roomShare = 4
	roomTime  = time.Minute
	// spare is a little more than has to go, so that a full cache is not looked
	// through for each object that comes: a part of 1/16.
	spare = 16
	// leftover is how old what a process was writing must be, to be that of one
	// that died.
	leftover = 24 * time.Hour
)

// make sees to it that size more bytes fit.
func (r *room) make(c *Store, size int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.free < size || time.Since(r.swept) > roomTime {
		total, err := c.sweep(size)
		if err != nil {
			return err
		}
		r.free, r.swept = max(0, c.most-total)/roomShare, time.Now()
	}
	r.free -= size
	return nil
}

// sweep removes what was used least recently until size more bytes fit, and
// the leftovers of processes that died. A file that is open elsewhere stays
// readable there. It returns the bytes that are left.
func (c *Store) sweep(size int64) (total int64, err error) {
	type object struct {
		path string
		size int64
		used time.Time
	}
	var objects []object
	err = filepath.WalkDir(c.dir, func(path string, e fs.DirEntry, err error) error {
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
	if err != nil || total+size <= c.most {
		return total, err
	}
	slices.SortFunc(objects, func(a, b object) int { return a.used.Compare(b.used) })
	for _, o := range objects {
		if total+size <= c.most-c.most/spare {
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
		return nil // Another process was faster.
	}
	return err
}
