package dataset

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/dataset/internal/arrowcross"
	"github.com/millwright-ml/millwright/dataset/internal/scan"
	"github.com/millwright-ml/millwright/dataset/profile"
)

// Profile returns the summary of the version's columns, merged from those that
// the commits counted while the rows were written. Rows are read only for files
// whose summary is not there: those of a commit that has lost others of its
// files since, and those that were adopted from another writer. Numbers are
// taken as float64, booleans as 0 and 1, dates and timestamps as Unix seconds;
// binary and nested columns have no summary. A version without rows has an
// empty profile.
func (v *Version) Profile(ctx context.Context) (*profile.Table, error) {
	t, err := v.profile(ctx)
	if err != nil {
		return nil, fmt.Errorf("dataset: profile of %q version %d: %w", v.Dataset, v.Number, err)
	}
	return t, nil
}

func (v *Version) profile(ctx context.Context) (*profile.Table, error) {
	full, err := v.Load(ctx)
	if err != nil {
		return nil, err
	}
	// The records in the order of their first file, so that the merge has the
	// same result every time.
	var names []string
	members := map[string][]*dataFile{}
	for _, f := range full.live {
		name := f.tags[tagRecord]
		if !validID.MatchString(name) {
			name = ""
		}
		if members[name] == nil {
			names = append(names, name)
		}
		members[name] = append(members[name], f)
	}
	parts := make([]*profile.Table, len(names))
	err = parallel(ctx, len(names), func(ctx context.Context, i int) error {
		var err error
		if parts[i], err = v.dataset.recordProfile(ctx, names[i], members[names[i]]); err == nil && parts[i] == nil {
			parts[i], err = full.subset(members[names[i]]).count(ctx)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	total := &profile.Table{}
	for i, p := range parts {
		if err := total.Merge(p); err != nil {
			return nil, fmt.Errorf("commit record %s: %w", names[i], err)
		}
	}
	return total, nil
}

// recordProfile is the profile that a commit record has for exactly these files,
// nil when it has none.
func (d *Dataset) recordProfile(ctx context.Context, name string, files []*dataFile) (*profile.Table, error) {
	if name == "" {
		return nil, nil
	}
	r, err := d.record(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(r.Files) != len(files) || len(r.Profile) == 0 {
		return nil, nil
	}
	have := make(map[string]bool, len(files))
	for _, f := range files {
		have[f.SHA256] = true
	}
	for _, f := range r.Files {
		if !have[f.SHA256] {
			return nil, nil
		}
	}
	t := &profile.Table{}
	if err := json.Unmarshal(r.Profile, t); err != nil {
		return nil, fmt.Errorf("commit record %s is damaged: %w: %w", name, err, ErrInvalid)
	}
	return t, nil
}

// record reads a commit record.
func (d *Dataset) record(ctx context.Context, name string) (*record, error) {
	data, err := blob.ReadAll(ctx, d.store, recordKey(name), maxRecordBytes)
	if err != nil {
		return nil, fmt.Errorf("commit record: %w", err)
	}
	r := &record{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("commit record %s is damaged: %w: %w", name, err, ErrInvalid)
	}
	if r.Format != 1 {
		return nil, fmt.Errorf("commit record %s has format %d, this release reads 1: %w", name, r.Format, ErrUnsupported)
	}
	return r, nil
}

func recordKey(name string) string { return commitFolder + name + ".json" }

// count reads the rows of the version and summarises them.
func (v *Version) count(ctx context.Context) (*profile.Table, error) {
	inner, err := arrowcross.Schema18(v.schema)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrUnsupported)
	}
	rr, err := v.Read(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer rr.Release()
	columns := make([]int, inner.NumFields())
	for i := range columns {
		columns[i] = i
	}
	s, texts := scan.New(inner, 0), &profile.TextCounter{}
	for rr.Next() {
		rec := arrowcross.Record18(rr.Record(), inner, columns)
		s.Add(rec, texts) // What other writers allowed themselves is no fault here.
		rec.Release()
	}
	if err := rr.Err(); err != nil {
		return nil, err
	}
	return s.Profile(), nil
}
