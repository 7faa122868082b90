package tracking

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Download copies the files below dir into the folder to of the local disk,
// which it makes. An empty dir is everything; when dir is a file it is copied
// under its own name. It returns the digests of what it wrote sorted by path,
// relative to dir. ErrNotFound when there is nothing.
//
// Digests that TransferOptions.Want or a SumsFile in dir give are checked: a
// file with other bytes is an ErrInvalid, and is not left behind. Files without
// a known digest, such as those that Python wrote, are checked for the size
// that the store tells. Every file appears under its name when it is complete,
// and nothing is written outside of to, whatever the store says. After an error
// some files may be there; calling it again copies all of them.
func (f *Files) Download(ctx context.Context, dir, to string, opts *TransferOptions) ([]FileDigest, error) {
	o := opts.withDefaults()
	store, prefix, err := f.open(ctx, "download artifacts")
	if err != nil {
		return nil, err
	}
	files, prefix, err := f.list(ctx, store, prefix, dir)
	if err != nil {
		return nil, err
	}
	want, err := f.wanted(ctx, store, prefix, files, o.Want)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(to, 0o777); err != nil {
		return nil, fmt.Errorf("tracking: download artifacts: %w", err)
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return nil, fmt.Errorf("tracking: download artifacts: %w", err)
	}
	defer func() { _ = root.Close() }()
	t := newTransfer(o, files)
	err = t.each(ctx, files, func(ctx context.Context, file FileDigest) (FileDigest, error) {
		body, err := store.Get(ctx, prefix+file.Path, 0, -1)
		if err != nil {
			return FileDigest{}, f.fault("download", file.Path, err)
		}
		m := t.meter(file.Path, body)
		err = save(root, file.Path, m, func(d FileDigest) error {
			if d.Size != file.Size {
				return fmt.Errorf("it has %d bytes where the listing says %d: %w", d.Size, file.Size, ErrUnavailable)
			}
			if sum, ok := want[file.Path]; ok && !strings.EqualFold(sum, d.SHA256) {
				return fmt.Errorf("its bytes have the SHA-256 %s where %s was recorded: %w", d.SHA256, sum, ErrInvalid)
			}
			return nil
		})
		if err := errors.Join(err, body.Close()); err != nil {
			return FileDigest{}, f.fault("download", file.Path, err)
		}
		return m.digest(), nil
	})
	if err != nil {
		return nil, err
	}
	return byPath(t.done), nil
}

// list returns the files of a download with paths relative to the prefix that
// it returns too.
func (f *Files) list(ctx context.Context, store Artifacts, prefix, dir string) ([]FileDigest, string, error) {
	var files []FileDigest
	for info, err := range f.List(ctx, dir) {
		if err != nil {
			return nil, "", err
		}
		if len(files) == MaxTransferFiles {
			return nil, "", fmt.Errorf("tracking: download artifacts from %s: there are more than %d files: %w", f.uri, MaxTransferFiles, ErrInvalid)
		}
		name := info.Name()
		if dir != "" {
			name = name[len(dir)+1:]
		}
		files = append(files, FileDigest{Path: name, Size: info.Size()})
	}
	switch {
	case len(files) > 0 && dir != "":
		return files, prefix + dir + "/", nil
	case len(files) > 0:
		return files, prefix, nil
	}
	if dir == "" {
		return nil, "", fmt.Errorf("tracking: download artifacts: %s has no files: %w", f.uri, ErrNotFound)
	}
	info, err := store.Stat(ctx, prefix+dir)
	if err != nil {
		return nil, "", f.fault("download", dir, err)
	}
	base := path.Base(dir)
	return []FileDigest{{Path: base, Size: info.Size()}}, prefix + strings.TrimSuffix(dir, base), nil
}

// wanted returns the digests that are known beforehand, by path.
func (f *Files) wanted(ctx context.Context, store Artifacts, prefix string, files, given []FileDigest) (map[string]string, error) {
	want := map[string]string{}
	have := map[string]bool{}
	for _, file := range files {
		have[file.Path] = true
	}
	if have[SumsFile] && len(files) > 1 {
		body, err := store.Get(ctx, prefix+SumsFile, 0, -1)
		if err != nil {
			return nil, f.fault("download", SumsFile, err)
		}
		sums, err := ParseSums(body)
		if err := errors.Join(err, body.Close()); err != nil {
			return nil, err
		}
		given = append(sums, given...)
	}
	for _, file := range given {
		if !have[file.Path] {
			return nil, fmt.Errorf("tracking: download artifacts from %s: %q has a recorded digest but is not there: %w", f.uri, file.Path, ErrNotFound)
		}
		want[file.Path] = file.SHA256
	}
	return want, nil
}

// save writes body to the file name below root, which appears there complete
// and accepted by check, or not at all.
func save(root *os.Root, name string, body *meter, check func(FileDigest) error) (err error) {
	local := filepath.FromSlash(name)
	if folder := filepath.Dir(local); folder != "." {
		if err := root.MkdirAll(folder, 0o777); err != nil {
			return err
		}
	}
	part := filepath.Join(filepath.Dir(local), ".part-"+randomHex())
	file, err := root.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			if rerr := root.Remove(part); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
				err = errors.Join(err, rerr)
			}
		}
	}()
	_, err = io.Copy(file, body)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := check(body.digest()); err != nil {
		return err
	}
	return root.Rename(part, local)
}
