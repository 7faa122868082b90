package registry

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/internal/room"
)

// cache is a folder of verified objects, named by their digests, that any
// number of processes share. A file appears in it whole, by a rename, and is
// never written again; what a killed process left is removed by the next.
//
// An object is trusted once it is in the folder: it was verified on its way in,
// and reading it again costs what the cache should save. So the folder must be
// writable for trusted users only.
type cache struct {
	dir  string
	room *room.Folder
}

func (c *cache) path(sum string) string { return filepath.Join(c.dir, "sha256", sum[:2], sum) }

// open returns the cached object of f, fs.ErrNotExist when there is none. A
// file of another size is not the object, whatever its name.
func (c *cache) open(f File) (*os.File, error) {
	file, err := os.Open(c.path(f.SHA256))
	if err != nil {
		return nil, err
	}
	fi, err := file.Stat()
	if err == nil && fi.Size() != f.Size {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	// The time of its last use; a file system that does not let us keeps less
	// useful files, and nothing else.
	stamp := time.Now()
	_ = os.Chtimes(file.Name(), stamp, stamp)
	return file, nil
}

// fill stores what get writes to an empty file, and verifies, as the object of
// f, and returns it opened. Several processes may fill the same object: the
// last rename wins, over equal bytes.
func (c *cache) fill(f File, get func(*os.File) error) (*os.File, error) {
	target := c.path(f.SHA256)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return nil, err
	}
	if err := c.room.Make(f.Size); err != nil {
		return nil, err
	}
	name := filepath.Join(c.dir, "tmp-"+rand.Text())
	tmp, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	done := false
	defer func() {
		if !done {
			_ = errors.Join(tmp.Close(), os.Remove(name))
		}
	}()
	if err := get(tmp); err != nil {
		return nil, err
	}
	// On the disk before it has its name: after a power cut a name without its
	// bytes would be trusted.
	if err := tmp.Sync(); err != nil {
		return nil, err
	}
	if err := os.Rename(name, target); err != nil {
		return nil, err
	}
	done = true
	_, err = tmp.Seek(0, io.SeekStart)
	if err != nil {
		return nil, errors.Join(err, tmp.Close())
	}
	return tmp, nil
}

// cached returns the verified object of f as an open file from the cache,
// which it fills when need be; slots are those of fetch.
func (r *Registry) cached(ctx context.Context, f File, slots chan struct{}) (*os.File, error) {
	file, err := r.cache.open(f)
	if !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	return r.cache.fill(f, func(tmp *os.File) error { return r.fetch(ctx, f, target{file: tmp, kept: true}, slots) })
}

// Fetch brings the files of v into the cache, several at a time, and returns
// when all of them are there: opening and reading them is then a matter of the
// local disk. A server calls it for the version that it is about to switch to.
// The errors are those of Open and of reading; ErrUnsupported without
// Options.CacheDir.
func (r *Registry) Fetch(ctx context.Context, v *Version) error {
	opened, err := r.Open(ctx, v)
	if err != nil {
		return err
	}
	if r.cache == nil {
		return fmt.Errorf("registry: fetch %q: this registry has no cache, set Options.CacheDir: %w", v.Ref(), ErrUnsupported)
	}
	// The largest first, so that none of them is left alone at the end.
	files := slices.SortedFunc(slices.Values(v.Files), func(a, b File) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), strings.Compare(a.SHA256, b.SHA256))
	})
	files = slices.CompactFunc(files, func(a, b File) bool { return a.SHA256 == b.SHA256 })
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, requestsAtOnce())
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(cap(slots), len(files)) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(files) || ctx.Err() != nil {
					return
				}
				file, err := r.cached(ctx, files[i], slots)
				if err == nil {
					err = file.Close()
				}
				if err != nil {
					cancel(opened.(*versionFS).fail("fetch", &node{file: files[i]}, err))
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
