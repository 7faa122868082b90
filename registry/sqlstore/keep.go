package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/registry"
)

// PurgeVersion implements registry.Purger.
func (s *Store) PurgeVersion(ctx context.Context, name string, number int, by string) error {
	return s.write(ctx, func(tx *writing) error {
		model, err := tx.lockActive(ctx, name)
		if err != nil {
			return err
		}
		var id int64
		var deleted sql.NullInt64
		err = tx.QueryRowContext(ctx, `SELECT id, deleted_us FROM mw_reg_versions WHERE model_id = ? AND number = ?`, model, number).Scan(&id, &deleted)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return registry.ErrNotFound
		case err != nil:
			return err
		case !deleted.Valid:
			return registry.ErrInvalid
		}
		for _, text := range []string{
			`DELETE FROM mw_reg_files WHERE version_id = ?`,
			`DELETE FROM mw_reg_version_tags WHERE version_id = ?`,
			`DELETE FROM mw_reg_versions WHERE id = ?`,
		} {
			if _, err := tx.ExecContext(ctx, text, id); err != nil {
				return err
			}
		}
		tx.append(model, &registry.Entry{Kind: registry.KindPurge, Time: purgeTime(), Name: name, To: number, By: by})
		return nil
	})
}

// PurgeModel implements registry.Purger.
func (s *Store) PurgeModel(ctx context.Context, name, by string) error {
	return s.write(ctx, func(tx *writing) error {
		m, err := tx.lockModel(ctx, name)
		if err != nil {
			return err
		}
		if !m.deleted.Valid {
			return registry.ErrInvalid
		}
		for _, text := range []string{
			`INSERT INTO mw_reg_purged (model_id, name) SELECT id, name FROM mw_reg_models WHERE id = ?`,
			`DELETE FROM mw_reg_aliases WHERE model_id = ?`,
			`DELETE FROM mw_reg_files WHERE version_id IN (SELECT id FROM mw_reg_versions WHERE model_id = ?)`,
			`DELETE FROM mw_reg_version_tags WHERE version_id IN (SELECT id FROM mw_reg_versions WHERE model_id = ?)`,
			`DELETE FROM mw_reg_versions WHERE model_id = ?`,
			`DELETE FROM mw_reg_model_tags WHERE model_id = ?`,
			`DELETE FROM mw_reg_grams WHERE model_id = ?`,
			`DELETE FROM mw_reg_models WHERE id = ?`,
		} {
			if _, err := tx.ExecContext(ctx, text, m.id); err != nil {
				return err
			}
		}
		tx.append(m.id, &registry.Entry{Kind: registry.KindPurge, Time: purgeTime(), Name: name, By: by})
		return nil
	})
}

const (
	// collectLock is the key of the advisory lock in PostgreSQL that uploads
	// share and collectors have alone: neither sees what the other is about to
	// write.
	collectLock = 7_730_921_552_027
	// inheritAtOnce is how many marks of dead collectors pass on in one call.
	inheritAtOnce = 500
)

func (w *writing) collectorLock(ctx context.Context, how string) error {
	if w.Dialect() != sqldb.Postgres {
		return nil // the transaction has the whole file
	}
	_, err := w.ExecContext(ctx, `SELECT pg_advisory_xact_lock`+how+`(?)`, int64(collectLock))
	return err
}

// digests reads a column of texts.
func (w *writing) digests(ctx context.Context, query string, args ...any) (out []string, err error) {
	err = eachRow(ctx, w.Tx, query, args, func(rows *sql.Rows) error {
		var digest string
		err := rows.Scan(&digest)
		out = append(out, digest)
		return err
	})
	return out, err
}

// endLeases forgets leases.
func (w *writing) endLeases(ctx context.Context, tokens ...string) error {
	list := w.Dialect().Texts(tokens)
	_, err := w.ExecContext(ctx, `DELETE FROM mw_reg_lease_digests WHERE `+w.Dialect().In("token"), list)
	if err == nil {
		_, err = w.ExecContext(ctx, `DELETE FROM mw_reg_leases WHERE `+w.Dialect().In("token"), list)
	}
	return err
}

