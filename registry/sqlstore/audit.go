package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/internal/sqlsearch"
	"github.com/millwright-ml/millwright/registry"
)

// Record implements registry.Store.
func (s *Store) Record(ctx context.Context, e registry.Entry, expect int) (registry.Entry, error) {
	e.Evidence = append(json.RawMessage(nil), e.Evidence...)
	var out registry.Entry
	err := s.write(ctx, func(tx *writing) error {
		out = e
		model, err := tx.lockActive(ctx, e.Name)
		unknown := errors.Is(err, registry.ErrNotFound)
		if err != nil && !unknown {
			return err
		}
		if !e.Kind.Moves() {
			if !unknown {
				tx.append(model, &out)
			}
			return err
		}
		return tx.move(ctx, model, &out, expect, unknown)
	})
	if err != nil && !errors.Is(err, registry.ErrConflict) {
		return registry.Entry{}, err
	}
	return out, err
}

// move sets or deletes the alias of e and fills in where it was.
func (w *writing) move(ctx context.Context, model int64, e *registry.Entry, expect int, unknown bool) error {
	e.From, e.Seq = 0, 0
	if e.To != 0 {
		var n int
		err := w.QueryRowContext(ctx, `SELECT COUNT(*) FROM mw_reg_versions WHERE model_id = ? AND number = ? AND deleted_us IS NULL`,
			model, e.To).Scan(&n)
		if err == nil && (n == 0 || unknown) {
			err = registry.ErrNotFound
		}
		if err != nil {
			return err
		}
	}
	if !unknown {
		err := w.QueryRowContext(ctx, `SELECT number FROM mw_reg_aliases WHERE model_id = ? AND alias = ?`, model, e.Alias).Scan(&e.From)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	var err error
	switch {
	case expect != -1 && expect != e.From:
		return fmt.Errorf("the alias is at %d, not at %d: %w", e.From, expect, registry.ErrConflict)
	case e.From == e.To:
		return nil
	case e.To == 0:
		_, err = w.ExecContext(ctx, `DELETE FROM mw_reg_aliases WHERE model_id = ? AND alias = ?`, model, e.Alias)
	default:
		_, err = w.ExecContext(ctx, `
			INSERT INTO mw_reg_aliases (model_id, alias, number, moved_us) VALUES (?, ?, ?, ?)
			ON CONFLICT (model_id, alias) DO UPDATE SET number = excluded.number, moved_us = excluded.moved_us`,
			model, e.Alias, e.To, micros(e.Time))
	}
	if err != nil {
		return err
	}
	w.append(model, e)
	if e.To == 0 {
		return w.tellUnaliased(ctx, model, e.Name, e.Time, e.Alias)
	}
	subject, ok, err := w.subject(ctx, model, e.Name)
	if ok {
		w.tell(e.Time, subject.AliasSet(e.Alias, e.To))
	}
	return err
}

// Aliases implements registry.Store.
func (s *Store) Aliases(ctx context.Context, name, alias, after string, limit int) (page []registry.Alias, err error) {
	query := `
		SELECT a.alias, a.number, a.moved_us FROM mw_reg_models m JOIN mw_reg_aliases a ON a.model_id = m.id
		WHERE m.name = ? AND m.deleted_us IS NULL AND a.alias > ?`
	args := []any{name, after, limit}
	if alias != "" {
		query += ` AND a.alias = ?`
		args = []any{name, after, alias, limit}
	}
	err = s.read(ctx, func(tx *sqldb.Tx) error {
		page = nil
		return eachRow(ctx, tx, query+` ORDER BY a.alias LIMIT ?`, args, func(rows *sql.Rows) error {
			var a registry.Alias
			var moved int64
			err := rows.Scan(&a.Alias, &a.Number, &moved)
			a.Moved = fromMicros(moved)
			page = append(page, a)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// Audit implements registry.Store.
func (s *Store) Audit(ctx context.Context, q registry.AuditQuery) (page []registry.Entry, err error) {
	read := s.read
	if q.Name != "" {
		read = s.db.View // two statements
	}
	err = read(ctx, func(tx *sqldb.Tx) error {
		page = nil
		query, err := s.auditQuery(ctx, tx, q)
		if err != nil {
			return err
		}
		return eachRow(ctx, tx, query.Text, query.Args, func(rows *sql.Rows) error {
			var e registry.Entry
			var at int64
			var evidence sql.NullString
			err := rows.Scan(&e.Seq, &e.Kind, &at, &e.Name, &e.Alias, &e.From, &e.To, &e.By, &e.Reason, &evidence, &e.Prev, &e.Hash)
			e.Time = fromMicros(at)
			if evidence.Valid {
				e.Evidence = json.RawMessage(evidence.String)
			}
			page = append(page, e)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// auditQuery is a text of few forms, each answered in order by an index.
func (s *Store) auditQuery(ctx context.Context, tx *sqldb.Tx, q registry.AuditQuery) (sqlsearch.Fragment, error) {
	var query sqlsearch.Statement
	query.Write(`SELECT seq, kind, time_us, name, alias, from_number, to_number, made_by, reason, evidence, prev, hash FROM mw_reg_audit WHERE 1 = 1`)
	if q.Name != "" {
		// A model that is there, and those that had the name when they were
		// purged.
		var models []int64
		err := eachRow(ctx, tx, `SELECT id FROM mw_reg_models WHERE name = ?1 UNION ALL SELECT model_id FROM mw_reg_purged WHERE name = ?1`,
			[]any{q.Name}, func(rows *sql.Rows) error {
				var id int64
				err := rows.Scan(&id)
				models = append(models, id)
				return err
			})
		if err != nil {
			return sqlsearch.Fragment{}, err
		}
		if len(models) == 1 {
			query.Write(` AND model_id = ?`, models[0])
		} else {
			query.Write(` AND `+s.dialect.In("model_id"), s.dialect.Ints(models))
		}
	}
	if q.Alias != "" {
		query.Write(` AND alias = ?`, q.Alias)
	}
	if q.Kind != "" {
		query.Write(` AND kind = ?`, string(q.Kind))
	}
	if q.To != 0 {
		query.Write(` AND to_number = ?`, q.To)
	}
	switch {
	case !q.Backward:
		query.Write(` AND seq >= ? ORDER BY seq LIMIT ?`, q.From, q.Limit)
	case q.From == 0:
		query.Write(` ORDER BY seq DESC LIMIT ?`, q.Limit)
	default:
		query.Write(` AND seq <= ? ORDER BY seq DESC LIMIT ?`, q.From, q.Limit)
	}
	return query.Fragment(), nil
}
