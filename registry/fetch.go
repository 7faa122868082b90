package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	// partSize is how much of a large object one request asks for: enough that
	// the time to its first byte is small beside the rest.
	partSize = 8 << 20
	// copySize is how much of a part is held in memory on its way to a file, and
	// of a file on its way to the digest.
	copySize = 256 << 10
	// partTries is how often a part is asked for whose connection breaks.
	partTries = 3
	// syncParts is after how many parts a file that is kept goes to the disk.
	syncParts = 8
)

// requestsAtOnce is how many parts are asked for at a time.
func requestsAtOnce() int { return min(max(4, 2*runtime.GOMAXPROCS(0)), 16) }

// target is where an object goes: a file from its beginning, or memory of the
// object's size.
type target struct {
	file   *os.File
	memory []byte
	// kept says that the file will be synced: the disk then begins with what
	// there is.
	kept bool
}

// fetch copies the object of f to where it goes, and verifies it, with the
// errors of verify. Parts of a large object are asked for at the same time and
// written where they belong, in whatever order they come; the digest, which
// needs them in order, follows behind and reads them from there. So one core
// hashes while the others receive, and what is held in memory does not depend
// on the size.
//
// slots, unless nil, bounds the requests of several calls together.
func (r *Registry) fetch(ctx context.Context, f File, to target, slots chan struct{}) error {
	if f.Size <= partSize {
		return r.verify(ctx, f, &sequential{target: to})
	}
	parts := int((f.Size + partSize - 1) / partSize)
	done := make([]chan struct{}, parts)
	for i := range done {
		done[i] = make(chan struct{})
	}
	working, cancel := context.WithCancelCause(ctx)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(requestsAtOnce(), parts) {
		wg.Go(func() {
			buf := to.buffer()
			for {
				i := int(next.Add(1)) - 1
				if i >= parts || !enter(working, slots) {
					return
				}
				err := r.part(working, f, int64(i)*partSize, to, buf)
				leave(slots)
				if err != nil {
					cancel(err)
					return
				}
				close(done[i])
			}
		})
	}
	have, err := to.digest(working, f.Size, done)
	cancel(nil)
	wg.Wait() // nobody writes when this returns
	switch {
	case errors.Is(err, errShort):
		// Read again from the beginning, to say what there is.
		if err := r.verify(ctx, f, io.Discard); err != nil {
			return err
		}
		return fmt.Errorf("the stored object of %q was replaced while it was read: %w", f.Path, ErrUnavailable)
	case err != nil:
		return err
	case have != f.SHA256:
		return &mismatch{have: have, found: "has SHA-256 " + have}
	}
	return nil
}