// takeLease ends the lease of an upload whose version names the files.
// ErrConflict when the lease does not hold them any more. The row is locked
// first, as Condemn does: whoever comes second sees what the other did.
func (w *writing) takeLease(ctx context.Context, token string, files []registry.File) error {
	digests := make([]string, len(files))
	for i, f := range files {
		digests[i] = f.SHA256
	}
	digests = distinct(digests)
	var found, held int
	err := w.QueryRowContext(ctx, `SELECT 1 FROM mw_reg_leases WHERE token = ?`+w.Dialect().Lock(), token).Scan(&found)
	if err == nil {
		err = w.QueryRowContext(ctx, `SELECT COUNT(*) FROM mw_reg_lease_digests WHERE token = ? AND `+w.Dialect().In("digest"),
			token, w.Dialect().Texts(digests)).Scan(&held)
	}
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && held < len(digests):
		return fmt.Errorf("the upload was held up until its lease ended, and a collection may have taken its objects: register again: %w", registry.ErrConflict)
	case err != nil:
		return err
	}
	return w.endLeases(ctx, token)
}

// Lease implements registry.Collector.
func (s *Store) Lease(ctx context.Context, token string, digests []string, until time.Time) (condemned []string, err error) {
	list := s.dialect.Texts(distinct(digests))
	err = s.write(ctx, func(tx *writing) (err error) {
		if err := tx.collectorLock(ctx, "_shared"); err != nil {
			return err
		}
		condemned, err = tx.digests(ctx, `SELECT digest FROM mw_reg_condemned WHERE `+s.dialect.In("digest")+` ORDER BY digest`, list)
		if err != nil || len(condemned) > 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO mw_reg_leases (token, until_us) VALUES (?, ?)
			ON CONFLICT (token) DO UPDATE SET until_us = excluded.until_us`, token, micros(until))
		if err == nil {
			_, err = tx.ExecContext(ctx, `
				INSERT INTO mw_reg_lease_digests (token, digest) SELECT CAST(? AS text), x.value FROM `+s.dialect.EachText("x")+` WHERE 1 = 1
				ON CONFLICT (token, digest) DO NOTHING`, token, list)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return condemned, nil
}

// Condemn implements registry.Collector.
func (s *Store) Condemn(ctx context.Context, token string, digests []string, now, until time.Time) (doomed []string, err error) {
	list := s.dialect.Texts(distinct(digests))
	err = s.write(ctx, func(tx *writing) (err error) {
		if err := tx.collectorLock(ctx, ""); err != nil {
			return err
		}
		ended, err := tx.digests(ctx, `SELECT token FROM mw_reg_leases WHERE until_us <= ? ORDER BY token`+tx.Dialect().Lock(), micros(now))
		if err == nil {
			err = tx.endLeases(ctx, ended...)
		}
		if err != nil {
			return err
		}
		// One statement, and so one state: a version takes over from its lease
		// in one transaction, and is seen with the lease or without.
		doomed, err = tx.digests(ctx, `
			SELECT x.value FROM `+s.dialect.EachText("x")+` WHERE
				NOT EXISTS (SELECT 1 FROM mw_reg_files f WHERE f.digest = x.value)
				AND NOT EXISTS (SELECT 1 FROM mw_reg_condemned c WHERE c.digest = x.value)
				AND NOT EXISTS (
					SELECT 1 FROM mw_reg_lease_digests d JOIN mw_reg_leases l ON l.token = d.token
					WHERE d.digest = x.value AND l.until_us > ?)`, list, micros(now))
		if err != nil {
			return err
		}
		inherited, err := tx.digests(ctx, `SELECT digest FROM mw_reg_condemned WHERE until_us < ? ORDER BY until_us, digest LIMIT ?`,
			micros(now), inheritAtOnce)
		if err != nil {
			return err
		}
		doomed = append(doomed, inherited...)
		if len(doomed) == 0 {
			return nil
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO mw_reg_condemned (digest, token, until_us)
			SELECT x.value, CAST(? AS text), CAST(? AS bigint) FROM `+s.dialect.EachText("x")+` WHERE 1 = 1
			ON CONFLICT (digest) DO UPDATE SET token = excluded.token, until_us = excluded.until_us`,
			token, micros(until), s.dialect.Texts(doomed))
		return err
	})
	if err != nil {
		return nil, err
	}
	return doomed, nil
}

// Cleared implements registry.Collector.
func (s *Store) Cleared(ctx context.Context, token string, digests []string) error {
	return s.write(ctx, func(tx *writing) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM mw_reg_condemned WHERE token = ? AND `+s.dialect.In("digest"),
			token, s.dialect.Texts(distinct(digests)))
		return err
	})
}

// distinct sorts a copy, which also keeps transactions from locking rows in
// different orders.
func distinct(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	out = slices.Compact(out)
	if out == nil {
		out = []string{}
	}
	return out
}
