package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/millwright-ml/millwright/internal/errs"
)

// CreateModel registers a name without a version: Name, Description and Tags
// of m, Created as now. Register does it by itself. ErrExists when the name is
// taken, also by a deleted model; ErrInvalid.
func (r *Registry) CreateModel(ctx context.Context, m Model) (Model, error) {
	op := fmt.Sprintf("create model %q", cut(m.Name))
	var faults errs.Faults
	checkName(&faults, m.Name)
	checkText(&faults, "description", m.Description, maxDescription)
	checkTags(&faults, m.Tags)
	if err := faults.Err("registry: " + op); err != nil {
		return Model{}, err
	}
	m.Created = now()
	out, err := r.store.CreateModel(ctx, m)
	switch {
	case errors.Is(err, ErrExists):
		return Model{}, fmt.Errorf("registry: %s: the name is taken (by a deleted model, if it is not listed: restore or purge it): %w", op, err)
	case err != nil:
		return Model{}, fmt.Errorf("registry: %s: %w", op, err)
	}
	return out, nil
}

// UpdateModel changes what u sets, all or nothing; u.Time is now when it is
// zero. Deleting a model hides it with its versions and aliases; restoring
// brings them back. ErrNotFound, ErrExists when the new name is taken,
// ErrInvalid.
func (r *Registry) UpdateModel(ctx context.Context, name string, u ModelUpdate) error {
	op := fmt.Sprintf("update model %q", cut(name))
	var faults errs.Faults
	checkName(&faults, name)
	if u.Rename != "" {
		checkName(&faults, u.Rename)
	}
	if u.Description != nil {
		checkText(&faults, "description", *u.Description, maxDescription)
	}
	checkTags(&faults, u.SetTags)
	checkText(&faults, "By", u.By, maxName)
	checkText(&faults, "Reason", u.Reason, maxReason)
	if err := faults.Err("registry: " + op); err != nil {
		return err
	}
	if u.Time.IsZero() {
		u.Time = now()
	}
	if err := r.store.UpdateModel(ctx, name, u); err != nil {
		return fmt.Errorf("registry: %s: %w", op, err)
	}
	return nil
}

// UpdateVersion changes what u sets, all or nothing; u.Time is now when it is
// zero. The files and what was registered with them never change, except that
// a Pending version becomes Ready with its files. A deleted version keeps its
// number and loses its aliases. ErrNotFound, ErrConflict when a registration
// is ended that is not Pending, ErrInvalid.
func (r *Registry) UpdateVersion(ctx context.Context, name string, number int, u VersionUpdate) error {
	op := fmt.Sprintf("update version %d of %q", number, cut(name))
	var faults errs.Faults
	checkName(&faults, name)
	faults.Check(number > 0, "version %d, want a number from 1 up", number)
	if u.Description != nil {
		checkText(&faults, "description", *u.Description, maxDescription)
	}
	checkTags(&faults, u.SetTags)
	checkText(&faults, "By", u.By, maxName)
	checkText(&faults, "Reason", u.Reason, maxReason)
	checkText(&faults, "StatusMessage", u.StatusMessage, maxReason)
	switch u.Stage {
	case "", StageNone, StageStaging, StageProduction, StageArchived:
	default:
		faults.Addf("stage %q, want None, Staging, Production or Archived", cut(u.Stage))
	}
	switch u.Status {
	case "", Failed:
		faults.Check(len(u.Files) == 0 && u.Digest == "", "Files are given without the status %s", Ready)
	case Ready:
		if len(u.Files) > 0 {
			if err := checkFiles(u.Files); err != nil {
				faults.Addf("%v", err)
			}
			u.Digest = ManifestDigest(u.Files)
		}
	default:
		faults.Addf("status %q, want %s or %s", cut(string(u.Status)), Ready, Failed)
	}
	if err := faults.Err("registry: " + op); err != nil {
		return err
	}
	if u.Time.IsZero() {
		u.Time = now()
	}
	if err := r.store.UpdateVersion(ctx, name, number, u); err != nil {
		return fmt.Errorf("registry: %s: %w", op, err)
	}
	return nil
}

// PurgeVersion removes a deleted version for good; its number stays used. The
// files that no other version has are removed by the next Collect.
// ErrUnsupported when the store keeps everything.
func (r *Registry) PurgeVersion(ctx context.Context, name string, number int, by string) error {
	return r.purge(fmt.Sprintf("purge version %d of %q", number, cut(name)), func(p Purger) error {
		return p.PurgeVersion(ctx, name, number, by)
	})
}

// PurgeModel removes a deleted model with all its versions for good, and frees
// its name.
func (r *Registry) PurgeModel(ctx context.Context, name, by string) error {
	return r.purge(fmt.Sprintf("purge model %q", cut(name)), func(p Purger) error {
		return p.PurgeModel(ctx, name, by)
	})
}

func (r *Registry) purge(op string, f func(Purger) error) error {
	p, ok := r.store.(Purger)
	if !ok {
		return fmt.Errorf("registry: %s: the store keeps everything: %w", op, ErrUnsupported)
	}
	if err := f(p); err != nil {
		return fmt.Errorf("registry: %s: %w", op, err)
	}
	return nil
}

// checkTags reports the faults of tags.
func checkTags(faults *errs.Faults, tags map[string]string) {
	if len(tags) > maxEntries {
		faults.Addf("%d tags, want at most %d", len(tags), maxEntries)
		return
	}
	bytes := 0
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		bytes += len(k) + len(tags[k])
		faults.Check(k != "", "a tag has no key")
		checkText(faults, "tag key", k, maxTagKey)
		checkText(faults, "value of tag "+cut(k), tags[k], maxTagValue)
	}
	faults.Check(bytes <= maxTags, "tags have %d bytes together, want at most %d", bytes, maxTags)
}
