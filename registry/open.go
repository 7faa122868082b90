package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// Open returns the files of v as a read-only file system, which also has
// ReadFile, ReadDir and Stat. Its files offer io.Seeker and io.ReaderAt.
//
// Opening or reading a file fetches all of it and compares it with the SHA-256
// recorded at registration before the first byte is delivered: a file that was
// damaged, replaced or lost since gives a *fs.PathError around a *DigestError.
// A file of up to Options.MaxMemory bytes is held in memory until it is closed,
// a larger one lies in a temporary file meanwhile; ReadFile always returns
// memory. Large files are fetched by several requests at a time. Without
// Options.CacheDir nothing is cached between two openings; with it an object is
// verified on its way into the cache, and every file is read there, see
// [Registry.Fetch].
//
// All reading is bound to ctx, also after Open returned. Open itself reads no
// file: it fails with ErrInvalid when v is not a whole version as this package
// returned it, or has a file over Options.MaxFileSize.
func (r *Registry) Open(ctx context.Context, v *Version) (fs.FS, error) {
	if v == nil {
		return nil, fmt.Errorf("registry: open: the version is nil: %w", ErrInvalid)
	}
	op := fmt.Sprintf("open %q", cut(v.Ref()))
	if err := r.needFiles(op); err != nil {
		return nil, err
	}
	if v.Name == "" || v.Number <= 0 {
		return nil, fmt.Errorf("registry: %s: it is no version of a registry: %w", op, ErrInvalid)
	}
	if len(v.Files) == 0 {
		return nil, fmt.Errorf("registry: %s: its files are not here, it was registered from %q (%s): %w", op, cut(v.Source), v.Status, ErrNotFound)
	}
	// The digest of the manifest vouches for the digests of the files.
	if err := checkVersionFiles(v); err != nil {
		return nil, fmt.Errorf("registry: %s: %w", op, err)
	}
	if r.opts.Trust != nil {
		if err := r.opts.Trust.check(v); err != nil {
			return nil, err
		}
	}
	out := &versionFS{ctx: ctx, reg: r, name: v.Name, number: v.Number, nodes: make(map[string]*node, 2*len(v.Files)+1)}
	out.nodes["."] = &node{info: info{name: ".", dir: true, time: v.Created}}
	for _, f := range v.Files {
		if f.Size > r.opts.MaxFileSize {
			return nil, fmt.Errorf("registry: %s: file %q has %d bytes, over the limit of this registry, %d: %w", op, f.Path, f.Size, r.opts.MaxFileSize, ErrInvalid)
		}
		out.add(f.Path, &node{file: f, info: info{name: path.Base(f.Path), size: f.Size, time: v.Created}})
	}
	for _, n := range out.nodes {
		slices.SortFunc(n.entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return out, nil
}

// Profile returns the reference profile of v, its verified file
// "profile.json"; ErrNotFound when it was registered without one, ErrInvalid
// when the file of that name is over 64 MiB and thus no profile.
func (r *Registry) Profile(ctx context.Context, v *Version) ([]byte, error) {
	fsys, err := r.Open(ctx, v)
	if err != nil {
		return nil, err
	}
	if fi, err := fs.Stat(fsys, ProfilePath); err == nil && fi.Size() > maxProfile {
		return nil, fmt.Errorf("registry: profile of %q: file %q has %d bytes, want at most %d: %w", v.Ref(), ProfilePath, fi.Size(), maxProfile, ErrInvalid)
	}
	b, err := fs.ReadFile(fsys, ProfilePath)
	var pe *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("registry: %q was registered without a reference profile: %w", v.Ref(), ErrNotFound)
	case errors.As(err, &pe):
		return nil, pe.Err
	}
	return b, err
}

// versionFS is a version's files. It keeps the context of Open because the
// methods of fs.FS take none.
type versionFS struct {
	ctx    context.Context
	reg    *Registry
	name   string
	number int
	nodes  map[string]*node
}

type node struct {
	file    File
	info    info
	entries []fs.DirEntry
}

// add hangs n into the tree, with the folders above it.
func (f *versionFS) add(p string, n *node) {
	f.nodes[p] = n
	for {
		dir := path.Dir(p)
		parent, ok := f.nodes[dir]
		if !ok {
			parent = &node{info: info{name: path.Base(dir), dir: true, time: n.info.time}}
			f.nodes[dir] = parent
		}
		parent.entries = append(parent.entries, fs.FileInfoToDirEntry(f.nodes[p].info))
		if ok {
			return
		}
		p = dir
	}
}

func (f *versionFS) find(op, name string) (*node, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	n, ok := f.nodes[name]
	if !ok {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return n, nil
}

// fail turns a failed read of n into the error of the operation.
func (f *versionFS) fail(op string, n *node, err error) error {
	if m, ok := errors.AsType[*mismatch](err); ok {
		err = &DigestError{Name: f.name, Number: f.number, Path: n.file.Path, Want: n.file.SHA256, Have: m.have, found: m.found}
	} else {
		err = fmt.Errorf("registry: %q v%d: %w", f.name, f.number, err)
	}
	return &fs.PathError{Op: op, Path: n.file.Path, Err: err}
}

// Open implements fs.FS.
func (f *versionFS) Open(name string) (fs.File, error) {
	n, err := f.find("open", name)
	switch {
	case err != nil:
		return nil, err
	case n.info.dir:
		return &dirFile{node: n}, nil
	case f.reg.cache != nil:
		file, err := f.reg.cached(f.ctx, n.file, nil)
		if err != nil {
			return nil, f.fail("open", n, err)
		}
		return &openFile{content: file, closer: file, info: n.info}, nil
	case n.file.Size <= f.reg.opts.MaxMemory:
		b, err := f.reg.readAll(f.ctx, n.file)
		if err != nil {
			return nil, f.fail("open", n, err)
		}
		return &openFile{content: bytes.NewReader(b), info: n.info}, nil
	}
	spool, err := f.reg.spool(f.ctx, n.file)
	if err != nil {
		return nil, f.fail("open", n, err)
	}
	return &openFile{content: spool, closer: spool, info: n.info}, nil
}

// ReadFile implements fs.ReadFileFS.
func (f *versionFS) ReadFile(name string) ([]byte, error) {
	n, err := f.find("readfile", name)
	if err != nil {
		return nil, err
	}
	if n.info.dir {
		return nil, &fs.PathError{Op: "readfile", Path: name, Err: errIsDir}
	}
	b, err := f.reg.readFile(f.ctx, n.file)
	if err != nil {
		return nil, f.fail("readfile", n, err)
	}
	return b, nil
}

// ReadDir implements fs.ReadDirFS.
func (f *versionFS) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := f.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !n.info.dir {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errNotDir}
	}
	return slices.Clone(n.entries), nil
}

