package dirblob

import (
	"container/heap"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/dataset/blob"
)

// pageNames is how many names of one folder List holds. A wider folder is read
// once for each so many.
const pageNames = 1 << 16

// List implements [blob.Store]. At most 65,536 names of each folder on the way
// are in memory, whatever the folders hold. Symbolic links and other special
// files are not objects and are left out.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[fs.FileInfo, error] {
	return s.list(ctx, prefix, pageNames)
}

func (s *Store) list(ctx context.Context, prefix string, page int) iter.Seq2[fs.FileInfo, error] {
	return func(yield func(fs.FileInfo, error) bool) {
		if err := blob.ValidatePrefix(prefix); err != nil {
			yield(nil, err)
			return
		}
		l := lister{s: s, ctx: ctx, prefix: prefix, page: page, yield: yield}
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
	page   int
	yield  func(fs.FileInfo, error) bool
}

// walk yields the objects below dir ("" for the root) and reports whether the
// caller wants more.
func (l *lister) walk(dir string) (bool, error) {
	if first, _, _ := strings.Cut(dir, "/"); first == tempDir {
		return true, nil
	}
	root, err := l.s.folder(dir)
	if root == nil || err != nil {
		return true, err
	}
	if root != l.s.root {
		defer func() { _ = root.Close() }() // only read from
	}
	for after := ""; ; {
		names, more, err := l.names(root, dir, after)
		if err != nil {
			return false, err
		}
		for _, name := range names {
			if wants, err := l.visit(root, dir, name); err != nil || !wants {
				return false, err
			}
		}
		if !more {
			return true, nil
		}
		after = names[len(names)-1]
	}
}

// folder opens a folder; nil when there is none.
func (s *Store) folder(dir string) (*os.Root, error) {
	if dir == "" {
		return s.root, nil
	}
	name, err := filepath.Localize(dir)
	if err != nil {
		return nil, nil // no such file name on this system, so no object
	}
	if fi, err := s.root.Lstat(name); err == nil && !fi.IsDir() {
		return nil, nil
	}
	root, err := s.root.OpenRoot(name)
	if errors.Is(absent(err), fs.ErrNotExist) {
		return nil, nil
	}
	return root, err
}

// visit yields one name of a folder: an object, or what is below a folder, whose
// names end with a slash.
func (l *lister) visit(root *os.Root, dir, name string) (bool, error) {
	if err := l.ctx.Err(); err != nil {
		return false, err
	}
	key := path.Join(dir, name)
	if strings.HasSuffix(name, "/") {
		return l.walk(key)
	}
	fi, err := root.Lstat(name)
	if err != nil || !fi.Mode().IsRegular() {
		return true, nil // deleted or replaced meanwhile
	}
	return l.yield(info(key, fi), nil), nil
}

// names returns the next page of what a folder holds for the prefix, behind the
// name after, in byte order of the keys: a folder's name ends with the slash
// that its keys go on with, so that "a-b" comes before what is in the folder a,
// and "a0" behind it.
func (l *lister) names(root *os.Root, dir, after string) (page []string, more bool, err error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = f.Close() }() // only read from
	var first largest
	for {
		const chunk = 1024
		found, err := f.ReadDir(chunk)
		for _, d := range found {
			name := l.wanted(dir, d)
			switch {
			case name == "" || name <= after:
			case len(first) < l.page:
				first = append(first, name)
			default:
				if !more {
					heap.Init(&first)
					more = true
				}
				if name < first[0] {
					first[0] = name
					heap.Fix(&first, 0)
				}
			}
		}
		if errors.Is(err, io.EOF) {
			slices.Sort(first)
			return slices.Compact(first), more, nil
		}
		if err == nil {
			err = l.ctx.Err()
		}
		if err != nil {
			return nil, false, err
		}
	}
}

// wanted is the name of an entry as names returns it, "" when no key of it can
// have the prefix.
func (l *lister) wanted(dir string, d fs.DirEntry) string {
	key := path.Join(dir, d.Name())
	switch {
	case d.IsDir() && key != tempDir && related(key+"/", l.prefix):
		return d.Name() + "/"
	case d.Type().IsRegular() && strings.HasPrefix(key, l.prefix) && blob.ValidateKey(key) == nil:
		return d.Name()
	}
	return ""
}

// largest is a heap with the largest name on top: the one that goes when a
// smaller one comes.
type largest []string

func (h largest) Len() int           { return len(h) }
func (h largest) Less(i, j int) bool { return h[i] > h[j] }
func (h largest) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *largest) Push(x any)        { *h = append(*h, x.(string)) }
func (h *largest) Pop() any {
	last := len(*h) - 1
	name := (*h)[last]
	*h = (*h)[:last]
	return name
}

// related reports whether keys in the folder (with its slash) can have prefix.
func related(folder, prefix string) bool {
	return strings.HasPrefix(folder, prefix) || strings.HasPrefix(prefix, folder)
}
