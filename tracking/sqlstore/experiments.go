package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
)

// Sizes of pages: what a caller gets who names none, and the most.
const (
	defaultRuns, maxRuns           = 100, 1000
	defaultPoints, maxPoints       = 1000, 25_000
	defaultNames, maxNames         = 100, 1000
	maxEntriesOnPage               = 20_000 // params, tags and metrics of a page of runs together
	unknownExperiment        int64 = -1
)

// pageSize resolves Page.Max.
func pageSize(p tracking.Page, byDefault, limit int) int {
	if p.Max <= 0 {
		return byDefault
	}
	return min(p.Max, limit)
}

func parseExperimentID(id tracking.ExperimentID) int64 {
	n, err := strconv.ParseInt(string(id), 10, 64)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != string(id) {
		return unknownExperiment
	}
	return n
}

func formatExperimentID(n int64) tracking.ExperimentID {
	return tracking.ExperimentID(strconv.FormatInt(n, 10))
}

func fromMS(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// CreateExperiment implements tracking.Store.
func (s *Store) CreateExperiment(ctx context.Context, e tracking.Experiment) (tracking.Experiment, error) {
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		var id int64
		err := tx.QueryRowContext(ctx, `INSERT INTO mw_experiment (name, created_ms) VALUES (?, ?) RETURNING id`,
			e.Name, e.Created.UnixMilli()).Scan(&id)
		if sqldb.IsUnique(err) {
			return fmt.Errorf("the name is taken: %w", tracking.ErrExists)
		}
		e.ID = formatExperimentID(id)
		return err
	})
	if err != nil {
		return tracking.Experiment{}, fmt.Errorf("tracking/sqlstore: create experiment %q: %w", e.Name, err)
	}
	e.Created = fromMS(e.Created.UnixMilli())
	return e, nil
}

// Experiments implements tracking.Store.
func (s *Store) Experiments(ctx context.Context, q tracking.ExperimentQuery) ([]tracking.Experiment, string, error) {
	page, next, err := s.experiments(ctx, q)
	if err != nil {
		return nil, "", fmt.Errorf("tracking/sqlstore: list experiments: %w", err)
	}
	return page, next, nil
}

func (s *Store) experiments(ctx context.Context, q tracking.ExperimentQuery) (page []tracking.Experiment, next string, err error) {
	cursor, err := parseExperimentCursor(q.Page.Token, q.Name)
	if err != nil {
		return nil, "", err
	}
	query := `SELECT id, name, created_ms FROM mw_experiment WHERE id > ?1 ORDER BY id LIMIT ?2`
	args := []any{cursor.id, pageSize(q.Page, defaultNames, maxNames) + 1}
	if q.Name != "" {
		query = `SELECT id, name, created_ms FROM mw_experiment WHERE id > ?1 AND name = ?3 ORDER BY id LIMIT ?2`
		args = append(args, q.Name)
	}
	err = s.db.View(ctx, func(tx *sql.Tx) error {
		return eachRow(ctx, tx, query, args, func(rows *sql.Rows) error {
			var id, created int64
			var e tracking.Experiment
			if err := rows.Scan(&id, &e.Name, &created); err != nil {
				return err
			}
			e.ID, e.Created, cursor.id = formatExperimentID(id), fromMS(created), id
			page = append(page, e)
			return nil
		})
	})
	if err != nil {
		return nil, "", err
	}
	if size := args[1].(int) - 1; len(page) > size {
		page = page[:size]
		next = experimentCursor{id: parseExperimentID(page[size-1].ID)}.token(q.Name)
	}
	return page, next, nil
}

// eachRow runs a query and hands every row to scan. The rows are few: all
// queries are bounded.
func eachRow(ctx context.Context, tx *sql.Tx, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	return drainRows(rows, scan)
}

func drainRows(rows *sql.Rows, scan func(*sql.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
