package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Register stores the draft as the next version of the model name and returns
// it. Files go first, each under the SHA-256 of its content; an object that
// exists already is read and compared instead of written, and mended when it
// is damaged and the Files allow it. Then one transaction makes the version
// visible. When Register fails or is killed before that, no version exists and
// the stored objects do no harm: the next Register finds them.
//
// Errors: ErrInvalid lists every fault of the name, the draft and its files;
// ErrConflict when a file changed while it was read, when the draft's Key was
// used for other content, or when the upload was held up for longer than a day
// and a collection took its objects.
func (r *Registry) Register(ctx context.Context, name string, d Draft) (*Version, error) {
	op := fmt.Sprintf("register %q", cut(name))
	if err := r.needFiles(op); err != nil {
		return nil, err
	}
	var faults errs.Faults
	checkName(&faults, name)
	checkDraft(&faults, &d)
	paths, err := r.walk(ctx, &faults, &d)
	if err != nil {
		return nil, fmt.Errorf("registry: %s: reading the draft's files: %w", op, err)
	}
	faults.Check(d.Golden == "" || len(paths) == 0 || slices.Contains(paths, d.Golden), "Golden is %q, which is none of the draft's files", cut(d.Golden))
	if err := faults.Err("registry: " + op); err != nil {
		return nil, err
	}

	lease := newLease()
	files, err := r.upload(ctx, name, &d, paths, lease)
	if err != nil {
		if _, ok := errors.AsType[*DigestError](err); ok {
			return nil, err
		}
		return nil, fmt.Errorf("registry: %s: %w", op, err)
	}
	if err := checkFiles(files); err != nil {
		return nil, fmt.Errorf("registry: %s: %w", op, err)
	}
	signature, err := compact(d.Signature)
	if err != nil {
		return nil, fmt.Errorf("registry: %s: signature: %w", op, err)
	}
	v := &Version{
		Name: name, Created: now(), Digest: ManifestDigest(files), Files: files,
		Signature: signature, Framework: d.Framework, Flavor: d.Flavor, Run: d.Run,
		Datasets: d.Datasets, Metrics: d.Metrics, Tags: d.Tags, Key: d.Key,
		Code: d.Code, License: d.License, Golden: d.Golden, Source: d.Source, LoggedModel: d.LoggedModel,
		User: d.User, Description: d.Description, Status: Ready,
	}
	got, err := r.store.CreateVersion(ctx, v, lease)
	if err != nil {
		return nil, fmt.Errorf("registry: %s: %w", op, err)
	}
	if diff := differences(got, v); len(diff) > 0 {
		return nil, fmt.Errorf("registry: %s: key %q was used before for v%d, which differs in %s; take another key for other content: %w",
			op, d.Key, got.Number, strings.Join(diff, ", "), ErrConflict)
	}
	if got.Deleted {
		return nil, fmt.Errorf("registry: %s: key %q was used before for v%d, which is deleted: restore it or take another key: %w", op, d.Key, got.Number, ErrConflict)
	}
	return got, nil
}

// now is the time as every store can keep it.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// walk lists the draft's files in path order. Faults of the tree go to faults,
// trouble with reading it is the error.
func (r *Registry) walk(ctx context.Context, faults *errs.Faults, d *Draft) ([]string, error) {
	const mostFaults = 20
	var paths []string
	if len(d.Profile) > 0 {
		paths = append(paths, ProfilePath)
	}
	if d.Files == nil {
		return paths, nil
	}
	bad, folders := 0, 0
	err := fs.WalkDir(d.Files, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			// Folders that hold no file have to end somewhere, too.
			if folders++; folders > 10*r.opts.MaxFiles || len(p) > maxPath {
				faults.Addf("the draft has more than %d folders, or one of a path over %d bytes", 10*r.opts.MaxFiles, maxPath)
				return fs.SkipAll
			}
			return ctx.Err()
		}
		before := len(paths)
		switch {
		case !e.Type().IsRegular():
			faults.Addf("%q is %s, not a regular file", p, kindOf(e.Type()))
		case p == ProfilePath && len(d.Profile) > 0:
			faults.Addf("the draft has a Profile and a file %q: leave one out", p)
		default:
			var here errs.Faults
			checkPath(&here, p)
			if err := here.Err("file"); err != nil {
				faults.Addf("a path of the draft is unfit: %q", cut(p))
			} else {
				paths = append(paths, p)
			}
		}
		if len(paths) == before {
			if bad++; bad == mostFaults {
				return fs.SkipAll
			}
		}
		if len(paths) > r.opts.MaxFiles {
			faults.Addf("the draft has more than %d files", r.opts.MaxFiles)
			return fs.SkipAll
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	faults.Check(len(paths) > 0 || bad > 0 || folders > 10*r.opts.MaxFiles, "the draft has no files")
	slices.Sort(paths)
	return paths, nil
}

func kindOf(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// differences names the immutable parts in which a stored version differs from
// the one that was to be stored. There are none unless a key was used twice.
func differences(got, want *Version) []string {
	var out []string
	add := func(same bool, what string) {
		if !same {
			out = append(out, what)
		}
	}
	add(got.Digest == want.Digest, "files")
	add(bytes.Equal(got.Signature, want.Signature), "signature")
	add(got.Framework == want.Framework, "framework")
	add(got.Flavor == want.Flavor, "flavor")
	add(got.Run == want.Run, "run")
	add(slices.Equal(got.Datasets, want.Datasets), "datasets")
	add(maps.Equal(got.Metrics, want.Metrics), "metrics")
	add(got.Code == want.Code, "code")
	add(got.License == want.License, "license")
	add(got.Golden == want.Golden, "golden")
	add(got.Source == want.Source, "source")
	add(got.LoggedModel == want.LoggedModel, "logged model")
	return out
}
