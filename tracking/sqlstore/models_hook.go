package sqlstore

import (
	"context"
	"fmt"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
)

// The funcs here are where the part of this package that keeps runs calls the
// one that keeps logged models and traces.

// purgeRunLinks removes what models and traces keep under the row ids of runs
// that are purged in tx. What a run measured of a model stays the model's.
func (s *Store) purgeRunLinks(ctx context.Context, tx *sqldb.Tx, rows []int64) error {
	_, err := tx.ExecContext(ctx, `
		DELETE FROM mw_trace_run WHERE run IN (SELECT r.run_id FROM mw_run r WHERE `+s.dialect.In("r.id")+`)`, s.dialect.Ints(rows))
	return err
}

// purgeExperimentLinks removes the traces of an experiment, by its row id,
// that is purged in tx. ErrConflict while it has logged models.
func (s *Store) purgeExperimentLinks(ctx context.Context, tx *sqldb.Tx, experiment int64) error {
	models := false
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM mw_model WHERE experiment_id = ?)`, experiment).Scan(&models)
	if err != nil {
		return err
	}
	if models {
		return fmt.Errorf("it has logged models, purge them first: %w", tracking.ErrConflict)
	}
	const atOnce = 1000
	for {
		rows, err := s.rowIDs(ctx, tx, `SELECT id FROM mw_trace WHERE experiment_id = ? ORDER BY id LIMIT ?`, experiment, atOnce)
		if err != nil {
			return err
		}
		if n, err := s.removeTraces(ctx, tx, rows); err != nil || n < atOnce {
			return err
		}
	}
}