// Stat implements fs.StatFS without reading the file.
func (f *versionFS) Stat(name string) (fs.FileInfo, error) {
	n, err := f.find("stat", name)
	if err != nil {
		return nil, err
	}
	return n.info, nil
}

var (
	errIsDir  = fmt.Errorf("it is a folder: %w", fs.ErrInvalid)
	errNotDir = fmt.Errorf("it is not a folder: %w", fs.ErrInvalid)
)

// info describes a file or folder; its time is the version's.
type info struct {
	name string
	size int64
	dir  bool
	time time.Time
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) ModTime() time.Time { return i.time }
func (i info) IsDir() bool        { return i.dir }
func (i info) Sys() any           { return nil }
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// openFile is verified content.
type openFile struct {
	content interface {
		io.Reader
		io.ReaderAt
		io.Seeker
	}
	closer io.Closer // nil for memory
	info   info
	closed bool
}

func (o *openFile) Stat() (fs.FileInfo, error) { return o.info, nil }

func (o *openFile) Read(p []byte) (int, error) {
	if o.closed {
		return 0, o.errClosed("read")
	}
	return o.content.Read(p)
}

func (o *openFile) ReadAt(p []byte, off int64) (int, error) {
	if o.closed {
		return 0, o.errClosed("read")
	}
	return o.content.ReadAt(p, off)
}

func (o *openFile) Seek(off int64, whence int) (int64, error) {
	if o.closed {
		return 0, o.errClosed("seek")
	}
	return o.content.Seek(off, whence)
}

func (o *openFile) Close() error {
	if o.closed {
		return o.errClosed("close")
	}
	o.closed = true
	if o.closer != nil {
		return o.closer.Close()
	}
	o.content = nil
	return nil
}

func (o *openFile) errClosed(op string) error {
	return &fs.PathError{Op: op, Path: o.info.name, Err: fs.ErrClosed}
}

// dirFile is an open folder.
type dirFile struct {
	node *node
	next int
}

func (d *dirFile) Stat() (fs.FileInfo, error) { return d.node.info, nil }
func (d *dirFile) Close() error               { return nil }

func (d *dirFile) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.node.info.name, Err: errIsDir}
}

func (d *dirFile) ReadDir(n int) ([]fs.DirEntry, error) {
	rest := d.node.entries[d.next:]
	if n > 0 && len(rest) == 0 {
		return nil, io.EOF
	}
	if n > 0 {
		rest = rest[:min(n, len(rest))]
	}
	d.next += len(rest)
	return slices.Clone(rest), nil
}
