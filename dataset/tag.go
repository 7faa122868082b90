package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/internal/errs"
)

// Tag is a name for one version, for ever. It is a small file,
// _mlops/refs/tags/<name>.json, that other tools can read: Table and Number say
// what to open.
type Tag struct {
	Name string
	// Table is the Delta table of the version, relative to the dataset's folder:
	// "" is the dataset itself, "_refs" the table of its branches. Number is the
	// version of that table, and Branch the branch it belongs to.
	Table  string
	Number int64
	Branch string
	// Digest and Commit are those of the version.
	Digest string
	Commit string
	// Author, Message and Time are what the one who made the tag said, and when.
	Author  string
	Message string
	Time    time.Time
}

// TagOptions describe a new tag.
type TagOptions struct {
	// Author says who makes the tag. At most 250 bytes; the default is none.
	Author string
	// Message says for people what the tag is for. At most 8000 bytes; the
	// default is none.
	Message string
}

// tagFile is the file of a tag.
type tagFile struct {
	Format  int       `json:"format"` // 1.
	ID      string    `json:"id"`     // Whose write it was.
	Name    string    `json:"name"`
	Table   string    `json:"table"`
	Version int64     `json:"version"`
	Branch  string    `json:"branch"`
	Digest  string    `json:"digest"`
	Commit  string    `json:"commit,omitempty"`
	Author  string    `json:"author,omitempty"`
	Message string    `json:"message,omitempty"`
	Time    time.Time `json:"time"`
}

func tagKey(name string) string { return tagFolder + name + ".json" }

// Tag names a version, of any branch. Tags never move: ErrExists when the name
// is taken, also by the same version. A tag keeps its version and the files of
// it from being collected.
func (d *Dataset) Tag(ctx context.Context, name string, v *Version, opts *TagOptions) error {
	if opts == nil {
		opts = &TagOptions{}
	}
	subject := fmt.Sprintf("dataset: tag %q of %q", name, d.name)
	var f errs.Faults
	checkRefName(&f, name)
	checkText(&f, "author", opts.Author, maxKey)
	checkText(&f, "message", opts.Message, maxMessage)
	f.Check(v != nil, "the version is nil")
	if v != nil {
		f.Check(v.Dataset == d.name, "the version is of %q", v.Dataset)
	}
	if err := f.Err(subject); err != nil {
		return err
	}
	file := tagFile{
		Format: 1, ID: newID(), Name: name, Table: tableOf(v), Version: v.Number, Branch: v.Branch, Digest: v.Digest, Commit: v.Commit,
		Author: opts.Author, Message: opts.Message, Time: time.Now().UTC().Truncate(time.Millisecond),
	}
	body, err := json.Marshal(file)
	if err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	erases, err := d.unfenced(ctx, v.log)
	if err == nil {
		err = d.held(ctx, v)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	if err := d.createOwned(ctx, tagKey(name), body, file.ID); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("the name is taken, and tags do not move: %w", ErrExists)
		}
		return fmt.Errorf("%s: %w", subject, err)
	}
	// A tag is no entry of a log, so that an erase which began meanwhile may not
	// have seen it: then it could hold the digest from before.
	if now, err := d.unfenced(ctx, v.log); err != nil || now != erases {
		if err == nil {
			err = fmt.Errorf("an erase of rows ended in this moment: repeat it on the version as it is now: %w", ErrConflict)
		}
		_ = retry(ctx, func() error { return d.store.Delete(ctx, tagKey(name)) }) // What stays can still be read: see byTag.
		return fmt.Errorf("%s: %w", subject, err)
	}
	return nil
}