// enter takes one of the slots; false when ctx ends first.
func enter(ctx context.Context, slots chan struct{}) bool {
	if slots == nil {
		return ctx.Err() == nil
	}
	select {
	case slots <- struct{}{}:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func leave(slots chan struct{}) {
	if slots != nil {
		<-slots
	}
}

// errShort is an object that ends before it should.
var errShort = errors.New("the stored object is too short")

// part copies the part of f's object that begins at off.
func (r *Registry) part(ctx context.Context, f File, off int64, to target, buf []byte) error {
	n := min(partSize, f.Size-off)
	for try := 1; ; try++ {
		err := r.onePart(ctx, f, off, n, to, buf)
		var bad *mismatch
		if err == nil || errors.As(err, &bad) || errors.Is(err, errShort) {
			return err
		}
		if try == partTries || ctx.Err() != nil {
			return fmt.Errorf("reading the stored object of %q: %w", f.Path, err)
		}
	}
}

func (r *Registry) onePart(ctx context.Context, f File, off, n int64, to target, buf []byte) error {
	last := off+n == f.Size
	ask := n
	if last {
		ask++ // which should not be there
	}
	body, err := r.files.Get(ctx, objectKey(f.SHA256), off, ask)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &mismatch{found: "is missing", missing: true}
	case errors.Is(err, fs.ErrInvalid):
		return errShort // it ends before off
	case err != nil:
		return err
	}
	defer body.Close()
	got, err := to.take(body, off, n, buf)
	if err != nil {
		return err
	}
	if got < n {
		return errShort
	}
	if last {
		var more [1]byte
		if n, err := io.ReadFull(body, more[:]); n > 0 {
			return &mismatch{found: fmt.Sprintf("has more than the %d bytes registered", f.Size)}
		} else if err != io.EOF {
			return err
		}
	}
	return nil
}

// buffer is what take needs.
func (t target) buffer() []byte {
	if t.file == nil {
		return nil
	}
	return make([]byte, copySize)
}

// take writes up to n bytes of the body to the place off. It returns fewer when
// the body ends.
func (t target) take(body io.Reader, off, n int64, buf []byte) (int64, error) {
	if t.file == nil {
		// Not io.ReadFull, whose errors do not tell the end of the body from
		// that of its connection.
		got := int64(0)
		for got < n {
			m, err := body.Read(t.memory[off+got : off+n])
			got += int64(m)
			if err == io.EOF {
				break
			}
			if err != nil {
				return got, err
			}
		}
		return got, nil
	}
	return io.CopyBuffer(io.NewOffsetWriter(t.file, off), io.LimitReader(body, n), buf)
}

// digest is the SHA-256 of what was taken, part after part as they are done.
func (t target) digest(ctx context.Context, size int64, done []chan struct{}) (string, error) {
	sum := sha256.New()
	buf := t.buffer()
	var syncing sync.WaitGroup
	defer syncing.Wait()
	var busy atomic.Bool
	for i := range done {
		select {
		case <-done[i]:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
		off := int64(i) * partSize
		if err := t.add(sum, off, min(partSize, size-off), buf); err != nil {
			return "", err
		}
		if t.kept && i%syncParts == syncParts-1 && busy.CompareAndSwap(false, true) {
			syncing.Go(func() {
				_ = t.file.Sync() // the one that counts comes at the end
				busy.Store(false)
			})
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (t target) add(sum hash.Hash, off, n int64, buf []byte) error {
	if t.file == nil {
		sum.Write(t.memory[off : off+n])
		return nil
	}
	_, err := io.CopyBuffer(justWriter{sum}, io.NewSectionReader(t.file, off, n), buf)
	return err
}

// justWriter hides the other methods of a writer from io.Copy.
type justWriter struct{ io.Writer }

// sequential fills a target from its beginning.
type sequential struct {
	target
	n int
}

func (s *sequential) Write(p []byte) (int, error) {
	if s.file != nil {
		return s.file.Write(p)
	}
	// What is too much is counted by verify, and kept nowhere.
	s.n += copy(s.memory[s.n:], p)
	return len(p), nil
}

// readFile returns the verified bytes of f, by way of the cache if there is one.
func (r *Registry) readFile(ctx context.Context, f File) ([]byte, error) {
	if r.cache == nil {
		return r.readAll(ctx, f)
	}
	file, err := r.cached(ctx, f, nil)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b := make([]byte, f.Size)
	_, err = io.ReadFull(file, b)
	return b, err
}

// readAll returns the verified bytes of f.
func (r *Registry) readAll(ctx context.Context, f File) ([]byte, error) {
	if int64(int(f.Size)) != f.Size {
		return nil, fmt.Errorf("file of %d bytes does not fit this machine's memory: %w", f.Size, ErrInvalid)
	}
	b := make([]byte, f.Size)
	if err := r.fetch(ctx, f, target{memory: b}, nil); err != nil {
		return nil, err
	}
	return b, nil
}

// spool copies the verified bytes of f to a temporary file, which is gone when
// the returned file is closed or the process ends.
func (r *Registry) spool(ctx context.Context, f File) (*spoolFile, error) {
	tmp, err := os.CreateTemp(r.opts.TempDir, "millwright-*")
	if err != nil {
		return nil, fmt.Errorf("making a temporary file to verify %d bytes: %w", f.Size, err)
	}
	out := &spoolFile{File: tmp}
	// Where an open file can be removed, a kill leaves nothing behind.
	out.removed = os.Remove(tmp.Name()) == nil
	if err = r.fetch(ctx, f, target{file: tmp}, nil); err == nil {
		_, err = tmp.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return out, nil
}

// spoolFile removes itself on Close.
type spoolFile struct {
	*os.File
	removed bool
}

func (s *spoolFile) Close() error {
	err := s.File.Close()
	if !s.removed && err == nil {
		s.removed = true
		err = os.Remove(s.Name())
	}
	return err
}
