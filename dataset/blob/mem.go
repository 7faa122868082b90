package blob

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Mem is a [Store] in memory, for tests, examples and small tools: nothing
// survives the process. The zero value is ready. It refuses, as a folder does, a
// key that is both an object and a prefix of others.
//
// Mem is a plain value: no goroutine, nothing to close.
type Mem struct {
	mu      sync.RWMutex
	keys    []string // sorted
	objects map[string]object
	writes  uint64 // so far: each gives its object the next number as the tag
}

type object struct {
	data     []byte // never written to after it is stored
	modified time.Time
	tag      string
}

func (o object) info(key string) fs.FileInfo {
	return NewTaggedInfo(key, int64(len(o.data)), o.modified, o.tag)
}

var (
	_ Store   = (*Mem)(nil)
	_ Swapper = (*Mem)(nil)
	_ Copier  = (*Mem)(nil)
)

// Create implements [Store].
func (m *Mem) Create(ctx context.Context, key string, body io.Reader, size int64) error {
	_, err := m.write(ctx, "create", key, body, size, "")
	return err
}

// Put implements [Store].
func (m *Mem) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	_, err := m.write(ctx, "put", key, body, size, "")
	return err
}

// Swap implements [Swapper].
func (m *Mem) Swap(ctx context.Context, key string, body io.Reader, size int64, old string) (string, error) {
	return m.write(ctx, "swap", key, body, size, old)
}

// Copy implements [Copier]. The two objects share their bytes.
func (m *Mem) Copy(ctx context.Context, from, to string) error {
	o, err := m.object(ctx, "copy", from)
	if err != nil {
		return err
	}
	if why := keyFault(to); why != "" {
		return invalid("copy", to, why)
	}
	_, err = m.store("copy", to, o.data, "")
	return err
}

func (m *Mem) write(ctx context.Context, op, key string, body io.Reader, size int64, old string) (string, error) {
	if why := keyFault(key); why != "" {
		return "", invalid(op, key, why)
	}
	var buf bytes.Buffer
	buf.Grow(int(min(max(size, 0), 1<<20))) // the size is a claim: not all at once
	_, err := buf.ReadFrom(Body(ctx, body, size))
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return "", &fs.PathError{Op: op, Path: key, Err: err}
	}
	return m.store(op, key, buf.Bytes(), old)
}

// store puts the bytes in place if the operation allows it.
func (m *Mem) store(op, key string, data []byte, old string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, exists := slices.BinarySearch(m.keys, key)
	switch {
	case op == "create" && exists:
		return "", &fs.PathError{Op: op, Path: key, Err: fs.ErrExist}
	case op == "swap" && m.objects[key].tag != old:
		return "", &fs.PathError{Op: op, Path: key, Err: ErrConflict}
	}
	if !exists {
		if why := m.folderFault(key); why != "" {
			return "", invalid(op, key, why)
		}
		m.keys = slices.Insert(m.keys, i, key)
	}
	if m.objects == nil {
		m.objects = make(map[string]object)
	}
	m.writes++
	tag := strconv.FormatUint(m.writes, 10)
	m.objects[key] = object{data: data, modified: time.Now(), tag: tag}
	return tag, nil
}

// folderFault says why key cannot be added beside the keys that are there.
func (m *Mem) folderFault(key string) string {
	for i := range len(key) {
		if key[i] == '/' {
			if _, ok := m.objects[key[:i]]; ok {
				return fmt.Sprintf("%q is an object and cannot be a folder too", key[:i])
			}
		}
	}
	folder := key + "/"
	if i, _ := slices.BinarySearch(m.keys, folder); i < len(m.keys) && strings.HasPrefix(m.keys[i], folder) {
		return fmt.Sprintf("it is the folder of %q and cannot be an object too", m.keys[i])
	}
	return ""
}

// Get implements [Store].
func (m *Mem) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	o, err := m.object(ctx, "get", key)
	if err != nil {
		return nil, err
	}
	size := int64(len(o.data))
	if off < 0 || off > size {
		return nil, invalid("get", key, fmt.Sprintf("offset %d is outside the object of %d bytes", off, size))
	}
	data := o.data[off:]
	if n >= 0 && n < int64(len(data)) {
		data = data[:n]
	}
	return NewReader(io.NopCloser(bytes.NewReader(data)), o.info(key)), nil
}

// Stat implements [Store].
func (m *Mem) Stat(ctx context.Context, key string) (fs.FileInfo, error) {
	o, err := m.object(ctx, "stat", key)
	if err != nil {
		return nil, err
	}
	return o.info(key), nil
}

func (m *Mem) object(ctx context.Context, op, key string) (object, error) {
	if why := keyFault(key); why != "" {
		return object{}, invalid(op, key, why)
	}
	if err := ctx.Err(); err != nil {
		return object{}, &fs.PathError{Op: op, Path: key, Err: err}
	}
	m.mu.RLock()
	o, ok := m.objects[key]
	m.mu.RUnlock()
	if !ok {
		return object{}, &fs.PathError{Op: op, Path: key, Err: fs.ErrNotExist}
	}
	return o, nil
}

// List implements [Store].
func (m *Mem) List(ctx context.Context, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		if err := ValidatePrefix(prefix); err != nil {
			yield(nil, err)
			return
		}
		// The lock is not held while the caller works, so that it may write.
		for from := prefix; ; {
			if err := ctx.Err(); err != nil {
				yield(nil, &fs.PathError{Op: "list", Path: prefix, Err: err})
				return
			}
			fi := m.next(from)
			if fi == nil || !strings.HasPrefix(fi.Name(), prefix) || !yield(fi, nil) {
				return
			}
			from = fi.Name() + "\x00" // sorts right behind the key; no key holds it
		}
	}
}

// next returns the first object at or behind from, nil at the end.
func (m *Mem) next(from string) fs.FileInfo {
	m.mu.RLock()
	defer m.mu.RUnlock()
	i, _ := slices.BinarySearch(m.keys, from)
	if i == len(m.keys) {
		return nil
	}
	return m.objects[m.keys[i]].info(m.keys[i])
}

// Delete implements [Store].
func (m *Mem) Delete(ctx context.Context, key string) error {
	if why := keyFault(key); why != "" {
		return invalid("delete", key, why)
	}
	if err := ctx.Err(); err != nil {
		return &fs.PathError{Op: "delete", Path: key, Err: err}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if i, ok := slices.BinarySearch(m.keys, key); ok {
		m.keys = slices.Delete(m.keys, i, i+1)
		delete(m.objects, key)
	}
	return nil
}
