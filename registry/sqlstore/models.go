package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"time"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/registry"
)

// maxModelAliases is how many aliases a Model carries.
const maxModelAliases = 100

// CreateModel implements registry.Store.
func (s *Store) CreateModel(ctx context.Context, m registry.Model) (registry.Model, error) {
	err := s.write(ctx, func(tx *writing) error {
		var id int64
		var hooks int
		err := tx.QueryRowContext(ctx, `
			INSERT INTO mw_reg_models (name, created_us, updated_us, latest, description) VALUES (?, ?, ?, 0, ?)
			ON CONFLICT (name) DO NOTHING RETURNING id, `+hooked,
			m.Name, micros(m.Created), micros(m.Created), m.Description).Scan(&id, &hooks)
		if errors.Is(err, sql.ErrNoRows) {
			return registry.ErrExists
		}
		if err != nil {
			return err
		}
		tx.hooked = hooks > 0
		tx.tellCreated(m)
		if err := tx.index(ctx, id, m.Name); err != nil {
			return err
		}
		return tx.tag(ctx, modelTags, id, m.Tags, nil)
	})
	if err != nil {
		return registry.Model{}, err
	}
	out := registry.Model{Name: m.Name, Description: m.Description, Created: m.Created, Updated: m.Created}
	if len(m.Tags) > 0 {
		out.Tags = maps.Clone(m.Tags)
	}
	return out, nil
}

// UpdateModel implements registry.Store.
func (s *Store) UpdateModel(ctx context.Context, name string, u registry.ModelUpdate) error {
	return s.write(ctx, func(tx *writing) error {
		m, err := tx.lockModel(ctx, name)
		if err != nil {
			return err
		}
		if m.deleted.Valid && (u.Deleted == nil || *u.Deleted) {
			return registry.ErrNotFound
		}
		renamed := u.Rename != "" && u.Rename != name
		if renamed {
			if err := tx.rename(ctx, m.id, u.Rename); err != nil {
				return err
			}
		}
		if err := tx.tag(ctx, modelTags, m.id, u.SetTags, u.DeleteTags); err != nil {
			return err
		}
		if err := tx.tellTags(ctx, m.id, cmp.Or(u.Rename, name), u); err != nil {
			return err
		}
		deleted := m.deleted
		if u.Deleted != nil && *u.Deleted != m.deleted.Valid {
			deleted = sql.NullInt64{Int64: micros(u.Time), Valid: *u.Deleted}
			kind := registry.KindRestore
			if *u.Deleted {
				kind = registry.KindDelete
			}
			gone := 0
			if *u.Deleted {
				gone = 1
			}
			if _, err := tx.ExecContext(ctx, `UPDATE mw_reg_versions SET gone = ? WHERE model_id = ?`, gone, m.id); err != nil {
				return err
			}
			tx.append(m.id, &registry.Entry{Kind: kind, Time: u.Time, Name: name, By: u.By, Reason: u.Reason})
		}
		if renamed {
			tx.append(m.id, &registry.Entry{
				Kind: registry.KindRename, Time: u.Time, Name: u.Rename, By: u.By, Reason: u.Reason, Evidence: registry.RenamedFrom(name),
			})
		}
		_, err = tx.ExecContext(ctx, `UPDATE mw_reg_models SET updated_us = ?, deleted_us = ?, description = COALESCE(?, description) WHERE id = ?`,
			micros(u.Time), deleted, u.Description, m.id)
		return err
	})
}

// rename gives a model, and its versions, another name; ErrExists when that is
// taken.
func (w *writing) rename(ctx context.Context, id int64, name string) error {
	var others int
	err := w.QueryRowContext(ctx, `SELECT COUNT(*) FROM mw_reg_models WHERE name = ?`, name).Scan(&others)
	if err == nil && others > 0 {
		return registry.ErrExists
	}
	if err == nil {
		_, err = w.ExecContext(ctx, `UPDATE mw_reg_models SET name = ? WHERE id = ?`, name, id)
		if sqldb.IsUnique(err) { // taken since
			return registry.ErrExists
		}
	}
	if err == nil {
		_, err = w.ExecContext(ctx, `UPDATE mw_reg_versions SET name = ? WHERE model_id = ?`, name, id)
	}
	if err == nil {
		_, err = w.ExecContext(ctx, `DELETE FROM mw_reg_grams WHERE model_id = ?`, id)
	}
	if err == nil {
		err = w.index(ctx, id, name)
	}
	return err
}

// purgeTime is when something is purged, as every store can keep it.
func purgeTime() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
