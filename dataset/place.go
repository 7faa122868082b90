package dataset

import (
	"context"
	"fmt"
	"slices"
)

// placeFiles gives each file a path that the branch does not have: content that
// it holds already is copied to the next free name, and so is what a garbage
// collection is about to delete.
func (d *Dataset) placeFiles(ctx context.Context, live *snapshot, drafts []draft) ([]draft, error) {
	if len(drafts) == 0 {
		return nil, nil
	}
	fresh := make(map[string]bool, len(drafts))
	twins := false
	for _, f := range drafts {
		fresh[f.SHA256] = true
		_, there := slices.BinarySearch(live.hashes, f.SHA256)
		twins = twins || there
	}
	taken := map[string]bool{}
	if twins {
		for _, f := range live.files {
			if fresh[f.SHA256] {
				taken[f.Path] = true
			}
		}
	}
	view, err := d.condemned(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.certain(ctx, view, drafts); err != nil {
		return nil, err
	}
	placed := make([]draft, len(drafts))
	for i, f := range drafts {
		if f.SHA256 == "" {
			return nil, fmt.Errorf("file %s of another writer was not adopted: %w", f.Path, ErrUnsupported)
		}
		origin := f.File
		for nth := 2; taken[f.Path] || view.Has(f.Path); nth++ {
			f.Path = dataPath(f.SHA256, nth)
		}
		if f.Path != origin.Path {
			if err := d.copyFile(ctx, origin.Path, f.File); err != nil {
				return nil, err
			}
		}
		taken[f.Path] = true
		placed[i] = f
	}
	return placed, nil
}
