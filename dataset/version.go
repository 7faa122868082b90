package dataset

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/millwright-ml/millwright/dataset/filter"
	"github.com/millwright-ml/millwright/dataset/internal/delta"
)

// Version is one immutable state of a dataset. It is a plain value; do not
// change its fields.
type Version struct {
	// Dataset is the name in the catalog, and Branch that of the branch ("main").
	Dataset string
	Branch  string
	// Number is the Delta version that any engine can ask for: of the dataset's
	// folder on main, of its folder _refs on any other branch (see Table). Along
	// a branch numbers grow; beside main they have gaps.
	Number int64
	// Commit is the id of the commit that made the version, and Parents are the
	// ids of the commits it builds on: the version before on the same branch,
	// then, after a merge, the one that was merged. Commits of other writers are
	// named by their place ("main:12").
	Commit  string
	Parents []string
	// Digest is "sha256:" and the SHA-256, in hex, of the schema and the sorted
	// SHA-256 of the files: equal content has an equal digest in every store. It
	// is "" while the version holds files of another writer that were not adopted
	// (see Branch.Adopt).
	Digest string
	// Parent is the digest of the version before; "" for version 0.
	Parent string
	// Rows is the number of rows of the whole version.
	Rows int64
	// Time is when the commit was made, by the clock of its producer.
	Time time.Time
	// Operation is what was done, in Delta's words ("WRITE", "DELETE").
	Operation string
	// Producer, Author, Message, Run, Code and Tags are what the committer said.
	Producer string
	Author   string
	Message  string
	Run      string
	Code     Code
	Tags     map[string]string
	// Files are the data files of the whole version, in the order of the rows.
	// It is nil for a version from Branch.Log: Load reads them.
	Files []File

	dataset *Dataset
	log     *logbook
	commit  *commit
	snap    *snapshot     // nil for a light version.
	live    []*dataFile   // What Files shows.
	schema  *arrow.Schema // nil for a light version.
}

// Code says which code made a version.
type Code struct {
	// Commit is the revision in version control.
	Commit string `json:"commit,omitempty"`
	// Dirty says that there were changes which Commit does not have.
	Dirty bool `json:"dirty,omitempty"`
	// Image is the container image, best with its digest.
	Image string `json:"image,omitempty"`
}

// File is one immutable Parquet file of a version.
type File struct {
	Path   string `json:"path"`   // Relative to the dataset's folder.
	SHA256 string `json:"sha256"` // Of the bytes, in hex; "" for a file of another writer.
	Size   int64  `json:"size"`   // Bytes.
	Rows   int64  `json:"rows"`
}

// Schema is the schema of the rows; nil for a version from Branch.Log that was
// not loaded.
func (v *Version) Schema() *arrow.Schema { return v.schema }

// Statistics says what is known of the values of the columns in the file
// v.Files[i], without reading it: bounds, which may be wider than the values, and
// nulls. Columns of which nothing is known are left out. It is nil for a version
// from Branch.Log that was not loaded.
func (v *Version) Statistics(i int) map[string]filter.Stats {
	if i < 0 || i >= len(v.live) || v.schema == nil {
		return nil
	}
	f := v.live[i]
	all := filter.ParseStats(f.stats)
	out := map[string]filter.Stats{}
	for _, column := range v.schema.Fields() {
		if s := all.Column(column, f.own()); s.Min != nil || s.Max != nil || s.Nulls >= 0 {
			out[column.Name] = s
		}
	}
	return out
}

// Table says what another engine opens to read this version: the folder of the
// table, relative to the catalog's store, and the number of its version.
func (v *Version) Table() (path string, version int64) {
	if v.log.root == "" {
		return v.Dataset, v.Number
	}
	return v.Dataset + "/" + refsFolder[:len(refsFolder)-1], v.Number
}

// Load returns the version with its Files and its Schema: itself unless it came
// from Branch.Log.
func (v *Version) Load(ctx context.Context) (*Version, error) {
	if v.snap != nil {
		return v, nil
	}
	full, err := v.dataset.versionIn(ctx, v.log, v.Number)
	if err != nil {
		return nil, fmt.Errorf("dataset: load %q version %d: %w", v.Dataset, v.Number, err)
	}
	return full, nil
}

