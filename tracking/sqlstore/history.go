package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/millwright-ml/millwright/tracking"
)

// pointRow is a point as its columns hold it.
type pointRow struct {
	key        int64
	tsMS, step int64
	value      float64
	isNaN      int64
}

func newPointRow(key int64, m *tracking.Metric) pointRow {
	p := pointRow{key: key, tsMS: m.Time.UnixMilli(), step: m.Step, value: m.Value + 0} // + 0 makes negative zero zero
	if math.IsNaN(m.Value) {
		p.value, p.isNaN = 0, 1
	}
	return p
}

func (p pointRow) metric(key string) tracking.Metric {
	m := tracking.Metric{Key: key, Value: p.value, Step: p.step, Time: fromMS(p.tsMS)}
	if p.isNaN != 0 {
		m.Value = math.NaN()
	}
	return m
}

// History implements tracking.Store.
func (s *Store) History(ctx context.Context, id tracking.RunID, key string, p tracking.Page) ([]tracking.Metric, string, error) {
	points, next, err := s.history(ctx, id, key, p)
	if err != nil {
		return nil, "", fmt.Errorf("tracking/sqlstore: history of %q of run %q: %w", key, id, err)
	}
	return points, next, nil
}

func (s *Store) history(ctx context.Context, id tracking.RunID, key string, p tracking.Page) (points []tracking.Metric, next string, err error) {
	cursor, err := parseHistoryCursor(p.Token, string(id), key)
	if err != nil {
		return nil, "", err
	}
	size := pageSize(p, defaultPoints, maxPoints)
	var last pointRow
	err = s.db.View(ctx, func(tx *sql.Tx) error {
		var run int64
		err := tx.QueryRowContext(ctx, `SELECT id FROM mw_run WHERE run_id = ?`, string(id)).Scan(&run)
		if errors.Is(err, sql.ErrNoRows) {
			return errNoRun()
		}
		if err != nil {
			return err
		}
		query := `SELECT ts_ms, step, value, is_nan FROM mw_metric
			WHERE run = ? AND key = (SELECT id FROM mw_key WHERE key = ?)
			AND (ts_ms, step, value, is_nan) > (?, ?, ?, ?)
			ORDER BY ts_ms, step, value, is_nan LIMIT ?`
		args := []any{run, key, cursor.tsMS, cursor.step, cursor.value, cursor.isNaN, size + 1}
		return eachRow(ctx, tx, query, args, func(rows *sql.Rows) error {
			var row pointRow
			if err := rows.Scan(&row.tsMS, &row.step, &row.value, &row.isNaN); err != nil {
				return err
			}
			if len(points) == size {
				next = historyCursor{tsMS: last.tsMS, step: last.step, value: last.value, isNaN: last.isNaN}.token(string(id), key)
				return nil
			}
			last = row
			points = append(points, row.metric(key))
			return nil
		})
	})
	if err != nil {
		return nil, "", err
	}
	return points, next, nil
}
