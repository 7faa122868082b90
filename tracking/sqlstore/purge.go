package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
)

// purgeAtOnce is the number of runs of one transaction: others wait for it.
const purgeAtOnce = 50

// PurgeRuns implements tracking.Purger. It takes some runs at a time, so after
// an error part of them may be gone, which the number says.
func (s *Store) PurgeRuns(ctx context.Context, ids []tracking.RunID) (int, error) {
	purged := 0
	for part := range slices.Chunk(ids, purgeAtOnce) {
		n := 0
		err := s.db.TxAlone(ctx, func(tx *sqldb.Tx) (err error) {
			n, err = s.purgeRuns(ctx, tx, part)
			return err
		})
		if err != nil {
			return purged, fmt.Errorf("tracking/sqlstore: purge runs: %w", err)
		}
		purged += n
	}
	return purged, nil
}

func (s *Store) purgeRuns(ctx context.Context, tx *sqldb.Tx, ids []tracking.RunID) (int, error) {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	var rows []int64
	err := eachRow(ctx, tx, `SELECT id FROM mw_run WHERE deleted_ms IS NOT NULL AND `+s.dialect.In("run_id")+` ORDER BY id`+s.wholeLock(),
		[]any{s.dialect.Texts(names)}, func(r *sql.Rows) error {
			var row int64
			err := r.Scan(&row)
			rows = append(rows, row)
			return err
		})
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	var datasets []int64
	err = eachRow(ctx, tx, `SELECT DISTINCT dataset FROM mw_input WHERE `+s.dialect.In("run"), []any{s.dialect.Ints(rows)}, func(r *sql.Rows) error {
		var id int64
		err := r.Scan(&id)
		datasets = append(datasets, id)
		return err
	})
	if err != nil {
		return 0, err
	}
	if err := s.purgeRunLinks(ctx, tx, rows); err != nil {
		return 0, err
	}
	for _, table := range []string{"mw_metric_log", "mw_metric_block", "mw_latest", "mw_param", "mw_tag", "mw_input", "mw_run_model"} {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE `+s.dialect.In("run"), s.dialect.Ints(rows)); err != nil {
			return 0, err
		}
	}
	// What no other run read is of no use any more.
	_, err = tx.ExecContext(ctx, `
		DELETE FROM mw_dataset WHERE `+s.dialect.In("id")+` AND NOT EXISTS (SELECT 1 FROM mw_input i WHERE i.dataset = mw_dataset.id)`,
		s.dialect.Ints(datasets))
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM mw_run WHERE `+s.dialect.In("id"), s.dialect.Ints(rows))
	return len(rows), err
}

// wholeLock is appended to the SELECT of rows that are about to go: nobody may
// refer to them any more.
func (s *Store) wholeLock() string {
	if s.dialect == sqldb.Postgres {
		return " FOR UPDATE"
	}
	return ""
}

// PurgeExperiment implements tracking.Purger.
func (s *Store) PurgeExperiment(ctx context.Context, id tracking.ExperimentID) error {
	err := s.db.TxAlone(ctx, func(tx *sqldb.Tx) error { return s.purgeExperiment(ctx, tx, parseExperimentID(id)) })
	if err != nil {
		return fmt.Errorf("tracking/sqlstore: purge experiment %q: %w", id, err)
	}
	return nil
}

func (s *Store) purgeExperiment(ctx context.Context, tx *sqldb.Tx, row int64) error {
	var deleted sql.NullInt64
	err := tx.QueryRowContext(ctx, `SELECT deleted_ms FROM mw_experiment WHERE id = ?`+s.wholeLock(), row).Scan(&deleted)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("there is no such experiment: %w", tracking.ErrNotFound)
	case err != nil:
		return err
	case !deleted.Valid:
		return fmt.Errorf("it is active, delete it first: %w", tracking.ErrInvalid)
	}
	runs := false
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM mw_run WHERE experiment_id = ?)`, row).Scan(&runs); err != nil {
		return err
	}
	if runs {
		return fmt.Errorf("it has runs, purge them first: %w", tracking.ErrConflict)
	}
	// Logged models and traces.
	if err := s.purgeExperimentLinks(ctx, tx, row); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM mw_experiment_tag WHERE experiment = ?`, row); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM mw_experiment WHERE id = ?`, row)
	return err
}