// state is the snapshot of the version.
func (v *Version) state(ctx context.Context) (*snapshot, error) {
	full, err := v.Load(ctx)
	if err != nil {
		return nil, err
	}
	return full.snap, nil
}

// subset is a version that shows some files of v only, for readers of a part.
func (v *Version) subset(files []*dataFile) *Version {
	sub := *v
	sub.live, sub.Files, sub.Rows = files, make([]File, len(files)), 0
	for i, f := range files {
		sub.Files[i] = f.File
		sub.Rows += f.Rows
	}
	return &sub
}

// light builds a version out of what its log entry says. Entries of other
// writers do not say enough: those are counted.
func (d *Dataset) light(ctx context.Context, l *logbook, c *commit) (*Version, error) {
	if c.fault != nil {
		return nil, fmt.Errorf("log entry %s: %w", l.key(delta.LogName(c.number)), c.fault)
	}
	if !c.ours() || c.summary.Commit == "" {
		return d.versionIn(ctx, l, c.number)
	}
	v := d.describe(l, c)
	v.Digest, v.Rows, v.Parent = c.summary.Digest, c.summary.Rows, c.summary.Parent
	return v, nil
}

func (d *Dataset) describe(l *logbook, c *commit) *Version {
	v := &Version{
		Dataset: d.name, Branch: mainLog, Number: c.number, Commit: c.id(l.name), Time: c.time, Operation: c.operation, Producer: c.producer,
		Author: c.summary.Author, Message: c.message, Run: c.summary.Run, Code: c.summary.Code, Tags: maps.Clone(c.summary.Tags),
		dataset: d, log: l, commit: c,
	}
	if l.root != "" {
		v.Branch = c.summary.Branch
	}
	for _, p := range c.summary.Parents {
		v.Parents = append(v.Parents, p.Commit)
	}
	return v
}

// version builds the version of a state.
func (d *Dataset) version(ctx context.Context, l *logbook, s *snapshot) (*Version, error) {
	v, err := d.counted(ctx, l, s)
	if err != nil {
		// Whatever makes no sense is read anew the next time.
		l.forget()
	}
	return v, err
}

func (d *Dataset) counted(ctx context.Context, l *logbook, s *snapshot) (*Version, error) {
	if err := s.readable(); err != nil {
		return nil, err
	}
	c := s.commit
	if c == nil {
		var err error
		if c, err = l.commitAt(ctx, s.version); err != nil {
			return nil, err
		}
		if c.fault != nil {
			return nil, c.fault
		}
	}
	v := d.describe(l, c).subset(s.files)
	v.snap, v.schema, v.Rows, v.Digest = s, s.schema, s.rows, s.digest()
	if said := c.summary.Digest; said != "" && v.Digest != said && !l.between(c) {
		return nil, fmt.Errorf("the content that the log describes has digest %s and its commit says %s: a log entry or a checkpoint was damaged: %w", v.Digest, said, ErrInvalid)
	}
	if v.Parent = c.summary.Parent; s.version > 0 && c.summary.Commit == "" {
		before, err := l.at(ctx, s.version-1)
		if err != nil {
			return nil, err
		}
		v.Parent = before.digest()
		parents, err := l.parents(ctx, c)
		if err != nil {
			return nil, err
		}
		v.Parents = []string{parents[0].Commit}
	}
	return v, nil
}

// parents are the commits that a commit builds on, and where they are. The
// commits of other writers follow the entry before them.
func (l *logbook) parents(ctx context.Context, c *commit) ([]parent, error) {
	if len(c.summary.Parents) > 0 || c.number == 0 {
		return c.summary.Parents, nil
	}
	before, err := l.commitAt(ctx, c.number-1)
	if err != nil {
		return nil, err
	}
	p := parent{Commit: before.id(l.name), Version: before.number}
	if l.root != "" {
		p.Log = refsLog
	}
	return []parent{p}, nil
}
