package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
)

// errNoRun is the likely cause in every answer about a run that is not there.
func errNoRun() error {
	return fmt.Errorf("there is no such run in this database: %w", tracking.ErrNotFound)
}

// LogBatch implements tracking.Store.
func (s *Store) LogBatch(ctx context.Context, id tracking.RunID, b tracking.Batch) error {
	if err := s.logBatch(ctx, id, &b); err != nil {
		return fmt.Errorf("tracking/sqlstore: log batch to run %q: %w", id, err)
	}
	s.folder.note(ctx, id, len(b.Metrics))
	return nil
}

func (s *Store) logBatch(ctx context.Context, id tracking.RunID, b *tracking.Batch) error {
	points, err := s.pack(ctx, b.Metrics)
	if err != nil {
		return err
	}
	if len(b.Metrics) > 0 && !points.linked && len(b.Params)+len(b.Tags)+len(b.Inputs)+len(b.ModelInputs)+len(b.Outputs) == 0 {
		stored, err := s.logMetrics(ctx, id, points)
		if err != nil || stored {
			return err
		}
		// The run is missing, deleted or near its limit: the long way tells.
	}
	keys, err := s.pairIDs(ctx, append(sortedKeys(b.Params), sortedKeys(b.Tags)...))
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(tx *sqldb.Tx) error {
		w := batchWriter{store: s, tx: tx, keys: keys, id: id}
		return w.write(ctx, b, points)
	})
}

// packed are the metrics of a batch on their way into mw_metric_log.
type packed struct {
	ids    []int64 // of the keys
	nKeys  int
	data   []byte
	linked bool // some measure a logged model
}

func (s *Store) pack(ctx context.Context, metrics []tracking.Metric) (packed, error) {
	if len(metrics) == 0 {
		return packed{}, nil
	}
	ids, err := s.keyIDs(ctx, len(metrics), func(i int) string { return metrics[i].Key })
	if err != nil {
		return packed{}, err
	}
	p := packed{ids: ids}
	p.data, p.nKeys = encodeLog(metrics, ids)
	for i := range metrics {
		p.linked = p.linked || metrics[i].Link != nil
	}
	return p, nil
}

// keySlack is what servers that share a PostgreSQL database may add to a run
// between the moment when one of them counts its keys and the one when it
// writes: there the short way stops so far before the limit.
const keySlack = 32 * tracking.MaxBatchMetrics

// logMetrics is the short way of a batch of metrics alone: one statement. It
// stores nothing when the run is missing or deleted, or when it may come to
// its limit of keys, which counts those of each waiting batch as new.
func (s *Store) logMetrics(ctx context.Context, id tracking.RunID, p packed) (stored bool, err error) {
	limit := tracking.MaxRunMetricKeys
	if s.dialect == sqldb.Postgres {
		limit -= keySlack
	}
	err = s.db.Single(ctx, func(tx *sqldb.Tx) error {
		result, err := tx.ExecContext(ctx, `
			INSERT INTO mw_metric_log (run, n_keys, data)
			SELECT r.id, CAST(? AS bigint), ? FROM mw_run r
			WHERE r.run_id = ? AND r.deleted_ms IS NULL
			AND r.n_metrics + (SELECT COALESCE(SUM(l.n_keys), 0) FROM mw_metric_log l WHERE l.run = r.id) <= CAST(? AS bigint)`,
			p.nKeys, p.data, string(id), limit-p.nKeys)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		stored = n > 0
		return err
	})
	return stored, err
}

// runRow is a run's row id and what it holds.
type runRow struct {
	id                                    int64
	params, tags, inputs, models, outputs int
	inputBytes                            int64
}

// batchWriter adds to one run in one transaction.
type batchWriter struct {
	store *Store
	tx    *sqldb.Tx
	keys  map[string]int64 // of the params and tags
	id    tracking.RunID
	run   runRow
}

func (w *batchWriter) write(ctx context.Context, b *tracking.Batch, points packed) error {
	var deleted sql.NullInt64
	err := w.tx.QueryRowContext(ctx, `
		SELECT id, deleted_ms, n_params, n_tags, n_inputs, n_models, n_outputs, input_bytes
		FROM mw_run WHERE run_id = ?`+w.store.dialect.Lock(), string(w.id)).Scan(
		&w.run.id, &deleted, &w.run.params, &w.run.tags, &w.run.inputs, &w.run.models, &w.run.outputs, &w.run.inputBytes)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return errNoRun()
	case err != nil:
		return err
	case deleted.Valid:
		return errNotActive("the run")
	}
	before := w.run
	// Params first: the one thing that is refused for its content.
	if err := w.params(ctx, b.Params); err != nil {
		return err
	}
	if err := w.tags(ctx, b.Tags); err != nil {
		return err
	}
	if err := w.inputs(ctx, b.Inputs); err != nil {
		return err
	}
	if err := w.models(ctx, b.ModelInputs, b.Outputs); err != nil {
		return err
	}
	if err := w.metrics(ctx, points); err != nil {
		return err
	}
	if points.linked {
		if err := w.modelMetrics(ctx, b.Metrics); err != nil {
			return err
		}
	}
	if w.run == before {
		return nil
	}
	return w.count(ctx)
}

