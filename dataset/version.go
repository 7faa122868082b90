package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/profile"
)

// Version is one immutable state of a dataset. It is a plain value; do not
// change its fields.
type Version struct {
	// Dataset is the name in the catalog, and Number the version: the Delta
	// version that any engine can ask for.
	Dataset string
	Number  int64
	// Digest is "sha256:" and the SHA-256, in hex, of the schema and the sorted
	// SHA-256 of the files: equal content has an equal digest in every store.
	Digest string
	// Parent is the digest of the version before; "" for version 0.
	Parent string
	// Rows is the number of rows of the whole version.
	Rows int64
	// Time is when the commit was made, by the clock of its producer.
	Time time.Time
	// Producer, Message, Run and Tags are what the committer said.
	Producer string
	Message  string
	Run      string
	Tags     map[string]string
	// Files are the data files of the whole version, in the order of the rows.
	Files []File

	dataset *Dataset
	schema  *arrow.Schema
	log     []*commit // Up to and with this version.
}

// File is one immutable Parquet file of a version.
type File struct {
	Path   string `json:"path"`   // Relative to the dataset's folder.
	SHA256 string `json:"sha256"` // Of the bytes, in hex.
	Size   int64  `json:"size"`   // Bytes.
	Rows   int64  `json:"rows"`
}

// Schema is the schema of the rows.
func (v *Version) Schema() *arrow.Schema { return v.schema }

// version builds version n out of the log.
func (d *Dataset) version(log []*commit, n int64) (*Version, error) {
	c := log[n]
	if c.bad != nil {
		return nil, fmt.Errorf("dataset: version %d of %q: %w", n, d.name, c.bad)
	}
	log = log[: n+1 : n+1]
	v := &Version{
		Dataset: d.name, Number: n, Time: c.time, Producer: c.producer, Message: c.message, Run: c.summary.Run, Tags: maps.Clone(c.summary.Tags),
		Files: live(log), dataset: d, schema: c.schema, log: log,
	}
	for _, f := range v.Files {
		v.Rows += f.Rows
	}
	v.Digest = digest(c.schemaString, v.Files)
	if v.Parent = c.summary.Parent; v.Parent == "" && n > 0 {
		v.Parent = digest(log[n-1].schemaString, live(log[:n]))
	}
	return v, nil
}

// live are the files of the last version of log, in the order they came in.
func live(log []*commit) []File {
	var files []File
	for _, c := range log {
		if len(c.removes) > 0 {
			gone := make(map[string]bool, len(c.removes))
			for _, p := range c.removes {
				gone[p] = true
			}
			files = slices.DeleteFunc(files, func(f File) bool { return gone[f.Path] })
		}
		files = append(files, c.adds...)
	}
	return files
}

// digest is the name of a version's content.
func digest(schema string, files []File) string {
	hashes := make([]string, len(files))
	for i, f := range files {
		hashes[i] = f.SHA256
	}
	slices.Sort(hashes)
	h := sha256.New()
	_, _ = io.WriteString(h, "millwright dataset 1\n"+schema+"\n")
	for _, x := range hashes {
		_, _ = io.WriteString(h, x+"\n")
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Profile returns the summary of the version's columns, merged from those that
// the commits counted while the rows were written; no row is read. Numbers are
// taken as float64, booleans as 0 and 1, dates and timestamps as Unix seconds;
// binary and nested columns have no summary. A version without rows has an
// empty profile.
func (v *Version) Profile(ctx context.Context) (*profile.Table, error) {
	parts := make([]*profile.Table, len(v.log))
	err := parallel(ctx, len(v.log), func(ctx context.Context, i int) error {
		c := v.log[i]
		switch {
		case len(c.removes) > 0:
			return fmt.Errorf("version %d, by %q, removed files, and a profile cannot be subtracted: %w", i, c.producer, ErrUnsupported)
		case len(c.adds) == 0:
			return nil
		case c.summary.Record == "":
			return fmt.Errorf("version %d, by %q, has no commit record: %w", i, c.producer, ErrUnsupported)
		}
		var err error
		parts[i], err = v.dataset.recordProfile(ctx, c.summary.Record)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("dataset: profile of %q version %d: %w", v.Dataset, v.Number, err)
	}
	total := &profile.Table{}
	for i, p := range parts {
		if p == nil {
			continue
		}
		if err := total.Merge(p); err != nil {
			return nil, fmt.Errorf("dataset: profile of %q version %d: commit record %s: %w", v.Dataset, v.Number, v.log[i].summary.Record, err)
		}
	}
	return total, nil
}

func (d *Dataset) recordProfile(ctx context.Context, name string) (*profile.Table, error) {
	data, err := blob.ReadAll(ctx, d.store, recordKey(name), maxRecordBytes)
	if err != nil {
		return nil, fmt.Errorf("commit record: %w", err)
	}
	var r record
	t := &profile.Table{}
	if err = json.Unmarshal(data, &r); err == nil {
		if r.Format != 1 {
			return nil, fmt.Errorf("commit record %s has format %d, this release reads 1: %w", name, r.Format, ErrUnsupported)
		}
		err = json.Unmarshal(r.Profile, t)
	}
	if err != nil {
		return nil, fmt.Errorf("commit record %s is damaged: %w: %w", name, err, ErrInvalid)
	}
	return t, nil
}

func recordKey(name string) string { return commitFolder + name + ".json" }
