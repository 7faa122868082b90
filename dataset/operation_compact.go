package dataset

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
)

// CompactOptions say what Compact rewrites.
type CompactOptions struct {
	// Below is the size in bytes under which a file counts as small. The default
	// is half of what a full file has, 32 MiB.
	Below int64
	// Run is how many small files must lie side by side to be worth a rewrite, at
	// least 2. The default is 2.
	Run int
	// Commit describes the commit; of its fields Where and Expect are not used. With
	// a Key the new files are cut where the rows say. The default is an empty
	// description.
	Commit *CommitOptions
}

// Compact writes small files that lie side by side anew as large ones, in one
// version with the same rows in the same order. Many small appends make many
// small files, each of which costs a reader a request. What is large already is
// not touched, so a second call does nothing: it returns the newest version, as
// does the first when there is nothing to do.
//
// The digest of a version names its files, so the new version has another one.
// To other engines the commit says that no data changed. Files that another
// writer replaced meanwhile are left out; when none is left it is a
// *ConflictError. Memory is that of an Append and a Read.
func (b *Branch) Compact(ctx context.Context, opts *CompactOptions) (*Version, error) {
	if opts == nil {
		opts = &CompactOptions{}
	}
	return b.operate(ctx, "compact", opts.Commit, func(commit *CommitOptions) (*Version, error) {
		if opts.Below < 0 || opts.Run < 0 || opts.Run == 1 {
			return nil, fmt.Errorf("files below %d bytes in runs of %d, want at least 0 bytes and 2 files: %w", opts.Below, opts.Run, ErrInvalid)
		}
		return b.compact(ctx, opts, commit)
	})
}

// merged is a run of files and what takes its place.
type merged struct {
	files []*dataFile
	adds  []draft
}

func (b *Branch) compact(ctx context.Context, opts *CompactOptions, commit *CommitOptions) (*Version, error) {
	tip, done, err := b.ready(ctx, commit)
	if done != nil || err != nil {
		return done, err
	}
	v, err := b.dataset.version(ctx, b.log, tip)
	if err != nil {
		return nil, err
	}
	below, run := opts.Below, max(opts.Run, 2)
	if below == 0 {
		below = b.dataset.catalog.layout.fileBytes / 2
	}
	all := &rewrite{}
	var parts []merged
	for _, files := range smallRuns(tip.files, below, run) {
		adds, err := b.mergeFiles(ctx, all, v.subset(files), commit)
		if err != nil {
			return nil, err
		}
		if room := files[len(files)-1].order - files[0].order; int64(len(adds)) > room+1 || len(adds) >= len(files) {
			continue // Nothing is won, or the rows would not find their place.
		}
		parts = append(parts, merged{files, adds})
		all.adds = append(all.adds, adds...)
	}
	if len(parts) == 0 && commit.App == "" {
		return v, nil
	}
	rec, err := all.record(nil)
	if err != nil {
		return nil, err
	}
	return b.commit(ctx, commit, func(_ context.Context, now *snapshot) (*change, error) {
		ch := &change{operation: "OPTIMIZE", parameters: map[string]any{"minFileSize": below}, record: rec}
		for _, p := range parts {
			if now == tip || now.schemaString == tip.schemaString && len(now.gone(p.files)) == 0 {
				ch.removes = append(ch.removes, p.files...)
				ch.adds = append(ch.adds, p.adds...)
			}
		}
		if len(parts) > 0 && len(ch.removes) == 0 {
			return nil, b.conflict(ch, now, "all files that it was to merge were replaced or removed, or the schema was changed meanwhile", nil)
		}
		return ch, nil
	})
}

// smallRuns are the runs of small files side by side.
func smallRuns(files []*dataFile, below int64, least int) [][]*dataFile {
	var runs [][]*dataFile
	from := 0
	for i := 0; i <= len(files); i++ {
		if i < len(files) && files[i].Size < below {
			continue
		}
		if i-from >= least {
			runs = append(runs, files[from:i])
		}
		from = i + 1
	}
	return runs
}

// mergeFiles writes the rows of a part of a version as new files, in its place.
func (b *Branch) mergeFiles(ctx context.Context, all *rewrite, part *Version, commit *CommitOptions) ([]draft, error) {
	w, err := newAppender(ctx, b.dataset, part.schema, commit.Progress)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if err := w.key(commit.Key); err != nil {
		return nil, err
	}
	columns := make([]int, len(part.schema.Fields()))
	for i := range columns {
		columns[i] = i
	}
	if err := part.each(ctx, nil, func(rec arrow.Record) error { return w.add(rec, columns) }); err != nil {
		return nil, err
	}
	if err := w.finish(); err != nil {
		return nil, err
	}
	if w.rows != part.Rows {
		return nil, fmt.Errorf("%d rows were read where the log promises %d: %w", w.rows, part.Rows, ErrInvalid)
	}
	for i := range w.files {
		w.files[i].order = part.live[0].order + int64(i)
	}
	all.rows += w.rows
	return w.files, all.counted.Merge(w.summary())
}
