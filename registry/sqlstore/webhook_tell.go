package sqlstore

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/webhook"
)

// tellCreated tells of a model that is new.
func (w *writing) tellCreated(m registry.Model) {
	if w.hooked {
		s := webhook.Subject{Name: m.Name, Prompt: m.Tags[registry.PromptTag] == "true"}
		w.tell(m.Created, s.Created(m.Description, m.Tags))
	}
}

// tellVersion tells of a version that is new, and of its model when that is
// new, too. One that is not ready is told of when it is.
func (w *writing) tellVersion(v *registry.Version, first bool) {
	if !w.hooked {
		return
	}
	s := webhook.Subject{Name: v.Name}
	if first {
		w.tell(v.Created, s.Created("", nil))
	}
	if v.Status == registry.Ready {
		w.tell(v.Created, s.VersionCreated(v))
	}
}

// tellTags tells of the tags of a model, which only prompts have told.
func (w *writing) tellTags(ctx context.Context, model int64, name string, u registry.ModelUpdate) error {
	if len(u.SetTags) == 0 && len(u.DeleteTags) == 0 {
		return nil
	}
	s, ok, err := w.subject(ctx, model, name)
	if err != nil || !ok {
		return err
	}
	for _, key := range u.DeleteTags {
		if n, ok := s.TagDeleted(key); ok {
			w.tell(u.Time, n)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(u.SetTags)) {
		if n, ok := s.TagSet(key, u.SetTags[key]); ok {
			w.tell(u.Time, n)
		}
	}
	return nil
}

// tellUpdate tells of the tags of a version, and of one that became ready. The
// update is written already.
func (s *Store) tellUpdate(ctx context.Context, w *writing, model int64, name string, number int, u registry.VersionUpdate) error {
	ready := u.Status == registry.Ready
	if len(u.SetTags) == 0 && len(u.DeleteTags) == 0 && !ready {
		return nil
	}
	subject, ok, err := w.subject(ctx, model, name)
	if err != nil || !ok {
		return err
	}
	if ready {
		v, _, _, err := scanVersion(w.QueryRowContext(ctx, s.texts.version, name, number))
		if err != nil {
			return err
		}
		w.tell(u.Time, subject.VersionCreated(v))
	}
	for _, key := range u.DeleteTags {
		w.tell(u.Time, subject.VersionTagDeleted(number, key))
	}
	for _, key := range slices.Sorted(maps.Keys(u.SetTags)) {
		w.tell(u.Time, subject.VersionTagSet(number, key, u.SetTags[key]))
	}
	return nil
}

// tellUnaliased tells of aliases that are deleted.
func (w *writing) tellUnaliased(ctx context.Context, model int64, name string, at time.Time, aliases ...string) error {
	if len(aliases) == 0 {
		return nil
	}
	s, ok, err := w.subject(ctx, model, name)
	if err != nil || !ok {
		return err
	}
	for _, alias := range aliases {
		w.tell(at, s.AliasDeleted(alias))
	}
	return nil
}