// createOwned writes a file that carries the id of its writer, unless there is
// one. An error of the store does not say whether the write happened, so the
// file is read back.
func (d *Dataset) createOwned(ctx context.Context, key string, body []byte, id string) error {
	for attempt := 1; ; attempt++ {
		err := d.store.Create(ctx, key, bytes.NewReader(body), int64(len(body)))
		if err == nil {
			return nil
		}
		verdict, cancel := context.WithTimeout(context.WithoutCancel(ctx), verdictTime)
		there, readErr := blob.ReadAll(verdict, d.store, key, maxRefBytes)
		cancel()
		switch {
		case readErr == nil && bytes.Contains(there, []byte(id)):
			return nil
		case readErr == nil:
			return fs.ErrExist
		case !errors.Is(readErr, fs.ErrNotExist):
			err = errors.Join(err, readErr)
		}
		if ctx.Err() != nil || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrPermission) {
			return err
		}
		if attempt == storeAttempts {
			return fmt.Errorf("%s could not be written and may still appear: %w: %w", key, err, ErrUnavailable)
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// Tags yields all tags in the order of their names. An error ends the sequence.
func (d *Dataset) Tags(ctx context.Context) iter.Seq2[*Tag, error] {
	return func(yield func(*Tag, error) bool) {
		for info, err := range d.store.List(ctx, tagFolder) {
			if err != nil {
				yield(nil, fmt.Errorf("dataset: tags of %q: %w", d.name, err))
				return
			}
			name, ok := strings.CutSuffix(path.Base(info.Name()), ".json")
			if !ok || tagKey(name) != info.Name() {
				continue // Not one of ours.
			}
			t, err := d.readTag(ctx, name)
			if errors.Is(err, ErrNotFound) {
				continue // Deleted meanwhile.
			}
			if err != nil {
				yield(nil, fmt.Errorf("dataset: tags of %q: %w", d.name, err))
				return
			}
			if !yield(t, nil) {
				return
			}
		}
	}
}

// readTag reads one tag, ErrNotFound when there is none.
func (d *Dataset) readTag(ctx context.Context, name string) (*Tag, error) {
	data, err := blob.ReadAll(ctx, d.store, tagKey(name), maxRefBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("tag %q: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("tag %q: %w", name, err)
	}
	t, err := parseTag(data)
	if err != nil {
		return nil, fmt.Errorf("tag %q: the file %s is damaged: %w", name, tagKey(name), err)
	}
	if t.Name != name {
		return nil, fmt.Errorf("tag %q: the file %s is that of tag %q: %w", name, tagKey(name), t.Name, ErrInvalid)
	}
	return t, nil
}

func parseTag(data []byte) (*Tag, error) {
	var t tagFile
	if err := json.Unmarshal(data, &t); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	if t.Format != 1 {
		return nil, fmt.Errorf("it has format %d, this release reads 1: %w", t.Format, ErrUnsupported)
	}
	var f errs.Faults
	f.Check(t.Table == "" || t.Table == refsTable, "the table is %q, want \"\" or %q", t.Table, refsTable)
	f.Check(t.Version >= 0, "the version is %d", t.Version)
	f.Check(strings.HasPrefix(t.Digest, digestPrefix), "the digest is %q", t.Digest)
	f.Check(validName.MatchString(t.Branch), "the branch is %q", t.Branch)
	if err := f.Err("it is not a tag"); err != nil {
		return nil, err
	}
	return &Tag{
		Name: t.Name, Table: t.Table, Number: t.Version, Branch: t.Branch, Digest: t.Digest, Commit: t.Commit,
		Author: t.Author, Message: t.Message, Time: t.Time,
	}, nil
}

// DeleteTag removes a tag, ErrNotFound when there is none. The version stays,
// until a collection finds that nothing keeps it.
func (d *Dataset) DeleteTag(ctx context.Context, name string) error {
	subject := fmt.Sprintf("dataset: delete tag %q of %q", name, d.name)
	var f errs.Faults
	checkRefName(&f, name)
	if err := f.Err(subject); err != nil {
		return err
	}
	_, err := d.store.Stat(ctx, tagKey(name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", subject, ErrNotFound)
	}
	if err == nil {
		err = retry(ctx, func() error { return d.store.Delete(ctx, tagKey(name)) })
	}
	if err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	return nil
}
