package cacheblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/room"
)

const defaultMaxBytes = 64 << 30

// Options of Open.
type Options struct {
	// MaxBytes is how much the folder holds, about, in bytes; what was used least
	// recently makes room. An object that is larger passes through. The default
	// is 64 GiB.
	MaxBytes int64
	// Trust opens files that other processes left without verifying them once.
	// The default is to verify, at about 1 GB/s.
	Trust bool
}

// Store is a blob.Store with a local cache of data files. It is a plain value,
// safe for concurrent use: it holds no goroutine and needs no closing.
type Store struct {
	blob.Store

	dir   string
	most  int64
	trust bool
	room  *room.Folder

	mu       sync.Mutex
	filling  map[string]chan struct{} // Closed when the fill of a name has ended.
	verified map[string]fs.FileInfo   // Files that this process wrote or verified.
	stats    Stats
}

var (
	_ blob.Swapper = (*Store)(nil)
	_ blob.Copier  = (*Store)(nil)
)

// Stats count what a Store did since it was opened.
type Stats struct {
	Hits    int64 // Reads that the folder answered.
	Fetched int64 // Objects that were brought into the folder.
	Bytes   int64 // Bytes of those.
	Damaged int64 // Files in the folder that were not what their name says.
	Faults  int64 // Reads that went to the store because the folder failed.
	Last    error // The last of those failures.
}

// Open returns a store that keeps data files of s in the folder dir, which it
// makes if it is absent.
func Open(s blob.Store, dir string, opts *Options) (*Store, error) {
	if opts == nil {
		opts = &Options{}
	}
	var f errs.Faults
	f.Check(s != nil, "the store is nil")
	f.Check(dir != "", "the folder has no name")
	f.Check(opts.MaxBytes >= 0, "max bytes is %d, want 0 or more", opts.MaxBytes)
	if err := f.Err(fmt.Sprintf("cacheblob: open %q", dir)); err != nil {
		return nil, err
	}
	c := &Store{
		Store: s, dir: dir, most: opts.MaxBytes, trust: opts.Trust,
		filling: map[string]chan struct{}{}, verified: map[string]fs.FileInfo{},
	}
	if c.most == 0 {
		c.most = defaultMaxBytes
	}
	c.room = room.New(dir, c.most)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cacheblob: open %q: %w", dir, err)
	}
	return c, nil
}

// Stats returns the counts of now.
func (c *Store) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// named matches the keys whose name says their content.
var named = regexp.MustCompile(`(?:^|/)([0-9a-f]{64})(?:-[0-9]+)?\.parquet$`)

func sumOf(key string) (sum string, ok bool) {
	m := named.FindStringSubmatch(key)
	if m == nil {
		return "", false
	}
	return m[1], true
}

func (c *Store) path(sum string) string { return filepath.Join(c.dir, "sha256", sum[:2], sum) }

// Get implements [blob.Store].
func (c *Store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	sum, ok := sumOf(key)
	if !ok || off < 0 || blob.ValidateKey(key) != nil {
		return c.Store.Get(ctx, key, off, n)
	}
	file, err := c.open(ctx, key, sum)
	switch {
	case err == nil:
		return ranged(file, key, off, n)
	case ctx.Err() != nil:
		return nil, &fs.PathError{Op: "get", Path: key, Err: ctx.Err()}
	case !errors.Is(err, errPass):
		c.count(func(s *Stats) { s.Faults++; s.Last = err })
	}
	return c.Store.Get(ctx, key, off, n)
}

// errPass says that the store itself has the answer, be it an error.
var errPass = errors.New("not for the cache")

func (c *Store) count(f func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.stats)
}

// ranged reads a part of a cached file.
func ranged(file *os.File, key string, off, n int64) (io.ReadCloser, error) {
	fi, err := file.Stat()
	if err == nil && off > fi.Size() {
		err = &fs.PathError{Op: "get", Path: key, Err: fmt.Errorf("offset %d is past the end at %d: %w", off, fi.Size(), fs.ErrInvalid)}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	left := fi.Size() - off
	if n >= 0 {
		left = min(left, n)
	}
	body := struct {
		*io.SectionReader
		io.Closer
	}{io.NewSectionReader(file, off, left), file}
	return blob.NewReader(body, blob.NewInfo(key, fi.Size(), fi.ModTime())), nil
}

// Delete implements [blob.Store]; the folder loses the object too.
func (c *Store) Delete(ctx context.Context, key string) error {
	if sum, ok := sumOf(key); ok {
		c.forget(sum)
		if err := os.Remove(c.path(sum)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &fs.PathError{Op: "delete", Path: key, Err: fmt.Errorf("its copy in the cache: %w", err)}
		}
	}
	return c.Store.Delete(ctx, key)
}

// Swap implements [blob.Swapper] where the store behind does.
func (c *Store) Swap(ctx context.Context, key string, body io.Reader, size int64, old string) (string, error) {
	return blob.Swap(ctx, c.Store, key, body, size, old)
}

// Copy implements [blob.Copier] where the store behind does.
func (c *Store) Copy(ctx context.Context, from, to string) error {
	return blob.Copy(ctx, c.Store, from, to)
}
