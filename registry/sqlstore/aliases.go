package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/registry"
)

// MoveAlias implements registry.Store.
func (s *Store) MoveAlias(ctx context.Context, m registry.Move, expect int) (registry.Move, error) {
	err := s.db.Tx(ctx, func(tx *sqldb.Tx) error {
		m.Seq, m.From = 0, 0
		var model, target, at sql.NullInt64
		err := tx.QueryRowContext(ctx, `
			SELECT m.id,
				(SELECT v.number FROM mw_reg_versions v WHERE v.model_id = m.id AND v.number = ?2),
				(SELECT a.number FROM mw_reg_aliases a WHERE a.model_id = m.id AND a.alias = ?3)
			FROM mw_reg_models m WHERE m.name = ?1`, m.Name, m.To, m.Alias).Scan(&model, &target, &at)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if m.To != 0 && !target.Valid {
			return registry.ErrNotFound
		}
		m.From = int(at.Int64)
		switch {
		case expect != -1 && expect != m.From:
			return fmt.Errorf("the alias is at %d, not at %d: %w", m.From, expect, registry.ErrConflict)
		case m.From == m.To:
			return nil
		case m.To == 0:
			_, err = tx.ExecContext(ctx, `DELETE FROM mw_reg_aliases WHERE model_id = ? AND alias = ?`, model, m.Alias)
		default:
			_, err = tx.ExecContext(ctx, `
				INSERT INTO mw_reg_aliases (model_id, alias, number, moved_us) VALUES (?, ?, ?, ?)
				ON CONFLICT (model_id, alias) DO UPDATE SET number = excluded.number, moved_us = excluded.moved_us`,
				model, m.Alias, m.To, micros(m.Time))
		}
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `
			INSERT INTO mw_reg_moves (model_id, alias, moved_us, from_number, to_number, moved_by, reason, evidence)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq`,
			model, m.Alias, micros(m.Time), m.From, m.To, m.By, m.Reason, text(m.Evidence)).Scan(&m.Seq)
	})
	return m, err
}

const selectAlias = `
	SELECT a.alias, a.number, a.moved_us
	FROM mw_reg_models m JOIN mw_reg_aliases a ON a.model_id = m.id
	WHERE m.name = ? AND a.alias = ?`

// Alias implements registry.Store.
func (s *Store) Alias(ctx context.Context, name, alias string) (registry.Alias, error) {
	a, err := scanAlias(s.alias.QueryRowContext(ctx, name, alias))
	if errors.Is(err, sql.ErrNoRows) {
		return registry.Alias{}, registry.ErrNotFound
	}
	return a, s.explain(ctx, err)
}

// Aliases implements registry.Store.
func (s *Store) Aliases(ctx context.Context, name, after string, limit int) ([]registry.Alias, error) {
	return page(ctx, s,
		func(rows *sql.Rows) (registry.Alias, error) { return scanAlias(rows) }, `
		SELECT a.alias, a.number, a.moved_us
		FROM mw_reg_models m JOIN mw_reg_aliases a ON a.model_id = m.id
		WHERE m.name = ? AND a.alias > ? ORDER BY a.alias LIMIT ?`, name, after, limit)
}

func scanAlias(row scanner) (a registry.Alias, err error) {
	var us int64
	err = row.Scan(&a.Alias, &a.Number, &us)
	a.Moved = fromMicros(us)
	return a, err
}

// History implements registry.Store.
func (s *Store) History(ctx context.Context, name, alias string, before int64, limit int) ([]registry.Move, error) {
	// Two texts, so that each is answered in order by its own index.
	query := `
		SELECT h.seq, h.alias, h.moved_us, h.from_number, h.to_number, h.moved_by, h.reason, h.evidence
		FROM mw_reg_models m JOIN mw_reg_moves h ON h.model_id = m.id
		WHERE m.name = ?1 AND (?2 = 0 OR h.seq < ?2)`
	args := []any{name, before, limit}
	if alias != "" {
		query += ` AND h.alias = ?4`
		args = append(args, alias)
	}
	return page(ctx, s,
		func(rows *sql.Rows) (registry.Move, error) {
			m := registry.Move{Name: name}
			var us int64
			var evidence sql.NullString
			err := rows.Scan(&m.Seq, &m.Alias, &us, &m.From, &m.To, &m.By, &m.Reason, &evidence)
			m.Time = fromMicros(us)
			if evidence.Valid {
				m.Evidence = json.RawMessage(evidence.String)
			}
			return m, err
		}, query+` ORDER BY h.seq DESC LIMIT ?3`, args...)
}
