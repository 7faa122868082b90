package cacheblob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// open returns the verified file of an object, which it fetches when need be.
// The error is errPass when the store has to answer.
func (c *Store) open(ctx context.Context, key, sum string) (*os.File, error) {
	for {
		file, err := c.have(sum)
		if err == nil {
			c.count(func(s *Stats) { s.Hits++ })
			return file, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		done, mine := c.turn(sum)
		if mine {
			file, err = c.fetch(ctx, key, sum)
			c.end(sum)
			return file, err
		}
		select {
		case <-done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// turn says who fetches: the caller, or somebody whose end done tells.
func (c *Store) turn(sum string) (done chan struct{}, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if done, ok := c.filling[sum]; ok {
		return done, false
	}
	done = make(chan struct{})
	c.filling[sum] = done
	return done, true
}

func (c *Store) end(sum string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.filling[sum])
	delete(c.filling, sum)
}

func (c *Store) forget(sum string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.verified, sum)
}

// have opens the file of sum if the folder has it; fs.ErrNotExist if not. A file
// that is met for the first time is verified, and removed when it is damaged.
func (c *Store) have(sum string) (*os.File, error) {
	file, err := os.Open(c.path(sum))
	if err != nil {
		return nil, err
	}
	fi, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	c.mu.Lock()
	known := c.verified[sum]
	c.mu.Unlock()
	if !c.trust && (known == nil || !os.SameFile(known, fi) || known.Size() != fi.Size()) {
		h := sha256.New()
		if _, err = io.Copy(h, file); err != nil {
			return nil, errors.Join(err, file.Close())
		}
		if hex.EncodeToString(h.Sum(nil)) != sum {
			c.count(func(s *Stats) { s.Damaged++ })
			if err = errors.Join(file.Close(), os.Remove(c.path(sum))); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			return nil, fs.ErrNotExist
		}
		c.know(sum, fi)
	}
	// The time of its last use; a file system that does not let us keeps less
	// useful files, and nothing else.
	now := time.Now()
	_ = os.Chtimes(file.Name(), now, now)
	return file, nil
}

// maxVerified bounds what a process remembers of the files that it verified.
const maxVerified = 100_000

func (c *Store) know(sum string, fi fs.FileInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.verified) >= maxVerified {
		clear(c.verified)
	}
	c.verified[sum] = fi
}

// fetch brings an object into the folder and opens it there. Where the system
// has locks on files, one process does it while the others wait.
func (c *Store) fetch(ctx context.Context, key, sum string) (*os.File, error) {
	target := c.path(sum)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, filepath.Join(c.dir, "lock-"+sum[:2]))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if file, err := c.have(sum); !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	body, err := c.Store.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPass, err)
	}
	defer func() { _ = body.Close() }()
	name := filepath.Join(c.dir, "tmp-"+rand.Text())
	tmp, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	kept := false
	defer func() {
		if !kept {
			_ = errors.Join(tmp.Close(), os.Remove(name))
		}
	}()
	size, err := c.copy(tmp, body, sum)
	if err != nil {
		return nil, err
	}
	if err := c.room.Make(size); err != nil {
		return nil, err
	}
	// On the disk before it has its name: after a power cut a name without its
	// bytes would have to be fetched again.
	if err := tmp.Sync(); err != nil {
		return nil, err
	}
	if err := os.Rename(name, target); err != nil {
		return nil, err
	}
	kept = true
	fi, err := tmp.Stat()
	if err != nil {
		return nil, errors.Join(err, tmp.Close())
	}
	c.know(sum, fi)
	c.count(func(s *Stats) { s.Fetched++; s.Bytes += size })
	return tmp, nil
}

// copy writes the object to the file. What is not the object that its name says,
// or is too large, is the store's to deliver: whoever reads it verifies it.
func (c *Store) copy(to io.Writer, body io.Reader, sum string) (size int64, err error) {
	h := sha256.New()
	size, err = io.Copy(io.MultiWriter(to, h), io.LimitReader(body, c.most+1))
	switch {
	case err != nil:
		return 0, err
	case size > c.most, hex.EncodeToString(h.Sum(nil)) != sum:
		return 0, errPass
	}
	return size, nil
}
