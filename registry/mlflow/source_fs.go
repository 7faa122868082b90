package mlflow

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/tracking"
)

// maxSourceFiles bounds the files of a source.
const maxSourceFiles = 10_000

// artifactFS shows the artifacts below a key as a file system. Their names are
// read once; it keeps the context because the methods of fs.FS take none.
type artifactFS struct {
	ctx   context.Context //nolint:containedctx // see above
	store tracking.Artifacts
	base  string // with its slash
	files map[string]fs.FileInfo
	dirs  map[string][]fs.DirEntry
	bytes int64 // of all files
}

func newArtifactFS(ctx context.Context, store tracking.Artifacts, base string) (*artifactFS, error) {
	if base != "" {
		base += "/"
	}
	f := &artifactFS{ctx: ctx, store: store, base: base, files: map[string]fs.FileInfo{}, dirs: map[string][]fs.DirEntry{".": nil}}
	for info, err := range store.List(ctx, base) {
		if err != nil {
			return nil, err
		}
		name, ok := strings.CutPrefix(info.Name(), base)
		if !ok || name == "" {
			continue
		}
		if !fs.ValidPath(name) {
			return nil, fmt.Errorf("mlflow: the source has a file with the name %q: %w", name, registry.ErrInvalid)
		}
		if len(f.files) == maxSourceFiles {
			return nil, fmt.Errorf("mlflow: the source has more than %d files: %w", maxSourceFiles, registry.ErrInvalid)
		}
		f.add(name, info)
	}
	for _, list := range f.dirs {
		slices.SortFunc(list, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	}
	return f, nil
}

func (f *artifactFS) add(name string, info fs.FileInfo) {
	file := entryInfo{name: path.Base(name), size: info.Size(), time: info.ModTime()}
	f.files[name] = file
	f.bytes += info.Size()
	child := fs.FileInfoToDirEntry(file)
	for {
		dir := path.Dir(name)
		_, known := f.dirs[dir]
		f.dirs[dir] = append(f.dirs[dir], child)
		if known {
			return
		}
		name, child = dir, fs.FileInfoToDirEntry(entryInfo{name: path.Base(dir), dir: true})
	}
}

// Open implements fs.FS.
func (f *artifactFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if list, ok := f.dirs[name]; ok {
		return &openDir{info: entryInfo{name: path.Base(name), dir: true}, rest: list}, nil
	}
	info, ok := f.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	body, err := f.store.Get(f.ctx, f.base+name, 0, -1)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openFile{info: info, ReadCloser: body}, nil
}

// entryInfo describes a file or a folder.
type entryInfo struct {
	name string
	size int64
	time time.Time
	dir  bool
}

func (i entryInfo) Name() string       { return i.name }
func (i entryInfo) Size() int64        { return i.size }
func (i entryInfo) ModTime() time.Time { return i.time }
func (i entryInfo) IsDir() bool        { return i.dir }
func (i entryInfo) Sys() any           { return nil }

func (i entryInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

type openFile struct {
	info fs.FileInfo
	io.ReadCloser
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }

type openDir struct {
	info fs.FileInfo
	rest []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.Name(), Err: fs.ErrInvalid}
}

// ReadDir implements fs.ReadDirFile.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		list := d.rest
		d.rest = nil
		return list, nil
	}
	if len(d.rest) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.rest))
	list := d.rest[:n]
	d.rest = d.rest[n:]
	return list, nil
}
