package dirblob

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/dataset/blob"
)

// List implements [blob.Store]. One folder's entries at a time are in memory.
// Symbolic links and other special files are not objects and are left out.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		if err := blob.ValidatePrefix(prefix); err != nil {
			yield(nil, err)
			return
		}
		l := lister{s: s, ctx: ctx, prefix: prefix, yield: yield}
		dir, _ := path.Split(prefix)
		if _, err := l.walk(strings.TrimSuffix(dir, "/")); err != nil {
			yield(nil, fail("list", prefix, err))
		}
	}
}

type lister struct {
	s      *Store
	ctx    context.Context // for the length of one List
	prefix string
	yield  func(fs.FileInfo, error) bool
}

// walk yields the objects below dir ("" for the root) and reports whether the
// caller wants more.
func (l *lister) walk(dir string) (bool, error) {
	entries, err := l.entries(dir)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if err := l.ctx.Err(); err != nil {
			return false, err
		}
		if e.info == nil {
			if more, err := l.walk(strings.TrimSuffix(e.key, "/")); err != nil || !more {
				return false, err
			}
		} else if !l.yield(e.info, nil) {
			return false, nil
		}
	}
	return true, nil
}

// entry is an object, or a folder with the slash that its keys go on with: so
// sorted, "a-b" comes before what is in the folder a, and "a0" behind it.
type entry struct {
	key  string
	info fs.FileInfo // nil for a folder
}

// entries returns what dir holds for the prefix, in byte order of the keys.
func (l *lister) entries(dir string) ([]entry, error) {
	if first, _, _ := strings.Cut(dir, "/"); first == tempDir {
		return nil, nil
	}
	root := l.s.root
	if dir != "" {
		name, err := filepath.Localize(dir)
		if err != nil {
			return nil, nil // no such file name on this system, so no object
		}
		if fi, err := root.Lstat(name); err == nil && !fi.IsDir() {
			return nil, nil
		}
		root, err = root.OpenRoot(name)
		if errors.Is(absent(err), fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		defer func() { _ = root.Close() }() // only read from
	}
	f, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	found, err := f.ReadDir(-1)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	var entries []entry
	for _, d := range found {
		key := path.Join(dir, d.Name())
		switch {
		case d.IsDir() && key != tempDir && related(key+"/", l.prefix):
			entries = append(entries, entry{key: key + "/"})
		case d.Type().IsRegular() && strings.HasPrefix(key, l.prefix) && blob.ValidateKey(key) == nil:
			fi, err := root.Lstat(d.Name())
			if err != nil {
				continue // deleted meanwhile
			}
			entries = append(entries, entry{key: key, info: blob.NewInfo(key, fi.Size(), fi.ModTime())})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	return entries, err
}

// related reports whether keys in the folder (with its slash) can have prefix.
func related(folder, prefix string) bool {
	return strings.HasPrefix(folder, prefix) || strings.HasPrefix(prefix, folder)
}
