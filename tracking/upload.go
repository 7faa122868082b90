package tracking

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Upload stores all regular files of src below the folder dir, an empty dir is
// the root, replacing files with the same paths. It returns their digests
// sorted by path, relative to dir. After an error some files may be stored;
// calling it again stores all of them.
//
// For a folder of the local disk src is os.DirFS or os.Root.FS, for one file
// see Put.
func (f *Files) Upload(ctx context.Context, dir string, src fs.FS, opts *TransferOptions) ([]FileDigest, error) {
	o := opts.withDefaults()
	store, prefix, err := f.open(ctx, "upload artifacts")
	if err != nil {
		return nil, err
	}
	if dir != "" {
		if err := ValidateArtifactPath(dir); err != nil {
			return nil, err
		}
		prefix += dir + "/"
	}
	files, err := listFS(src)
	if err != nil {
		return nil, fmt.Errorf("tracking: upload artifacts to %s: %w", f.uri, err)
	}
	if o.Sums { // an old one among the files is made anew
		files = slices.DeleteFunc(files, func(d FileDigest) bool { return d.Path == SumsFile })
	}
	t := newTransfer(o, files)
	err = t.each(ctx, files, func(ctx context.Context, file FileDigest) (FileDigest, error) {
		body, err := src.Open(file.Path)
		if err != nil {
			return FileDigest{}, fmt.Errorf("tracking: upload artifacts to %s: %w", f.uri, err)
		}
		m := t.meter(file.Path, body)
		err = store.Put(ctx, prefix+file.Path, m, file.Size)
		if err := errors.Join(err, body.Close()); err != nil {
			return FileDigest{}, f.fault("upload", file.Path, err)
		}
		d := m.digest()
		if d.Size != file.Size {
			return d, fmt.Errorf("tracking: upload artifact %q to %s: %d of %d bytes were stored: %w", file.Path, f.uri, d.Size, file.Size, ErrUnavailable)
		}
		return d, nil
	})
	if err != nil {
		return nil, err
	}
	done := byPath(t.done)
	if o.Sums {
		text := formatSums(done)
		if err := store.Put(ctx, prefix+SumsFile, strings.NewReader(text), int64(len(text))); err != nil {
			return nil, f.fault("upload", SumsFile, err)
		}
	}
	return done, nil
}
