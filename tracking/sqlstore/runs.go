package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
)

// CreateRun implements tracking.Store.
func (s *Store) CreateRun(ctx context.Context, r tracking.RunInfo) (tracking.RunInfo, error) {
	out, err := s.createRun(ctx, r)
	if err != nil {
		return tracking.RunInfo{}, fmt.Errorf("tracking/sqlstore: create run %q: %w", r.ID, err)
	}
	return out, nil
}

func (s *Store) createRun(ctx context.Context, r tracking.RunInfo) (tracking.RunInfo, error) {
	keys, err := s.pairIDs(ctx, sortedKeys(r.Tags))
	if err != nil {
		return r, err
	}
	var uri string
	err = s.db.Tx(ctx, func(tx *sqldb.Tx) error {
		experiment, location, err := activeExperiment(ctx, tx, r.Experiment)
		if err != nil {
			return err
		}
		uri = cmp.Or(r.ArtifactURI, location+"/"+string(r.ID)+"/artifacts")
		w := batchWriter{store: s, tx: tx, keys: keys, id: r.ID}
		err = tx.QueryRowContext(ctx, `
			INSERT INTO mw_run (run_id, experiment_id, name, user_id, status, start_ms, end_ms, artifact_uri)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO NOTHING RETURNING id`,
			string(r.ID), experiment, r.Name, r.User, string(r.Status), r.Start.UnixMilli(), nullMS(r.End), uri).Scan(&w.run.id)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("the ID is taken: %w", tracking.ErrExists)
		}
		if err != nil || len(r.Tags) == 0 {
			return err
		}
		if err := w.tags(ctx, r.Tags); err != nil {
			return err
		}
		return w.count(ctx)
	})
	out := tracking.RunInfo{
		ID: r.ID, Experiment: r.Experiment, Name: r.Name, User: r.User, Status: r.Status,
		Start: fromMS(r.Start.UnixMilli()), ArtifactURI: uri,
		Params: map[string]string{}, Tags: map[string]string{}, Metrics: map[string]tracking.Metric{},
	}
	if !r.End.IsZero() {
		out.End = fromMS(r.End.UnixMilli())
	}
	maps.Copy(out.Tags, r.Tags)
	return out, err
}

// UpdateRun implements tracking.Store.
func (s *Store) UpdateRun(ctx context.Context, id tracking.RunID, u tracking.RunUpdate) error {
	keys, err := s.pairIDs(ctx, u.DeleteTags)
	if err == nil {
		err = s.db.Tx(ctx, func(tx *sqldb.Tx) error { return s.updateRun(ctx, tx, id, u, keys) })
	}
	if err != nil {
		return fmt.Errorf("tracking/sqlstore: update run %q: %w", id, err)
	}
	return nil
}

func (s *Store) updateRun(ctx context.Context, tx *sqldb.Tx, id tracking.RunID, u tracking.RunUpdate, keys map[string]int64) error {
	var row int64
	var end, deleted sql.NullInt64
	var name, status string
	err := tx.QueryRowContext(ctx, `SELECT id, name, status, end_ms, deleted_ms FROM mw_run WHERE run_id = ?`+s.dialect.Lock(),
		string(id)).Scan(&row, &name, &status, &end, &deleted)
	if errors.Is(err, sql.ErrNoRows) {
		return errNoRun()
	}
	if err != nil {
		return err
	}
	if deleted.Valid && u.Deleted != nil && *u.Deleted && u.Name == "" && u.Status == "" && u.End.IsZero() && len(u.DeleteTags) == 0 {
		return nil // deleting again does nothing
	}
	if deleted.Valid && (u.Deleted == nil || *u.Deleted) {
		return errNotActive("the run")
	}
	switch {
	case u.Deleted == nil:
	case !*u.Deleted:
		deleted = sql.NullInt64{}
	case !deleted.Valid:
		deleted = sql.NullInt64{Int64: time.Now().UnixMilli(), Valid: true}
	}
	if !u.End.IsZero() {
		end = sql.NullInt64{Int64: u.End.UnixMilli(), Valid: true}
	}
	for _, key := range u.DeleteTags {
		result, err := tx.ExecContext(ctx, `DELETE FROM mw_tag WHERE run = ? AND key = ?`, row, keys[key])
		if err := oneRow(result, err, fmt.Sprintf("it has no tag %q", key)); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `UPDATE mw_run SET name = ?, status = ?, end_ms = ?, deleted_ms = ?, n_tags = n_tags - ? WHERE id = ?`,
		cmp.Or(u.Name, name), cmp.Or(string(u.Status), status), end, deleted, len(u.DeleteTags), row)
	return err
}

// Run implements tracking.Store.
func (s *Store) Run(ctx context.Context, id tracking.RunID) (tracking.RunInfo, error) {
	info, err := s.run(ctx, id)
	if err != nil {
		return tracking.RunInfo{}, fmt.Errorf("tracking/sqlstore: get run %q: %w", id, err)
	}
	return info, nil
}

func (s *Store) run(ctx context.Context, id tracking.RunID) (info tracking.RunInfo, err error) {
	if _, err := s.foldBefore(ctx, id); err != nil {
		return info, err
	}
	err = s.db.View(ctx, func(tx *sqldb.Tx) error {
		f, err := scanRun(tx.QueryRowContext(ctx, `SELECT `+runColumns+` FROM mw_run r WHERE r.run_id = ?`, string(id)).Scan)
		if errors.Is(err, sql.ErrNoRows) {
			return errNoRun()
		}
		if err != nil {
			return err
		}
		found := []foundRun{f}
		if err := s.readContents(ctx, tx, found, true); err != nil {
			return err
		}
		info = found[0].info
		return nil
	})
	return info, err
}

// runColumns is what scanRun takes, of mw_run under the name r.
const runColumns = `r.id, r.run_id, r.experiment_id, r.name, r.user_id, r.status, r.start_ms, r.end_ms, r.artifact_uri, r.deleted_ms,
	r.n_params + r.n_tags + r.n_metrics + r.n_inputs + r.n_models + r.n_outputs`

// foundRun is a run on its way out: its row id and how many entries it holds.
type foundRun struct {
	row     int64
	entries int
	info    tracking.RunInfo
}

// scanRun reads runColumns and, behind them, the columns into more. The run's
// maps are empty until readContents fills them.
func scanRun(scan func(...any) error, more ...any) (foundRun, error) {
	var f foundRun
	var experiment, start int64
	var end, deleted sql.NullInt64
	info := &f.info
	err := scan(append([]any{&f.row, &info.ID, &experiment, &info.Name, &info.User, &info.Status, &start, &end,
		&info.ArtifactURI, &deleted, &f.entries}, more...)...)
	if err != nil {
		return f, err
	}
	info.Experiment, info.Start, info.End = formatExperimentID(experiment), fromMS(start), fromNull(end)
	info.Deleted, info.DeletedAt = deleted.Valid, fromNull(deleted)
	info.Params, info.Tags, info.Metrics = map[string]string{}, map[string]string{}, map[string]tracking.Metric{}
	return f, nil
}
