package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
)

// unknownExperiment is the row id of none.
const unknownExperiment int64 = -1

func parseExperimentID(id tracking.ExperimentID) int64 {
	n, err := strconv.ParseInt(string(id), 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != string(id) {
		return unknownExperiment
	}
	return n
}

func formatExperimentID(n int64) tracking.ExperimentID {
	return tracking.ExperimentID(strconv.FormatInt(n, 10))
}

// CreateExperiment implements tracking.Store. An ID that is given must be a
// decimal number.
func (s *Store) CreateExperiment(ctx context.Context, e tracking.Experiment) (tracking.Experiment, error) {
	out, err := s.createExperiment(ctx, e)
	if err != nil {
		return tracking.Experiment{}, fmt.Errorf("tracking/sqlstore: create experiment %q: %w", e.Name, err)
	}
	return out, nil
}

func (s *Store) createExperiment(ctx context.Context, e tracking.Experiment) (tracking.Experiment, error) {
	id := parseExperimentID(e.ID)
	if e.ID != "" && id == unknownExperiment {
		return e, fmt.Errorf("its ID %q is no decimal number: %w", e.ID, tracking.ErrInvalid)
	}
	if e.Created.IsZero() {
		e.Created = time.Now()
	}
	if e.Updated.IsZero() {
		e.Updated = e.Created
	}
	var out tracking.Experiment
	err := s.db.Tx(ctx, func(tx *sqldb.Tx) error {
		row, location := id, e.ArtifactLocation
		if e.ID != "" {
			taken := 0
			if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM mw_experiment WHERE id = ?`, id).Scan(&taken); err != nil {
				return err
			}
			if taken > 0 {
				return fmt.Errorf("the ID is taken: %w", tracking.ErrExists)
			}
		}
		if err := s.insertExperiment(ctx, tx, &row, e); err != nil {
			return err
		}
		if location == "" {
			location = s.root + "/" + strconv.FormatInt(row, 10)
			if _, err := tx.ExecContext(ctx, `UPDATE mw_experiment SET artifact_location = ? WHERE id = ?`, location, row); err != nil {
				return err
			}
		}
		if err := setExperimentTags(ctx, tx, row, e.Tags); err != nil {
			return err
		}
		out = tracking.Experiment{
			ID: formatExperimentID(row), Name: e.Name, ArtifactLocation: location, Tags: map[string]string{},
			Created: fromMS(e.Created.UnixMilli()), Updated: fromMS(e.Updated.UnixMilli()),
		}
		maps.Copy(out.Tags, e.Tags)
		return nil
	})
	return out, err
}

// insertExperiment writes the row with the given id, or allocates one when it
// is unknownExperiment.
func (s *Store) insertExperiment(ctx context.Context, tx *sqldb.Tx, row *int64, e tracking.Experiment) error {
	head, values := `INSERT INTO mw_experiment (name, artifact_location, created_ms, updated_ms`, `) VALUES (?, ?, ?, ?`
	args := []any{e.Name, e.ArtifactLocation, e.Created.UnixMilli(), e.Updated.UnixMilli()}
	given := *row != unknownExperiment
	if given {
		head, values, args = head+`, id`, values+`, ?`, append(args, *row)
	}
	err := tx.QueryRowContext(ctx, head+values+`) ON CONFLICT (name) DO NOTHING RETURNING id`, args...).Scan(row)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("the name is taken: %w", tracking.ErrExists)
	case sqldb.IsUnique(err):
		return fmt.Errorf("the ID is taken: %w", tracking.ErrExists)
	case err != nil || !given || s.dialect != sqldb.Postgres:
		return err
	}
	// A sequence does not notice what was inserted past it.
	_, err = tx.ExecContext(ctx, `
		SELECT setval(pg_get_serial_sequence('mw_experiment', 'id'), greatest(CAST(? AS bigint), 1))
		WHERE CAST(? AS bigint) >= (SELECT last_value FROM mw_experiment_id_seq)`, *row, *row)
	return err
}

func setExperimentTags(ctx context.Context, tx *sqldb.Tx, row int64, tags map[string]string) error {
	var args []any
	for _, key := range sortedKeys(tags) {
		args = append(args, row, key, tags[key])
	}
	return insertRows(ctx, tx, `INSERT INTO mw_experiment_tag (experiment, key, value)`,
		`ON CONFLICT (experiment, key) DO UPDATE SET value = excluded.value`, 3, args)
}

// UpdateExperiment implements tracking.Store. As in MLflow a change of tags
// alone is no update of the experiment.
func (s *Store) UpdateExperiment(ctx context.Context, id tracking.ExperimentID, u tracking.ExperimentUpdate) error {
	err := s.db.Tx(ctx, func(tx *sqldb.Tx) error {
		return s.updateExperiment(ctx, tx, parseExperimentID(id), u)
	})
	if err != nil {
		return fmt.Errorf("tracking/sqlstore: update experiment %q: %w", id, err)
	}
	return nil
}

func (s *Store) updateExperiment(ctx context.Context, tx *sqldb.Tx, row int64, u tracking.ExperimentUpdate) error {
	var deleted sql.NullInt64
	err := tx.QueryRowContext(ctx, `SELECT deleted_ms FROM mw_experiment WHERE id = ?`+s.dialect.Lock(), row).Scan(&deleted)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("there is no such experiment: %w", tracking.ErrNotFound)
	}
	if err != nil {
		return err
	}
	remove, restore := u.Deleted != nil && *u.Deleted, u.Deleted != nil && !*u.Deleted
	if deleted.Valid && remove && u.Name == "" && len(u.SetTags) == 0 && len(u.DeleteTags) == 0 {
		return nil // deleting again does nothing
	}
	if deleted.Valid && !restore {
		return errNotActive("the experiment")
	}
	now := time.Now().UnixMilli()
	if u.Name != "" {
		if err := renameExperiment(ctx, tx, row, u.Name, now); err != nil {
			return err
		}
	}
	if err := setExperimentTags(ctx, tx, row, u.SetTags); err != nil {
		return err
	}
	for _, key := range u.DeleteTags {
		result, err := tx.ExecContext(ctx, `DELETE FROM mw_experiment_tag WHERE experiment = ? AND key = ?`, row, key)
		if err := oneRow(result, err, fmt.Sprintf("it has no tag %q", key)); err != nil {
			return err
		}
	}
	switch {
	case remove && !deleted.Valid:
		return deleteExperiment(ctx, tx, row, now)
	case restore && deleted.Valid:
		return restoreExperiment(ctx, tx, row, deleted.Int64, now)
	}
	return nil
}

func renameExperiment(ctx context.Context, tx *sqldb.Tx, row int64, name string, now int64) error {
	taken := 0
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM mw_experiment WHERE name = ? AND id <> ?`, name, row).Scan(&taken); err != nil {
		return err
	}
	if taken > 0 {
		return fmt.Errorf("the name %q is taken: %w", name, tracking.ErrExists)
	}
	_, err := tx.ExecContext(ctx, `UPDATE mw_experiment SET name = ?, updated_ms = ? WHERE id = ?`, name, now, row)
	if sqldb.IsUnique(err) { // by somebody else at this moment
		return fmt.Errorf("the name %q is taken: %w", name, tracking.ErrExists)
	}
	return err
}

// deleteExperiment deletes the experiment and its active runs at one moment,
// one at which no run of it was deleted before: that tells later which runs
// went with it.
func deleteExperiment(ctx context.Context, tx *sqldb.Tx, row, now int64) error {
	var last sql.NullInt64
	err := tx.QueryRowContext(ctx, `SELECT MAX(deleted_ms) FROM mw_run WHERE experiment_id = ?`, row).Scan(&last)
	if err != nil {
		return err
	}
	at := max(now, last.Int64+1)
	if _, err := tx.ExecContext(ctx, `UPDATE mw_experiment SET deleted_ms = ?, updated_ms = ? WHERE id = ?`, at, now, row); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE mw_run SET deleted_ms = ? WHERE experiment_id = ? AND deleted_ms IS NULL`, at, row)
	return err
}

func restoreExperiment(ctx context.Context, tx *sqldb.Tx, row, deletedMS, now int64) error {
	if _, err := tx.ExecContext(ctx, `UPDATE mw_experiment SET deleted_ms = NULL, updated_ms = ? WHERE id = ?`, now, row); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE mw_run SET deleted_ms = NULL WHERE experiment_id = ? AND deleted_ms = ?`, row, deletedMS)
	return err
}

// oneRow is ErrNotFound, with the cause, when a statement changed nothing.
func oneRow(result sql.Result, err error, cause string) error {
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return fmt.Errorf("%s: %w", cause, tracking.ErrNotFound)
}

// activeExperiment returns the artifact location of an experiment that takes
// new runs and models.
func activeExperiment(ctx context.Context, tx *sqldb.Tx, id tracking.ExperimentID) (row int64, location string, err error) {
	var deleted sql.NullInt64
	row = parseExperimentID(id)
	err = tx.QueryRowContext(ctx, `SELECT artifact_location, deleted_ms FROM mw_experiment WHERE id = ?`, row).Scan(&location, &deleted)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		err = fmt.Errorf("there is no experiment %q: %w", id, tracking.ErrNotFound)
	case err == nil && deleted.Valid:
		err = errNotActive(fmt.Sprintf("experiment %q", id))
	}
	return row, location, err
}