// count checks the limits of the run and stores its counters.
func (w *batchWriter) count(ctx context.Context) error {
	for _, c := range []struct {
		what        string
		have, limit int
	}{
		{"params", w.run.params, tracking.MaxRunParams},
		{"tags", w.run.tags, tracking.MaxRunTags},
		{"dataset inputs", w.run.inputs, tracking.MaxRunInputs},
		{"model inputs", w.run.models, tracking.MaxRunInputs},
		{"outputs", w.run.outputs, tracking.MaxRunOutputs},
		{"bytes of input descriptions", int(w.run.inputBytes), tracking.MaxRunInputBytes},
	} {
		if c.have > c.limit {
			return errLimit(c.have, c.what, c.limit)
		}
	}
	r := w.run
	_, err := w.tx.ExecContext(ctx, `
		UPDATE mw_run SET n_params = ?, n_tags = ?, n_inputs = ?, n_models = ?, n_outputs = ?, input_bytes = ? WHERE id = ?`,
		r.params, r.tags, r.inputs, r.models, r.outputs, r.inputBytes, r.id)
	return err
}

func errLimit(have int, what string, limit int) error {
	return fmt.Errorf("the run would have %d %s, the limit is %d: %w", have, what, limit, tracking.ErrInvalid)
}

// params adds those that the run does not have and refuses to change others.
func (w *batchWriter) params(ctx context.Context, params map[string]string) error {
	values, err := w.stored(ctx, "mw_param", params)
	if err != nil {
		return err
	}
	var args []any
	for _, key := range sortedKeys(params) { // the first conflict is the same each time
		id, value := w.keys[key], params[key]
		old, exists := values[id]
		if exists && old != value {
			return &tracking.ParamConflictError{Run: w.id, Key: key, Old: old, New: value}
		}
		if !exists {
			args = append(args, w.run.id, id, value)
			w.run.params++
		}
	}
	return insertRows(ctx, w.tx, `INSERT INTO mw_param (run, key, value)`, ``, 3, args)
}

func (w *batchWriter) tags(ctx context.Context, tags map[string]string) error {
	values, err := w.stored(ctx, "mw_tag", tags)
	if err != nil {
		return err
	}
	var args []any
	for _, key := range sortedKeys(tags) {
		id, value := w.keys[key], tags[key]
		old, exists := values[id]
		if !exists {
			w.run.tags++
		}
		if !exists || old != value {
			args = append(args, w.run.id, id, value)
		}
	}
	return insertRows(ctx, w.tx, `INSERT INTO mw_tag (run, key, value)`, `ON CONFLICT (run, key) DO UPDATE SET value = excluded.value`, 3, args)
}

// stored reads what the run has under the keys of a param or tag batch, by key
// id.
func (w *batchWriter) stored(ctx context.Context, table string, pairs map[string]string) (map[int64]string, error) {
	values := make(map[int64]string, len(pairs))
	if len(pairs) == 0 {
		return values, nil
	}
	ids := make([]int64, 0, len(pairs))
	for key := range pairs {
		ids = append(ids, w.keys[key])
	}
	d := w.store.dialect
	err := eachRow(ctx, w.tx, `SELECT key, value FROM `+table+` WHERE run = ? AND `+d.In("key"), []any{w.run.id, d.Ints(ids)}, func(rows *sql.Rows) error {
		var key int64
		var value string
		err := rows.Scan(&key, &value)
		values[key] = value
		return err
	})
	return values, err
}

// metrics adds the points to the log of the run, whose row is locked. Where
// the run may come to its limit of keys the log is folded first, which makes
// the count exact.
func (w *batchWriter) metrics(ctx context.Context, p packed) error {
	if len(p.ids) == 0 {
		return nil
	}
	var have, waiting int
	count := func() error {
		return w.tx.QueryRowContext(ctx, `
			SELECT n_metrics, (SELECT COALESCE(SUM(n_keys), 0) FROM mw_metric_log WHERE run = r.id) FROM mw_run r WHERE id = ?`,
			w.run.id).Scan(&have, &waiting)
	}
	if err := count(); err != nil {
		return err
	}
	if have+waiting+p.nKeys > tracking.MaxRunMetricKeys-keySlack && waiting > 0 {
		if err := w.store.foldRun(ctx, w.tx, w.run.id); err != nil {
			return err
		}
		if err := count(); err != nil {
			return err
		}
	}
	if have+p.nKeys > tracking.MaxRunMetricKeys {
		d, known := w.store.dialect, 0
		err := w.tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM mw_latest WHERE run = ? AND `+d.In("key"), w.run.id, d.Ints(p.ids)).Scan(&known)
		if err != nil {
			return err
		}
		if have += p.nKeys - known; have > tracking.MaxRunMetricKeys {
			return errLimit(have, "metric keys", tracking.MaxRunMetricKeys)
		}
	}
	_, err := w.tx.ExecContext(ctx, `INSERT INTO mw_metric_log (run, n_keys, data) VALUES (?, ?, ?)`, w.run.id, p.nKeys, p.data)
	return err
}
