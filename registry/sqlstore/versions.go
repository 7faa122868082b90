package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/internal/sqlsearch"
	"github.com/millwright-ml/millwright/registry"
)

// CreateVersion implements registry.Store.
func (s *Store) CreateVersion(ctx context.Context, v *registry.Version, lease string) (*registry.Version, error) {
	row := *v
	row.Signed = nil
	cols, err := encode(&row)
	if err != nil {
		return nil, err
	}
	if row.Stage == "" {
		row.Stage = registry.StageNone
	}
	var out *registry.Version
	err = s.write(ctx, func(tx *writing) error {
		// The update changes nothing: it locks the row, for the number.
		var model, latest int64
		var deleted sql.NullInt64
		var made int64
		var hooks int
		err := tx.QueryRowContext(ctx, `
			INSERT INTO mw_reg_models (name, created_us, updated_us, latest, description) VALUES (?, ?, ?, 0, '')
			ON CONFLICT (name) DO UPDATE SET latest = mw_reg_models.latest
			RETURNING id, latest, deleted_us, created_us, `+hooked, v.Name, micros(v.Created), micros(v.Created)).
			Scan(&model, &latest, &deleted, &made, &hooks)
		if err != nil {
			return err
		}
		if deleted.Valid {
			return registry.ErrNotFound
		}
		if latest == 0 && made == micros(v.Created) { // perhaps made just now
			if err := tx.index(ctx, model, v.Name); err != nil {
				return err
			}
		}
		if v.Key != "" {
			out, _, _, err = scanVersion(tx.QueryRowContext(ctx, s.texts.versionByKey, model, v.Key))
			if err == nil && lease != "" {
				err = tx.endLeases(ctx, lease)
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		if lease != "" {
			if err := tx.takeLease(ctx, lease, v.Files); err != nil {
				return err
			}
		}
		number := latest + 1
		_, err = tx.ExecContext(ctx, `UPDATE mw_reg_models SET latest = ?, updated_us = ? WHERE id = ?`, number, micros(v.Created), model)
		if err != nil {
			return err
		}
		var id int64
		err = tx.QueryRowContext(ctx, `
			INSERT INTO mw_reg_versions (model_id, name, number, created_us, updated_us, run, stage, status, idem_key, digest,
				framework, flavor, license, golden, logged_model, user_name, source, code, status_message, description,
				datasets, metrics, signature, manifest)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
			model, v.Name, number, micros(v.Created), micros(v.Created), v.Run, row.Stage, string(v.Status), texted(v.Key), v.Digest,
			v.Framework, v.Flavor, v.License, v.Golden, v.LoggedModel, v.User, v.Source, cols.code, v.StatusMessage, v.Description,
			cols.datasets, cols.metrics, cols.signature, cols.manifest).Scan(&id)
		if err != nil {
			return err
		}
		if err := tx.need(ctx, id, v.Files); err != nil {
			return err
		}
		if err := tx.tag(ctx, versionTags, id, v.Tags, nil); err != nil {
			return err
		}
		out, _, _, err = scanVersion(tx.QueryRowContext(ctx, s.texts.version, v.Name, number))
		if tx.hooked = hooks > 0; err == nil {
			// A model of that very microsecond without versions is this one's.
			tx.tellVersion(out, latest == 0 && made == micros(v.Created))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// need records the objects of a version's files.
func (w *writing) need(ctx context.Context, id int64, files []registry.File) error {
	if len(files) == 0 {
		return nil
	}
	digests := make([]string, len(files))
	for i, f := range files {
		digests[i] = f.SHA256
	}
	slices.Sort(digests)
	d := w.Dialect()
	_, err := w.ExecContext(ctx, `INSERT INTO mw_reg_files (version_id, digest) SELECT CAST(? AS bigint), x.value FROM `+d.EachText("x"),
		id, d.Texts(slices.Compact(digests)))
	return err
}

// Version implements registry.Store.
func (s *Store) Version(ctx context.Context, name string, number int) (v *registry.Version, err error) {
	err = s.read(ctx, func(tx *sqldb.Tx) (err error) {
		v, _, _, err = scanVersion(tx.QueryRowContext(ctx, s.texts.version, name, number))
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = registry.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// versionRow is what an update needs of a version.
type versionRow struct {
	id            int64
	number        int
	stage, status string
	deleted       sql.NullInt64
	cols          encoded
}

// UpdateVersion implements registry.Store.
func (s *Store) UpdateVersion(ctx context.Context, name string, number int, u registry.VersionUpdate) error {
	return s.write(ctx, func(tx *writing) error {
		model, err := tx.lockActive(ctx, name)
		if err != nil {
			return err
		}
		v := versionRow{number: number}
		err = tx.QueryRowContext(ctx, `SELECT id, stage, status, deleted_us, signed FROM mw_reg_versions WHERE model_id = ? AND number = ?`,
			model, number).Scan(&v.id, &v.stage, &v.status, &v.deleted, &v.cols.signed)
		if errors.Is(err, sql.ErrNoRows) || err == nil && v.deleted.Valid && (u.Deleted == nil || *u.Deleted) {
			return registry.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := tx.tag(ctx, versionTags, v.id, u.SetTags, u.DeleteTags); err != nil {
			return err
		}
		if u.Status != "" && v.status != string(registry.Pending) {
			return fmt.Errorf("the version is %s: %w", v.status, registry.ErrConflict)
		}
		if u.Lease != "" {
			if err := tx.takeLease(ctx, u.Lease, u.Files); err != nil {
				return err
			}
		}
		if err := tx.setStage(ctx, model, name, &v, u); err != nil {
			return err
		}
		if err := tx.setDeleted(ctx, model, name, &v, u); err != nil {
			return err
		}
		if err := tx.updateRow(ctx, &v, u); err != nil {
			return err
		}
		if err := s.tellUpdate(ctx, tx, model, name, number, u); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE mw_reg_models SET updated_us = ? WHERE id = ?`, micros(u.Time), model)
		return err
	})
}

// updateRow writes the row of a version; what is NULL here stays as it is.
func (w *writing) updateRow(ctx context.Context, v *versionRow, u registry.VersionUpdate) error {
	var status, message, digest, manifest, signed sql.NullString
	if u.Status != "" {
		status, message = texted(string(u.Status)), sql.NullString{String: u.StatusMessage, Valid: true}
		if len(u.Files) > 0 {
			digest = sql.NullString{String: u.Digest, Valid: true}
			manifest = texted(registry.EncodeManifest(u.Files))
			if _, err := w.ExecContext(ctx, `DELETE FROM mw_reg_files WHERE version_id = ?`, v.id); err != nil {
				return err
			}
			if err := w.need(ctx, v.id, u.Files); err != nil {
				return err
			}
		}
	}
	if u.Sign != nil {
		row := registry.Version{}
		cols := encoded{manifest: string(registry.EncodeManifest(nil)), signed: v.cols.signed}
		if err := decode(&row, cols); err != nil {
			return fmt.Errorf("the record of version %d in the database is damaged, restore it from a backup: %v", v.number, err)
		}
		row.Signed = append(row.Signed, *u.Sign)
		cols, err := encode(&row)
		if err != nil {
			return err
		}
		signed = cols.signed
	}
	_, err := w.ExecContext(ctx, `
		UPDATE mw_reg_versions SET updated_us = ?, deleted_us = ?, stage = ?, description = COALESCE(?, description),
			status = COALESCE(?, status), status_message = COALESCE(?, status_message),
			digest = COALESCE(?, digest), manifest = COALESCE(?, manifest), signed = COALESCE(?, signed)
		WHERE id = ?`,
		micros(u.Time), v.deleted, v.stage, u.Description, status, message, digest, manifest, signed, v.id)
	return err
}

// setStage moves v, and others out of its way.
func (w *writing) setStage(ctx context.Context, model int64, name string, v *versionRow, u registry.VersionUpdate) error {
	if u.Stage == "" {
		return nil
	}
	told := func(number int, from, to string) {
		w.append(model, &registry.Entry{
			Kind: registry.KindStage, Time: u.Time, Name: name, To: number, By: u.By,
			Reason: strings.TrimSpace(from + " to " + to + " " + u.Reason),
		})
	}
	if u.ArchiveOthers && u.Stage != registry.StageArchived {
		var others []int
		err := eachRow(ctx, w.Tx, `
			SELECT number FROM mw_reg_versions WHERE model_id = ? AND number <> ? AND stage = ? AND deleted_us IS NULL ORDER BY number`,
			[]any{model, v.number, u.Stage}, func(rows *sql.Rows) error {
				var n int
				err := rows.Scan(&n)
				others = append(others, n)
				return err
			})
		if err != nil {
			return err
		}
		for _, n := range others {
			_, err := w.ExecContext(ctx, `UPDATE mw_reg_versions SET stage = ?, updated_us = ? WHERE model_id = ? AND number = ?`,
				registry.StageArchived, micros(u.Time), model, n)
			if err != nil {
				return err
			}
			told(n, u.Stage, registry.StageArchived)
		}
	}
	if v.stage != u.Stage {
		told(v.number, v.stage, u.Stage)
		v.stage = u.Stage
	}
	return nil
}

// setDeleted deletes or restores v.
func (w *writing) setDeleted(ctx context.Context, model int64, name string, v *versionRow, u registry.VersionUpdate) error {
	if u.Deleted == nil || *u.Deleted == v.deleted.Valid {
		return nil
	}
	entry := registry.Entry{Kind: registry.KindRestore, Time: u.Time, Name: name, To: v.number, By: u.By, Reason: u.Reason}
	v.deleted = sql.NullInt64{Int64: micros(u.Time), Valid: *u.Deleted}
	if *u.Deleted {
		entry.Kind = registry.KindDelete
		var aliases []string
		err := eachRow(ctx, w.Tx, `SELECT alias FROM mw_reg_aliases WHERE model_id = ? AND number = ? ORDER BY alias`,
			[]any{model, v.number}, func(rows *sql.Rows) error {
				var alias string
				err := rows.Scan(&alias)
				aliases = append(aliases, alias)
				return err
			})
		if err == nil {
			_, err = w.ExecContext(ctx, `DELETE FROM mw_reg_aliases WHERE model_id = ? AND number = ?`, model, v.number)
		}
		if err != nil {
			return err
		}
		if err := w.tellUnaliased(ctx, model, name, u.Time, aliases...); err != nil {
			return err
		}
		for _, alias := range aliases {
			w.append(model, &registry.Entry{
				Kind: registry.KindAlias, Time: u.Time, Name: name, Alias: alias, From: v.number, By: u.By, Reason: u.Reason,
			})
		}
	}
	w.append(model, &entry)
	return nil
}

// foundVersions reads the versions of a page; size is what they hold, in
// bytes, roughly.
func (s *Store) foundVersions(ctx context.Context, tx *sqldb.Tx, entries []sqlsearch.Entry) (page []*registry.Version, size int, err error) {
	byID := make(map[int64]*registry.Version, len(entries))
	err = eachRow(ctx, tx, s.texts.versions, []any{s.dialect.Ints(sqlsearch.IDs(entries))}, func(rows *sql.Rows) error {
		v, id, n, err := scanVersion(rows)
		byID[id], size = v, size+n
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		page = append(page, byID[e.ID])
	}
	return page, size, nil
}
