package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// Restore makes the rows and the schema of v, a version of any branch of this
// dataset, the newest version of this branch. No row is written: the files of v
// come back, and are held against the expectations that the branch has now (see
// SetExpectations). What was there stays in the history. A version whose files are
// gone, after a garbage collection, is an ErrNotFound.
func (b *Branch) Restore(ctx context.Context, v *Version, opts *CommitOptions) (*Version, error) {
	return b.operate(ctx, "restore", opts, func(opts *CommitOptions) (*Version, error) {
		if v == nil || v.Dataset != b.dataset.name {
			return nil, fmt.Errorf("the version is nil or of another dataset: %w", ErrInvalid)
		}
		return b.restore(ctx, v, opts)
	})
}

func (b *Branch) restore(ctx context.Context, v *Version, opts *CommitOptions) (*Version, error) {
	tip, done, err := b.ready(ctx, opts)
	if done != nil || err != nil {
		return done, err
	}
	want, err := v.state(ctx)
	if err != nil {
		return nil, err
	}
	if want.foreign > 0 {
		return nil, fmt.Errorf("version %d holds files of another writer that were not adopted: %w", v.Number, ErrUnsupported)
	}
	ch := &change{operation: "RESTORE", parameters: map[string]any{"version": v.Number, "digest": v.Digest}, dataChange: true}
	removed, added := differences(tip.files, want.files)
	ch.removes = removed
	for _, f := range added {
		ch.adds = append(ch.adds, f.draft())
	}
	// A file that stays and only moves among the rows is taken out and put back.
	back := make(map[string]bool, len(added))
	for _, f := range added {
		back[f.Path] = true
	}
	for _, f := range tip.files {
		if back[f.Path] {
			ch.removes = append(ch.removes, f)
		}
	}
	if want.schemaString != tip.schemaString {
		m := *tip.metaData
		m.SchemaString = want.metaData.SchemaString
		ch.metaData = &m
	}
	err = parallel(ctx, len(added), func(ctx context.Context, i int) error {
		_, err := b.dataset.store.Stat(ctx, added[i].Path)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("file %s of version %d is gone: %w", added[i].Path, v.Number, ErrNotFound)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	g, err := b.gateRestore(ctx, tip, v, ch, opts)
	if err != nil {
		return nil, err
	}
	return b.commit(ctx, opts, g.guard(ch, b.fixed(tip, ch)))
}
