package registry

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"time"
)

// smallFile is the size in bytes up to which a file is read once into memory;
// a larger one is read twice, for its digest and for its upload.
const smallFile = 4 << 20

// chunkBytes is how much of small files waits in memory for one lease.
const chunkBytes = 64 << 20

// upload stores the files at paths and returns the manifest. The lease keeps a
// collector from the objects until the version names them.
func (r *Registry) upload(ctx context.Context, name string, d *Draft, paths []string, lease string) ([]File, error) {
	files := make([]File, 0, len(paths))
	stored := make(map[string]bool, len(paths))
	var chunk []source
	var held int64
	flush := func() error {
		if err := r.lease(ctx, lease, chunk); err != nil {
			return err
		}
		for _, src := range chunk {
			if err := r.storeObject(ctx, name, src); err != nil {
				return err
			}
		}
		chunk, held = nil, 0
		return nil
	}
	for _, p := range paths {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		src, err := r.source(d, p)
		if err != nil {
			return nil, err
		}
		files = append(files, src.File)
		if stored[src.SHA256] {
			continue
		}
		stored[src.SHA256] = true
		chunk = append(chunk, src)
		if src.fixed {
			held += src.Size
		}
		if held >= chunkBytes {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return files, flush()
}

// leaseTime is how long an upload may go on after its last chunk began.
const leaseTime = 24 * time.Hour

func newLease() string { return rand.Text() }

// lease announces the objects of the chunk to the collector, and waits for
// those that one is just deleting.
func (r *Registry) lease(ctx context.Context, token string, chunk []source) error {
	c, ok := r.store.(Collector)
	if !ok || len(chunk) == 0 {
		return nil
	}
	digests := make([]string, len(chunk))
	for i, src := range chunk {
		digests[i] = src.SHA256
	}
	const patience = 5 * markTime // the marks of a collector that died end, and those of the next
	for began := time.Now(); ; {
		condemned, err := c.Lease(ctx, token, digests, now().Add(leaseTime))
		if err != nil {
			return fmt.Errorf("leasing %d objects: %w", len(digests), err)
		}
		if len(condemned) == 0 {
			return nil
		}
		if time.Since(began) > patience {
			return fmt.Errorf("object %s is being deleted by a collection that did not end; a new Collect would finish it: %w", condemned[0], ErrUnavailable)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// source is a file to be stored whose digest is known.
type source struct {
	File
	open func() (io.ReadCloser, error)
	// fixed says that open gives the very bytes that were hashed.
	fixed bool
}

// source reads the file at p once, to learn its digest.
func (r *Registry) source(d *Draft, p string) (source, error) {
	if p == ProfilePath && len(d.Profile) > 0 {
		return memSource(p, d.Profile), nil
	}
	f, err := d.Files.Open(p)
	if err != nil {
		return source{}, err
	}
	defer f.Close()
	var buf bytes.Buffer
	if fi, err := f.Stat(); err == nil { // a hint only: the size is what is read
		buf.Grow(int(max(0, min(fi.Size(), smallFile))) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(io.LimitReader(f, smallFile+1)); err != nil {
		return source{}, fmt.Errorf("reading %q: %w", p, err)
	}
	data := buf.Bytes()
	if len(data) <= smallFile && int64(len(data)) <= r.opts.MaxFileSize {
		return memSource(p, data), nil
	}
	sum := sha256.New()
	sum.Write(data)
	n, err := io.Copy(sum, io.LimitReader(f, r.opts.MaxFileSize-int64(len(data))+1))
	if err != nil {
		return source{}, fmt.Errorf("reading %q: %w", p, err)
	}
	if n += int64(len(data)); n > r.opts.MaxFileSize {
		return source{}, fmt.Errorf("file %q has more than %d bytes, the limit of this registry: %w", p, r.opts.MaxFileSize, ErrInvalid)
	}
	return source{
		File: File{Path: p, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))},
		open: func() (io.ReadCloser, error) { return d.Files.Open(p) },
	}, nil
}

func memSource(p string, data []byte) source {
	sum := sha256.Sum256(data)
	return source{
		File: File{Path: p, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])},
		open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }, fixed: true,
	}
}

// storeObject makes sure that the object of src exists and holds its bytes. It
// looks before it writes, because versions tend to share their largest files.
// An object that exists is read in full: to trust its key alone would let one
// that rotted since break the version about to be made.
func (r *Registry) storeObject(ctx context.Context, name string, src source) error {
	err := r.verify(ctx, src.File, io.Discard)
	var bad *mismatch
	if errors.As(err, &bad) && bad.missing {
		err = send(ctx, r.files.Create, src)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		// Somebody else stored it in the meantime.
		err = r.verify(ctx, src.File, io.Discard)
	}
	if err == nil || !errors.As(err, &bad) {
		return err
	}
	if p, ok := r.files.(putter); ok {
		return send(ctx, p.Put, src)
	}
	return &DigestError{Name: name, Path: src.Path, Want: src.SHA256, Have: bad.have, found: bad.found}
}

// send writes src by Create or Put, and makes sure that it was the bytes with
// the digest of src which were written.
func send(ctx context.Context, write func(context.Context, string, io.Reader, int64) error, src source) error {
	body, err := src.open()
	if err != nil {
		return err
	}
	defer body.Close()
	checked := &checkedReader{src: body, left: src.Size, want: src.SHA256}
	if !src.fixed {
		checked.sum = sha256.New()
	}
	err = write(ctx, objectKey(src.SHA256), checked, src.Size)
	switch {
	case checked.err != nil:
		return fmt.Errorf("file %q: %w", src.Path, checked.err)
	case err != nil:
		return fmt.Errorf("storing %q: %w", src.Path, err)
	case checked.left > 0:
		return fmt.Errorf("storing %q: the file store took %d of %d bytes and reported success", src.Path, src.Size-checked.left, src.Size)
	}
	return nil
}

// checkedReader passes on bytes with a known digest. The last of them are held
// back until the digest is known to be right, so that a body which changed
// since it was hashed ends in an error and not in an object.
type checkedReader struct {
	src  io.Reader
	sum  hash.Hash // nil for bytes that cannot have changed
	left int64
	want string
	err  error
}

var errChanged = fmt.Errorf("it changed while it was being registered (is the training still writing?): %w", ErrConflict)

func (c *checkedReader) Read(p []byte) (int, error) {
	if c.err != nil || len(p) == 0 {
		return 0, c.err
	}
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.src.Read(p[:min(int64(len(p)), c.left)])
	if c.sum != nil {
		c.sum.Write(p[:n])
	}
	c.left -= int64(n)
	switch {
	case c.left == 0:
		if c.sum != nil && hex.EncodeToString(c.sum.Sum(nil)) != c.want {
			c.err = errChanged
			return 0, c.err
		}
		return n, nil
	case err == io.EOF:
		c.err = errChanged
		return 0, c.err
	case err != nil:
		c.err = err
	}
	return n, err
}
