package dataset

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

const (
	digestPrefix = "sha256:"
	tagPrefix    = "tags/"
	headPrefix   = "heads/"
)

// Resolve finds the version that a reference names, as people write it into a
// configuration:
//
//	12                         version 12 of main
//	v1.4                       a tag, or the newest version of a branch
//	tags/v1.4, heads/dev       the same, where both have the name
//	dev@57                     version 57 of the branch dev
//	main@2026-11-01T00:00:00Z  the newest version of main that is not later
//	sha256:…                   the newest version with this digest
//	0123…cdef                  the version that a commit made
//
// A digest or a commit id is looked for in the logs, newest first. ErrNotFound
// when there is no such version, ErrInvalid when the reference means nothing or
// two things.
func (d *Dataset) Resolve(ctx context.Context, ref string) (*Version, error) {
	v, err := d.resolve(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("dataset: reference %q of %q: %w", ref, d.name, err)
	}
	return v, nil
}

func (d *Dataset) resolve(ctx context.Context, ref string) (*Version, error) {
	if name, ok := strings.CutPrefix(ref, tagPrefix); ok {
		return d.byTag(ctx, name)
	}
	if name, ok := strings.CutPrefix(ref, headPrefix); ok {
		return d.byBranch(ctx, name)
	}
	branch, where, at := strings.Cut(ref, "@")
	switch {
	case at:
		return d.byPlace(ctx, branch, where)
	case digits.MatchString(ref) && !validID.MatchString(ref):
		return d.byPlace(ctx, mainLog, ref)
	case strings.HasPrefix(ref, digestPrefix):
		return d.byDigest(ctx, ref)
	case validID.MatchString(ref), foreignCommit.MatchString(ref):
		return d.byCommit(ctx, ref)
	case ref == mainLog:
		return d.newest(ctx)
	case !validName.MatchString(ref):
		return nil, fmt.Errorf("it is no version number, tag, branch, branch@version, branch@time, digest or commit id: %w", ErrInvalid)
	}
	tagged, err := d.byTag(ctx, ref)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	head, headErr := d.byBranch(ctx, ref)
	switch {
	case headErr != nil && !errors.Is(headErr, ErrNotFound):
		return nil, headErr
	case tagged != nil && head != nil:
		return nil, fmt.Errorf("there is a tag and a branch of this name: say tags/%s or heads/%s: %w", ref, ref, ErrInvalid)
	case tagged != nil:
		return tagged, nil
	case head != nil:
		return head, nil
	}
	return nil, fmt.Errorf("there is no tag and no branch of this name: %w", ErrNotFound)
}

// byTag finds the version of a tag, and checks that it still is the one that
// was tagged.
func (d *Dataset) byTag(ctx context.Context, name string) (*Version, error) {
	var f errs.Faults
	checkRefName(&f, name)
	if err := f.Err(fmt.Sprintf("tag %q", name)); err != nil {
		return nil, err
	}
	t, err := d.readTag(ctx, name)
	if err != nil {
		return nil, err
	}
	log := d.log
	if t.Table == refsTable {
		log = d.refs
	}
	v, err := d.versionIn(ctx, log, t.Number)
	if err != nil {
		return nil, fmt.Errorf("tag %q: %w", name, err)
	}
	if v.Digest != t.Digest && !v.log.between(v.commit) && !v.commit.renamed(t.Digest) {
		return nil, fmt.Errorf("tag %q is for %s@%d with digest %s, and that version now has digest %s: the log or the tag was changed by hand: %w", name, t.Branch, t.Number, t.Digest, v.Digest, ErrInvalid)
	}
	return v, nil
}

func (d *Dataset) byBranch(ctx context.Context, name string) (*Version, error) {
	b, err := d.branch(name)
	if err != nil {
		return nil, err
	}
	return b.newest(ctx)
}

// byPlace finds branch@number and branch@time.
func (d *Dataset) byPlace(ctx context.Context, name, where string) (*Version, error) {
	b, err := d.branch(name)
	if err != nil {
		return nil, err
	}
	if !digits.MatchString(where) {
		t, err := time.Parse(time.RFC3339Nano, where)
		if err != nil {
			return nil, fmt.Errorf("behind the @ is neither a version number nor a time like 2006-01-02T15:04:05Z: %w", ErrInvalid)
		}
		return b.at(ctx, t)
	}
	n, err := strconv.ParseInt(where, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("version %s: %w", where, ErrNotFound)
	}
	v, err := d.versionIn(ctx, b.log, n)
	switch {
	case notThere(err):
		return nil, fmt.Errorf("there is no version %d: %w", n, ErrNotFound)
	case err != nil:
		return nil, err
	case v.Branch != b.name:
		return nil, fmt.Errorf("version %d of the table %s belongs to the branch %q: %w", n, refsTable, v.Branch, ErrNotFound)
	}
	return v, nil
}

// byCommit looks through both logs for the version that a commit made.
func (d *Dataset) byCommit(ctx context.Context, id string) (*Version, error) {
	for _, l := range []*logbook{d.log, d.refs} {
		head, err := l.latest(ctx)
		if l == d.refs && notThere(err) {
			break
		}
		if err != nil {
			return nil, err
		}
		for c, err := range l.history(ctx, head.version) {
			if err != nil {
				return nil, err
			}
			if c.fault == nil && c.id(l.name) == id {
				return d.versionIn(ctx, l, c.number)
			}
		}
	}
	return nil, fmt.Errorf("no version was made by this commit: %w", ErrNotFound)
}
