package dataset

import (
	"context"
	"fmt"
	"strings"

	"github.com/millwright-ml/millwright/dataset/blob"
)

const (
	commitFolder = "_mlops/commits/"
	dataFolder   = refsFolder + "data/"

	// maxRecordBytes bounds one commit record.
	maxRecordBytes = 64 << 20
	// fetchers is how many small objects are read at once.
	fetchers = 8
)

// Dataset is one versioned table: its main branch, and the branches and tags
// beside it. It is a plain value, safe for concurrent use. What it remembers of
// the logs is bounded, and never gets old.
type Dataset struct {
	*Branch // Main.

	catalog *Catalog
	name    string
	store   blob.Store // Rooted at the dataset's folder.
	refs    *logbook   // Of the branches beside main.
	seen    viewCache  // The lists of garbage collections.
}

func (c *Catalog) dataset(name string) *Dataset {
	store := blob.Sub(c.store, name)
	d := &Dataset{catalog: c, name: name, store: store, refs: newLogbook(store, refsLog, refsFolder)}
	d.Branch = &Branch{dataset: d, name: mainLog, log: newLogbook(store, mainLog, "")}
	return d
}

// Name is the name in the catalog.
func (d *Dataset) Name() string { return d.name }

// Version returns version n of main, which is Delta version n: 0 is the empty
// table. ErrNotFound when there is none yet.
func (d *Dataset) Version(ctx context.Context, n int64) (*Version, error) {
	if n < 0 {
		return nil, fmt.Errorf("dataset: version %d of %q: versions start at 0: %w", n, d.name, ErrInvalid)
	}
	v, err := d.versionIn(ctx, d.log, n)
	if err != nil {
		return nil, fmt.Errorf("dataset: version %d of %q: %w", n, d.name, err)
	}
	return v, nil
}

// ByDigest returns the newest version of main with the digest ("sha256:…"),
// else the newest of the other branches, ErrNotFound when no version has it.
// Versions have equal digests when they have equal content.
func (d *Dataset) ByDigest(ctx context.Context, digest string) (*Version, error) {
	v, err := d.byDigest(ctx, digest)
	if err != nil {
		return nil, fmt.Errorf("dataset: digest %s of %q: %w", digest, d.name, err)
	}
	return v, nil
}

func (d *Dataset) byDigest(ctx context.Context, digest string) (*Version, error) {
	if !strings.HasPrefix(digest, "sha256:") {
		return nil, fmt.Errorf("a digest starts with \"sha256:\": %w", ErrNotFound)
	}
	for _, l := range []*logbook{d.log, d.refs} {
		head, err := l.latest(ctx)
		if err != nil {
			if l == d.refs && notThere(err) {
				break
			}
			return nil, err
		}
		for c, err := range l.history(ctx, head.version) {
			if err != nil {
				return nil, err
			}
			// The digest in the log is a hint that saves the count; what is returned
			// was counted.
			if c.fault != nil || c.summary.Squashed || c.ours() && c.summary.Digest != digest {
				continue
			}
			if v, err := d.versionIn(ctx, l, c.number); err == nil && v.Digest == digest {
				return v, nil
			} else if err != nil && c.ours() {
				return nil, err
			}
		}
	}
	return nil, fmt.Errorf("no version has it: %w", ErrNotFound)
}

// versionIn returns version n of a log, whatever branch it belongs to.
func (d *Dataset) versionIn(ctx context.Context, l *logbook, n int64) (*Version, error) {
	s, err := l.at(ctx, n)
	if err != nil {
		return nil, err
	}
	return d.version(ctx, l, s)
}
